//! The outermost layer around reqwest's connector: the connect limit of the call that dials, and what that call tells its observers.
//!
//! It stands outside of the user's own layers, so that the limit is for all of a dial: name, TCP, proxy, TLS. A dial whose call found a
//! connection in the pool meanwhile goes on in the background, under the same limit.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use client_core::{BoxError, Phase, Timer};
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tower_layer::Layer;
use tower_service::Service;

use crate::call::Call;

/// See the file's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectLayer;

impl<S> Layer<S> for ConnectLayer {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector(Arc::new(Mutex::new(inner)))
    }
}

/// hyper-util clones its connector several times for each request, and dials for few of them: what lies behind this one, boxes within boxes, is cloned
/// for a dial only.
#[derive(Debug)]
pub(crate) struct Connector<S>(Arc<Mutex<S>>);

impl<S> Clone for Connector<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// reqwest's types for a destination and a connection cannot be named; they need not be.
impl<S, To> Service<To> for Connector<S>
where
    S: Service<To, Error = BoxError> + Clone + Send + 'static,
    S::Response: Connection,
    S::Future: Send + 'static,
    To: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Always: the user's layers may take their time to be ready, a concurrency limit say, and that time counts.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: To) -> Self::Future {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let dial = async move {
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            inner.call(to).await
        };
        let Some(call) = Call::current() else {
            return Box::pin(dial);
        };
        call.dialing(Phase::Connect);
        Box::pin(async move {
            let connection = within(&call, dial).await?;
            call.dialed(remote_addr(&connection));
            Ok(connection)
        })
    }
}

/// The dial, ended by the call's limit.
async fn within<T>(call: &Call, dial: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    let started = call.clock().now();
    let limited = call.connect_limit().and_then(|limit| Some((limit, started.checked_add(limit)?)));
    let Some((limit, deadline)) = limited else {
        return dial.await;
    };
    let mut dial = pin!(dial);
    let mut sleep = call.clock().sleep_until(deadline);
    poll_fn(|cx| match dial.as_mut().poll(cx) {
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| {
            let elapsed = call.clock().now().saturating_duration_since(started);
            let phase = call.phase();
            Err(ConnectTimedOut { limit, elapsed, phase }.into())
        }),
        ready => ready,
    })
    .await
}

fn remote_addr(connection: &impl Connection) -> Option<SocketAddr> {
    let mut extras = http::Extensions::new();
    connection.connected().get_extras(&mut extras);
    extras.get().map(HttpInfo::remote_addr)
}

/// Travels through the errors of hyper-util and reqwest, and is found there by `error.rs`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectTimedOut {
    pub(crate) limit: Duration,
    pub(crate) elapsed: Duration,
    pub(crate) phase: Phase,
}

impl fmt::Display for ConnectTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {:?}", self.limit)
    }
}

impl StdError for ConnectTimedOut {}
