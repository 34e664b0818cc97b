//! Bodies: windows, both directions at once, trailers, what comes before.

use std::sync::{Arc, Mutex};

use client_core::{Body, ErrorKind, Event, HeaderMap, HeaderValue, Method, StatusCode};
use futures::channel::mpsc;
use futures::{AsyncReadExt, AsyncWriteExt};

use super::peer::{
    CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, RST_STREAM, STATUS_200, WINDOW_UPDATE, block,
};
use super::{Make, Options, Peer, call, client, text};

/// How much of a response is taken in before anybody reads it.
const WINDOW: usize = 4 << 20;

pub(crate) async fn windows_are_large(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let (mut link, settings) = peer.accept_and_read(&[]).await;
    assert!(settings.contains(&(INITIAL_WINDOW_SIZE, WINDOW as u32)), "{settings:?}");
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

/// A stream whose reader has stopped is full; another one moves on.
pub(crate) async fn slow_reader_stops_nobody(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let slow = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let slow_stream = link.request().await;
    link.head(slow_stream).await;
    let slow = slow.await.unwrap().unwrap();
    let piece = vec![0; 16 << 10];
    for _ in 0..WINDOW / piece.len() {
        link.data(slow_stream, 0, &piece).await;
    }
    let fast = call(&http, &peer.url());
    let stream = link.request().await;
    link.head(stream).await;
    let mut fast = fast.await.unwrap().unwrap();
    // More than its window: the client has to make room, on the stream and on the connection.
    let total = 3 * WINDOW;
    let sending = tokio::spawn(async move {
        let mut room = WINDOW;
        for _ in 0..total / piece.len() {
            while room < piece.len() {
                let frame = link.next_of(WINDOW_UPDATE).await;
                if frame.stream == stream {
                    room += frame.number() as usize;
                }
            }
            room -= piece.len();
            link.data(stream, 0, &piece).await;
        }
        link.data(stream, END_STREAM, b"").await;
        link
    });
    let mut read = 0;
    while let Some(chunk) = fast.chunk().await.unwrap() {
        read += chunk.len();
    }
    assert_eq!(read, total);
    // And the slow one has lost nothing.
    let mut link = sending.await.unwrap();
    link.data(slow_stream, END_STREAM, b"").await;
    let body = slow.bytes_stream();
    let read: usize = futures::TryStreamExt::try_fold(body, 0, async |sum, chunk| Ok(sum + chunk.len())).await.unwrap();
    assert_eq!(read, WINDOW);
}

pub(crate) async fn cancelled_call_gives_back(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.head(stream).await;
    // Half of what the connection as a whole would take is what makes it say so.
    let piece = vec![0; 16 << 10];
    for _ in 0..WINDOW / piece.len() {
        link.data(stream, 0, &piece).await;
    }
    let response = answer.await.unwrap().unwrap();
    drop(response);
    let reset = link.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.number()), (stream, CANCEL));
    // The connection takes as many more, over and over: nothing of its window is lost.
    for _ in 0..20 {
        let answer = call(&http, &peer.url());
        let stream = link.request().await;
        link.head(stream).await;
        let response = answer.await.unwrap().unwrap();
        for _ in 0..WINDOW / piece.len() {
            link.data(stream, 0, &piece).await;
        }
        drop(response);
        link.next_of(RST_STREAM).await;
    }
    let answer = call(&http, &peer.url());
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
    assert_eq!(http.pool().unwrap().opened, 1);
}

pub(crate) async fn upload_keeps_to_the_window(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let warm = call(&http, &peer.url());
    let mut link = peer.accept(&[(INITIAL_WINDOW_SIZE, 10)]).await;
    let stream = link.request().await;
    link.respond(stream, b"warm").await;
    text(warm.await.unwrap()).await;
    let answer = tokio::spawn(http.post(peer.url()).body("0123456789abcdefghij+").send());
    let stream = link.request().await;
    for expected in ["0123456789", "abcdefghij", "+"] {
        let data = link.next_of(DATA).await;
        assert_eq!(data.payload, expected.as_bytes());
        link.window(stream, 10).await;
    }
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
}

/// What is sent next depends on what was received.
pub(crate) async fn full_duplex(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let (chunks, body) = mpsc::unbounded::<Result<String, std::io::Error>>();
    let answer = tokio::spawn(http.post(peer.url()).body(Body::stream(body)).send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.head(stream).await;
    let mut response = answer.await.unwrap().unwrap();
    for round in 0..3 {
        chunks.unbounded_send(Ok(format!("round {round}"))).unwrap();
        let echo = async {
            let data = link.next_of(DATA).await;
            link.data(stream, 0, &data.payload).await;
        };
        let (chunk, ()) = futures::join!(response.chunk(), echo);
        assert_eq!(chunk.unwrap().unwrap(), format!("round {round}"));
    }
    drop(chunks);
    let end = async {
        assert!(link.next_of(DATA).await.ends_stream());
        link.data(stream, END_STREAM, b"").await;
    };
    let (chunk, ()) = futures::join!(response.chunk(), end);
    assert_eq!(chunk.unwrap(), None);
}

pub(crate) async fn trailers_both_ways(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", HeaderValue::from_static("7"));
    let answer = tokio::spawn(http.post(peer.url()).body(Body::from("abc").with_trailers(fields)).send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    assert!(!link.next_of(DATA).await.ends_stream());
    assert!(link.next_of(HEADERS).await.ends_stream());
    link.head(stream).await;
    link.data(stream, 0, b"ok").await;
    link.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[], &[("x-sum", "9")])).await;
    let mut response = answer.await.unwrap().unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "ok");
    assert_eq!(response.chunk().await.unwrap(), None);
    assert_eq!(response.trailers().unwrap()["x-sum"], "9");
}

/// RFC 9113 §8.1: a server that needs no more answers, and resets with NO_ERROR.
pub(crate) async fn early_response_stops_the_upload(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 1000]));
    let answer = tokio::spawn(http.post(peer.url()).body(Body::stream(endless)).send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.next_of(DATA).await;
    link.respond(stream, b"enough").await;
    link.reset(stream, NO_ERROR).await;
    assert_eq!(text(answer.await.unwrap()).await, "enough");
    let second = call(&http, &peer.url());
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(second.await.unwrap()).await, "ok");
}

pub(crate) async fn producer_fails(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let failing = futures::stream::iter([Ok("abc"), Err(std::io::Error::other("disk on fire"))]);
    let answer = tokio::spawn(http.post(peer.url()).body(Body::stream(failing)).send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    assert_eq!(link.next_of(RST_STREAM).await.stream, stream);
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Body);
    assert!(error.to_string().contains("disk on fire"), "{error}");
    let second = call(&http, &peer.url());
    let stream = link.request().await;
    link.respond(stream, b"ok").await;
    assert_eq!(text(second.await.unwrap()).await, "ok");
}

pub(crate) async fn tunnel(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = tokio::spawn(http.request(Method::CONNECT, peer.url()).send());
    let mut link = peer.accept(&[]).await;
    let head = link.next_of(HEADERS).await;
    assert!(!head.ends_stream());
    let stream = head.stream;
    link.head(stream).await;
    let mut tunnel = answer.await.unwrap().unwrap().upgrade().unwrap();
    tunnel.write_all(b"ping").await.unwrap();
    tunnel.flush().await.unwrap();
    assert_eq!(link.next_of(DATA).await.payload, b"ping");
    link.data(stream, 0, b"pong").await;
    let mut received = [0; 4];
    tunnel.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"pong");
    tunnel.close().await.unwrap();
    assert!(link.next_of(DATA).await.ends_stream());
    link.data(stream, END_STREAM, b"").await;
    assert_eq!(tunnel.read(&mut received).await.unwrap(), 0);
}

pub(crate) async fn expect_continue(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = tokio::spawn(http.post(peer.url()).header("expect", "100-continue").body("abc").send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    link.send(HEADERS, END_HEADERS, stream, &block(&[], &[(":status", "100")])).await;
    assert_eq!(link.next_of(DATA).await.payload, b"abc");
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
    // A final answer instead: the body is never sent.
    let answer = tokio::spawn(http.post(peer.url()).header("expect", "100-continue").body("abc").send());
    let stream = link.request().await;
    link.send(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[], &[(":status", "401")])).await;
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    let next = link.next().await;
    assert_eq!((next.kind, next.stream), (RST_STREAM, stream));
}

pub(crate) async fn informational(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observed = http.get(peer.url()).observer(move |event: &Event<'_>| {
        if let Event::Informational { status, headers } = event {
            log.lock().unwrap().push((status.as_u16(), headers.len()));
        }
    });
    let answer = tokio::spawn(observed.send());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    for _ in 0..2 {
        link.send(HEADERS, END_HEADERS, stream, &block(&[], &[(":status", "103"), ("link", "</a>")])).await;
    }
    link.respond(stream, b"ok").await;
    assert_eq!(text(answer.await.unwrap()).await, "ok");
    assert_eq!(*seen.lock().unwrap(), [(103, 1), (103, 1)]);
}

pub(crate) async fn length_mismatch(make: Make) {
    let (http, peer) = (client(make, Options::default()), Peer::start().await);
    let answer = call(&http, &peer.url());
    let mut link = peer.accept(&[]).await;
    let stream = link.request().await;
    let head = block(&[&[STATUS_200][..]], &[("content-length", "3")]);
    link.send(HEADERS, END_HEADERS, stream, &head).await;
    link.data(stream, END_STREAM, b"ab").await;
    // Whether it is the head or the body that fails depends on how much has come.
    let error = match answer.await.unwrap() {
        Ok(response) => response.bytes().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Protocol);
}
