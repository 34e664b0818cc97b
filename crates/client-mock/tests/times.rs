//! Delays against limits: exact in virtual time, and no timer is left behind.

use std::pin::pin;
use std::time::Duration;

use client_core::{Body, Error, HttpClient, Phase, Sent, TimeoutKind, Timeouts};
use client_mock::{Mock, Outcome, Reply};

const SECOND: Duration = Duration::from_secs(1);

/// What came of a reply under limits, and when.
fn play(reply: Reply, limits: impl FnOnce(Timeouts) -> Timeouts) -> (Result<(), Error>, Duration) {
    let mock = Mock::new();
    mock.enqueue(reply);
    let http = HttpClient::new(mock.clone());
    let body = Body::sized_stream(2, futures::stream::iter(["a", "b"].map(Ok::<_, std::io::Error>)));
    let answer = mock.run(async { http.post("http://h/").body(body).timeout(limits).send().await?.bytes().await });
    assert_eq!(mock.timer().pending(), 0);
    let outcome = mock.requests()[0].outcome;
    assert_eq!(outcome, if answer.is_ok() { Outcome::Complete } else { Outcome::Failed });
    (answer.map(drop), mock.timer().elapsed())
}

#[test]
fn each_silence_has_its_limit() {
    type Delay = fn(Reply, Duration) -> Reply;
    type Limit = fn(Timeouts, Duration) -> Timeouts;
    let cases: [(Delay, Limit, TimeoutKind, Phase); 5] = [
        (Reply::pool_delay, Timeouts::connection_request, TimeoutKind::ConnectionRequest, Phase::Pool),
        (Reply::connect_delay, Timeouts::connect, TimeoutKind::Connect, Phase::Connect),
        (Reply::send_delay, Timeouts::socket, TimeoutKind::Socket, Phase::Send),
        (Reply::delay, Timeouts::socket, TimeoutKind::Socket, Phase::Head),
        (
            |reply, delay| reply.chunk("a").pause(delay).chunk("b"),
            Timeouts::socket,
            TimeoutKind::Socket,
            Phase::Body,
        ),
    ];
    for (delay, limit, kind, phase) in cases {
        let pieces = if phase == Phase::Send { 2 } else { 1 };
        for longer in [SECOND * 7, Duration::MAX] {
            let (answer, passed) = play(delay(Reply::new(), longer), |t| limit(t, SECOND * 5));
            let error = answer.unwrap_err();
            let elapsed = error.elapsed().unwrap();
            assert_eq!((elapsed.kind, error.phase(), error.sent()), (kind, Some(phase), phase.sent()));
            assert_eq!((elapsed.limit, elapsed.elapsed, passed), (SECOND * 5, SECOND * 5, SECOND * 5), "{phase:?}");
        }
        // At the limit is within it; and without one, nothing is too long.
        for limits in [|t: Timeouts, limit: Limit| limit(t, SECOND * 5), |t, _| t] {
            let (answer, passed) = play(delay(Reply::new(), SECOND * 5), |t| limits(t, limit));
            assert!(answer.is_ok(), "{phase:?}: {answer:?}");
            assert_eq!(passed, SECOND * 5 * pieces, "{phase:?}");
        }
    }
}

#[test]
fn silence_counts_between_packets() {
    let trickle = (0..10).fold(Reply::new(), |reply, _| reply.pause(SECOND).chunk("x"));
    let (answer, passed) = play(trickle, |t| t.socket(SECOND * 2));
    assert!(answer.is_ok());
    assert_eq!(passed, SECOND * 10);
    // Pauses in a row are one silence.
    let (answer, passed) = play(Reply::new().pause(SECOND * 2).pause(SECOND * 2).chunk("x"), |t| t.socket(SECOND * 3));
    assert_eq!(answer.unwrap_err().phase(), Some(Phase::Body));
    assert_eq!(passed, SECOND * 3);
    // A refused connection is refused when it is refused.
    let (answer, passed) = play(Reply::refused().connect_delay(SECOND), |t| t.connect(SECOND * 2));
    assert!(!answer.unwrap_err().is_timeout());
    assert_eq!(passed, SECOND);
}

#[test]
fn the_server_does_not_wait_for_a_slow_reader() {
    let mock = Mock::new();
    mock.enqueue(Reply::new().pause(SECOND).chunk("a").pause(SECOND).chunk("b").stall());
    let http = HttpClient::new(mock.clone());
    let mut response = mock.run(http.get("http://h/").timeout(|t| t.socket(SECOND * 3)).send()).unwrap();
    mock.timer().advance(SECOND * 60);
    for expected in ["a", "b"] {
        assert_eq!(mock.run(response.chunk()).unwrap().unwrap(), expected);
        assert_eq!(mock.timer().elapsed(), SECOND * 60);
    }
    // Silence is only counted while somebody listens.
    let error = mock.run(response.chunk()).unwrap_err();
    assert_eq!(error.elapsed().unwrap().elapsed, SECOND * 3);
}

#[test]
fn an_answer_that_never_comes() {
    let mock = Mock::new();
    mock.enqueue(Reply::never());
    let http = HttpClient::new(mock.clone());
    {
        let mut call = pin!(http.get("http://h/").send());
        assert!(mock.timer().run_for(SECOND * 3600, call.as_mut()).is_pending());
        assert_eq!((mock.requests()[0].outcome, mock.timer().pending()), (Outcome::Active, 0));
    }
    assert_eq!(mock.requests()[0].outcome, Outcome::Cancelled);
    let error = mock.run(async {
        mock.enqueue(Reply::new().stall());
        http.get("http://h/").timeout(|t| t.request(SECOND)).send().await?.bytes().await
    });
    assert_eq!(error.unwrap_err().sent(), Sent::Answered);
    mock.assert_done();
}

#[test]
#[should_panic(expected = "deadlock at 0ns of virtual time")]
fn waiting_for_what_never_comes_is_told() {
    let mock = Mock::with(|_| Reply::never());
    let _ = mock.run(HttpClient::new(mock.clone()).get("http://h/").send());
}

#[test]
fn many_calls_at_once_share_the_clock() {
    let mock = Mock::with(|request| Reply::new().delay(SECOND * request.uri.path()[1..].parse().unwrap()));
    let http = HttpClient::new(mock.clone());
    let get = async |seconds: u32| {
        http.get(format!("http://h/{seconds}")).send().await.unwrap();
        (seconds, mock.timer().elapsed())
    };
    let ended = mock.run(async { futures::join!(get(3), get(1), get(2)) });
    assert_eq!(ended, ((3, SECOND * 3), (1, SECOND), (2, SECOND * 2)));
}
