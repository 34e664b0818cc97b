//! What observers see: every phase and event of a call, in order, of success and of failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_core::{Capability, Engine, ErrorKind, Event, HeaderMap, HttpClient, Observer, Version};
use client_mock::{Mock, Reply};

const URL: &str = "http://me:pw@h.example/path";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        let line = match event {
            Event::CallStarted { method, uri } => format!("call {method} {uri}"),
            Event::PhaseStarted(phase) => format!("{phase:?}"),
            Event::Connected { reused, remote_addr } => format!("connected {reused} {}", remote_addr.is_some()),
            Event::Informational { status, .. } => format!("informational {}", status.as_u16()),
            Event::ResponseHead { status, version } => format!("head {} {version:?}", status.as_u16()),
            Event::Redirected { status, to } => format!("redirected {} {to}", status.as_u16()),
            Event::Failed(error) => format!("failed {:?}", error.kind()),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

fn watched(replies: impl IntoIterator<Item = Reply>) -> (Mock, HttpClient, Log) {
    let (mock, log) = (Mock::new(), Log::default());
    replies.into_iter().for_each(|reply| mock.enqueue(reply));
    let http = HttpClient::builder(mock.clone()).observer(log.clone()).build().unwrap();
    (mock, http, log)
}

#[test]
fn a_call_from_start_to_end() {
    let reply = Reply::text("x").version(Version::HTTP_2).informational(103, HeaderMap::new());
    let (mock, http, log) = watched([reply]);
    mock.run(async { http.get(URL).send().await?.bytes().await }).unwrap();
    assert_eq!(
        log.take(),
        [
            "call GET http://h.example/path",
            "Pool",
            "Resolve",
            "Connect",
            "connected false true",
            "Send",
            "Head",
            "informational 103",
            "head 200 HTTP/2.0",
            "Body",
        ]
    );
}

#[test]
fn each_hop_has_its_phases() {
    let (mock, http, log) = watched([Reply::redirect(302, "https://b.example/"), Reply::new()]);
    mock.run(http.get(URL).send()).unwrap();
    let hop = ["Pool", "Resolve", "Connect"];
    let answered = ["connected false true", "Send", "Head"];
    let mut expected = vec!["call GET http://h.example/path"];
    expected.extend(hop.iter().chain(&answered));
    expected.extend(["head 302 HTTP/1.1", "Body", "redirected 302 https://b.example/"]);
    expected.extend(hop.iter().chain(&["Tls"]).chain(&answered));
    expected.extend(["head 200 HTTP/1.1", "Body"]);
    assert_eq!(log.take(), expected);
}

#[test]
fn a_failure_ends_the_call() {
    let (mock, http, log) = watched([Reply::refused(), Reply::never()]);
    mock.run(http.get(URL).send()).unwrap_err();
    assert_eq!(
        log.take(),
        [
            "call GET http://h.example/path",
            "Pool",
            "Resolve",
            "Connect",
            "failed Connect"
        ]
    );
    mock.run(http.get(URL).timeout(|t| t.request(Duration::from_secs(1))).send()).unwrap_err();
    assert_eq!(log.take().last().unwrap(), "failed Timeout(Request)");
}

#[test]
fn what_is_refused_at_the_gate_starts_and_fails() {
    let lesser = Mock::new().capabilities().without(Capability::Tls);
    let (mock, log) = (Mock::builder().capabilities(lesser).build(), Log::default());
    let http = HttpClient::builder(mock.clone()).observer(log.clone()).build().unwrap();
    assert_eq!(mock.run(http.get("https://h.example/").send()).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(log.take(), ["call GET https://h.example/", "failed Unsupported"]);
    mock.run(http.get(URL).timeout(|t| t.request(Duration::ZERO)).send()).unwrap_err();
    assert_eq!(log.take(), ["call GET http://h.example/path", "failed InvalidRequest"]);
}

#[test]
fn a_requests_observers_come_in_addition() {
    let (mock, http, of_client) = watched([Reply::new(), Reply::new()]);
    let (one, other) = (Log::default(), Log::default());
    mock.run(http.get(URL).observer(one.clone()).observer(other.clone()).send()).unwrap();
    let seen = of_client.take();
    assert!(!seen.is_empty());
    assert_eq!((one.take(), other.take()), (seen.clone(), seen.clone()));
    mock.run(http.get(URL).send()).unwrap();
    assert_eq!((of_client.take(), one.take()), (seen, vec![]));
}

#[test]
fn a_closure_observes() {
    let mock = Mock::with(|_| Reply::new());
    let heads = Arc::new(Mutex::new(0));
    let count = Arc::clone(&heads);
    let request = HttpClient::new(mock.clone()).get(URL).observer(move |event: &Event<'_>| {
        *count.lock().unwrap() += i32::from(matches!(event, Event::ResponseHead { .. }));
    });
    mock.run(request.send()).unwrap();
    assert_eq!(*heads.lock().unwrap(), 1);
}

/// What observers and plugins print while they are written, and after.
#[test]
fn debug_keeps_secrets() {
    let (mock, printed) = (Mock::new(), Log::default());
    let mut headers = HeaderMap::new();
    headers.insert("link", "</style.css?secret>".parse().unwrap());
    mock.enqueue(Reply::redirect(302, "/next?code=secret").informational(103, headers));
    mock.enqueue(Reply::refused());
    let (events, exchanges) = (printed.clone(), printed.clone());
    let watch = client_core::plugin_fn(client_core::Stage::Exchange, move |mut exchange, next: client_core::Next| {
        exchanges.0.lock().unwrap().push(format!("{exchange:?}"));
        async move { next.run(&mut exchange).await }
    });
    let http = HttpClient::builder(mock.clone())
        .install(watch)
        .observer(move |event: &Event<'_>| events.0.lock().unwrap().push(format!("{event:?}")))
        .build()
        .unwrap();
    let request = http.get("http://me:secret@h.example/path?token=secret").header("x-key", "secret");
    mock.run(request.send()).unwrap_err();
    let printed = printed.take().join("\n");
    assert!(!printed.contains("secret"), "{printed}");
    for part in [
        "CallStarted { method: GET, uri: http://h.example/path }",
        "PhaseStarted(Resolve)",
        "Informational { status: 103, headers: [\"link\"] }",
        "Redirected { status: 302, to: http://h.example/next }",
        "Failed(Error { kind: Connect",
        "headers: [\"authorization\", \"x-key\"]",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}
