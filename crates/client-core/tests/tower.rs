//! The bridge to tower, both ways: a client as a service, a layer as a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_core::tower::LayerPlugin;
use client_core::{Body, Bytes, Error, ErrorKind, HttpClient, Plugin, Sent, Stage};
use client_mock::{Mock, Reply};
use http::{Request, Response};
use tower::limit::ConcurrencyLimitLayer;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "http://h.example/";

fn with(mock: &Mock, plugin: impl Plugin) -> HttpClient {
    HttpClient::builder(mock.clone()).install(plugin).build().unwrap()
}

#[test]
fn a_client_is_a_service() {
    let mock = Mock::with(|request| Reply::text(format!("{} {}", request.method, request.text())));
    mock.enqueue(Reply::redirect(307, "/there"));
    let mut service = HttpClient::new(mock.clone());
    let request = Request::post(URL).header("x-a", "1").body("hi").unwrap();
    mock.run(async {
        let response = ServiceExt::<Request<&'static str>>::ready(&mut service).await.unwrap().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, 200);
        let text = client_core::Response::from(Response::from_parts(parts, body)).text().await.unwrap();
        assert_eq!(text, "POST hi");
    });
    assert_eq!(mock.requests()[1].header("x-a"), Some("1"));
    // The same for a request that cannot be sent: an error, no panic.
    let relative = Request::get("/path").body(()).unwrap();
    let error = mock.run(service.call(relative)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn a_concurrency_limit_is_shared_by_all_calls() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mock = Mock::with(|_| Reply::new().delay(SECOND));
    let (inside, highest) = (Arc::clone(&running), Arc::clone(&most));
    let count = client_core::plugin_fn(Stage::Exchange, move |mut exchange, next: client_core::Next| {
        let (inside, highest) = (Arc::clone(&inside), Arc::clone(&highest));
        async move {
            highest.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let answer = next.run(&mut exchange).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            answer
        }
    });
    let limit = LayerPlugin::new(Stage::Call, ConcurrencyLimitLayer::new(2));
    let http = HttpClient::builder(mock.clone()).install(limit).install(count).build().unwrap();
    mock.run(async {
        let calls = (0..6).map(|_| http.clone().get(URL).send());
        futures::future::join_all(calls).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    });
    assert_eq!(most.load(Ordering::SeqCst), 2);
    // Six calls of a second, two at a time.
    assert_eq!(mock.timer().elapsed(), SECOND * 3);
}

#[test]
fn a_layer_may_change_request_and_response() {
    let mock = Mock::with(|_| Reply::text("small"));
    let tag = MapRequestLayer::new(|mut request: Request<Body>| {
        request.headers_mut().insert("x-tag", "1".parse().unwrap());
        request
    });
    let http = with(&mock, LayerPlugin::new(Stage::Exchange, tag));
    mock.run(http.get(URL).timeout(|t| t.socket(SECOND)).version(http::Version::HTTP_2).send()).unwrap();
    let request = &mock.requests()[0];
    assert_eq!(request.header("x-tag"), Some("1"));
    // The settings that are no part of an `http::Request` pass around the layer.
    assert_eq!((request.timeouts.socket_limit(), request.version), (Some(SECOND), Some(http::Version::HTTP_2)));
}

/// A body of another type: of one piece, in capitals.
struct Loud(Option<Bytes>);

impl http_body::Body for Loud {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}

#[test]
fn a_layer_may_change_the_bodys_type() {
    let mock = Mock::with(|request| Reply::text(request.text()));
    let loud = MapResponseLayer::new(|response: Response<Body>| response.map(|_| Loud(Some(Bytes::from_static(b"LOUD")))));
    let http = with(&mock, LayerPlugin::new(Stage::Decode, loud));
    assert_eq!(mock.run(async { http.get(URL).send().await?.text().await }).unwrap(), "LOUD");

    let request = MapRequestLayer::new(|request: Request<Body>| request.map(|_| Loud(Some(Bytes::from_static(b"SENT")))));
    let http = with(&mock, LayerPlugin::new(Stage::Exchange, request));
    assert_eq!(mock.run(async { http.post(URL).body("quiet").send().await?.text().await }).unwrap(), "SENT");
}

#[test]
fn a_replayable_body_survives_a_layer() {
    let mock = Mock::with(|_| Reply::new());
    mock.enqueue(Reply::redirect(307, "/there"));
    let nothing = LayerPlugin::new(Stage::Call, tower::layer::util::Identity::new());
    let http = with(&mock, nothing);
    mock.run(http.post(URL).body("body").send()).unwrap();
    assert!(mock.requests().iter().all(|request| request.text() == "body"));
    assert_eq!(mock.requests().len(), 2);
}

/// Answers some requests by itself, in one of the ways that go wrong.
#[derive(Clone)]
struct Faulty<S>(S, fn(&mut Request<Body>) -> Result<(), tower::BoxError>);

impl<S> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = tower::BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, tower::BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Err(error) = self.1(&mut request) {
            return Box::pin(async { Err(error) });
        }
        let call = self.0.call(request);
        Box::pin(async { call.await.map_err(Into::into) })
    }
}

fn faulty<S>(fault: fn(&mut Request<Body>) -> Result<(), tower::BoxError>) -> impl Layer<S, Service = Faulty<S>> {
    tower::layer::layer_fn(move |inner| Faulty(inner, fault))
}

#[test]
fn errors_pass_through_a_layer_as_they_are() {
    let mock = Mock::with(|_| Reply::refused());
    let http = with(&mock, LayerPlugin::new(Stage::Call, faulty(|_| Ok(()))));
    assert_eq!(mock.run(http.get(URL).send()).unwrap_err().kind(), ErrorKind::Connect);

    let http = with(&mock, LayerPlugin::new(Stage::Call, faulty(|_| Err("overloaded".into()))));
    let error = mock.run(http.get(URL).send()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Engine);
    assert_eq!(error.to_string(), format!("a tower layer failed: overloaded for {URL}"));
    // Whether it let the request pass before it failed, nobody knows.
    assert_eq!(error.sent(), Sent::Maybe);

    let forgetful = faulty(|request| {
        request.extensions_mut().clear();
        Ok(())
    });
    let http = with(&mock, LayerPlugin::new(Stage::Call, forgetful));
    let error = mock.run(http.get(URL).send()).unwrap_err();
    assert!(error.to_string().contains("dropped the request's extensions"), "{error}");
}
