//! Errors as the caller meets them: classified, placed, with their cause, without secrets; and a client that was closed.

use std::error::Error as _;

use client_core::{Error, ErrorKind, HttpClient, Phase, Sent, TimeoutKind};
use client_mock::{Mock, Outcome, Reply};

const URL: &str = "https://me:secret@h.example:8443/path?token=secret#frag";

fn fail(reply: Reply) -> Error {
    let mock = Mock::new();
    mock.enqueue(reply);
    let http = HttpClient::new(mock.clone());
    mock.run(async { http.post(URL).bearer_auth("secret").body("secret").send().await?.bytes().await })
        .unwrap_err()
}

#[test]
fn every_error_has_its_place_and_keeps_secrets() {
    let body = || Reply::new().chunk("a");
    for (reply, kind, phase, sent, text) in [
        (
            Reply::refused(),
            ErrorKind::Connect,
            Phase::Connect,
            Sent::Nothing,
            "connection refused while connecting to https://h.example:8443/path",
        ),
        (
            Reply::error(ErrorKind::Tls, "certificate expired"),
            ErrorKind::Tls,
            Phase::Tls,
            Sent::Nothing,
            "TLS: certificate expired while in TLS handshake with https://h.example:8443/path",
        ),
        (
            Reply::error(ErrorKind::Protocol, "no status line"),
            ErrorKind::Protocol,
            Phase::Head,
            Sent::Maybe,
            "protocol violation by the server: no status line while waiting for the response head from https://h.example:8443/path",
        ),
        (
            body().reset(),
            ErrorKind::Closed,
            Phase::Body,
            Sent::Answered,
            "connection reset by the server while reading the response body from https://h.example:8443/path",
        ),
    ] {
        let error = fail(reply);
        assert_eq!((error.kind(), error.phase(), error.sent()), (kind, Some(phase), sent));
        assert_eq!(error.to_string(), text);
        assert!(!format!("{error:?} {error:#?}").contains("secret"));
        // Whoever needs the query asks for it; the password is nowhere.
        assert_eq!(error.uri().unwrap(), "https://h.example:8443/path?token=secret");
        assert_eq!(error.engine(), Some("mock"));
        assert_eq!((error.is_timeout(), error.status(), error.capability()), (false, None, None));
        assert!(error.elapsed().is_none());
    }
}

#[test]
fn the_cause_is_kept() {
    let cause = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the cause");
    let error = fail(Reply::from(Error::new(ErrorKind::Closed, "gone").with_source(cause)));
    let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionReset);
    // `?` into the error type of an application.
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert_eq!(boxed.downcast::<Error>().unwrap().kind(), ErrorKind::Closed);
}

#[test]
fn an_engines_own_words_are_not_overwritten() {
    let elsewhere = "http://proxy.example/".parse().unwrap();
    let error = fail(Reply::from(Error::new(ErrorKind::Proxy, "denied").or_engine("inner").or_uri(&elsewhere)));
    assert_eq!((error.engine(), error.uri()), (Some("inner"), Some(&elsewhere)));
}

#[test]
fn only_timeouts_are_timeouts() {
    let timeout = fail(Reply::error(ErrorKind::Timeout(TimeoutKind::Connect), "late"));
    assert!(timeout.is_timeout());
    for kind in [
        ErrorKind::Resolve,
        ErrorKind::Connect,
        ErrorKind::Closed,
        ErrorKind::Engine,
        ErrorKind::TooLarge,
    ] {
        assert!(!fail(Reply::error(kind, "as scripted")).is_timeout(), "{kind:?}");
    }
}

#[test]
fn the_hop_that_failed_is_named() {
    let mock = Mock::new();
    mock.enqueue(Reply::redirect(302, "https://other.example/there"));
    mock.enqueue(Reply::refused());
    let error = mock.run(HttpClient::new(mock.clone()).get("http://h.example/").send()).unwrap_err();
    assert_eq!(error.uri().unwrap(), "https://other.example/there");
}

#[test]
fn a_closed_client_refuses_and_lets_finish() {
    let mock = Mock::with(|_| Reply::new().chunk("a").pause(std::time::Duration::from_secs(1)).chunk("b"));
    let http = HttpClient::new(mock.clone());
    let clone = http.clone();
    let response = mock.run(http.get("http://h.example/").send()).unwrap();
    http.close();
    http.close();
    assert!(mock.is_closed());
    assert_eq!(mock.run(response.text()).unwrap(), "ab");
    for closed in [http, clone] {
        let error = mock.run(closed.get("http://h.example/").send()).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Nothing));
        assert_eq!(error.to_string(), "the client is closed for http://h.example/");
    }
    assert_eq!(mock.requests().len(), 1);
    assert_eq!(mock.requests()[0].outcome, Outcome::Complete);
}
