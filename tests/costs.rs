//! What a warm GET costs on `client-cio`, counted: allocations, tasks, system calls. Counts, not times.

use std::collections::BTreeMap;
use std::process::Command;
use std::{env, fs};

use client::HttpClient;
use client::cio::Cio;
use client_tests::Canned;
use tokio::runtime::{Builder, Handle, Runtime};

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nserver: canned\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn get(http: &HttpClient, url: &str) {
    let response = http.get(url).send().await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), "hello");
}

#[test]
fn a_warm_get_makes_at_most_15_allocations() {
    let server = Canned::start(RESPONSE).unwrap();
    let (runtime, http, url) = (runtime(), HttpClient::new(Cio::new()), server.url("/path?query"));
    // The first ones make the connection, the reaper, and whatever is made once.
    (0..3).for_each(|_| runtime.block_on(get(&http, &url)));
    // A rare turn of the runtime allocates on its own account; the exchange's own count is the same each time, so the least is it.
    let counts = (0..20).map(|_| allocation_counter::measure(|| runtime.block_on(get(&http, &url))).count_total);
    let count = counts.min().unwrap();
    println!("{count} allocations per warm GET");
    assert!(count <= 15, "{count} allocations");
    assert_eq!(http.pool().unwrap().opened, 1);
}

#[test]
fn a_warm_get_spawns_no_task() {
    let server = Canned::start(RESPONSE).unwrap();
    let (http, url) = (HttpClient::new(Cio::new()), server.url("/"));
    runtime().block_on(async {
        get(&http, &url).await;
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        for _ in 0..100 {
            let response = http.get(&url).send().await.unwrap();
            assert_eq!(tasks(), before, "with the response in hand");
            response.bytes().await.unwrap();
            assert_eq!(tasks(), before, "after its end");
        }
    });
}

/// Run by [`a_warm_get_makes_two_system_calls`] under strace, in a process of its own.
#[test]
#[ignore = "a part of another test"]
fn traced() {
    let (Ok(url), Ok(times)) = (env::var("TRACED_URL"), env::var("TRACED_TIMES")) else {
        return;
    };
    let http = HttpClient::new(Cio::new());
    runtime().block_on(async {
        for _ in 0..times.parse().unwrap() {
            get(&http, &url).await;
        }
    });
}

/// How often each system call was made for so many GETs.
fn system_calls(url: &str, times: u32) -> BTreeMap<String, i64> {
    let report = env::temp_dir().join(format!("client-strace-{}-{times}", std::process::id()));
    let status = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(&report)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "traced", "--ignored", "--test-threads=1"])
        .env("TRACED_URL", url)
        .env("TRACED_TIMES", times.to_string())
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    let text = fs::read_to_string(&report).unwrap();
    fs::remove_file(report).unwrap();
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // % time, seconds, usecs/call, calls, [errors], name
    rows.filter_map(|row| Some((row.last()?.to_string(), row.get(3)?.parse().ok()?))).collect()
}

#[test]
fn a_warm_get_makes_two_system_calls() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(env::var_os("CI").is_none(), "CI has strace");
        eprintln!("skipped: a_warm_get_makes_two_system_calls (strace is not installed)");
        return;
    }
    let server = Canned::start(RESPONSE).unwrap();
    let url = server.url("/");
    let (few, many) = (system_calls(&url, 100), system_calls(&url, 1100));
    // Waiting for readiness is the runtime's: epoll, and a futex between its threads.
    let waits = |name: &str| name.starts_with("epoll_") || matches!(name, "futex" | "total");
    let calls: BTreeMap<_, _> = many
        .iter()
        .filter(|(name, _)| !waits(name))
        .map(|(name, count)| (name.as_str(), count - few.get(name).unwrap_or(&0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    println!("for 1000 warm GETs: {calls:?}");
    let total: i64 = calls.values().sum();
    // A few more are allowed for memory that the allocator asks for, and reads that come in two pieces.
    assert!(total <= 2 * 1000 + 50, "{calls:?}");
}
