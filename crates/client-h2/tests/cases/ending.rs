//! How streams and connections end before their time, and what becomes of the calls.

use std::time::Duration;

use client_core::{Body, ErrorKind, Sent, TimeoutKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peer::{ACK, DATA, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, PING, REFUSED_STREAM};
use super::{Make, Options, Peer, call, client, text};

/// RFC 9113 §6.8: what is above the last stream was not acted on, what is below is finished.
pub(crate) async fn goaway_drains(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let first = call(&http, &peer.url());
    let mut old = peer.accept(&[]).await;
    let first_stream = old.request().await;
    let second = tokio::spawn(http.post(peer.url()).body("abc").send());
    let second_stream = old.request().await;
    assert!(second_stream > first_stream);
    old.goaway(first_stream, NO_ERROR).await;
    // Elsewhere, although it is no idempotent request.
    let mut new = peer.accept(&[]).await;
    let repeated = new.request().await;
    assert_eq!(new.next_of(DATA).await.payload, b"abc");
    new.respond(repeated, b"second").await;
    assert_eq!(text(second.await.unwrap()).await, "second");
    let third = call(&http, &peer.url());
    let third_stream = new.request().await;
    new.respond(third_stream, b"third").await;
    assert_eq!(text(third.await.unwrap()).await, "third");
    old.respond(first_stream, b"first").await;
    assert_eq!(text(first.await.unwrap()).await, "first");
    // With its last stream, the old connection has ended.
    old.end().await;
}

pub(crate) async fn goaway_idle(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let first = call(&http, &peer.url());
    let mut old = peer.accept(&[]).await;
    let stream = old.request().await;
    old.respond(stream, b"first").await;
    assert_eq!(text(first.await.unwrap()).await, "first");
    old.goaway(stream, NO_ERROR).await;
    old.end().await;
    assert_eq!(http.pool().unwrap().idle, 0);
    let second = call(&http, &peer.url());
    let mut new = peer.accept(&[]).await;
    let stream = new.request().await;
    new.respond(stream, b"second").await;
    assert_eq!(text(second.await.unwrap()).await, "second");
}

pub(crate) async fn goaway_with_error(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut old = peer.accept(&[]).await;
    old.request().await;
    old.goaway(0, ENHANCE_YOUR_CALM).await;
    let mut new = peer.accept(&[]).await;
    let stream = new.request().await;
    new.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

/// RFC 9113 §8.7: "The REFUSED_STREAM error code … the request can be safely retried", on the same connection too.
pub(crate) async fn refused_is_repeated(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = tokio::spawn(http.post(peer.url()).body("abc").send());
    let mut link = peer.accept(&[]).await;
    let first = link.request().await;
    link.reset(first, REFUSED_STREAM).await;
    let second = link.request().await;
    assert!(second > first);
    assert_eq!(link.next_of(DATA).await.payload, b"abc");
    link.respond(second, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

pub(crate) async fn refused_without_end(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    for _ in 0..6 {
        let stream = link.request().await;
        link.reset(stream, REFUSED_STREAM).await;
    }
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Nothing));
    assert!(error.to_string().contains("REFUSED_STREAM"), "{error}");
}

/// A body that can be sent once was: the error says that repeating would be safe.
pub(crate) async fn refused_after_the_body_began(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let (chunks, body) = futures::channel::mpsc::unbounded::<Result<&str, std::io::Error>>();
    chunks.unbounded_send(Ok("abc")).unwrap();
    let answer = tokio::spawn(http.post(peer.url()).body(Body::stream(body)).send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.next_of(DATA).await;
    link.reset(stream, REFUSED_STREAM).await;
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Nothing));
    drop(chunks);
}

pub(crate) async fn other_resets(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let first = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let first_stream = link.request().await;
    let second = call(&http, &peer.url());
    let second_stream = link.request().await;
    link.reset(first_stream, INTERNAL_ERROR).await;
    let error = first.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Answered));
    assert!(error.to_string().contains("INTERNAL_ERROR"), "{error}");
    // In the middle of a body too.
    link.head(second_stream).await;
    link.data(second_stream, 0, b"half").await;
    let mut response = second.await.unwrap().unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half");
    link.reset(second_stream, INTERNAL_ERROR).await;
    assert_eq!(response.chunk().await.unwrap_err().kind(), ErrorKind::Closed);
    // The connection is the others'.
    let third = call(&http, &peer.url());
    let third_stream = link.request().await;
    link.respond(third_stream, b"ok").await;
    assert_eq!(text(third.await.unwrap()).await, "ok");
    assert_eq!(http.pool().unwrap().opened, 1);
}

const SOON: Duration = Duration::from_millis(50);

pub(crate) async fn dead_peer_is_noticed(make: Make) {
    let options = Options {
        ping: Some((SOON, SOON)),
        ..Options::default()
    };
    let (http, peer) = (client(make, options), Peer::start().await);
    let answer = tokio::spawn(http.post(peer.url()).send());
    let mut link = peer.accept(&[]).await;
    link.request().await;
    link.next_of(PING).await;
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Maybe));
    assert!(error.to_string().contains("PING"), "{error}");
    // Nobody waits for it once more.
    let second = call(&http, &peer.url());
    let mut new = peer.accept(&[]).await;
    let stream = new.request().await;
    new.respond(stream, b"ok").await;
    assert_eq!(text(second.await.unwrap()).await, "ok");
}

pub(crate) async fn pong_is_enough(make: Make) {
    let options = Options {
        ping: Some((Duration::from_millis(10), Duration::from_secs(60))),
        ..Options::default()
    };
    let (http, peer) = (client(make, options), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    for _ in 0..5 {
        let ping = link.next_of(PING).await;
        assert_eq!(ping.flags, 0);
        link.send(PING, ACK, 0, &ping.payload).await;
    }
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

pub(crate) async fn eof_in_head(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    link.request().await;
    drop(link);
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Maybe));
}

pub(crate) async fn eof_in_body(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.head(stream).await;
    link.data(stream, 0, b"half").await;
    let mut response = answer.await.unwrap().unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half");
    drop(link);
    let error = response.chunk().await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Answered));
}

pub(crate) async fn socket_timeout_spares_others(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let patient = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.head(stream).await;
    let mut patient = patient.await.unwrap().unwrap();
    let hasty = tokio::spawn(http.get(peer.url()).timeout(|t| t.socket(Duration::from_millis(300))).send());
    link.request().await;
    // What comes for others is no sign of life of this stream, but of the connection.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut hasty = hasty;
    let answer = loop {
        tokio::select! {
            answer = &mut hasty => break answer.unwrap(),
            _ = ticks.tick() => link.data(stream, 0, b"x").await,
        }
    };
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    link.data(stream, super::peer::END_STREAM, b"end").await;
    while patient.chunk().await.unwrap().is_some() {}
    let third = call(&http, &peer.url());
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(third.await.unwrap()).await, "ok");
}

/// A connection from which nothing at all came for so long carries nobody any more.
pub(crate) async fn silent_connection_is_given_up(make: Make) {
    let options = Options {
        socket_timeout: Some(Duration::from_millis(100)),
        ..Options::default()
    };
    let (http, peer) = (client(make, options), Peer::start().await);
    let patient = || tokio::spawn(http.get(peer.url()).timeout(|t| t.socket(Duration::from_secs(20))).send());
    // One exchange, so that nothing of the connection's beginning is still on its way when the silence begins.
    let first = patient();
    let mut dead = peer.accept(&[]).await;
    let stream = dead.request().await;
    dead.respond(stream, b"ok").await;
    assert_eq!(text(first.await.unwrap()).await, "ok");
    let answer = call(&http, &peer.url());
    dead.request().await;
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    let second = patient();
    let mut new = peer.accept(&[]).await;
    let stream = new.request().await;
    new.respond(stream, b"ok").await;
    assert_eq!(text(second.await.unwrap()).await, "ok");
}

pub(crate) async fn speaks_http1(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut stream = peer.accept_raw().await;
    stream.read_exact(&mut [0; 24]).await.unwrap();
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("the server speaks HTTP/1.1, not HTTP/2"), "{error}");
}

/// A request that could not even begin is offered again, but not without end.
pub(crate) async fn hangs_up_at_once(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let mut answer = call(&http, &peer.url());
    let mut accepted = 0;
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer.unwrap(),
            stream = peer.accept_raw() => drop(stream),
        }
        accepted += 1;
    };
    let error = answer.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Connect), "{error:?}");
    assert!((1..=6).contains(&accepted), "{accepted}");
}
