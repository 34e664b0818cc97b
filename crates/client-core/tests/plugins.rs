//! Plugins: their order is that of the stages, not of installing; what they may change, and what is checked after them.

use std::sync::{Arc, Mutex};

use client_core::{
    Body, BoxFuture, Capabilities, Capability, Engine, Error, ErrorKind, Exchange, HttpClient, HttpClientBuilder, Next, Plugin,
    Redirect, Result, Stage, plugin_fn,
};
use client_mock::{Mock, Reply};
use http::Response;

const URL: &str = "http://h.example/";

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Says when it is passed, inwards and outwards.
struct Says {
    stage: Stage,
    name: &'static str,
    log: Log,
}

impl Plugin for Says {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(async move {
            self.log.lock().unwrap().push(self.name);
            let answer = next.run(exchange).await;
            self.log.lock().unwrap().push(self.name);
            answer
        })
    }
}

const STAGES: [(Stage, &str); 9] = [
    (Stage::Call, "call"),
    (Stage::Validate, "validate"),
    (Stage::Decode, "decode"),
    (Stage::Redirect, "redirect"),
    (Stage::Retry, "retry"),
    (Stage::Auth, "auth"),
    (Stage::Cookies, "cookies"),
    (Stage::Cache, "cache"),
    (Stage::Exchange, "exchange"),
];

fn says(builder: HttpClientBuilder, log: &Log, stages: impl Iterator<Item = (Stage, &'static str)>) -> HttpClientBuilder {
    stages.fold(builder, |builder, (stage, name)| {
        builder.install(Says {
            stage,
            name,
            log: Arc::clone(log),
        })
    })
}

fn order_of(stages: impl Iterator<Item = (Stage, &'static str)>) -> Vec<&'static str> {
    let (mock, log) = (Mock::with(|_| Reply::new()), Log::default());
    let http = says(HttpClient::builder(mock.clone()), &log, stages).build().unwrap();
    mock.run(http.get(URL).send()).unwrap();
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn the_order_is_that_of_the_stages() {
    let names: Vec<_> = STAGES.iter().map(|(_, name)| *name).collect();
    let expected: Vec<_> = names.iter().chain(names.iter().rev()).copied().collect();
    assert_eq!(order_of(STAGES.into_iter()), expected);
    assert_eq!(order_of(STAGES.into_iter().rev()), expected);
    // Neither sorted nor reversed.
    assert_eq!(order_of((0..9).map(|i| STAGES[i * 4 % 9])), expected);
}

#[test]
fn within_a_stage_it_is_that_of_installing() {
    let same = [
        (Stage::Auth, "first"),
        (Stage::Call, "outer"),
        (Stage::Auth, "second"),
        (Stage::Auth, "third"),
    ];
    assert_eq!(order_of(same.into_iter())[..4], ["outer", "first", "second", "third"]);
}

#[test]
fn what_is_within_a_redirect_runs_once_per_hop() {
    let (mock, log) = (Mock::with(|_| Reply::new()), Log::default());
    mock.enqueue(Reply::redirect(302, "/1"));
    let inner = [(Stage::Decode, "outside"), (Stage::Retry, "inside")];
    let http = says(HttpClient::builder(mock.clone()), &log, inner.into_iter()).build().unwrap();
    mock.run(http.get(URL).send()).unwrap();
    assert_eq!(*log.lock().unwrap(), ["outside", "inside", "inside", "inside", "inside", "outside"]);
}

#[test]
fn a_unique_plugin_is_replaced() {
    // Were the first one still there, it would follow.
    let mock = Mock::with(|_| Reply::redirect(302, "/loop"));
    let builder = HttpClient::builder(mock.clone()).install(Redirect::limit(7)).install(Redirect::none());
    let response = mock.run(builder.build().unwrap().get(URL).send()).unwrap();
    assert_eq!((response.status().as_u16(), mock.requests().len()), (302, 1));
}

#[test]
fn a_closure_may_do_all_of_it() {
    // Answers itself: the engine sees nothing.
    let mock = Mock::new();
    let cached = plugin_fn(Stage::Cache, async |_: Exchange, _: Next| Ok(Response::new(Body::from("stored"))));
    let http = HttpClient::builder(mock.clone()).install(cached).build().unwrap();
    assert_eq!(mock.run(async { http.get(URL).send().await?.text().await }).unwrap(), "stored");
    assert!(mock.requests().is_empty());

    // Repeats what failed.
    let mock = Mock::with(|request| Reply::text(request.text()));
    mock.enqueue(Reply::refused());
    mock.enqueue(Reply::error(ErrorKind::Closed, "reset"));
    let retry = plugin_fn(Stage::Retry, async |exchange: Exchange, next: Next| {
        loop {
            let mut again = exchange.try_clone().expect("a body in memory");
            if let Ok(response) = next.run(&mut again).await {
                return Ok(response);
            }
        }
    });
    let http = HttpClient::builder(mock.clone()).install(retry).build().unwrap();
    assert_eq!(mock.run(async { http.post(URL).body("body").send().await?.text().await }).unwrap(), "body");
    assert_eq!(mock.requests().len(), 3);

    // Fails the call, by an error that gets its place.
    let mock = Mock::new();
    let refuse = plugin_fn(Stage::Validate, async |_: Exchange, _: Next| Err(Error::new(ErrorKind::Engine, "not today")));
    let http = HttpClient::builder(mock.clone()).install(refuse).build().unwrap();
    let error = mock.run(http.get(URL).send()).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.engine()), ("not today for http://h.example/", Some("mock")));
}

/// One setting of everything that a plugin can say before a call.
#[derive(Clone, Copy)]
struct Configured {
    requires: Capabilities,
    is_right: bool,
    prepares: fn(&mut Exchange) -> Result<()>,
    applies: bool,
}

const IDLE: Configured = Configured {
    requires: Capabilities::NONE,
    is_right: true,
    prepares: |_| Ok(()),
    applies: true,
};

impl Plugin for Configured {
    fn stage(&self) -> Stage {
        Stage::Exchange
    }

    fn requires(&self) -> Capabilities {
        self.requires
    }

    fn check(&self) -> Result<()> {
        self.is_right
            .then_some(())
            .ok_or_else(|| Error::new(ErrorKind::InvalidRequest, "a setting that makes no sense"))
    }

    fn prepare(&self, exchange: &mut Exchange) -> Result<()> {
        (self.prepares)(exchange)
    }

    fn applies(&self, _: &Exchange) -> bool {
        self.applies
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        exchange.request.headers_mut().insert("x-handled", http::HeaderValue::from_static("1"));
        Box::pin(async move { next.run(exchange).await })
    }
}

#[test]
fn what_can_be_known_is_refused_at_build() {
    let played = Mock::new().capabilities();
    let mock = Mock::builder().capabilities(played.without(Capability::Tls)).build();
    let build = |plugin: Configured| HttpClient::builder(mock.clone()).install(plugin).build();
    let lacking = build(Configured {
        requires: Capabilities::from(Capability::Http1).with(Capability::Tls),
        ..IDLE
    });
    let error = lacking.unwrap_err();
    assert_eq!(
        (error.kind(), error.capability(), error.engine()),
        (ErrorKind::Unsupported, Some(Capability::Tls), Some("mock"))
    );
    let wrong = build(Configured { is_right: false, ..IDLE });
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert!(build(IDLE).is_ok());
}

#[test]
fn settings_are_merged_before_the_gate() {
    let ask = |prepares: fn(&mut Exchange) -> Result<()>, played: Capabilities| {
        let mock = Mock::builder().capabilities(played).handler(|_| Reply::new()).build();
        let http = HttpClient::builder(mock.clone()).install(Configured { prepares, ..IDLE }).build().unwrap();
        let answer = mock.run(http.get(URL).send()).map(drop);
        (answer, mock.requests())
    };
    let all = Mock::new().capabilities();
    let (answer, requests) = ask(|_| Err(Error::new(ErrorKind::InvalidRequest, "no")), all);
    assert_eq!((answer.unwrap_err().kind(), requests.len()), (ErrorKind::InvalidRequest, 0));
    let wants_http2 = |exchange: &mut Exchange| {
        exchange.version = Some(http::Version::HTTP_2);
        Ok(())
    };
    let (answer, requests) = ask(wants_http2, all.without(Capability::Http2PriorKnowledge));
    assert_eq!((answer.unwrap_err().capability(), requests.len()), (Some(Capability::Http2PriorKnowledge), 0));
    let (answer, requests) = ask(wants_http2, all);
    assert!(answer.is_ok());
    assert_eq!(requests[0].version, Some(http::Version::HTTP_2));
}

#[test]
fn what_a_plugin_asks_for_later_is_checked_too() {
    // Within the redirects and around them, where the exchange has passed the gate already.
    for stage in [Stage::Call, Stage::Exchange] {
        let streaming = plugin_fn(stage, async |mut exchange: Exchange, next: Next| {
            let body = std::mem::take(exchange.request.body_mut());
            *exchange.request.body_mut() = Body::stream(futures::stream::iter(body.as_bytes().cloned().map(Ok::<_, Error>)));
            next.run(&mut exchange).await
        });
        let lesser = Mock::new().capabilities().without(Capability::StreamingUpload);
        let mock = Mock::builder().capabilities(lesser).handler(|_| Reply::new()).build();
        let http = HttpClient::builder(mock.clone()).install(streaming).build().unwrap();
        let error = mock.run(http.post(URL).body("abc").send()).unwrap_err();
        assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(Capability::StreamingUpload)));
        assert!(mock.requests().is_empty());
    }
}

#[test]
fn a_plugin_that_does_not_apply_is_passed_by() {
    for applies in [true, false] {
        let mock = Mock::with(|_| Reply::new());
        let http = HttpClient::builder(mock.clone()).install(Configured { applies, ..IDLE }).build().unwrap();
        mock.run(http.get(URL).send()).unwrap();
        assert_eq!(mock.requests()[0].header("x-handled").is_some(), applies);
    }
}

#[test]
fn next_knows_the_clock_and_the_engine() {
    let mock = Mock::with(|_| Reply::new().delay(std::time::Duration::from_secs(3)));
    let timed = plugin_fn(Stage::Call, async |mut exchange: Exchange, next: Next| {
        let started = next.timer().now();
        let mut response = next.run(&mut exchange).await?;
        assert_eq!(next.engine().name(), "mock");
        response.extensions_mut().insert(next.timer().now() - started);
        Ok(response)
    });
    let http = HttpClient::builder(mock.clone()).install(timed).build().unwrap();
    let response = mock.run(http.get(URL).send()).unwrap();
    assert_eq!(response.extensions().get(), Some(&std::time::Duration::from_secs(3)));
}
