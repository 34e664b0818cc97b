//! Time limits, exact in virtual time: the whole call, connecting, silence; their merge, their errors, and no timer left behind.

use std::pin::pin;
use std::time::Duration;

use client_core::{
    Body, Capability, Engine, Error, ErrorKind, HttpClient, HttpTimeout, Method, Phase, RequestBuilder, Result, Sent, Stage,
    Timeout, TimeoutKind, Timeouts, Timer, plugin_fn,
};
use client_mock::{Mock, Outcome, Reply};

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "http://h.example/path?token=secret";

fn limited(mock: &Mock, limits: HttpTimeout) -> HttpClient {
    HttpClient::builder(mock.clone()).install(limits).build().unwrap()
}

/// Sends, reads the whole body, and looks at the clock.
fn fetch(mock: &Mock, request: RequestBuilder) -> (Result<String>, Duration) {
    let started = mock.timer().elapsed();
    let answer = mock.run(async { request.send().await?.text().await });
    assert_eq!(mock.timer().pending(), 0, "a timer is left behind");
    (answer, mock.timer().elapsed() - started)
}

/// A limit that struck: which, set to what, when, and where.
#[track_caller]
fn assert_struck(error: &Error, kind: TimeoutKind, limit: Duration, phase: Phase) {
    assert_eq!(error.kind(), ErrorKind::Timeout(kind), "{error:?}");
    let elapsed = error.elapsed().unwrap();
    assert_eq!((elapsed.kind, elapsed.limit, elapsed.elapsed), (kind, limit, limit));
    assert_eq!((error.phase(), error.sent()), (Some(phase), phase.sent()));
    assert_eq!((error.uri().unwrap().to_string().as_str(), error.engine()), (URL, Some("mock")));
    assert!(error.is_timeout());
}

/// Both ways to set a limit: for the client, and for one request.
fn both_ways(mock: &Mock, limit: Duration) -> [RequestBuilder; 2] {
    let of_client = limited(mock, HttpTimeout::new().request(limit)).get(URL);
    let of_request = HttpClient::new(mock.clone()).get(URL).timeout(|t| t.request(limit));
    [of_client, of_request]
}

#[test]
fn an_answer_within_the_limit() {
    let mock = Mock::with(|_| Reply::text("here").delay(SECOND / 50));
    for request in both_ways(&mock, SECOND) {
        let (answer, passed) = fetch(&mock, request);
        assert_eq!((answer.unwrap().as_str(), passed), ("here", SECOND / 50));
    }
    let head = HttpClient::new(mock.clone()).head(URL).timeout(|t| t.request(SECOND));
    assert_eq!(fetch(&mock, head).0.unwrap(), "");
}

#[test]
fn the_limit_of_the_whole_call() {
    let mock = Mock::with(|_| Reply::text("late").delay(SECOND * 5));
    for request in both_ways(&mock, SECOND * 2) {
        let (answer, passed) = fetch(&mock, request);
        let error = answer.unwrap_err();
        assert_struck(&error, TimeoutKind::Request, SECOND * 2, Phase::Head);
        assert_eq!(passed, SECOND * 2);
        assert_eq!(
            error.to_string(),
            "request timed out after 2000 ms (limit 2000 ms) while waiting for the response head from http://h.example/path"
        );
    }
    let head = HttpClient::new(mock.clone()).head(URL).timeout(|t| t.request(SECOND / 2));
    assert_struck(&fetch(&mock, head).0.unwrap_err(), TimeoutKind::Request, SECOND / 2, Phase::Head);
    assert!(mock.requests().iter().all(|request| request.outcome == Outcome::Cancelled));
}

#[test]
fn it_names_the_phase_it_struck_in() {
    type Late = fn(Reply) -> Reply;
    let cases: [(Late, Phase); 5] = [
        (|reply| reply.pool_delay(SECOND * 9), Phase::Pool),
        (|reply| reply.connect_delay(SECOND * 9), Phase::Connect),
        (|reply| reply.send_delay(SECOND * 9), Phase::Send),
        (|reply| reply.delay(SECOND * 9), Phase::Head),
        (|reply| reply.chunk("a").stall(), Phase::Body),
    ];
    for (late, phase) in cases {
        let mock = Mock::new();
        mock.enqueue(late(Reply::new()));
        let request = HttpClient::new(mock.clone()).post(URL).body("abc").timeout(|t| t.request(SECOND));
        assert_struck(&fetch(&mock, request).0.unwrap_err(), TimeoutKind::Request, SECOND, phase);
    }
}

#[test]
fn the_body_may_be_read_later_within_the_limit() {
    let mock = Mock::with(|_| Reply::new().chunk("a").pause(SECOND).chunk("b"));
    for request in both_ways(&mock, SECOND * 3) {
        let response = mock.run(request.send()).unwrap();
        mock.timer().advance(SECOND * 2);
        assert_eq!(mock.run(response.text()).unwrap(), "ab");
    }
    assert_eq!(mock.timer().pending(), 0);
}

#[test]
fn a_trickle_inside_the_limit_arrives_whole() {
    let mock = Mock::with(|_| (0..100).fold(Reply::new(), |reply, _| reply.pause(SECOND / 100).chunk("x")));
    for request in both_ways(&mock, SECOND * 2) {
        let (answer, passed) = fetch(&mock, request);
        assert_eq!((answer.unwrap().len(), passed), (100, SECOND));
    }
}

#[test]
fn the_limit_is_for_all_of_the_body_and_comes_from_it() {
    let mock = Mock::with(|_| (0..4).fold(Reply::new(), |reply, _| reply.pause(SECOND * 2 / 5).chunk("x")));
    for request in both_ways(&mock, SECOND) {
        let mut response = mock.run(request.send()).unwrap();
        let mut pieces = 0;
        let error = mock.run(async {
            loop {
                match response.chunk().await {
                    Ok(piece) => {
                        assert!(piece.is_some(), "the body ended");
                        pieces += 1;
                    }
                    Err(error) => return error,
                }
            }
        });
        assert_eq!(pieces, 2);
        assert_struck(&error, TimeoutKind::Request, SECOND, Phase::Body);
        // The exchange is over at once, not when the response is dropped.
        assert_eq!(mock.requests().last().unwrap().outcome, Outcome::Cancelled);
        assert_eq!(mock.timer().pending(), 0);
        assert!(mock.run(response.chunk()).unwrap().is_none());
    }
    for request in both_ways(&mock, SECOND) {
        assert_struck(&fetch(&mock, request).0.unwrap_err(), TimeoutKind::Request, SECOND, Phase::Body);
    }
}

#[test]
fn a_body_that_is_always_ready_does_not_outrun_the_limit() {
    let mock = Mock::with(|_| (0..100).fold(Reply::new(), |reply, _| reply.chunk("x")));
    for request in both_ways(&mock, SECOND) {
        let mut response = mock.run(request.send()).unwrap();
        let error = mock.run(async {
            loop {
                match response.chunk().await {
                    Ok(piece) => assert!(piece.is_some(), "the body ended"),
                    Err(error) => return error,
                }
                mock.timer().advance(SECOND / 4);
            }
        });
        assert_struck(&error, TimeoutKind::Request, SECOND, Phase::Body);
    }
}

#[test]
fn after_a_timeout_the_client_serves_the_next() {
    let mock = Mock::with(|_| Reply::text("fine"));
    let http = limited(&mock, HttpTimeout::new().request(SECOND * 2).socket(SECOND).connect(SECOND));
    let late = [
        Reply::new().connect_delay(SECOND * 9),
        Reply::never(),
        Reply::new().chunk("a").stall(),
        (0..9).fold(Reply::new(), |reply, _| reply.pause(SECOND / 2).chunk("x")),
        Reply::error(ErrorKind::Closed, "reset"),
    ];
    for reply in late {
        mock.enqueue(reply);
        assert!(fetch(&mock, http.get(URL)).0.is_err());
        assert_eq!(fetch(&mock, http.get(URL)).0.unwrap(), "fine");
    }
}

#[test]
fn one_limit_for_all_hops_of_a_redirect() {
    let hop = |delay| Reply::redirect(302, URL).delay(delay);
    let mock = Mock::with(|_| Reply::text("here"));
    let ms = Duration::from_millis;
    // (the hops, the limit, whether it suffices)
    for (hops, limit, suffices) in [
        (vec![ms(20), ms(20)], SECOND, true),
        (vec![ms(20), ms(20)], SECOND * 10, true),
        (vec![SECOND * 2], ms(20), false),
        (vec![ms(250), ms(250)], ms(400), false),
        (vec![ms(250), ms(250)], ms(501), true),
    ] {
        for request in both_ways(&mock, limit) {
            hops.iter().for_each(|&delay| mock.enqueue(hop(delay)));
            let (answer, passed) = fetch(&mock, request);
            let sum: Duration = hops.iter().sum();
            assert_eq!(passed, sum.min(limit));
            match suffices {
                true => assert_eq!(answer.unwrap(), "here"),
                false => {
                    let error = answer.unwrap_err();
                    assert_eq!((error.phase(), error.elapsed().unwrap().limit), (Some(Phase::Head), limit));
                    // Once a hop was answered, the call was.
                    assert_eq!(error.sent(), if passed > hops[0] { Sent::Answered } else { Sent::Maybe });
                }
            }
        }
    }
    // The body at the end of the chain counts as well.
    mock.enqueue(hop(ms(600)));
    mock.enqueue(Reply::new().pause(ms(600)).chunk("late"));
    let [request, _] = both_ways(&mock, SECOND);
    assert_struck(&fetch(&mock, request).0.unwrap_err(), TimeoutKind::Request, SECOND, Phase::Body);
}

#[test]
fn one_limit_for_all_attempts_and_for_what_plugins_wait() {
    let mock = Mock::with(|_| Reply::status(503).delay(SECOND));
    let retry = plugin_fn(Stage::Retry, async |exchange: client_core::Exchange, next: client_core::Next| {
        loop {
            let response = next.run(&mut exchange.try_clone().unwrap()).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            next.timer().sleep_until(next.timer().now() + SECOND).await;
        }
    });
    let limits = HttpTimeout::new().request(SECOND * 5 + SECOND / 2);
    let http = HttpClient::builder(mock.clone()).install(retry).install(limits).build().unwrap();
    let (answer, passed) = fetch(&mock, http.get(URL));
    assert!(answer.unwrap_err().is_timeout());
    assert_eq!((passed, mock.requests().len()), (SECOND * 5 + SECOND / 2, 3));
    let arrived: Vec<_> = mock.requests().iter().map(|request| request.at).collect();
    assert_eq!(arrived, [Duration::ZERO, SECOND * 2, SECOND * 4]);
}

#[test]
fn a_refused_connection_is_no_timeout() {
    let mock = Mock::with(|_| Reply::refused().connect_delay(SECOND / 2));
    let (answer, _) = fetch(&mock, limited(&mock, HttpTimeout::new().connect(SECOND).request(SECOND)).get(URL));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.is_timeout(), error.sent()), (ErrorKind::Connect, false, Sent::Nothing));
}

#[test]
fn connect_and_socket_limits_by_client_and_by_request() {
    type Late = fn(Reply) -> Reply;
    type OfClient = fn(HttpTimeout) -> HttpTimeout;
    type OfRequest = fn(Timeouts) -> Timeouts;
    let cases: [(Late, OfClient, OfRequest, TimeoutKind, Phase); 5] = [
        (
            |reply| reply.connect_delay(SECOND * 9),
            |t| t.connect(SECOND),
            |t| t.connect(SECOND),
            TimeoutKind::Connect,
            Phase::Connect,
        ),
        (
            |reply| reply.chunk("a").pause(SECOND * 5),
            |t| t.socket(SECOND),
            |t| t.socket(SECOND),
            TimeoutKind::Socket,
            Phase::Body,
        ),
        (
            |reply| reply.delay(SECOND * 5),
            |t| t.socket(SECOND),
            |t| t.socket(SECOND),
            TimeoutKind::Socket,
            Phase::Head,
        ),
        (
            |reply| reply.send_delay(SECOND * 2),
            |t| t.socket(SECOND),
            |t| t.socket(SECOND),
            TimeoutKind::Socket,
            Phase::Send,
        ),
        (
            |reply| reply.pool_delay(SECOND * 9),
            |t| t.connection_request(SECOND),
            |t| t.connection_request(SECOND),
            TimeoutKind::ConnectionRequest,
            Phase::Pool,
        ),
    ];
    for (late, of_client, of_request, kind, phase) in cases {
        let mock = Mock::new();
        let by_client = limited(&mock, of_client(HttpTimeout::new())).post(URL);
        let by_request = HttpClient::new(mock.clone()).post(URL).timeout(of_request);
        for request in [by_client, by_request] {
            mock.enqueue(late(Reply::new()));
            let (answer, passed) = fetch(&mock, request.body("abc"));
            assert_struck(&answer.unwrap_err(), kind, SECOND, phase);
            assert_eq!(passed, SECOND);
        }
    }
}

#[test]
fn zero_is_refused_everywhere() {
    type OfClient = fn(HttpTimeout) -> HttpTimeout;
    type OfRequest = fn(Timeouts) -> Timeouts;
    const ZERO: Duration = Duration::ZERO;
    let cases: [(&str, OfClient, OfRequest); 4] = [
        ("request", |t| t.request(ZERO), |t| t.request(ZERO)),
        ("connect", |t| t.connect(ZERO), |t| t.connect(ZERO)),
        ("socket", |t| t.socket(ZERO), |t| t.socket(ZERO)),
        ("connection request", |t| t.connection_request(ZERO), |t| t.connection_request(ZERO)),
    ];
    for (name, of_client, of_request) in cases {
        let mock = Mock::new();
        let built = HttpClient::builder(mock.clone()).install(of_client(HttpTimeout::new())).build().map(drop);
        let sent = mock.run(HttpClient::new(mock.clone()).get(URL).timeout(of_request).send()).map(drop);
        for refused in [built, sent] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(&format!("a {name} timeout of zero")), "{error}");
        }
        assert!(mock.requests().is_empty());
    }
}

#[test]
fn limits_merge_field_by_field() {
    let mock = Mock::with(|_| Reply::text("late").delay(SECOND * 100));
    let http = limited(&mock, HttpTimeout::new().request(SECOND * 50).connect(SECOND * 2).socket(SECOND * 3));
    let request = http.get(URL).timeout(|t| t.request(Timeout::INFINITE).socket(SECOND * 200));
    let (answer, passed) = fetch(&mock, request);
    assert_eq!((answer.unwrap().as_str(), passed), ("late", SECOND * 100));
    let expected = Timeouts::new().request(Timeout::INFINITE).connect(SECOND * 2).socket(SECOND * 200);
    assert_eq!(mock.requests()[0].timeouts, expected);
    // A request's limits are its own.
    assert_struck(&fetch(&mock, http.get(URL)).0.unwrap_err(), TimeoutKind::Socket, SECOND * 3, Phase::Head);
    // Set twice, the later one counts, and the others stay.
    let request = http.get(URL).timeout(|t| t.request(SECOND).connect(SECOND)).timeout(|t| t.request(SECOND * 2));
    assert_struck(&fetch(&mock, request).0.unwrap_err(), TimeoutKind::Request, SECOND * 2, Phase::Head);
    assert_eq!(mock.requests()[2].timeouts, Timeouts::new().request(SECOND * 2).connect(SECOND).socket(SECOND * 3));
    // A limit beyond the clock's range is none.
    assert!(fetch(&mock, http.get(URL).timeout(|t| t.request(Duration::MAX).socket(Duration::MAX))).0.is_ok());
}

#[test]
fn installing_again_replaces_all_limits() {
    let mock = Mock::with(|_| Reply::new());
    let builder = HttpClient::builder(mock.clone()).install(HttpTimeout::new().request(SECOND).connect(SECOND));
    let http = builder.install(HttpTimeout::new().socket(SECOND)).build().unwrap();
    mock.run(http.get(URL).send()).unwrap();
    assert_eq!(mock.requests()[0].timeouts, Timeouts::new().socket(SECOND));
}

#[test]
fn without_a_limit_there_is_no_timer() {
    let mock = Mock::with(|_| Reply::text("here"));
    let none = HttpClient::new(mock.clone()).get(URL);
    let infinite = limited(&mock, HttpTimeout::new().request(SECOND))
        .get(URL)
        .timeout(|t| t.request(Timeout::INFINITE));
    for request in [none, infinite] {
        fetch(&mock, request).0.unwrap();
        assert_eq!(mock.timer().created(), 0);
    }
    fetch(&mock, HttpClient::new(mock.clone()).get(URL).timeout(|t| t.request(SECOND))).0.unwrap();
    assert_eq!(mock.timer().created(), 1, "one timer for the whole call");
}

#[test]
fn ten_thousand_calls_make_a_timer_each_and_leave_none() {
    const CALLS: u64 = 10_000;
    let mock = Mock::with(|_| Reply::new().chunk("he").chunk("re"));
    let http = limited(&mock, HttpTimeout::new().request(SECOND).connect(SECOND).socket(SECOND));
    for _ in 0..CALLS {
        mock.run(async { http.get(URL).send().await?.bytes().await }).unwrap();
    }
    assert_eq!((mock.timer().created(), mock.timer().pending()), (CALLS, 0));
}

#[test]
fn no_timer_outlives_its_call() {
    let mock = Mock::new();
    let http = limited(&mock, HttpTimeout::new().request(SECOND * 5));
    // Dropped before the head.
    mock.enqueue(Reply::never());
    {
        let mut call = pin!(http.get(URL).send());
        assert!(mock.timer().run_for(SECOND, call.as_mut()).is_pending());
        assert_eq!(mock.timer().pending(), 1);
    }
    assert_eq!(mock.timer().pending(), 0);
    // Dropped in the body.
    mock.enqueue(Reply::new().chunk("a").stall());
    let mut response = mock.run(http.get(URL).send()).unwrap();
    mock.run(response.chunk()).unwrap();
    assert_eq!(mock.timer().pending(), 1);
    drop(response);
    assert_eq!(mock.timer().pending(), 0);
    assert!(mock.requests().iter().all(|request| request.outcome == Outcome::Cancelled));
    // Failed.
    mock.enqueue(Reply::refused());
    mock.run(http.get(URL).send()).unwrap_err();
    assert_eq!(mock.timer().pending(), 0);
    // Without a body, or with one that was read to its end or failed, the response may live on.
    for (reply, fails) in [
        (Reply::new(), false),
        (Reply::text("all"), false),
        (Reply::new().chunk("a").reset(), true),
    ] {
        mock.enqueue(reply);
        let mut response = mock.run(http.get(URL).send()).unwrap();
        let last = mock.run(async {
            loop {
                match response.chunk().await {
                    Ok(Some(_)) => {}
                    last => return last,
                }
            }
        });
        assert_eq!((last.is_err(), mock.timer().pending()), (fails, 0));
    }
}

#[test]
fn streams_without_an_end_are_exempt_from_their_head_on() {
    let mock = Mock::new();
    let http = limited(&mock, HttpTimeout::new().request(SECOND));
    for content_type in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        mock.enqueue(Reply::new().header("content-type", content_type).pause(SECOND * 60).chunk("data: 1\n\n"));
        assert_eq!(fetch(&mock, http.get(URL)).0.unwrap(), "data: 1\n\n");
        mock.enqueue(Reply::new().header("content-type", content_type).delay(SECOND * 2));
        assert_struck(&fetch(&mock, http.get(URL)).0.unwrap_err(), TimeoutKind::Request, SECOND, Phase::Head);
    }
    mock.enqueue(Reply::new().header("content-type", "text/plain").pause(SECOND * 60).chunk("late"));
    assert!(fetch(&mock, http.get(URL)).0.is_err());

    let (switching, _server) = Reply::upgrade("echo");
    let (tunnel, _far) = Reply::tunnel();
    for (method, reply) in [(Method::GET, switching), (Method::CONNECT, tunnel)] {
        mock.enqueue(reply);
        let request = http.request(method, URL).header("upgrade", "echo");
        let _stream = mock.run(request.send()).unwrap().upgrade().unwrap();
        assert_eq!(mock.timer().pending(), 0);
    }
}

#[test]
fn the_callers_own_limit_cancels_the_call() {
    let mock = Mock::with(|_| Reply::never());
    let http = HttpClient::new(mock.clone());
    mock.run(async {
        let limit = mock.timer().sleep_until(mock.timer().now() + SECOND / 2);
        let call = pin!(http.post(URL).body(Body::from("abc")).send());
        assert!(matches!(futures::future::select(call, limit).await, futures::future::Either::Right(_)));
    });
    assert_eq!((mock.timer().elapsed(), mock.timer().pending()), (SECOND / 2, 0));
    assert_eq!(mock.requests()[0].outcome, Outcome::Cancelled);
}

#[test]
fn limits_that_the_engine_lacks_are_refused() {
    let played = Mock::new().capabilities();
    type OfClient = fn(HttpTimeout) -> HttpTimeout;
    type OfRequest = fn(Timeouts) -> Timeouts;
    let cases: [(Capability, OfClient, OfRequest); 3] = [
        (Capability::ConnectTimeout, |t| t.connect(SECOND), |t| t.connect(SECOND)),
        (Capability::SocketTimeout, |t| t.socket(SECOND), |t| t.socket(SECOND)),
        (
            Capability::ConnectionRequestTimeout,
            |t| t.connection_request(SECOND),
            |t| t.connection_request(SECOND),
        ),
    ];
    for (capability, of_client, of_request) in cases {
        let mock = Mock::builder().capabilities(played.without(capability)).build();
        let built = HttpClient::builder(mock.clone()).install(of_client(HttpTimeout::new())).build().map(drop);
        let sent = mock.run(HttpClient::new(mock.clone()).get(URL).timeout(of_request).send()).map(drop);
        for refused in [built, sent] {
            assert_eq!(refused.unwrap_err().capability(), Some(capability));
        }
        assert!(mock.requests().is_empty());
    }
    // The limit of the whole call is the core's own: every engine has it.
    let mock = Mock::builder().capabilities(client_core::Capabilities::NONE).handler(|_| Reply::never()).build();
    let [request, _] = both_ways(&mock, SECOND);
    assert_struck(&fetch(&mock, request).0.unwrap_err(), TimeoutKind::Request, SECOND, Phase::Head);
}
