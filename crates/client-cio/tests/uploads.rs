//! Uploads that go wrong: whose fault it was, and that nobody waits for what will not come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use client_cio::Cio;
use client_core::{Body, Error, ErrorKind, HttpClient, Sent, TimeoutKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that reads and never answers; what it has read is returned once the client is gone.
async fn silent() -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen).await;
        seen
    });
    (url, server)
}

/// A body may be another response's, passed on: that it broke off, or was too slow, says nothing about the connection it is sent on.
#[tokio::test]
async fn a_producer_that_fails_like_a_connection_is_still_the_producer() {
    for kind in [
        ErrorKind::Closed,
        ErrorKind::Timeout(TimeoutKind::Socket),
        ErrorKind::Protocol,
        ErrorKind::Body,
    ] {
        let (url, server) = silent().await;
        let upstream = move || Error::new(kind, "the upstream broke").with_sent(Sent::Answered);
        let pieces = futures::stream::iter([Ok("first"), Err(upstream())]);
        let http = HttpClient::new(Cio::new());
        let error = http.put(url).body(Body::stream(pieces)).send().await.unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Body, Sent::Maybe), "{error:?}");
        assert!(error.to_string().contains("the upstream broke"), "{error}");
        // Cut off, and never ended as if it were whole.
        let seen = String::from_utf8(server.await.unwrap()).unwrap();
        assert!(seen.ends_with("5\r\nfirst\r\n"), "{seen}");
    }
}

/// Dropping cancels: it neither runs the caller's producer nor sends more of what nobody wants.
#[tokio::test]
async fn an_early_response_that_is_dropped_ends_its_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let (is_dropping, polled) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (flag, count) = (Arc::clone(&is_dropping), Arc::clone(&polled));
    let endless = futures::stream::poll_fn(move |_| {
        count.fetch_add(usize::from(flag.load(Ordering::SeqCst)), Ordering::SeqCst);
        Poll::<Option<std::io::Result<&str>>>::Pending
    });
    let http = HttpClient::new(Cio::new());
    let response = http.put(url).body(Body::stream(endless)).send().await.unwrap();
    is_dropping.store(true, Ordering::SeqCst);
    drop(response);
    server.await.unwrap();
    assert_eq!(polled.load(Ordering::SeqCst), 0);
    let pool = http.pool().unwrap();
    assert_eq!((pool.idle, pool.in_use, pool.closed), (0, 0, 1));
}
