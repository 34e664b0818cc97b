//! Runtimes: one after another, in turns, another's executor, none at all. And what happens when calls are dropped.

use client_conformance::servers::{App, Raw, Script};
use client_core::{Capability, ErrorKind, HttpClient, TimeoutKind, Version};
use client_reqwest::Reqwest;
use futures::AsyncWriteExt;
use futures::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn fetch(http: &HttpClient, app: &App) -> bool {
    let response = http.get(app.url("/bytes/1000")).send().await.unwrap();
    let reused = response.connection().unwrap().reused;
    assert_eq!(response.bytes().await.unwrap().len(), 1000);
    reused
}

#[test]
fn one_runtime_after_another() {
    let (app, http) = (App::start(), HttpClient::new(Reqwest::new()));
    for _ in 0..6 {
        let runtime = runtime();
        assert!(!runtime.block_on(fetch(&http, &app)), "a connection does not outlive its runtime");
        assert!(runtime.block_on(fetch(&http, &app)));
    }
}

#[test]
fn two_runtimes_in_turns() {
    let (app, http) = (App::start(), HttpClient::new(Reqwest::new()));
    let (a, b) = (runtime(), runtime());
    // A connection of the runtime that does not run right now would hang.
    let reused = [&a, &b, &a, &b].map(|runtime| runtime.block_on(fetch(&http, &app)));
    assert_eq!(reused, [false, false, true, true]);
}

#[test]
fn no_runtime_is_an_error() {
    let (app, http) = (App::start(), HttpClient::new(Reqwest::new()));
    let error = futures::executor::block_on(http.get(app.url("/")).send()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Engine);
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
}

#[test]
fn any_executor_with_a_dispatcher() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let http = HttpClient::new(Reqwest::builder().dispatcher(runtime.handle().clone()).build());
    let app = App::start();
    futures::executor::block_on(async {
        assert!(!fetch(&http, &app).await);
        let limited = http.get(app.url("/hang")).timeout(|t| t.socket(std::time::Duration::from_millis(50)));
        assert!(limited.send().await.unwrap_err().is_timeout());
        let slow = http.get(app.url("/drip/3/5")).timeout(|t| t.socket(std::time::Duration::from_secs(60)));
        assert_eq!(slow.send().await.unwrap().bytes().await.unwrap().len(), 3);
    });
}

#[tokio::test]
async fn dropping_cancels() {
    let silent = Raw::start([Script::new()]);
    let half = Raw::start([Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nhello")]);
    let http = HttpClient::new(Reqwest::new());
    let connection = silent.connection(0);
    tokio::select! {
        _ = http.get(silent.url("/")).send() => unreachable!("it never answers"),
        () = connection.until_received(|bytes| bytes.ends_with(b"\r\n\r\n")) => {}
    }
    connection.closed_by_client().await;
    drop(http.get(half.url("/")).send().await.unwrap());
    half.connection(0).closed_by_client().await;
}

#[tokio::test]
async fn five_hundred_at_a_time() {
    let app = App::start();
    let http = HttpClient::new(Reqwest::new());
    // Each is answered only when all are there.
    let calls = (0..500).map(|_| http.get(app.url("/barrier/500")).send());
    for response in futures::future::join_all(calls).await {
        assert_eq!(response.unwrap().text().await.unwrap(), "hello");
    }
    let hanging = (0..500).map(|_| http.get(app.url("/hang")).send());
    let mut hanging = Box::pin(futures::future::join_all(hanging));
    let all_sent = futures::future::join_all((0..500).map(|index| {
        let connection = app.connection(index);
        async move { connection.until_received(|bytes| bytes.windows(5).any(|window| window == b"/hang")).await }
    }));
    tokio::select! {
        _ = &mut hanging => unreachable!("it never answers"),
        _ = all_sent => {}
    }
    assert_eq!(app.counts().open, 500, "the connections of the first 500 were used again");
    drop(hanging);
    for index in 0..500 {
        app.connection(index).closed_by_client().await;
    }
    assert_eq!(app.counts().open, 0);
}

#[tokio::test]
async fn http2_streams_are_cancelled_alone() {
    let app = App::start();
    let http = HttpClient::new(Reqwest::new());
    let get = |path: &str| http.get(app.url(path)).version(Version::HTTP_2);
    let limit = std::time::Duration::from_millis(50);
    get("/").send().await.unwrap().bytes().await.unwrap();
    let error = get("/hang").timeout(|t| t.socket(limit)).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    drop(get("/bytes/9000000").send().await.unwrap());
    assert_eq!(get("/bytes/1000").send().await.unwrap().bytes().await.unwrap().len(), 1000);
    assert_eq!(app.counts().accepted, 1);
}

#[tokio::test]
async fn closing_is_graceful() {
    let app = App::start();
    let http = HttpClient::new(Reqwest::new());
    let response = http.get(app.url("/bytes/3000000")).send().await.unwrap();
    http.close();
    assert_eq!(response.bytes().await.unwrap().len(), 3_000_000);
    app.connection(0).closed_by_client().await;
    assert_eq!(http.get(app.url("/")).send().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn an_upgrade_hands_out_the_stream() {
    let app = App::start();
    let http = HttpClient::new(Reqwest::new());
    let request = http.get(app.url("/upgrade")).header("connection", "upgrade").header("upgrade", "echo");
    let mut stream = request.send().await.unwrap().upgrade().unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn versions_are_each_requests_own() {
    use client_conformance::servers::{Authority, Certificate, Tls};
    let app = App::start();
    let both = App::start_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"]));
    let old = App::start_tls(&Tls::new(Certificate::Good).alpn(&["http/1.1"]));
    let http = HttpClient::new(Reqwest::builder().tls(Authority::get().trusted()).build());
    assert!(http.capabilities().contains(Capability::Http2));
    let spoken = async |url: String, version: Option<Version>| {
        let request = http.get(url);
        let request = match version {
            Some(version) => request.version(version),
            None => request,
        };
        let response = request.send().await?;
        let version = response.version();
        response.bytes().await.map(|_| version)
    };
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    for (url, asked, expected) in [
        (app.url("/"), None, h1),
        (app.url("/"), Some(h2), h2),
        (app.url("/"), Some(h1), h1),
        (both.url("/"), None, h2),
        (both.url("/"), Some(h1), h1),
        (both.url("/"), Some(h2), h2),
        (old.url("/"), None, h1),
    ] {
        assert_eq!(spoken(url, asked).await.unwrap(), expected);
    }
    let error = spoken(old.url("/"), Some(h2)).await.unwrap_err();
    assert!(error.to_string().contains("did not agree to HTTP/2"), "{error}");
}
