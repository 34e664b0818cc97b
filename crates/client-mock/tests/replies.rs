//! What a reply can be: heads, bodies and their lengths, trailers, informational heads, failures, early answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_core::{Body, Bytes, Capability, Error, ErrorKind, Event, HttpClient, Limits, Phase, Response, Result, Sent};
use client_mock::{Mock, Outcome, Reply};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

const URL: &str = "https://h.example:8443/";

fn ask(method: Method, reply: Reply) -> (Mock, Result<Response>) {
    let mock = Mock::new();
    mock.enqueue(reply);
    let http = HttpClient::new(mock.clone());
    let answer = mock.run(http.request(method, URL).send());
    (mock, answer)
}

fn read(reply: Reply) -> Result<Bytes> {
    let (mock, answer) = ask(Method::GET, reply);
    mock.run(async { answer?.bytes().await })
}

#[test]
fn a_head_and_its_connection() {
    let (_, answer) = ask(Method::GET, Reply::status(418).version(Version::HTTP_10).header("x-a", "1").header("x-a", "2"));
    let response = answer.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::IM_A_TEAPOT, Version::HTTP_10));
    assert_eq!(response.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(response.remote_addr(), Some("192.0.2.1:8443".parse().unwrap()));
    let here: SocketAddr = "[::1]:1".parse().unwrap();
    assert_eq!(ask(Method::GET, Reply::new().remote_addr(here)).1.unwrap().remote_addr(), Some(here));
}

/// RFC 9110 §6.4.1, §8.6, §9.3.2.
#[test]
fn lengths_are_announced_as_a_server_would() {
    for (method, reply, header, length, body) in [
        (Method::GET, Reply::text("four"), Some("4"), Some(4), "four"),
        (Method::GET, Reply::new(), Some("0"), Some(0), ""),
        (Method::GET, Reply::new().body(""), Some("0"), Some(0), ""),
        (Method::GET, Reply::new().chunk("fo").chunk("").chunk("ur"), None, None, "four"),
        (Method::GET, Reply::new().chunk("four").header("content-length", "4"), Some("4"), Some(4), "four"),
        (Method::HEAD, Reply::text("four"), Some("4"), Some(0), ""),
        (Method::HEAD, Reply::new().header("content-length", "9"), Some("9"), Some(0), ""),
        (Method::GET, Reply::status(204).body("never"), None, Some(0), ""),
        (Method::GET, Reply::status(304).header("content-length", "9"), Some("9"), Some(0), ""),
    ] {
        let (mock, answer) = ask(method.clone(), reply);
        let response = answer.unwrap();
        let announced = response.headers().get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!((announced, response.content_length()), (header, length), "{method} {body:?}");
        assert_eq!(mock.run(response.text()).unwrap(), body);
        assert_eq!(mock.requests()[0].outcome, Outcome::Complete);
    }
}

#[test]
fn a_length_that_is_not_true_is_found_out() {
    for (length, kind, message) in [
        ("5", ErrorKind::Closed, "the server closed the connection 1 bytes before the end of the body"),
        ("3", ErrorKind::Protocol, "the body is longer than its Content-Length"),
        ("x", ErrorKind::Protocol, "Content-Length is no number"),
    ] {
        let error = read(Reply::new().header("content-length", length).chunk("four")).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (kind, Sent::Answered), "{length}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.engine(), Some("mock"));
    }
}

#[test]
fn failures_happen_in_their_phase() {
    for (kind, phase, sent) in [
        (ErrorKind::InvalidRequest, Phase::Pool, Sent::Nothing),
        (ErrorKind::Resolve, Phase::Resolve, Sent::Nothing),
        (ErrorKind::Connect, Phase::Connect, Sent::Nothing),
        (ErrorKind::Proxy, Phase::Proxy, Sent::Nothing),
        (ErrorKind::Tls, Phase::Tls, Sent::Nothing),
        (ErrorKind::Body, Phase::Send, Sent::Maybe),
        (ErrorKind::Protocol, Phase::Head, Sent::Maybe),
        (ErrorKind::Closed, Phase::Head, Sent::Maybe),
    ] {
        let seen = Arc::new(Mutex::new(None));
        let log = Arc::clone(&seen);
        let mock = Mock::new();
        mock.enqueue(Reply::error(kind, "as scripted"));
        let http = HttpClient::new(mock.clone());
        let request = http.post(URL).body("abc").observer(move |event: &Event<'_>| {
            if let Event::PhaseStarted(phase) = event {
                *log.lock().unwrap() = Some(*phase);
            }
        });
        let error = mock.run(request.send()).unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.sent()), (kind, Some(phase), sent));
        assert_eq!(*seen.lock().unwrap(), Some(phase));
        assert_eq!(
            (mock.requests()[0].body == "abc", mock.requests()[0].outcome),
            (phase == Phase::Head, Outcome::Failed)
        );
    }
    // A complete error is handed on as it is.
    let error = Error::new(ErrorKind::Tls, "expired").with_source(std::io::Error::other("inner"));
    let error = ask(Method::GET, Reply::from(error)).1.unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "inner");
}

#[test]
fn a_body_breaks_where_it_is_scripted() {
    let (mock, answer) = ask(Method::GET, Reply::new().chunk("half").reset().chunk("never"));
    let mut response = answer.unwrap();
    assert_eq!(mock.run(response.chunk()).unwrap().unwrap(), "half");
    let error = mock.run(response.chunk()).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Closed, Some(Phase::Body)));
    assert!(mock.run(response.chunk()).unwrap().is_none(), "an ended body stays ended");
    assert_eq!(mock.requests()[0].outcome, Outcome::Failed);
}

#[test]
fn trailers_and_informational_heads() {
    let fields = |value| HeaderMap::from_iter([(http::header::LINK, HeaderValue::from_static(value))]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let mock = Mock::new();
    mock.enqueue(Reply::new().informational(103, fields("early")).chunk("a").trailers(fields("late")));
    let http = HttpClient::new(mock.clone());
    let request = http.get(URL).observer(move |event: &Event<'_>| {
        if let Event::Informational { status, headers } = event {
            log.lock().unwrap().push((status.as_u16(), headers["link"].clone()));
        }
    });
    mock.run(async {
        let mut response = request.send().await.unwrap();
        while response.chunk().await.unwrap().is_some() {}
        assert_eq!(response.trailers(), Some(&fields("late")));
    });
    assert_eq!(*seen.lock().unwrap(), [(103, HeaderValue::from_static("early"))]);
    mock.assert_done();
}

#[test]
fn limits_are_held() {
    let many = |n| {
        (0..n)
            .map(|i| (format!("x-{i}").parse().unwrap(), HeaderValue::from_static("1")))
            .collect::<HeaderMap>()
    };
    let hints = |n| (0..n).fold(Reply::new(), |reply, _| reply.informational(103, HeaderMap::new()));
    type Change = fn(Limits) -> Limits;
    let cases: [(Reply, Change, bool); 7] = [
        (Reply::new().header("x", "1"), |l| l.head_fields(2), true),
        (Reply::new().header("x", "1").header("y", "1"), |l| l.head_fields(2), false),
        // "content-length: 0\r\n" and "x: 1\r\n".
        (Reply::new().header("x", "1"), |l| l.head_bytes(25), true),
        (Reply::new().header("x", "1"), |l| l.head_bytes(24), false),
        (hints(2), |l| l.informational(2), true),
        (hints(3), |l| l.informational(2), false),
        (Reply::new().chunk("a").trailers(many(3)), |l| l.head_fields(2), false),
    ];
    for (index, (reply, change, passes)) in cases.into_iter().enumerate() {
        let mock = Mock::new();
        mock.enqueue(reply);
        let http = HttpClient::builder(mock.clone()).limits(change).build().unwrap();
        let answer = mock.run(async { http.get(URL).send().await?.bytes().await });
        assert_eq!(answer.err().map(|error| error.kind()), (!passes).then_some(ErrorKind::TooLarge), "{index}");
    }
}

#[test]
fn an_early_answer_leaves_the_body_on_its_way() {
    let upload = |n| Body::stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>("x")).take(n));
    // Without content, the exchange is over at once.
    let mock = Mock::new();
    mock.enqueue(Reply::status(413).early());
    let http = HttpClient::new(mock.clone());
    assert_eq!(mock.run(http.post(URL).body(upload(9)).send()).unwrap().status(), 413);
    assert_eq!((mock.requests()[0].body.len(), mock.requests()[0].outcome), (0, Outcome::Complete));
    // Full duplex: the upload goes on while the answer is read.
    mock.enqueue(Reply::new().early().chunk("a").pause(Duration::from_secs(1)).chunk("b"));
    mock.run(async {
        let mut response = http.post(URL).body(upload(9)).send().await.unwrap();
        assert_eq!(mock.requests()[1].body, "");
        assert_eq!(response.chunk().await.unwrap().unwrap(), "a");
        assert_eq!(mock.requests()[1].body, "xxxxxxxxx");
        assert_eq!(response.bytes().await.unwrap(), "b");
    });
    // Where a 100 was expected, a final answer comes in its place and the body stays at home.
    mock.enqueue(Reply::status(401).early().body("no"));
    let expecting = http.post(URL).header("expect", "100-continue").body("abc");
    assert_eq!(mock.run(async { expecting.send().await.unwrap().text().await.unwrap() }), "no");
    assert_eq!(mock.requests()[2].body, "");
    mock.assert_done();
}

#[test]
fn connect_opens_a_tunnel() {
    let mock = Mock::new();
    let (reply, mut far) = Reply::tunnel();
    mock.enqueue(reply);
    let http = HttpClient::new(mock.clone());
    mock.run(async {
        let mut near = http.request("CONNECT", URL).send().await.unwrap().upgrade().unwrap();
        far.write_all(b"ping").await.unwrap();
        drop(far);
        let mut heard = String::new();
        near.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "ping");
    });
    mock.assert_done();
}

#[test]
fn what_takes_a_real_connection_is_not_promised() {
    use client_core::Engine as _;
    let played = Mock::new().capabilities();
    for capability in [
        Capability::HttpProxy,
        Capability::SpkiPins,
        Capability::ConnectionReuse,
        Capability::PoolStats,
    ] {
        assert!(!played.contains(capability), "{}", capability.id());
    }
}
