//! What the caller gets: head, body in every form, limits, trailers, conversions; and what dropping does.

use std::pin::pin;
use std::time::Duration;

use client_core::{Body, ErrorKind, HeaderMap, HeaderValue, HttpClient, Limits, Phase, Response, Result, Sent};
use client_mock::{Mock, Outcome, Reply};
use futures::TryStreamExt;
use http::Version;

const URL: &str = "http://h.example/path?q";

fn get(mock: &Mock, reply: Reply) -> Response {
    mock.enqueue(reply);
    mock.run(HttpClient::new(mock.clone()).get(URL).send()).unwrap()
}

#[test]
fn the_head() {
    let mock = Mock::new();
    let addr = "10.0.0.1:80".parse().unwrap();
    let reply = Reply::status(203).version(Version::HTTP_2).header("x-a", "1").remote_addr(addr).body("four");
    let response = get(&mock, reply);
    assert_eq!((response.status().as_u16(), response.version()), (203, Version::HTTP_2));
    assert_eq!((response.headers()["x-a"].to_str().unwrap(), response.content_length()), ("1", Some(4)));
    assert_eq!((response.url().to_string().as_str(), response.redirects().len()), (URL, 0));
    assert_eq!(response.remote_addr(), Some(addr));
    assert!(!response.connection().unwrap().reused);
    assert_eq!(get(&mock, Reply::new().chunk("four")).content_length(), None);
}

#[test]
fn a_body_in_every_form() {
    let mock = Mock::new();
    let reply = || Reply::new().chunk("ab").chunk("").pause(Duration::from_secs(9)).chunk("c").chunk("def");
    assert_eq!(mock.run(get(&mock, reply()).bytes()).unwrap(), "abcdef");
    assert_eq!(mock.run(get(&mock, reply()).text()).unwrap(), "abcdef");
    assert_eq!(mock.run(get(&mock, reply()).bytes_stream().try_collect::<Vec<_>>()).unwrap(), ["ab", "c", "def"]);
    let mut response = get(&mock, reply());
    let mut chunks = Vec::new();
    mock.run(async {
        while let Some(chunk) = response.chunk().await.unwrap() {
            chunks.push(chunk);
        }
        assert!(response.chunk().await.unwrap().is_none(), "the end stays the end");
    });
    assert_eq!(chunks, ["ab", "c", "def"]);
    assert_eq!(mock.run(get(&mock, Reply::new()).bytes()).unwrap(), "");
    // Part by part, then the rest at once.
    let mut response = get(&mock, Reply::new().chunk("a").chunk("b"));
    mock.run(response.chunk()).unwrap();
    assert_eq!(mock.run(response.text()).unwrap(), "b");
    mock.assert_done();
}

#[test]
fn text_is_utf8_by_default() {
    let mock = Mock::new();
    for (body, expected) in [
        (&b"gr\xC3\xBCn"[..], "grün"),
        (b"\xEF\xBB\xBFhi", "hi"),
        (b"a\xFFb", "a\u{FFFD}b"),
        (b"", ""),
    ] {
        assert_eq!(mock.run(get(&mock, Reply::new().body(body)).text()).unwrap(), expected);
    }
}

#[test]
fn trailers_come_after_the_body() {
    let mock = Mock::new();
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("1"))]);
    let reply = || Reply::new().chunk("a").trailers(trailers.clone());
    let mut response = get(&mock, reply());
    mock.run(async {
        assert_eq!(response.chunk().await.unwrap().unwrap(), "a");
        assert_eq!(response.trailers(), None);
        assert!(response.chunk().await.unwrap().is_none());
    });
    assert_eq!(response.trailers(), Some(&trailers));
    assert_eq!(mock.run(get(&mock, reply()).text()).unwrap(), "a");
    assert_eq!(mock.run(get(&mock, reply()).bytes_stream().try_collect::<Vec<_>>()).unwrap(), ["a"]);
}

#[test]
fn a_body_in_memory_has_a_limit() {
    let mock = Mock::new();
    let read = |reply: Reply, limit: u64| -> Result<usize> {
        mock.enqueue(reply);
        let request = HttpClient::new(mock.clone()).get(URL).limits(|l| l.body_bytes(limit));
        mock.run(async { request.send().await?.bytes().await }).map(|bytes| bytes.len())
    };
    let announced = "the body has 5 bytes, more than the limit of 4";
    let streamed = "the body has more than the limit of 4 bytes";
    for (reply, says) in [
        (Reply::text("12345"), announced),
        // Refused by its announcement: nothing is read, so that nobody waits for it.
        (Reply::new().header("content-length", "5").stall(), announced),
        (Reply::new().chunk("12345").stall(), streamed),
        (Reply::new().chunk("123").chunk("45").stall(), streamed),
        ((0..5).fold(Reply::new(), |reply, _| reply.chunk("1")).stall(), streamed),
    ] {
        let error = read(reply, 4).unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.sent()),
            (ErrorKind::TooLarge, Some(Phase::Body), Sent::Answered)
        );
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("stream it with chunk(), or raise Limits::body_bytes"), "{error}");
        // What is left is cancelled.
        assert_eq!(mock.requests().last().unwrap().outcome, Outcome::Cancelled);
    }
    for fits in [Reply::text("1234"), Reply::new().chunk("12").chunk("34"), Reply::new()] {
        assert!(read(fits, 4).is_ok());
    }
    // The default, and the client's; a body that is streamed is not limited.
    assert_eq!(Limits::default().max_body_bytes(), 10 << 20);
    let http = HttpClient::builder(mock.clone()).limits(|l| l.body_bytes(4)).build().unwrap();
    mock.enqueue(Reply::text("12345"));
    mock.enqueue(Reply::text("12345"));
    mock.run(async {
        assert_eq!(http.get(URL).send().await.unwrap().text().await.unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(http.get(URL).send().await.unwrap().bytes_stream().try_collect::<Vec<_>>().await.unwrap(), ["12345"]);
    });
}

/// A server's word must not reserve memory: here, more than there is.
#[test]
fn an_announced_length_reserves_nothing() {
    let mock = Mock::new();
    for length in [u64::MAX, i64::MAX as u64, 1 << 60] {
        mock.enqueue(Reply::new().header("content-length", length).chunk("a").chunk("b"));
        let request = HttpClient::new(mock.clone()).get(URL).limits(|l| l.body_bytes(u64::MAX));
        let error = mock.run(async { request.send().await?.bytes().await }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}

#[test]
fn a_status_is_an_error_only_on_demand() {
    let mock = Mock::new();
    for (status, is_error) in [
        (200, false),
        (204, false),
        (302, false),
        (399, false),
        (400, true),
        (404, true),
        (503, true),
        (600, false),
    ] {
        let answer = get(&mock, Reply::status(status).body("text")).error_for_status();
        assert_eq!(answer.is_err(), is_error, "{status}");
        if let Err(error) = answer {
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert_eq!((error.kind(), error.sent()), (ErrorKind::Status(error.status().unwrap()), Sent::Answered));
        }
    }
    let error = get(&mock, Reply::status(404)).error_for_status().unwrap_err();
    assert_eq!(error.to_string(), "the server answered 404 Not Found for http://h.example/path");
}

#[test]
fn conversions_both_ways() {
    let mock = Mock::new();
    let response: http::Response<Body> = get(&mock, Reply::status(201).header("x-a", "1").body("body")).into();
    assert_eq!((response.status().as_u16(), response.headers()["x-a"].to_str().unwrap()), (201, "1"));
    let back = Response::from(response);
    assert_eq!((back.status().as_u16(), mock.run(back.text()).unwrap().as_str()), (201, "body"));

    let made = http::Response::builder().status(418).body("made elsewhere").unwrap();
    let response = Response::from(made);
    assert_eq!((response.url(), response.content_length()), (&http::Uri::from_static("/"), Some(14)));
    assert!(response.error_for_status().is_err());
}

#[test]
fn a_body_that_breaks() {
    let mock = Mock::new();
    type Read = fn(Response) -> futures::future::BoxFuture<'static, Result<()>>;
    let reads: [Read; 3] = [
        |response| Box::pin(async { response.bytes().await.map(drop) }),
        |response| Box::pin(async { response.text().await.map(drop) }),
        |response| Box::pin(async { response.bytes_stream().try_collect::<Vec<_>>().await.map(drop) }),
    ];
    for read in reads {
        let error = mock.run(read(get(&mock, Reply::new().chunk("half").reset()))).unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.sent()), (ErrorKind::Closed, Some(Phase::Body), Sent::Answered));
        assert_eq!(error.uri().unwrap(), URL);
    }
}

#[test]
fn without_a_switch_there_is_no_stream() {
    let mock = Mock::new();
    let error = get(&mock, Reply::text("no")).upgrade().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("it answered 200 OK and did not switch protocols"), "{error}");
    // The stream is there once, however often the response is copied into its extensions.
    let (reply, _server) = Reply::upgrade("echo");
    let response = get(&mock, reply);
    let copy = http::Response::builder()
        .status(101)
        .extension(response.extensions().get::<client_core::OnUpgrade>().unwrap().clone());
    assert!(Response::from(copy.body(()).unwrap()).upgrade().is_ok());
    assert!(response.upgrade().is_err());
}

#[test]
fn dropping_cancels_and_reading_to_the_end_does_not() {
    let mock = Mock::new();
    let outcome = |mock: &Mock| mock.requests().last().unwrap().outcome;
    drop(get(&mock, Reply::new().chunk("a").stall()));
    assert_eq!(outcome(&mock), Outcome::Cancelled);
    drop(get(&mock, Reply::new().chunk("a").stall()).bytes_stream());
    assert_eq!(outcome(&mock), Outcome::Cancelled);
    let half_read = get(&mock, Reply::new().chunk("a").stall());
    assert!(mock.timer().run_for(Duration::from_secs(60), pin!(half_read.bytes())).is_pending());
    assert_eq!(outcome(&mock), Outcome::Cancelled);

    let mut whole = get(&mock, Reply::text("all"));
    mock.run(whole.chunk()).unwrap();
    drop(whole);
    assert_eq!(outcome(&mock), Outcome::Complete);
    drop(get(&mock, Reply::new()));
    assert_eq!(outcome(&mock), Outcome::Complete);
}

#[test]
fn futures_may_be_spawned() {
    fn is_send<T: Send>(_: T) {}
    fn is_sync<T: Sync>() {}
    let http = HttpClient::new(Mock::new());
    is_send(http.get(URL).send());
    is_send(async { http.get(URL).send().await?.error_for_status()?.text().await });
    is_send(http.execute(http::Request::new(())));
    is_sync::<Response>();
    is_sync::<HttpClient>();
    // What a caller may keep in a struct of its own.
    fn is_both<T: Send + Sync + std::fmt::Debug>() {}
    is_both::<client_core::RequestBuilder>();
    is_both::<client_core::HttpClientBuilder>();
    is_both::<client_core::BytesStream>();
    is_both::<client_core::Error>();
    is_both::<client_core::Exchange>();
    is_both::<client_core::Next>();
    is_both::<client_core::OnUpgrade>();
}

/// A response is printed into many a log.
#[test]
fn debug_keeps_secrets() {
    let mock = Mock::new();
    mock.enqueue(Reply::redirect(302, "/next?code=secret"));
    mock.enqueue(Reply::text("secret").header("set-cookie", "id=secret").header("x-token", "secret"));
    let call = HttpClient::new(mock.clone()).get("http://me:secret@h.example/path?token=secret").send();
    let response = mock.run(call).unwrap();
    let printed = format!("{response:?} {:?} {:?}", response.redirects(), response.extensions());
    assert!(!printed.contains("secret"), "{printed}");
    for part in ["200", "http://h.example/next", "set-cookie", "x-token"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let printed = format!("{:?}", response.bytes_stream());
    assert!(!printed.contains("secret"), "{printed}");
}
