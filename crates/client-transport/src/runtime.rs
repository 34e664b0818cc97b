//! Which tokio runtime an engine works on. Finding out that there is none must never panic.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use client_core::{Error, ErrorKind, Result, Sent};
use tokio::runtime::Handle;

pub use tokio::runtime::Id;

/// The runtime that an engine's connections and timers live on: by default that of whoever calls.
///
/// ```
/// use client_transport::runtime::Dispatcher;
///
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// let dispatcher = Dispatcher::from(runtime.handle().clone());
/// assert!(dispatcher.current().is_ok());
///
/// let error = Dispatcher::default().current().unwrap_err();
/// assert!(error.to_string().starts_with("no tokio runtime"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dispatcher(Option<Handle>);

impl From<Handle> for Dispatcher {
    /// A runtime of its own. It has to be driven: by `block_on`, or by worker threads.
    fn from(handle: Handle) -> Self {
        Self(Some(handle))
    }
}

impl Dispatcher {
    /// The runtime it was given, if any.
    pub fn handle(&self) -> Option<Handle> {
        self.0.clone()
    }

    /// The runtime it was given, or the caller's.
    ///
    /// # Errors
    /// [`ErrorKind::Engine`], where there is neither.
    pub fn current(&self) -> Result<Handle> {
        self.handle().map_or_else(current, Ok)
    }

    /// Which runtime that is: part of every [`Route`](crate::route::Route), as a connection lives and dies with its runtime.
    ///
    /// # Errors
    /// As [`current`](Self::current).
    pub fn id(&self) -> Result<Id> {
        self.0.as_ref().map_or_else(|| current().map(|handle| handle.id()), |handle| Ok(handle.id()))
    }

    /// Polls `work` within the runtime, so that its sockets and timers register there, whatever executor the caller uses.
    ///
    /// It borrows the work: futures are moved into each future that awaits them, and this one may be large.
    pub fn run<'a, T>(&'a self, mut work: Pin<&'a mut impl Future<Output = T>>) -> impl Future<Output = T> {
        poll_fn(move |cx| {
            let _entered = self.0.as_ref().map(Handle::enter);
            work.as_mut().poll(cx)
        })
    }
}

/// The caller's runtime.
///
/// # Errors
/// [`ErrorKind::Engine`], outside of any.
pub fn current() -> Result<Handle> {
    Handle::try_current().map_err(|error| {
        let message = "no tokio runtime: call from within one, or give the engine a dispatcher";
        Error::new(ErrorKind::Engine, message).with_sent(Sent::Nothing).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::net::TcpListener;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn outside_of_a_runtime_is_an_error() {
        let error = Dispatcher::default().id().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
        assert_eq!(error.to_string(), "no tokio runtime: call from within one, or give the engine a dispatcher");
    }

    #[test]
    fn runtimes_differ_by_id() {
        let (a, b) = (runtime(), runtime());
        let id = |runtime: &Runtime| runtime.block_on(async { Dispatcher::default().id().unwrap() });
        assert_ne!(id(&a), id(&b));
        assert_eq!(id(&a), Dispatcher::from(a.handle().clone()).id().unwrap());
    }

    #[test]
    fn a_given_runtime_serves_any_executor() {
        let runtime = runtime();
        let dispatcher = Dispatcher::from(runtime.handle().clone());
        let work = pin!(async { TcpListener::bind("127.0.0.1:0").await.is_ok() });
        let work = dispatcher.run(work);
        // Without the dispatcher, making a socket here panics. Binding is ready at once.
        let polled = pin!(work).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, std::task::Poll::Ready(true)));
    }
}
