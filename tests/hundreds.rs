//! Hundreds of calls at once, on every engine: to a slow server all complete; given up half-way, none leaves anything behind, no thread, no
//! socket, no memory.
//!
//! An engine is one more line in `support/engines.rs`, and is tested here.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use client_conformance::Settings;
use client_conformance::servers::App;
use client_core::HttpClient;
use client_tests::engines::{EngineUnderTest, all};
use futures_util::future::join_all;

const CALLS: usize = 500;

/// How many bodies have to have begun before all is given up: fewer than the engine of the fewest connections has at a time.
const BEGUN: usize = 20;

/// How much a round may add, in bytes: 4 KiB of each call would be more.
const LEAK: usize = 2_000_000;

/// Held by each test: what a process holds is counted.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` with a client of the engine, on whatever drives the engine's futures.
fn with_client<F: Future<Output = ()> + Send>(engine: &EngineUnderTest, work: impl FnOnce(HttpClient) -> F + Send) {
    let subject = (engine.subject)();
    subject.block_on(Box::pin(async {
        let engine = subject.engine(&Settings::default()).expect("every engine has defaults");
        work(HttpClient::new(engine)).await;
    }));
}

#[test]
fn all_calls_to_a_slow_server_complete() {
    let _alone = alone();
    for engine in &all() {
        let app = App::start();
        with_client(engine, |http| {
            let url = app.url("/delay/100");
            async move {
                let calls = (0..CALLS).map(|_| async { http.get(&url).send().await?.text().await });
                for outcome in join_all(calls).await {
                    assert_eq!(outcome.unwrap_or_else(|error| panic!("{}: {error}", engine.name)), "hello");
                }
            }
        });
    }
}

#[test]
fn calls_given_up_half_way_leave_nothing() {
    let _alone = alone();
    for engine in &all() {
        // The first rounds make what stays for good: threads of the servers', buffers of the allocator's. A leak grows in every round.
        given_up(engine, usize::MAX);
        let threads = Resources::now().threads;
        let (mut quiet, mut memory) = (0, Vec::new());
        while quiet < 2 {
            let before = Resources::now().memory;
            given_up(engine, threads);
            let after = Resources::now().memory;
            quiet = if after <= before + LEAK { quiet + 1 } else { 0 };
            memory.push(after);
            assert!(memory.len() < 12, "{}: every round leaves memory behind: {memory:?}", engine.name);
        }
    }
}

/// Half of the calls wait for a head that never comes, the others are within a body; then all are dropped at once.
fn given_up(engine: &EngineUnderTest, threads: usize) {
    let app = App::start();
    with_client(engine, |http| {
        let app = &app;
        async move {
            let begun = Arc::new(AtomicUsize::new(0));
            let calls = (0..CALLS).map(|n| {
                let (http, begun) = (http.clone(), Arc::clone(&begun));
                let url = app.url(if n % 2 == 0 { "/hang" } else { "/drip/10000/20" });
                async move {
                    let mut response = http.get(url).send().await.unwrap_or_else(|error| panic!("{}: {error}", engine.name));
                    response.chunk().await.unwrap_or_else(|error| panic!("{}: {error}", engine.name));
                    begun.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                }
            });
            {
                let mut calls = pin!(join_all(calls));
                poll_fn(|cx| {
                    assert!(calls.as_mut().poll(cx).is_pending(), "none of them ends");
                    if begun.load(Ordering::SeqCst) >= BEGUN {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            let next = http.get(app.url("/")).send().await.expect("the same client serves the next");
            assert_eq!(next.text().await.expect("and its body"), "hello", "{}", engine.name);
        }
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while app.counts().open > 0 || Resources::now().threads > threads {
        let (open, now) = (app.counts().open, Resources::now());
        assert!(
            Instant::now() < deadline,
            "{}: {open} sockets are still open, {now:?}, expected {threads} threads",
            engine.name
        );
        std::thread::yield_now();
    }
}

/// What this process holds, where the system tells.
#[derive(Clone, Copy, Debug, Default)]
struct Resources {
    threads: usize,
    /// In bytes.
    memory: usize,
}

impl Resources {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Self {
            threads: field("Threads:"),
            memory: field("VmRSS:") << 10,
        }
    }
}
