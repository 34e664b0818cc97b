//! A warm GET on each engine, within its budget: `cargo test -p client-costs -- --nocapture` shows the counts, and with `--release` also the
//! instructions. Counts, not times.

mod common;

use std::collections::BTreeMap;
use std::env;

use client_costs::{BUDGETS, CALLGRIND, Canned, STRACE, Tool};
use common::{RESPONSE, client, get, judge, runtime};
use tokio::runtime::Handle;

#[test]
fn tasks_are_within_the_budgets() {
    for budget in BUDGETS {
        let server = Canned::start(RESPONSE).unwrap();
        let (http, url) = (client(budget.engine), server.url("/"));
        runtime().block_on(async {
            get(&http, &url).await;
            let tasks = || Handle::current().metrics().num_alive_tasks();
            let most = tasks() + budget.tasks;
            for _ in 0..100 {
                let response = http.get(&url).send().await.unwrap();
                assert!(tasks() <= most, "{}: with the response in hand", budget.engine);
                response.bytes().await.unwrap();
                assert!(tasks() <= most, "{}: after its end", budget.engine);
            }
        });
    }
}

/// Run by the tests below in a process of its own, under a tool that counts.
#[test]
#[ignore = "a part of other tests"]
fn counted() {
    let (Ok(engine), Ok(url), Ok(times)) = (env::var("COUNTED_ENGINE"), env::var("COUNTED_URL"), env::var("COUNTED_TIMES"))
    else {
        return;
    };
    let http = client(&engine);
    runtime().block_on(async {
        for _ in 0..times.parse().unwrap() {
            get(&http, &url).await;
        }
    });
}

/// What a thousand warm GETs cost.
fn count(tool: Tool, engine: &str) -> BTreeMap<String, u64> {
    let server = Canned::start(RESPONSE).unwrap();
    let counts = |times: u64| {
        let report = env::temp_dir().join(format!("client-costs-{}-{}-{engine}-{times}", std::process::id(), tool.name));
        let output = tool
            .command(&report)
            .arg(env::current_exe().unwrap())
            .args(["--exact", "counted", "--ignored", "--test-threads=1"])
            .env("COUNTED_ENGINE", engine)
            .env("COUNTED_URL", server.url("/"))
            .env("COUNTED_TIMES", times.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        tool.counts(&report).unwrap()
    };
    let (few, mut many) = (counts(100), counts(1100));
    for (name, count) in &mut many {
        *count = count.saturating_sub(few.get(name).copied().unwrap_or(0));
    }
    many.retain(|_, count| *count > 0);
    many
}

/// CI has the tools; elsewhere a missing one is told.
fn is_missing(tool: Tool, test: &str) -> bool {
    let missing = !tool.is_installed();
    if missing {
        assert!(env::var_os("CI").is_none(), "CI has {}", tool.name);
        eprintln!("skipped: {test} ({} is not installed)", tool.name);
    }
    missing
}

#[test]
fn system_calls_are_within_the_budgets() {
    if is_missing(STRACE, "system_calls_are_within_the_budgets") {
        return;
    }
    let within = BUDGETS.iter().filter(|budget| {
        let mut calls = count(STRACE, budget.engine);
        // Waiting for readiness is the runtime's: epoll, and a futex between its threads.
        calls.retain(|name, _| !name.starts_with("epoll_") && name != "futex");
        println!("{}: {calls:?}", budget.engine);
        judge(budget.engine, "system calls per 1000", calls.values().sum(), budget.system_calls_per_1000)
    });
    assert_eq!(within.count(), BUDGETS.len(), "see above");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "instructions are those of an optimized build: --release")]
fn instructions_are_within_the_budgets() {
    if is_missing(CALLGRIND, "instructions_are_within_the_budgets") {
        return;
    }
    let within = BUDGETS.iter().filter(|budget| {
        let counts = count(CALLGRIND, budget.engine);
        judge(budget.engine, "instructions", counts["instructions"] / 1000, budget.instructions)
    });
    assert_eq!(within.count(), BUDGETS.len(), "see above");
}
