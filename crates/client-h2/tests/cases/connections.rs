//! How many connections there are, and which call is on which.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use client_core::Version;
use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::peer::{HEADERS, MAX_CONCURRENT_STREAMS, NO_ERROR};
use super::{Make, Options, Peer, call, client, text};

pub(crate) async fn one_dial_for_all(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let calls: Vec<_> = (0..20).map(|_| call(&http, &peer.url())).collect();
    let mut link = peer.accept(&[]).await;
    for _ in 0..20 {
        let stream = link.request().await;
        link.respond(stream, b"ok").await;
    }
    for answer in join_all(calls).await {
        assert_eq!(text(answer.unwrap()).await, "ok");
    }
    assert_eq!(http.pool().unwrap().opened, 1);
}

/// A server that allows 100 streams on a connection, and answers only once three connections are full.
pub(crate) async fn capacity_of_many(make: Make) {
    const CALLS: usize = 1000;
    const STREAMS: usize = 100;
    const CONNECTIONS: usize = 3;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (accepted, arrived) = (Arc::new(AtomicUsize::new(0)), Arc::new(watch::Sender::new(0)));
    let most = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let (accepted, most) = (Arc::clone(&accepted), Arc::clone(&most));
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, STREAMS, Arc::clone(&arrived), Arc::clone(&most)));
            }
        }
    });
    let options = Options {
        max_connections_per_route: CONNECTIONS,
        ..Options::default()
    };
    let http = client(make, options);
    // A stream is free again when its body has been read.
    let calls = (0..CALLS).map(|_| {
        let request = http.get(&url);
        tokio::spawn(async { text(request.send().await).await })
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap(), "ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), CONNECTIONS);
    assert_eq!(most.load(Ordering::SeqCst), STREAMS);
}

async fn serve(stream: tokio::net::TcpStream, streams: usize, arrived: Arc<watch::Sender<usize>>, most: Arc<AtomicUsize>) {
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.max_concurrent_streams(streams as u32).handshake(stream).await.unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        arrived.send_modify(|arrived| *arrived += 1);
        let (mut enough, open) = (arrived.subscribe(), Arc::clone(&open));
        tokio::spawn(async move {
            enough.wait_for(|&arrived| arrived >= 300).await.unwrap();
            // Before the client can know that there is room for another.
            open.fetch_sub(1, Ordering::SeqCst);
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"ok"), true).unwrap();
        });
    }
}

pub(crate) async fn limit_lowered(make: Make) {
    let options = Options {
        max_connections_per_route: 2,
        ..Options::default()
    };
    let (http, peer) = (client(make, options), Peer::start().await);
    let first = call(&http, &peer.url());
    let mut one = peer.accept(&[]).await;
    let first_stream = one.request().await;
    one.settings(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    // Its acknowledgement: the client knows.
    while one.next().await.kind == HEADERS {}
    let second = call(&http, &peer.url());
    let mut two = peer.accept(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let second_stream = two.request().await;
    one.respond(first_stream, b"first").await;
    assert_eq!(text(first.await.unwrap()).await, "first");
    // The first connection has room again.
    let third = call(&http, &peer.url());
    let third_stream = one.request().await;
    one.respond(third_stream, b"third").await;
    two.respond(second_stream, b"second").await;
    assert_eq!(text(second.await.unwrap()).await, "second");
    assert_eq!(text(third.await.unwrap()).await, "third");
}

pub(crate) async fn limit_raised(make: Make) {
    let options = Options {
        max_connections_per_route: 1,
        ..Options::default()
    };
    let (http, peer) = (client(make, options), Peer::start().await);
    let warm = call(&http, &peer.url());
    let mut link = peer.accept(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let stream = link.request().await;
    link.respond(stream, b"warm").await;
    assert_eq!(text(warm.await.unwrap()).await, "warm");
    let calls = [call(&http, &peer.url()), call(&http, &peer.url())];
    let first = link.request().await;
    // The other one is not there: what comes next is the acknowledgement.
    link.settings(&[(MAX_CONCURRENT_STREAMS, 2)]).await;
    assert_ne!(link.next().await.kind, HEADERS);
    let second = link.request().await;
    link.respond(second, b"ok").await;
    link.respond(first, b"ok").await;
    for call in calls {
        assert_eq!(text(call.await.unwrap()).await, "ok");
    }
    assert_eq!(http.pool().unwrap().opened, 1);
}

/// A server that allows no streams for a moment: the call waits, and nothing is dialed again and again.
pub(crate) async fn limit_of_zero(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let warm = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await;
    link.respond(stream, b"warm").await;
    assert_eq!(text(warm.await.unwrap()).await, "warm");
    let second = call(&http, &peer.url());
    let mut other = peer.accept(&[]).await;
    let stream = other.request().await;
    other.respond(stream, b"ok").await;
    assert_eq!(text(second.await.unwrap()).await, "ok");
    assert_eq!(http.pool().unwrap().opened, 2);
}

/// The runtime that made the client's connections is gone; the client is not.
pub(crate) async fn second_runtime(make: Make) {
    let peer = Peer::start().await;
    let http = client(make, Options::default());
    let url = peer.url();
    let in_a_runtime_of_its_own = |http: client_core::HttpClient, url: String| {
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move { text(http.get(url).send().await).await })
        })
    };
    for _ in 0..2 {
        let answer = in_a_runtime_of_its_own(http.clone(), url.clone());
        let mut link = peer.accept(&[]).await;
        let stream = link.request().await;
        link.respond(stream, b"ok").await;
        assert_eq!(answer.await.unwrap(), "ok");
        // The connection ends with its runtime.
        link.end().await;
    }
    assert_eq!(http.pool().unwrap().idle, 0);
}

pub(crate) async fn closes_in_good_order(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    http.close();
    // What is on its way is answered.
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
    assert_eq!(link.end().await, Some(NO_ERROR));
}

pub(crate) async fn reused_is_told(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let first = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    for (answer, reused) in [(first, false), (call(&http, &peer.url()), true)] {
        let stream = link.request().await;
        link.respond(stream, b"ok").await;
        let response = answer.await.unwrap().unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        let connection = response.connection().unwrap();
        assert_eq!((connection.reused, connection.remote_addr), (reused, Some(peer.addr())));
        assert_eq!(response.text().await.unwrap(), "ok");
    }
}
