//! What is sent, what is accepted, and how much of it.

use std::time::Duration;

use client_core::{ErrorKind, Limits};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::peer::{
    CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PUSH_PROMISE, RST_STREAM,
    STATUS_200, block,
};
use super::{Make, Options, Peer, call, client, text};

pub(crate) async fn no_push(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let (mut link, settings) = peer.accept_and_read(&[]).await;
    assert!(settings.contains(&(ENABLE_PUSH, 0)), "{settings:?}");
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

/// RFC 9113 §8.4: "A client MUST treat the receipt of a PUSH_PROMISE … as a connection error".
pub(crate) async fn push_is_an_error(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    let promise = block(&[&2_u32.to_be_bytes(), &[0x82, 0x86, 0x84]], &[(":authority", "h")]);
    link.send(PUSH_PROMISE, END_HEADERS, stream, &promise).await;
    assert_eq!(answer.await.unwrap().unwrap_err().kind(), ErrorKind::Protocol);
    assert!(link.end().await.is_some());
}

/// By the eyes of another implementation.
pub(crate) async fn nothing_concerns_the_connection(make: Make) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a?b", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(http::Response::new(()), true).unwrap();
        // Only polled does it move.
        let _ = connection.accept().await;
        request.into_parts().0
    });
    let http = client(make, Options::default());
    let request = http
        .get(&url)
        .header("host", "h.example")
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1");
    let request = request
        .header("te", "trailers")
        .header("x-kept", "1")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    assert_eq!(request.send().await.unwrap().status(), 200);
    drop(http);
    let head = server.await.unwrap();
    assert_eq!(head.uri, "http://h.example/a?b");
    let fields: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(fields, [("te", "trailers"), ("x-kept", "1"), ("cookie", "a=1"), ("cookie", "b=2")]);
}

/// RFC 9113 §8.1.1: a malformed response is an error of its stream.
pub(crate) async fn malformed_is_of_the_call(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let warm = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    text(warm.await.unwrap()).await;
    let of_connection = block(&[&[STATUS_200][..]], &[("connection", "close")]);
    let without_status = block(&[], &[("x-a", "1")]);
    let pseudo_last = block(&[], &[("x-a", "1"), (":status", "200")]);
    let twice = block(&[&[STATUS_200, STATUS_200][..]], &[]);
    for malformed in [of_connection, without_status, pseudo_last, twice] {
        let answer = call(&http, &peer.url());
        let stream = link.request().await;
        link.send(HEADERS, END_HEADERS, stream, &malformed).await;
        assert_eq!(answer.await.unwrap().unwrap_err().kind(), ErrorKind::Protocol, "{malformed:?}");
        assert_eq!(link.next_of(RST_STREAM).await.stream, stream);
    }
    assert_eq!(http.pool().unwrap().opened, 1);
}

pub(crate) async fn too_many_fields(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = tokio::spawn(http.get(peer.url()).limits(|limits: Limits| limits.head_fields(3)).send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.fields(stream, END_STREAM, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    assert_eq!(answer.await.unwrap().unwrap_err().kind(), ErrorKind::TooLarge);
    let answer = call(&http, &peer.url());
    let stream = link.request().await;
    link.fields(stream, END_STREAM, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    assert_eq!(answer.await.unwrap().unwrap().headers().len(), 4);
}

/// Above the limit of a call, below what ends a connection.
pub(crate) async fn too_large_head(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    let value = "v".repeat(10_000);
    link.send(HEADERS, 0, stream, &[STATUS_200]).await;
    for _ in 0..30 {
        link.send(CONTINUATION, 0, stream, &block(&[], &[("x-large", &value)])).await;
    }
    link.send(CONTINUATION, END_HEADERS, stream, &[]).await;
    assert_eq!(answer.await.unwrap().unwrap_err().kind(), ErrorKind::TooLarge);
    let answer = call(&http, &peer.url());
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

/// CVE-2023-45288, CVE-2024-27316: header fields that never end.
pub(crate) async fn endless_head(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.send(HEADERS, 0, stream, &[STATUS_200]).await;
    let piece = block(&[], &[("x-large", &"v".repeat(10_000))]);
    let mut sent = 0;
    while link.try_send(CONTINUATION, 0, stream, &piece).await.is_ok() {
        sent += piece.len();
        assert!(sent < 64 << 20, "it is taken in without end");
    }
    let error = answer.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Protocol), "{error:?}");
}

/// RUSTSEC-2026-0258: frames that cost their receiver more than their sender.
pub(crate) async fn empty_data_flood(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.head(stream).await;
    let mut response = answer.await.unwrap().unwrap();
    let flood = async {
        for _ in 0..1_000_000 {
            if link.try_send(DATA, 0, stream, &[]).await.is_err() {
                return;
            }
        }
        panic!("it is taken in without end");
    };
    let reading = async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => assert!(chunk.is_empty()),
                Ok(None) => panic!("no end was sent"),
                Err(error) => return error,
            }
        }
    };
    let (error, ()) = futures::join!(reading, flood);
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let code = link.end().await;
    assert!(code.is_none() || code == Some(ENHANCE_YOUR_CALM), "{code:?}");
}

/// CVE-2019-9512: with the answers to its PINGs unread, the engine reads no more either; and its connection ends with it all the same.
pub(crate) async fn ping_flood_unread(make: Make) {
    /// More than the buffers of two sockets take.
    const ENDLESS: usize = 128 << 20;
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    link.request().await;
    let pings = [&[0, 0, 8, PING, 0, 0, 0, 0, 0][..], b"12345678"].concat().repeat(1000);
    let mut sent = 0;
    // If it is only slow, this proves less, and holds as well.
    while let Ok(written) = timeout(Duration::from_millis(300), link.0.write(&pings[sent % pings.len()..])).await {
        sent += written.unwrap();
        assert!(sent < ENDLESS, "it is taken in without end");
    }
    answer.abort();
    drop(http);
    while let Ok(written) = link.0.write(&pings[sent % pings.len()..]).await {
        sent += written;
        assert!(sent < ENDLESS, "the connection outlives its client");
    }
}

/// CVE-2023-44487 the other way round: calls that are given up at once keep to the server's limit, and to their connection.
pub(crate) async fn cancelled_before_the_head(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let first = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    first.abort();
    let reset = link.next_of(RST_STREAM).await;
    assert_eq!(reset.stream, stream);
    let second = call(&http, &peer.url());
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(second.await.unwrap()).await, "ok");
    assert_eq!(http.pool().unwrap().opened, 1);
}
