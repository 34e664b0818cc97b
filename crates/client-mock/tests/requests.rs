//! The history, and who answers: the queue, the handler, or an error that helps.

use client_core::{Body, ErrorKind, HttpClient, RequestTarget, Sent, Timeouts};
use client_mock::{Mock, Outcome, Reply};
use http::{HeaderMap, HeaderValue, Version};
use std::time::Duration;

const URL: &str = "http://h.example/path?q=1";

#[test]
fn the_queue_answers_in_order_then_the_handler() {
    let mock = Mock::with(|request| Reply::text(format!("{} {}", request.method, request.text())));
    mock.enqueue(Reply::text("first"));
    mock.enqueue(Reply::text("second"));
    let http = HttpClient::new(mock.clone());
    let mut heard = Vec::new();
    mock.run(async {
        for _ in 0..3 {
            heard.push(http.post(URL).body("hi").send().await.unwrap().text().await.unwrap());
        }
    });
    assert_eq!(heard, ["first", "second", "POST hi"]);
    mock.assert_done();
}

#[test]
fn the_whole_request_is_recorded() {
    let mock = Mock::with(|_| Reply::new());
    let http = HttpClient::new(mock.clone());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>("ab"), Ok("cd")]);
    let request = http
        .request("PURGE", URL)
        .header("x-a", "1")
        .header("x-a", "2")
        .version(Version::HTTP_2)
        .timeout(|t| t.socket(Duration::from_secs(3)))
        .target(RequestTarget::Asterisk)
        .body(Body::stream(pieces).with_trailers(trailers.clone()));
    mock.timer().advance(Duration::from_secs(9));
    let response = mock.run(request.send()).unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let [request] = &mock.requests()[..] else {
        panic!("one request")
    };
    assert_eq!((request.method.as_str(), request.uri.to_string().as_str()), ("PURGE", URL));
    assert_eq!(request.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((request.header("x-a"), request.header("x-b")), (Some("1"), None));
    assert_eq!(request.body, "abcd");
    assert_eq!(request.trailers, Some(trailers));
    assert_eq!(request.version, Some(Version::HTTP_2));
    assert_eq!(request.timeouts, Timeouts::new().socket(Duration::from_secs(3)));
    assert_eq!(request.target(), Some(&RequestTarget::Asterisk));
    assert_eq!(request.at, Duration::from_secs(9));
    assert_eq!(request.outcome, Outcome::Complete);
}

#[test]
fn an_unexpected_request_is_a_clear_error() {
    let mock = Mock::new();
    mock.enqueue(Reply::new());
    let http = HttpClient::new(mock.clone());
    mock.run(http.get(URL).send()).unwrap();
    let error = mock.run(http.delete("http://h.example/more").send()).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Engine, Sent::Nothing));
    assert_eq!(
        error.to_string(),
        "the mock has no reply: 1 were enqueued, all are used, and there is no handler; requests: GET http://h.example/path?q=1, \
         DELETE http://h.example/more for http://h.example/more"
    );
    assert_eq!(mock.requests()[1].outcome, Outcome::Failed);
}

#[test]
#[should_panic(expected = "1 of 2 replies were not used, 1 exchanges are open; requests: GET http://h.example/path?q=1")]
fn what_is_not_done_is_told() {
    let mock = Mock::new();
    mock.enqueue(Reply::text("unread"));
    mock.enqueue(Reply::new());
    let http = HttpClient::new(mock.clone());
    let _unread = mock.run(http.get(URL).send()).unwrap();
    mock.assert_done();
}

#[test]
fn a_failing_request_body_fails_the_call_in_its_phase() {
    for mock in [Mock::with(|_| Reply::new()), Mock::new()] {
        mock.enqueue(Reply::new());
        let http = HttpClient::new(mock.clone());
        let pieces = futures::stream::iter([Ok("ab"), Err(std::io::Error::other("disk on fire"))]);
        let error = mock.run(http.put(URL).body(Body::stream(pieces)).send()).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Body, Sent::Maybe));
        assert_eq!((&mock.requests()[0].body[..], mock.requests()[0].outcome), (&b"ab"[..], Outcome::Failed));
    }
}

#[test]
fn a_mistake_in_a_reply_is_told() {
    let broken = [
        Reply::status(99),
        Reply::new().header("no name", ""),
        Reply::new().header("a", "\n"),
        Reply::redirect(302, "\0"),
    ];
    for reply in broken {
        let mock = Mock::new();
        mock.enqueue(reply);
        let error = mock.run(HttpClient::new(mock.clone()).get(URL).send()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
        assert!(error.to_string().starts_with("a mistake in the mock's Reply: "), "{error}");
    }
    // A handler has seen the whole request: what comes too late is refused, not ignored.
    for late in [|| Reply::new().early(), || Reply::new().send_delay(Duration::from_secs(1))] {
        let mock = Mock::with(move |_| late());
        let error = mock.run(HttpClient::new(mock.clone()).get(URL).send()).unwrap_err();
        assert!(error.to_string().contains("work for replies that are enqueued"), "{error}");
    }
}

#[test]
fn closing_reaches_the_mock() {
    let mock = Mock::new();
    HttpClient::new(mock.clone()).close();
    assert!(mock.is_closed());
}

#[cfg(feature = "json")]
mod json {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn both_ways() {
        let mock = Mock::with(|request| {
            let mut counts: BTreeMap<String, u32> = request.json().unwrap();
            counts.values_mut().for_each(|count| *count += 1);
            Reply::json(&counts)
        });
        let http = HttpClient::new(mock.clone());
        let response = mock.run(http.post(URL).body(r#"{"a":1}"#).send()).unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(mock.run(response.text()).unwrap(), r#"{"a":2}"#);
        assert!(mock.requests()[0].json::<Vec<u32>>().is_err());
    }

    #[test]
    fn what_is_no_json_is_told() {
        let mock = Mock::new();
        mock.enqueue(Reply::json(&BTreeMap::from([(vec![1], 1)])));
        let error = mock.run(HttpClient::new(mock.clone()).get(URL).send()).unwrap_err();
        assert!(error.to_string().contains("key must be a string"), "{error}");
    }
}
