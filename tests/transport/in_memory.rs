//! The pool over time: servers at the other end of pipes in memory, and virtual time. Nothing here depends on how fast the machine is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_core::{BoxError, BoxFuture, CloseReason, HttpClient};
use client_transport::connector::{Connect, Connector};
use client_transport::route::RouteOptions;
use client_transport::stream::Stream;
use client_transport::wire::PoolEvent;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, advance, sleep};

use super::{Asked, ENGINES, client};

/// Each connection is a pipe to a server of its own, which answers every request with these fields.
struct Pipes(&'static str);

impl Connect for Pipes {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
        Box::pin(async move {
            if host != "pipe.example" || port != 80 {
                return Err("no such pipe".into());
            }
            // Long enough for others to dial meanwhile.
            sleep(Duration::from_millis(1)).await;
            let (ours, theirs) = tokio::io::duplex(1024);
            tokio::spawn(serve(theirs, self.0));
            Ok(Stream::boxed(ours))
        })
    }
}

async fn serve(mut pipe: DuplexStream, fields: &'static str) {
    let mut head = Vec::new();
    while let Ok(byte) = pipe.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
            if pipe.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn piped(fields: &'static str) -> Asked {
    Asked {
        route: RouteOptions::new().connector(Connector::new(Pipes(fields))),
        ..Asked::default()
    }
}

async fn get(http: &HttpClient) {
    let response = http.get("http://pipe.example/").send().await.unwrap();
    assert_eq!(response.remote_addr(), None);
    assert_eq!(response.text().await.unwrap(), "ok");
}

fn opened(http: &HttpClient) -> u64 {
    http.pool().unwrap().opened
}

fn closed_by(http: &HttpClient, reason: CloseReason) -> u64 {
    http.pool().unwrap().closed_by.get(&reason).copied().unwrap_or(0)
}

/// Lets everybody who can do something do it.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_ones_own_are_pooled_like_any() {
    for (engine, make) in ENGINES {
        let http = client(make, piped(""));
        for _ in 0..3 {
            get(&http).await;
        }
        assert_eq!(opened(&http), 1, "{engine}");
        let error = http.get("http://other.example/").send().await.unwrap_err();
        assert!(
            error.to_string().contains("the connector failed for other.example:80: no such pipe"),
            "{engine}: {error}"
        );
        let pool = http.pool().unwrap();
        assert_eq!((pool.idle, pool.in_use, pool.dialing, pool.dials_failed), (1, 0, 0, 1), "{engine}");
    }
}

/// RFC 2068 §19.7.1.1: how long the server keeps it. A connection is given up two seconds earlier, lest a request meet its end.
#[tokio::test(start_paused = true)]
async fn the_servers_keep_alive_counts() {
    for (engine, make) in ENGINES {
        let short = client(make, piped("Keep-Alive: timeout=1\r\n"));
        get(&short).await;
        assert_eq!(closed_by(&short, CloseReason::KeepAlive), 1, "{engine}: too short to be used again");
        get(&short).await;
        assert_eq!(opened(&short), 2, "{engine}");

        let long = client(make, piped("Keep-Alive: timeout=30, max=100\r\n"));
        get(&long).await;
        advance(Duration::from_secs(27)).await;
        get(&long).await;
        assert_eq!(opened(&long), 1, "{engine}: within the time");
        advance(Duration::from_secs(29)).await;
        settle().await;
        assert_eq!(closed_by(&long, CloseReason::KeepAlive), 1, "{engine}: closed without anybody asking for it");
        assert_eq!(long.pool().unwrap().idle, 0, "{engine}");

        let silent = client(make, piped(""));
        get(&silent).await;
        advance(Duration::from_secs(91)).await;
        settle().await;
        assert_eq!(closed_by(&silent, CloseReason::IdleTimeout), 1, "{engine}: the engine's own limit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_grows_no_older_than_it_may() {
    let lifetime = Duration::from_secs(100);
    for (engine, make) in ENGINES {
        let asked = Asked {
            max_lifetime: Some(lifetime),
            ..piped("")
        };
        let http = client(make, asked);
        get(&http).await;
        // In use every 30 s, it never lies idle for long.
        for _ in 0..2 {
            advance(Duration::from_secs(30)).await;
            get(&http).await;
        }
        // A tenth of its life at most is taken off by chance.
        advance(Duration::from_secs(29)).await;
        get(&http).await;
        assert_eq!(opened(&http), 1, "{engine}: after 89 s");
        advance(Duration::from_secs(12)).await;
        get(&http).await;
        assert_eq!((opened(&http), closed_by(&http, CloseReason::Lifetime)), (2, 1), "{engine}: after 101 s");
    }
}

/// Otherwise a client that began with a burst would dial in bursts for ever.
#[tokio::test(start_paused = true)]
async fn connections_made_together_do_not_end_together() {
    for (engine, make) in ENGINES {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&ends);
        let asked = Asked {
            max_lifetime: Some(Duration::from_secs(50)),
            observer: Box::new(move |event| {
                if let PoolEvent::Closed {
                    reason: CloseReason::Lifetime,
                    ..
                } = event
                {
                    log.lock().unwrap().push(Instant::now());
                }
            }),
            ..piped("")
        };
        let (http, started) = (client(make, asked), Instant::now());
        let warm: Vec<_> = (0..8).map(|_| http.warm_up("http://pipe.example/")).collect();
        for outcome in futures_util::future::join_all(warm).await {
            outcome.unwrap();
        }
        assert_eq!(http.pool().unwrap().idle, 8, "{engine}");
        sleep(Duration::from_secs(51)).await;
        let mut ends = ends.lock().unwrap().clone();
        assert_eq!(ends.len(), 8, "{engine}");
        let within =
            |end: &Instant| (Duration::from_secs(45)..=Duration::from_millis(50_010)).contains(&end.duration_since(started));
        assert!(ends.iter().all(within), "{engine}: {ends:?}");
        ends.dedup();
        assert!(ends.len() > 1, "{engine}: all at {ends:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pool_tells_what_happens() {
    for (engine, make) in ENGINES {
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        let asked = Asked {
            observer: Box::new(move |event| {
                log.lock().unwrap().push(match event {
                    PoolEvent::Opened { origin, .. } => format!("opened {origin}"),
                    PoolEvent::Reused { origin, .. } => format!("reused {origin}"),
                    PoolEvent::Closed { origin, reason, .. } => format!("closed {origin}: {reason:?}"),
                    PoolEvent::DialFailed { origin, error } => format!("failed {origin}: {:?}", error.kind()),
                    other => format!("{other:?}"),
                });
            }),
            ..piped("")
        };
        let http = client(make, asked);
        get(&http).await;
        get(&http).await;
        assert!(http.get("http://none.example/").send().await.is_err());
        // Given up before its answer is read: half-used.
        drop(http.get("http://pipe.example/").body("x").send().await.unwrap());
        advance(Duration::from_secs(91)).await;
        settle().await;
        http.close();
        let events = events.lock().unwrap();
        let begin = [
            "opened http://pipe.example",
            "reused http://pipe.example",
            "failed http://none.example: Connect",
            "reused http://pipe.example",
        ];
        assert_eq!(events[..4], begin, "{engine}");
        assert!(events[4].starts_with("closed http://pipe.example: "), "{engine}: {events:?}");
        assert_eq!(events.len(), 5, "{engine}: {events:?}");
    }
}
