//! 500 calls at once, cancelled half-way: threads, sockets and memory return to where they were. A process of its own, since it counts
//! what the process holds; Linux, since that is where it can be counted.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use client_core::Body;
use client_ureq::Ureq;
use futures::FutureExt as _;
use futures::executor::block_on;
use futures::future::join_all;
use support::{OK, Server, client};

const CALLS: usize = 500;

/// Threads of the engine, by their names.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("client-ureq")).count()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident memory, in pages.
fn memory() -> usize {
    fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    // An hour of patience: a hang is for the test runner to end, never a matter of the machine's speed.
    for _ in 0..360_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

#[test]
fn everything_returns_to_where_it_was() {
    let (begun, has_begun) = channel();
    let begun = Mutex::new(begun);
    // Half of the answers come; the other half of the calls hang, in their head or in their body.
    let server = Server::start(move |mut peer, _| {
        while let Some(head) = peer.head() {
            if head.starts_with("GET /answer") {
                peer.send(OK);
                continue;
            }
            if head.starts_with("GET /body") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
            }
            begun.lock().unwrap().send(()).unwrap();
            peer.closed();
        }
    });
    let before = descriptors();
    let http = client(
        Ureq::builder()
            .max_threads(300)
            .thread_keep_alive(Duration::from_millis(10))
            .max_idle_connections(0),
    );
    let mut held = Vec::new();
    for round in 0..4 {
        let calls: Vec<_> = (0..CALLS)
            .map(|n| {
                let path = ["/answer", "/head", "/answer", "/body"][n % 4];
                let request = http.post(server.url(path)).body(Body::empty());
                let request = if n % 4 == 1 { request } else { http.get(server.url(path)) };
                async move { request.send().await?.text().await }.boxed()
            })
            .collect();
        let (answered, hanging): (Vec<_>, Vec<_>) = calls.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
        let answers = block_on(async {
            let mut hanging: Vec<_> = hanging.into_iter().map(|(_, call)| call).collect();
            let answers = join_all(answered.into_iter().map(|(_, call)| call)).await;
            let mut begun = 0;
            // All of them are polled until each hangs at the server.
            std::future::poll_fn(|cx: &mut Context<'_>| {
                for call in &mut hanging {
                    assert!(call.poll_unpin(cx).is_pending());
                }
                begun += has_begun.try_iter().count();
                if begun == CALLS / 2 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            assert!(threads() <= 301, "bounded");
            drop(hanging);
            answers
        });
        assert!(answers.into_iter().all(|answer| answer.unwrap() == "ok"));
        until("the threads have ended", || threads() == 0);
        until("the sockets are closed", || descriptors() <= before + 2);
        held.push((round, memory()));
    }
    let (first, last) = (held[0].1, held[3].1);
    assert!(last <= first + first / 4 + 512, "memory grows: {held:?} pages");
}
