//! The engines that are counted, and what they are asked.

use client_cio::Cio;
use client_core::HttpClient;
use client_hyper::Hyper;
use tokio::runtime::{Builder, Runtime};

pub(crate) const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nserver: canned\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn client(engine: &str) -> HttpClient {
    match engine {
        "cio" => HttpClient::new(Cio::new()),
        "hyper" => HttpClient::new(Hyper::new()),
        other => panic!("no engine {other}"),
    }
}

pub(crate) async fn get(http: &HttpClient, url: &str) {
    let response = http.get(url).send().await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), "hello");
}

/// Tells a count, and whether it is within its budget.
pub(crate) fn judge(engine: &str, what: &str, count: u64, budget: u64) -> bool {
    println!("{engine}: {count} {what}, of {budget}");
    count <= budget
}
