//! Many calls at once, and calls that are given up at any moment: nothing is lost, nothing leaks, nobody gets another's answer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use client::HttpClient;
use client::cio::Cio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// Answers each request with its own path, slowly and in two pieces, and counts its connections.
struct Paths {
    url: String,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Paths {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (open, peak) = (Arc::clone(&now), Arc::clone(&most));
        // On a runtime of its own, so that the client's tasks can be counted.
        std::thread::spawn(move || {
            let listener = listener.into_std().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    peak.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let open = Arc::clone(&open);
                    tokio::spawn(async move {
                        let _ = serve(stream).await;
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        });
        Self { url, now, most }
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut seen = Vec::new();
    loop {
        while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let path = text.split(' ').nth(1).unwrap_or("").to_owned();
        seen.clear();
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", path.len()).as_bytes())
            .await?;
        // The body comes in a packet of its own, so that a call can be given up between the two.
        tokio::task::yield_now().await;
        stream.write_all(path.as_bytes()).await?;
    }
}

async fn get(http: &HttpClient, server: &Paths, path: &str) {
    let response = http.get(format!("{}{path}", server.url)).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_through_a_hundred_connections() {
    let server = Arc::new(Paths::start().await);
    let engine = Cio::builder().max_connections(100).endpoint(|e| e.max_connections_per_route(100)).build();
    let http = HttpClient::new(engine);
    let before = Handle::current().metrics().num_alive_tasks();
    let calls: Vec<_> = (0..10_000)
        .map(|n| {
            let (http, server) = (http.clone(), Arc::clone(&server));
            tokio::spawn(async move { get(&http, &server, &format!("/{n}")).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(server.most.load(Ordering::SeqCst) <= 100, "{} connections", server.most.load(Ordering::SeqCst));
    let pool = http.pool().unwrap();
    assert_eq!((pool.in_use, pool.dialing, pool.waiting), (0, 0, 0));
    assert_eq!(pool.opened + pool.reused, 10_000);
    http.close();
    drop(http);
    // What was idle is closed, and the engine's own task ends.
    while server.now.load(Ordering::SeqCst) > 0 || Handle::current().metrics().num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
}

/// The next of a sequence that is the same on every machine (xorshift).
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Polls `call` so many times, then gives it up.
async fn give_up_after(polls: u64, call: impl Future<Output = ()>) {
    let mut call = pin!(call);
    for _ in 0..polls {
        let done = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
    // Once more with a waker that nobody hears: it must not be the one that is waited for afterwards.
    let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[tokio::test]
async fn a_call_dropped_anywhere_never_disturbs_the_next() {
    let server = Paths::start().await;
    let engine = Cio::builder().endpoint(|e| e.max_connections_per_route(2)).build();
    let http = HttpClient::new(engine);
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    for round in 0..200 {
        let (given_up, polls) = (format!("/given-up/{round}"), next(&mut seed) % 12);
        give_up_after(polls, get(&http, &server, &given_up)).await;
        get(&http, &server, &format!("/next/{round}")).await;
    }
    let pool = http.pool().unwrap();
    assert_eq!((pool.in_use, pool.dialing, pool.waiting), (0, 0, 0));
    assert!(server.most.load(Ordering::SeqCst) <= 3, "closed ones may overlap with new ones by one");
}
