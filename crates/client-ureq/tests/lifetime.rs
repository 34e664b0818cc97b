//! Connections, threads and time: reuse, cancellation, limits, the end of an engine.

mod support;

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};

use client_core::{Body, ErrorKind, Event, HttpClient, Phase, Sent, Timeout, TimeoutKind};
use client_ureq::{Ureq, UreqBuilder};
use futures::FutureExt as _;
use futures::executor::block_on;
use futures::future::join_all;
use futures::task::noop_waker_ref;
use support::{OK, Server, client, default, get, pieces, text};

const TICK: Duration = Duration::from_millis(40);

/// A server that takes a request and says nothing; told when the client has closed.
fn silent(prefix: &'static str) -> (Server, Arc<Mutex<std::sync::mpsc::Receiver<()>>>, std::sync::mpsc::Receiver<()>) {
    let ((begun, has_begun), (closed, has_closed)) = (channel(), channel());
    let (begun, closed) = (Mutex::new(begun), Mutex::new(closed));
    let server = Server::start(move |mut peer, _| {
        peer.head();
        peer.send(prefix);
        let _ = begun.lock().unwrap().send(());
        peer.closed();
        let _ = closed.lock().unwrap().send(());
    });
    (server, Arc::new(Mutex::new(has_begun)), has_closed)
}

#[test]
fn connections_are_used_again_and_known() {
    let server = Server::always(OK);
    let http = default();
    for n in 0..5 {
        let response = get(&http, server.url("/")).unwrap();
        let connection = response.connection().unwrap();
        assert_eq!((connection.reused, connection.remote_addr), (n > 0, Some(server.address)));
        assert_eq!(block_on(response.text()).unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 1);
    let none = client(Ureq::builder().max_idle_connections(0));
    for _ in 0..3 {
        text(&none, server.url("/")).unwrap();
    }
    assert_eq!(server.accepted(), 4);
}

#[test]
fn the_phases_come_in_order() {
    let server = Server::always("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".to_owned() + OK);
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let task = std::thread::current().id();
    let http = HttpClient::builder(Ureq::builder().resolve("a.example", server.address.ip()).build())
        .observer(move |event: &Event<'_>| {
            assert_eq!(std::thread::current().id(), task, "observers run on the caller's task");
            seen.lock().unwrap().push(match event {
                Event::PhaseStarted(phase) => format!("{phase:?}"),
                Event::Connected { reused, .. } => format!("connected {reused}"),
                Event::Informational { status, headers } => format!("{} {}", status.as_u16(), headers.len()),
                Event::ResponseHead { status, version } => format!("{} {version:?}", status.as_u16()),
                _ => return,
            });
        })
        .build()
        .unwrap();
    let told = |url: String| {
        text(&http, url).unwrap();
        log.lock().unwrap().split_off(0).join(", ")
    };
    let rest = "Send, Head, 103 1, Body, 200 HTTP/1.1";
    assert_eq!(told(server.url("/")), format!("Pool, Connect, connected false, {rest}"));
    assert_eq!(told(server.url("/")), format!("Pool, connected true, {rest}"));
    assert_eq!(
        told(format!("http://a.example:{}/", server.address.port())),
        format!("Pool, Connect, connected false, {rest}")
    );
    assert_eq!(
        told(format!("http://localhost:{}/", server.address.port())),
        format!("Pool, Resolve, Connect, connected false, {rest}")
    );
}

/// Serves one request per connection, then closes it when the next arrives.
fn stale() -> Server {
    Server::start(|mut peer, _| {
        peer.head();
        peer.send(OK);
        peer.head();
    })
}

#[test]
fn a_stale_connection_costs_only_what_must_not_be_repeated() {
    let server = stale();
    let http = default();
    for _ in 0..3 {
        assert_eq!(text(&http, server.url("/")).unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 3);
    let put = block_on(http.put(server.url("/")).body("again").send()).unwrap();
    assert_eq!(put.status(), 200);
    drop(put);
    for body in [Body::from("once"), pieces(1, b"once")] {
        let http = default();
        text(&http, server.url("/")).unwrap();
        let before = server.accepted();
        let error = block_on(http.post(server.url("/")).body(body).send()).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Maybe));
        assert_eq!(server.accepted(), before, "sent once");
    }
}

#[test]
fn refused_connections_and_unknown_names() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = get(&default(), format!("http://127.0.0.1:{port}/")).unwrap_err();
    assert_eq!(
        (error.kind(), error.phase(), error.sent()),
        (ErrorKind::Connect, Some(Phase::Connect), Sent::Nothing)
    );
    assert!(std::error::Error::source(&error).is_some());
    let error = get(&default(), "http://does-not-exist.invalid/".into()).unwrap_err();
    assert_eq!(
        (error.kind(), error.phase(), error.sent()),
        (ErrorKind::Resolve, Some(Phase::Resolve), Sent::Nothing)
    );
    // The next address is tried.
    let server = Server::always(OK);
    let engine = Ureq::builder()
        .resolve("two.example", "127.0.0.9".parse().unwrap())
        .resolve("two.example", server.address.ip());
    assert_eq!(text(&client(engine), format!("http://two.example:{}/", server.address.port())).unwrap(), "ok");
}

fn timed_out(error: &client_core::Error, kind: TimeoutKind, phase: Phase) {
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout(kind), Some(phase)), "{error}");
    let elapsed = error.elapsed().unwrap();
    assert_eq!(elapsed.limit, TICK);
    assert!(elapsed.elapsed >= elapsed.limit, "{elapsed:?}");
}

#[test]
fn silence_is_a_socket_timeout_wherever_it_strikes() {
    let http = default();
    let ask = |url: String, body: Body| http.post(url).timeout(|limits| limits.socket(TICK)).body(body);
    let (server, _, closed) = silent("");
    let error = block_on(ask(server.url("/"), Body::empty()).send()).unwrap_err();
    timed_out(&error, TimeoutKind::Socket, Phase::Head);
    assert_eq!(error.sent(), Sent::Maybe);
    closed.recv().unwrap();
    let (server, _, closed) = silent("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
    let response = block_on(ask(server.url("/"), Body::empty()).send()).unwrap();
    timed_out(&block_on(response.bytes()).unwrap_err(), TimeoutKind::Socket, Phase::Body);
    closed.recv().unwrap();
    // A server that reads nothing of an upload.
    let (over, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::start(move |mut peer, _| {
        peer.head();
        let _ = wait.lock().unwrap().recv();
    });
    let error = block_on(ask(server.url("/"), pieces(400, &[0; 100_000])).send()).unwrap_err();
    timed_out(&error, TimeoutKind::Socket, Phase::Send);
    drop(over);
    // The engine's own limit, and one switched off by the request.
    let engine = client(Ureq::builder().socket_timeout(TICK));
    let (server, ..) = silent("");
    timed_out(&get(&engine, server.url("/")).unwrap_err(), TimeoutKind::Socket, Phase::Head);
    let server = Server::start(|mut peer, _| {
        peer.head();
        std::thread::sleep(3 * TICK);
        peer.send(OK);
    });
    let patient = engine.get(server.url("/")).timeout(|limits| limits.socket(Timeout::INFINITE));
    assert_eq!(block_on(patient.send()).unwrap().status(), 200);
}

/// A server whose backlog is full: connections to it neither succeed nor fail.
#[cfg(target_os = "linux")]
fn unreachable() -> (std::net::SocketAddr, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let is_full = socket.connect_timeout(&address, Duration::from_millis(200)).is_err();
        held.push(socket);
        if is_full {
            return (address.as_socket().unwrap(), held);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn connecting_has_a_limit_and_can_be_cancelled() {
    let (address, _held) = unreachable();
    let http = client(Ureq::builder().max_threads(2));
    let url = format!("http://{address}/");
    let error = block_on(http.get(&url).timeout(|limits| limits.connect(TICK)).send()).unwrap_err();
    timed_out(&error, TimeoutKind::Connect, Phase::Connect);
    assert_eq!(error.sent(), Sent::Nothing);
    // The only thread for exchanges: cancelling has to free it, since the limit is 100 s.
    let server = Server::always(OK);
    let mut call = Box::pin(http.get(&url).send());
    assert!(call.as_mut().poll_unpin(&mut Context::from_waker(noop_waker_ref())).is_pending());
    std::thread::sleep(TICK);
    drop(call);
    let started = Instant::now();
    assert_eq!(text(&http, server.url("/")).unwrap(), "ok");
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[test]
fn the_limit_of_the_whole_call_needs_no_runtime() {
    let http = default();
    for prefix in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"] {
        let (server, _, closed) = silent(prefix);
        let call = async { http.get(server.url("/")).timeout(|limits| limits.request(TICK)).send().await?.text().await };
        let phase = if prefix.is_empty() { Phase::Head } else { Phase::Body };
        timed_out(&block_on(call).unwrap_err(), TimeoutKind::Request, phase);
        closed.recv().unwrap();
    }
}

#[test]
fn waiting_for_a_thread_has_a_limit_of_its_own() {
    let http = client(Ureq::builder().max_threads(2));
    let (server, begun, _) = silent("");
    let mut blocker = Box::pin(http.get(server.url("/")).send());
    assert!(blocker.as_mut().poll_unpin(&mut Context::from_waker(noop_waker_ref())).is_pending());
    begun.lock().unwrap().recv().unwrap();
    let error = block_on(http.get(server.url("/")).timeout(|limits| limits.connection_request(TICK)).send()).unwrap_err();
    timed_out(&error, TimeoutKind::ConnectionRequest, Phase::Pool);
    drop(blocker);
    let server = Server::always(OK);
    assert_eq!(text(&http, server.url("/")).unwrap(), "ok");
}

#[test]
fn dropping_closes_the_connection_at_every_point() {
    let http = default();
    let (server, begun, closed) = silent("");
    let mut call = Box::pin(http.get(server.url("/")).send());
    assert!(call.as_mut().poll_unpin(&mut Context::from_waker(noop_waker_ref())).is_pending());
    begun.lock().unwrap().recv().unwrap();
    drop(call);
    closed.recv().unwrap();
    // While the head's reader has not come to the body; and while a thread waits for more of it.
    for reads in [0, 2] {
        let (server, _, closed) = silent("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
        let mut response = get(&http, server.url("/")).unwrap();
        for _ in 0..reads {
            let _ = Box::pin(response.chunk()).poll_unpin(&mut Context::from_waker(noop_waker_ref()));
        }
        drop(response);
        closed.recv().unwrap();
    }
    // While the body is sent, and while its producer hesitates.
    for hesitates in [false, true] {
        let (closed, is_closed) = channel();
        let (begun, has_begun) = channel();
        let channels = Mutex::new((begun, closed));
        let server = Server::start(move |mut peer, _| {
            let (begun, closed) = channels.lock().unwrap().clone();
            peer.until("begin");
            begun.send(()).unwrap();
            peer.closed();
            closed.send(()).unwrap();
        });
        let more = !hesitates;
        let stream = futures::stream::iter([Ok::<_, std::io::Error>("begin")]);
        let stream = futures::StreamExt::chain(
            stream,
            futures::stream::poll_fn(move |_| match more {
                true => std::task::Poll::Ready(Some(Ok("more"))),
                false => std::task::Poll::Pending,
            }),
        );
        let mut call = Box::pin(http.post(server.url("/")).body(Body::stream(stream)).send());
        while has_begun.try_recv().is_err() {
            let _ = call.as_mut().poll_unpin(&mut Context::from_waker(noop_waker_ref()));
        }
        drop(call);
        is_closed.recv().unwrap();
    }
}

#[test]
fn closing_is_graceful() {
    let (release, wait) = channel::<()>();
    let (begun, has_begun) = channel();
    let inner = Mutex::new((wait, begun));
    let server = Server::start(move |mut peer, _| {
        peer.head();
        let inner = inner.lock().unwrap();
        inner.1.send(()).unwrap();
        inner.0.recv().unwrap();
        peer.send(OK);
    });
    let http = default();
    let (copy, url) = (http.clone(), server.url("/"));
    let call = std::thread::spawn(move || text(&copy, url));
    has_begun.recv().unwrap();
    http.close();
    http.close();
    assert_eq!(get(&http, server.url("/")).unwrap_err().kind(), ErrorKind::Closed);
    release.send(()).unwrap();
    assert_eq!(call.join().unwrap().unwrap(), "ok", "what was under way is finished");
}

#[test]
fn idle_connections_close_with_the_engine() {
    for drops in [false, true] {
        let (closed, is_closed) = channel();
        let closed = Mutex::new(closed);
        let server = Server::start(move |mut peer, _| {
            peer.head();
            peer.send(OK);
            peer.closed();
            closed.lock().unwrap().send(()).unwrap();
        });
        let http = default();
        text(&http, server.url("/")).unwrap();
        if drops {
            drop(http);
        } else {
            http.close();
        }
        is_closed.recv().unwrap();
    }
}

#[test]
fn a_body_outlives_its_engine() {
    const LENGTH: usize = 1 << 20;
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + LENGTH, b'x');
    let server = Server::always(answer);
    let response = get(&default(), server.url("/")).unwrap();
    assert_eq!(block_on(response.bytes()).unwrap().len(), LENGTH);
}

#[test]
fn mistakes_are_told_when_a_client_is_built_and_never_panic() {
    let wrong = |engine: UreqBuilder| {
        let refused = HttpClient::builder(engine.clone().build()).build().unwrap_err();
        let error = get(&HttpClient::new(engine.build()), "http://127.0.0.1:1/".into()).unwrap_err();
        assert_eq!((refused.kind(), error.kind()), (ErrorKind::InvalidRequest, ErrorKind::InvalidRequest));
        refused.to_string()
    };
    assert!(wrong(Ureq::builder().max_threads(1)).contains("max_threads: at least 2"));
    assert!(wrong(Ureq::builder().max_connections(0)).contains("max_connections: no connection at all"));
    assert!(wrong(Ureq::builder().connect_timeout(Duration::ZERO)).contains("connect timeout of zero"));
    assert!(wrong(Ureq::builder().socket_timeout(Duration::ZERO)).contains("socket timeout of zero"));
}

/// A body may need the runtime it was made on: it is polled by the caller's task.
#[tokio::test]
async fn on_tokio() {
    let server = Server::start(|mut peer, _| {
        peer.head();
        peer.until("\r\n0\r\n\r\n");
        peer.send(OK);
    });
    let http = default();
    let body = futures::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        (n < 5).then_some((Ok::<_, std::io::Error>("piece"), n + 1))
    });
    let response = http.post(server.url("/")).body(Body::stream(body)).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    let (server, _, closed) = silent("");
    let cancelled = tokio::time::timeout(TICK, http.get(server.url("/")).send()).await;
    assert!(cancelled.is_err());
    closed.recv().unwrap();
}

#[test]
fn many_calls_share_few_threads() {
    let server = Server::start(|mut peer, _| {
        while peer.head().is_some() {
            std::thread::sleep(Duration::from_millis(2));
            peer.send(OK);
        }
    });
    let http = client(Ureq::builder().max_threads(8));
    let calls = (0..500).map(|_| async { http.get(server.url("/")).send().await?.text().await });
    assert!(block_on(join_all(calls)).into_iter().all(|answer| answer.unwrap() == "ok"));
}
