//! Dialing without TLS and proxies: addresses, sockets, streams of other kinds, and what may be connected to at all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_core::{BoxError, BoxFuture, Error, ErrorKind, Event, Phase, Sent, Trace};
use client_transport::connector::{Connect, Connector};
use client_transport::dial::{Dialed, Dialer};
use client_transport::dns::{Answer, Overrides, Resolve, System};
use client_transport::egress::{Destination, deny_private_networks};
use client_transport::route::{Origin, Route, RouteOptions, Versions};
use client_transport::stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn route(url: &str, options: RouteOptions) -> Route {
    Route::new(Origin::of(&url.parse().unwrap()).unwrap(), Versions::Http1).with_options(options.into())
}

async fn dial(dialer: &Dialer, url: &str, options: RouteOptions) -> Result<Dialed, Error> {
    dialer.dial(&route(url, options), &Trace::default()).await
}

/// `h.example` at these addresses.
fn at(addresses: impl IntoIterator<Item = SocketAddr>) -> Dialer {
    Dialer::new().resolver(Overrides::new(System).with("h.example", addresses))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses: it was ours a moment ago.
async fn refusing() -> SocketAddr {
    listen().await.1
}

async fn echo(stream: &mut Stream) {
    stream.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
}

async fn serve_echo(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
}

#[tokio::test]
async fn by_tcp() {
    let (listener, address) = listen().await;
    tokio::spawn(async move { serve_echo(listener.accept().await.unwrap().0).await });
    let phases = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&phases);
    let observer = move |event: &Event<'_>| {
        if let Event::PhaseStarted(phase) = event {
            log.lock().unwrap().push(*phase);
        }
    };
    let trace = Trace::new(vec![Arc::new(observer)]);
    let mut dialed = at([address]).dial(&route("http://h.example/", RouteOptions::new()), &trace).await.unwrap();
    assert_eq!(dialed.info.remote_addr, Some(address));
    assert!(dialed.info.local_addr.is_some() && dialed.info.tls.is_none() && dialed.alpn.is_none());
    assert_eq!(*phases.lock().unwrap(), [Phase::Resolve, Phase::Connect]);
    echo(&mut dialed.stream).await;
}

#[tokio::test]
async fn refused_is_refused() {
    let address = refusing().await;
    let error = dial(&Dialer::new(), &format!("http://{address}/"), RouteOptions::new()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("connection refused by {address}"));
    assert_eq!(
        (error.kind(), error.phase(), error.sent()),
        (ErrorKind::Connect, Some(Phase::Connect), Sent::Nothing)
    );
    let source = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn every_address_is_tried_and_named() {
    let (a, b) = (refusing().await, refusing().await);
    let error = dial(&at([a, b]), "http://h.example/", RouteOptions::new()).await.unwrap_err();
    let expected = format!(
        "none of the 2 addresses of \"h.example\" could be connected to: connection refused by {a}, connection refused by {b}"
    );
    assert_eq!(error.to_string(), expected);
    let many = vec![a; 300];
    let error = dial(&at(many), "http://h.example/", RouteOptions::new()).await.unwrap_err();
    assert!(error.to_string().ends_with(", and 292 more"), "{error}");

    let (listener, good) = listen().await;
    let dialed = dial(&at([a, b, good]), "http://h.example/", RouteOptions::new()).await.unwrap();
    assert_eq!(dialed.info.remote_addr, Some(good));
    drop(listener);
}

/// In virtual time: the delay passes as soon as nothing else happens.
#[tokio::test(start_paused = true)]
#[cfg(target_os = "linux")]
async fn a_black_hole_costs_one_delay() {
    // A socket whose queue is full answers no more: Linux drops what comes.
    let hole = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    hole.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    hole.listen(0).unwrap();
    let address = hole.local_addr().unwrap().as_socket().unwrap();
    let _queued = std::net::TcpStream::connect(address).unwrap();

    let (_listener, good) = listen().await;
    let start = tokio::time::Instant::now();
    let dialed = dial(&at([address, good]), "http://h.example/", RouteOptions::new()).await.unwrap();
    assert_eq!(dialed.info.remote_addr, Some(good));
    assert!(start.elapsed() >= Duration::from_millis(250) && start.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn a_local_address_chooses_the_family() {
    let (_listener, address) = listen().await;
    let v6: SocketAddr = "[::1]:1".parse().unwrap();
    let options = || RouteOptions::new().local_address([127, 0, 0, 1]);
    assert!(dial(&at([v6, address]), "http://h.example/", options()).await.is_ok());
    let error = dial(&at([v6]), "http://h.example/", options()).await.unwrap_err();
    assert_eq!(error.to_string(), "no address of \"h.example\" is of the family of the local address 127.0.0.1");
}

#[tokio::test]
async fn a_connection_that_lay_idle() {
    let (listener, address) = listen().await;
    let connect = async || {
        let dialed = dial(&at([address]), "http://h.example/", RouteOptions::new()).await.unwrap();
        (dialed.stream, listener.accept().await.unwrap().0)
    };
    let (mut quiet, _peer) = connect().await;
    assert!(!quiet.is_stale(true) && !quiet.is_stale(false));

    let (mut closed, peer) = connect().await;
    drop(peer);
    let (mut talked, mut talker) = connect().await;
    talker.write_all(b"unasked").await.unwrap();
    // On the loopback interface a byte is there when its sending has returned. Without asking the runtime, it is seen at once.
    assert!(closed.is_stale(true) && talked.is_stale(true));
    // And once the runtime has seen it, without asking the socket first.
    talked.read_u8().await.unwrap();
    assert!(talked.is_stale(false), "there is more");
    assert!(closed.is_stale(true), "asking takes nothing away");
}

#[tokio::test]
#[cfg(unix)]
async fn by_unix_socket() {
    let directory = std::env::temp_dir().join(format!("client-transport-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { serve_echo(listener.accept().await.unwrap().0).await });
    let options = || RouteOptions::new().unix_socket(&path);
    let mut dialed = dial(&Dialer::new(), "http://h.example/", options()).await.unwrap();
    assert_eq!(dialed.info.remote_addr, None);
    assert!(!dialed.stream.is_stale(true));
    echo(&mut dialed.stream).await;
    // The echo is over, and its listener gone.
    let mut end = [0];
    assert_eq!(dialed.stream.read(&mut end).await.unwrap(), 0);
    assert!(dialed.stream.is_stale(true));
    let error = dial(&Dialer::new(), "http://h.example/", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.to_string(), format!("connection refused by the socket {}", path.display()));
    std::fs::remove_dir_all(&directory).unwrap();
    let error = dial(&Dialer::new(), "http://h.example/", options()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no socket {}", path.display()));
}

/// Pipes; the other ends echo.
struct Pipes(Arc<Mutex<Vec<String>>>);

impl Connect for Pipes {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
        Box::pin(async move {
            self.0.lock().unwrap().push(format!("{host}:{port}"));
            if host == "bad.example" {
                return Err("out of pipes".into());
            }
            let (ours, theirs) = tokio::io::duplex(64);
            tokio::spawn(serve_echo(theirs));
            Ok(Stream::boxed(ours))
        })
    }
}

#[tokio::test]
async fn by_a_stream_of_ones_own() {
    let asked = Arc::default();
    let connector = Connector::new(Pipes(Arc::clone(&asked)));
    let options = || RouteOptions::new().connector(connector.clone());
    let mut dialed = dial(&Dialer::new(), "http://h.example:81/", options()).await.unwrap();
    assert!(!dialed.stream.is_stale(true));
    echo(&mut dialed.stream).await;
    tokio::task::yield_now().await;
    assert!(dialed.stream.is_stale(true), "the echo is over");
    let error = dial(&Dialer::new(), "http://bad.example/", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.to_string(), "the connector failed for bad.example:80: out of pipes");
    assert_eq!(*asked.lock().unwrap(), ["h.example:81", "bad.example:80"]);
}

/// A name that is a public address when first asked for, and a private one after.
struct Rebinding(Mutex<u32>, SocketAddr);

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        Box::pin(async {
            let mut times = self.0.lock().unwrap();
            *times += 1;
            let public = SocketAddr::from(([192, 88, 98, 1], 0));
            Ok(Answer::from(vec![if *times == 1 { public } else { self.1 }]))
        })
    }
}

#[tokio::test]
async fn egress_sees_what_is_connected_to() {
    let (listener, private) = listen().await;
    let check = async |dialer: Dialer, url: &str, options: RouteOptions, expected: &str| {
        let error = dial(&dialer, url, options).await.unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Connect, Sent::Nothing));
        assert_eq!(error.to_string(), format!("the egress policy forbids {expected}"));
    };
    let guarded = |dialer: Dialer| dialer.egress(deny_private_networks());
    let plain = RouteOptions::new;
    let loopback = format!("{private}: a loopback address");
    check(guarded(Dialer::new()), &format!("http://{private}/"), plain(), &loopback).await;
    check(
        guarded(Dialer::new()),
        &format!("http://localhost:{}/", private.port()),
        plain(),
        &format!("127.0.0.1:{}: a loopback address", private.port()),
    )
    .await;
    check(guarded(at([private])), "http://h.example/", plain(), &loopback).await;
    check(
        guarded(Dialer::new()),
        "http://[::ffff:10.0.0.1]/",
        plain(),
        "[::ffff:10.0.0.1]:80: a private address",
    )
    .await;
    check(
        guarded(Dialer::new()),
        "http://169.254.169.254/",
        plain(),
        "169.254.169.254:80: a link-local address",
    )
    .await;
    let unix = plain().unix_socket("/run/docker.sock");
    check(
        guarded(Dialer::new()),
        "http://h.example/",
        unix,
        "/run/docker.sock: a Unix socket is on this machine",
    )
    .await;

    // What was checked is what is connected to: the second answer would be another.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let policy = move |destination: &Destination<'_>| {
        log.lock().unwrap().push(destination.to_string());
        Err("no".into())
    };
    let dialer = Dialer::new().resolver(Rebinding(Mutex::new(0), private)).egress(policy);
    assert!(dial(&dialer, "http://h.example/", plain()).await.is_err());
    assert_eq!(*seen.lock().unwrap(), ["192.88.98.1:80"]);

    // Of several addresses, those that are allowed.
    let other = refusing().await;
    let policy =
        move |destination: &Destination<'_>| if *destination == Destination::Ip(private) { Ok(()) } else { Err("no".into()) };
    let dialed = dial(&at([other, private]).egress(policy), "http://h.example/", plain()).await.unwrap();
    assert_eq!(dialed.info.remote_addr, Some(private));
    drop(listener);
}

#[tokio::test]
async fn a_dropped_dial_leaves_no_socket() {
    struct Forever;
    impl Resolve for Forever {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
            Box::pin(std::future::pending())
        }
    }
    let dialer = Dialer::new().resolver(Forever);
    let limit = tokio::time::timeout(Duration::from_millis(1), dial(&dialer, "http://h.example/", RouteOptions::new()));
    assert!(limit.await.is_err(), "a resolver that hangs is bounded by whoever bounds the dial");
}

#[test]
fn a_runtime_that_has_died_does_not_harm_the_next() {
    let dialer = Arc::new(Dialer::new());
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, address) = listen().await;
            let dialed = dial(&dialer, &format!("http://{address}/"), RouteOptions::new()).await.unwrap();
            let (peer, _): (TcpStream, _) = listener.accept().await.unwrap();
            assert_eq!(dialed.info.local_addr, peer.peer_addr().ok());
        });
    }
}
