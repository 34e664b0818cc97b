//! The bridge to [tower](https://docs.rs/tower): a client is a `Service`, and a `Layer` is a plugin.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Body;
use crate::client::HttpClient;
use crate::engine::BoxFuture;
use crate::error::{BoxError, Error, ErrorKind, Result, Sent};
use crate::exchange::Exchange;
use crate::plugin::{Next, Plugin, Stage};

impl<B: Into<Body>> Service<Request<B>> for HttpClient {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (client, request) = (self.clone(), request.map(Into::into));
        Box::pin(async move { client.execute::<Body>(request).await.map(Into::into) })
    }
}

/// A tower layer as a plugin. The layer is applied once, so that what it shares (a semaphore, a budget) is shared by all calls.
///
/// ```
/// use client_core::{Stage, tower::LayerPlugin};
///
/// let at_most_ten_at_a_time = LayerPlugin::new(Stage::Call, tower::limit::ConcurrencyLimitLayer::new(10));
/// # let _ = at_most_ten_at_a_time;
/// ```
pub struct LayerPlugin<S> {
    stage: Stage,
    service: Mutex<S>,
}

impl<S> LayerPlugin<S> {
    /// Puts `layer` around the rest of the call, at `stage`.
    pub fn new<L: Layer<NextService, Service = S>>(stage: Stage, layer: L) -> Self {
        Self {
            stage,
            service: Mutex::new(layer.layer(NextService(()))),
        }
    }
}

impl<S> fmt::Debug for LayerPlugin<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerPlugin").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl<S, B> Plugin for LayerPlugin<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn stage(&self) -> Stage {
        self.stage
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A layer may keep the request, and go on with it elsewhere.
        let mut exchange = exchange.take();
        Box::pin(async move {
            let mut request = std::mem::take(&mut exchange.request);
            request.extensions_mut().insert(Passenger {
                next,
                settings: Arc::new(exchange),
            });
            std::future::poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(|error| failed(error, Sent::Nothing))?;
            let response = service.call(request).await.map_err(|error| failed(error, Sent::Maybe))?;
            Ok(response.map(Body::from_http_body))
        })
    }
}

/// An error of ours passes through; any other is the layer's.
fn failed(error: impl Into<BoxError>, sent: Sent) -> Error {
    match error.into().downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => {
            let error = Error::new(ErrorKind::Engine, format!("a tower layer failed: {other}"));
            error.with_sent(sent).with_source(other)
        }
    }
}

/// What a layer wraps: the rest of the call.
#[derive(Clone, Debug)]
pub struct NextService(());

/// The rest of the call and the exchange's settings travel through the layer in the request's extensions.
#[derive(Clone)]
struct Passenger {
    next: Next,
    settings: Arc<Exchange>,
}

impl<B> Service<Request<B>> for NextService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let passenger = request.extensions_mut().remove::<Passenger>();
        Box::pin(async move {
            let Some(Passenger { next, settings }) = passenger else {
                return Err(Error::new(
                    ErrorKind::Engine,
                    "a tower layer dropped the request's extensions, in which the rest of the call travels",
                )
                .with_sent(Sent::Nothing));
            };
            let mut exchange = settings.clone_head();
            exchange.request = request.map(Body::from_http_body);
            next.run(&mut exchange).await
        })
    }
}
