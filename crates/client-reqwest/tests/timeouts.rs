//! Time limits per request, from one client. Time is virtual: nothing here waits for a clock, and nothing depends on a fast machine.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_conformance::servers::{App, Gate, Raw, Script};
use client_core::{Body, ErrorKind, Event, HttpClient, Phase, Sent, TimeoutKind};
use client_reqwest::Reqwest;
use tokio::net::TcpListener;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Accepts by the kernel alone, and never says a word: a TLS handshake hangs.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test(start_paused = true)]
async fn connect_limits_are_each_requests_own() {
    let (_listener, url) = silent().await;
    let http = HttpClient::new(Reqwest::new());
    let limited = |seconds| http.get(&url).timeout(move |t| t.connect(secs(seconds))).send();
    let (long, short, longest) = tokio::join!(limited(20), limited(1), limited(300));
    for (outcome, limit) in [(long, 20), (short, 1), (longest, 300)] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Connect));
        assert_eq!((error.phase(), error.sent()), (Some(Phase::Tls), Sent::Nothing));
        let elapsed = error.elapsed().unwrap();
        assert_eq!(elapsed.limit, secs(limit));
        assert!(elapsed.elapsed >= secs(limit) && elapsed.elapsed < secs(limit + 1), "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_limit_is_for_the_users_layers_too() {
    let (_listener, url) = silent().await;
    let engine = Reqwest::builder().config(|reqwest| reqwest.connector_layer(tower::limit::ConcurrencyLimitLayer::new(1)));
    let http = HttpClient::new(engine.build());
    let (first, second) = tokio::join!(
        http.get(&url).timeout(|t| t.connect(secs(60))).send(),
        // Never gets to dial: the layer lets one through at a time. That time counts.
        http.get(&url).timeout(|t| t.connect(secs(2))).send(),
    );
    assert_eq!(second.unwrap_err().elapsed().unwrap().limit, secs(2));
    assert_eq!(first.unwrap_err().elapsed().unwrap().limit, secs(60));
}

#[tokio::test]
async fn a_connect_limit_ends_with_the_connection() {
    let app = App::start();
    let http = HttpClient::new(Reqwest::new());
    // Far longer than the limit, but not spent on connecting.
    let response = http.get(app.url("/delay/300")).timeout(|t| t.connect(Duration::from_millis(200))).send().await;
    assert_eq!(response.unwrap().text().await.unwrap(), "hello");
}

#[tokio::test]
async fn a_silent_server() {
    let before = Raw::start([Script::new()]);
    let within = Raw::start([Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")]);
    let http = HttpClient::new(Reqwest::new());
    let limit = Duration::from_millis(100);
    let send = |server: &Raw| http.get(server.url("/")).timeout(|t| t.socket(limit)).send();
    let error = send(&before).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    assert_eq!((error.phase(), error.sent()), (Some(Phase::Head), Sent::Maybe));
    assert!(error.elapsed().unwrap().elapsed >= limit);
    before.connection(0).closed_by_client().await;
    let mut response = send(&within).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "hello");
    let error = response.chunk().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    assert_eq!((error.phase(), error.sent()), (Some(Phase::Body), Sent::Answered));
    within.connection(0).closed_by_client().await;
}

#[tokio::test]
async fn informational_responses_without_end() {
    // hyper skips them, uncounted and unseen: only time ends this. A head that is never whole counts as silence.
    let more = "HTTP/1.1 102 Processing\r\n\r\n";
    let server = Raw::start([Script::reply(more).flood(more.repeat(500))]);
    let http = HttpClient::new(Reqwest::new());
    let error = http
        .get(server.url("/"))
        .timeout(|t| t.socket(Duration::from_millis(100)))
        .send()
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout(TimeoutKind::Socket), Some(Phase::Head)));
    server.connection(0).closed_by_client().await;
}

#[tokio::test]
async fn a_server_that_reads_no_more() {
    let server = Raw::start([Script::new().head().stop_reading().wait(&Gate::new())]);
    let http = HttpClient::new(Reqwest::new());
    let request = http.put(server.url("/")).body(vec![0; 64 << 20]).timeout(|t| t.socket(Duration::from_millis(200)));
    let error = request.send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    assert_eq!((error.phase(), error.sent()), (Some(Phase::Send), Sent::Maybe));
}

#[tokio::test]
async fn our_own_slowness_is_no_silence() {
    let server = Raw::start([Script::reply(OK)]);
    let http = HttpClient::new(Reqwest::new());
    let limit = Duration::from_millis(50);
    let slow = futures::stream::unfold(0, move |n| async move {
        tokio::time::sleep(limit * 4).await;
        (n < 2).then_some((Ok::<_, std::io::Error>("a"), n + 1))
    });
    let response = http
        .post(server.url("/"))
        .body(Body::stream(slow))
        .timeout(|t| t.socket(limit))
        .send()
        .await
        .unwrap();
    // Nor is the reader's pause.
    tokio::time::sleep(limit * 4).await;
    assert_eq!(response.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn phases_are_told_in_order() {
    let server = Raw::start([Script::reply(OK).repeat()]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = move |event: &Event<'_>| {
        log.lock().unwrap().push(match event {
            Event::PhaseStarted(phase) => format!("{phase:?}"),
            Event::Connected { reused, remote_addr } => format!("reused {reused} {}", remote_addr.is_some()),
            _ => return,
        });
    };
    let http = HttpClient::builder(Reqwest::new()).observer(observer).build().unwrap();
    let response = http.get(server.url("/")).send().await.unwrap();
    assert_eq!(response.remote_addr(), Some(server.addr()));
    assert!(!response.connection().unwrap().reused);
    response.bytes().await.unwrap();
    assert_eq!(seen.lock().unwrap().split_off(0), ["Pool", "Connect", "reused false true", "Send", "Head", "Body"]);
    let response = http.get(server.url("/")).send().await.unwrap();
    assert!(response.connection().unwrap().reused);
    assert_eq!(*seen.lock().unwrap(), ["Pool", "reused true false", "Send", "Head", "Body"]);
}
