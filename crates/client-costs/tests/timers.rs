//! What time limits cost that are set and do not strike, and what they leave behind: nothing. Counts, not times.

use std::time::Duration;

use client_cio::Cio;
use client_core::{HttpClient, HttpTimeout};
use client_costs::Canned;
use client_hyper::Hyper;
use tokio::runtime::{Builder, Runtime};

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn calls(runtime: &Runtime, http: &HttpClient, url: &str, count: usize) {
    runtime.block_on(async {
        for _ in 0..count {
            let response = http.get(url).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap(), "hello");
        }
    });
}

/// A timer that is left behind is memory that is left behind, until its hour has come.
#[test]
fn ten_thousand_calls_leave_no_timer_behind() {
    let hour = Duration::from_secs(3600);
    let limits = HttpTimeout::new().request(hour).connect(hour).socket(hour);
    for (engine, many) in [("cio", 10_000), ("hyper", 1_000)] {
        let server = Canned::start(RESPONSE).unwrap();
        let (runtime, url) = (Builder::new_current_thread().enable_all().build().unwrap(), server.url("/"));
        let builder = match engine {
            "cio" => HttpClient::builder(Cio::new()),
            _ => HttpClient::builder(Hyper::new()),
        };
        let without = builder.build().unwrap();
        let with = HttpClient::builder(without.engine().clone()).install(limits).build().unwrap();
        // The connection, and whatever is made once.
        calls(&runtime, &with, &url, 100);
        let costs = allocation_counter::measure(|| calls(&runtime, &with, &url, many));
        let plain = allocation_counter::measure(|| calls(&runtime, &without, &url, 100));
        println!(
            "{engine}: {:.1} allocations a call with all three limits, {:.1} without",
            costs.count_total as f64 / many as f64,
            plain.count_total as f64 / 100.0
        );
        // What the runtime keeps for itself is no more after many calls than after one.
        assert!(costs.count_current.abs() < 10, "{engine}: {} allocations are left", costs.count_current);
        assert_eq!(with.pool().unwrap().opened, 1);
    }
}
