//! What people read when a call fails: one line that says what was wrong and where. The same failures, as kinds, are conformance cases;
//! here are the words.

use client::cio::Cio;
use client::{ErrorKind, HttpClient, Sent};
use client_conformance::servers::{Authority, Certificate, Raw, Script, Tls};

fn client() -> HttpClient {
    let engine = Cio::builder().tls(Authority::get().trusted()).build();
    HttpClient::builder(engine).limits(|l| l.head_bytes(4096)).build().unwrap()
}

/// The line, the kind and what was sent, of a GET and the reading of its body. `{at}` in `expected` stands for the server's authority.
#[track_caller]
fn fails(url: &str, kind: ErrorKind, sent: Sent, expected: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = client();
    let error = runtime.block_on(async { http.get(url).send().await?.bytes().await }).expect_err("it has to fail");
    let authority = url.split('/').nth(2).unwrap_or("");
    assert_eq!(error.to_string(), expected.replace("{at}", authority));
    assert_eq!((error.kind(), error.sent()), (kind, sent), "{error}");
    // The same client serves the next call.
    let fine = Raw::start([Script::reply("HTTP/1.1 204 No Content\r\n\r\n")]);
    assert_eq!(runtime.block_on(http.get(fine.url("/")).send()).unwrap().status(), 204);
}

fn served(script: Script, kind: ErrorKind, expected: &str) {
    let server = Raw::start([script]);
    fails(&server.url("/path"), kind, Sent::Answered, expected);
}

#[test]
fn nobody_listens() {
    fails(
        "http://127.0.0.1:1/",
        ErrorKind::Connect,
        Sent::Nothing,
        "connection refused by 127.0.0.1:1 while connecting to http://127.0.0.1:1/",
    );
}

#[test]
fn nobody_has_that_name() {
    let http = client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(http.get("http://name.invalid/").send()).unwrap_err();
    let line = error.to_string();
    // The reason in the middle is the system's.
    assert!(line.starts_with("cannot resolve \"name.invalid\": "), "{line}");
    assert!(line.ends_with(" while resolving the host of http://name.invalid/"), "{line}");
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Resolve, Sent::Nothing));
}

#[test]
fn certificates() {
    for (certificate, expected) in [
        (Certificate::Expired, "TLS: the certificate of \"localhost\" expired on 2001-01-01 00:00 UTC"),
        (Certificate::WrongHost, "TLS: the certificate is not valid for \"localhost\", only for other.test"),
        (
            Certificate::UnknownAuthority,
            "TLS: the certificate of \"localhost\" was not signed by the authority that it names",
        ),
    ] {
        let server = Raw::start_tls(&Tls::new(certificate), [Script::new()]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(client().get(server.url("/")).send()).unwrap_err();
        let line = error.to_string();
        assert!(line.starts_with(expected), "{line}");
        assert!(line.contains(" while in TLS handshake with https://localhost:"), "{line}");
        assert!(!line.contains('\n'));
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Tls, Sent::Nothing));
    }
}

#[test]
fn answers_cut_short() {
    served(
        Script::new().head().send("HTTP/1.1 200 OK\r\nserv").close(),
        ErrorKind::Closed,
        "peer closed the connection in the response head, after 21 bytes while waiting for the response head from http://{at}/path",
    );
    served(
        Script::reply("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhell").close(),
        ErrorKind::Closed,
        "peer closed the connection after 4 of 10 body bytes while reading the response body from http://{at}/path",
    );
}

#[test]
fn a_head_that_is_too_large() {
    let reply = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(8000));
    served(
        Script::reply(reply),
        ErrorKind::TooLarge,
        "too large: response head is larger than 4096 bytes while waiting for the response head from http://{at}/path",
    );
}

#[test]
fn urls() {
    for (url, expected) in [
        (
            "http://exa mple/",
            "invalid request: invalid URL \"http://exa mple/\": invalid international domain name",
        ),
        ("ftp://h/", "invalid request: unsupported scheme \"ftp\" in \"ftp://h/\": use http or https"),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(client().get(url).send()).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!((error.kind(), error.sent()), (ErrorKind::InvalidRequest, Sent::Nothing));
    }
}
