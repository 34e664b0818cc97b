//! Which tokio runtime the engine works on, and its clock. Finding out that there is none must never panic, as tokio itself would.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;

use client_core::{Error, ErrorKind, Instant, Result, Sent, Sleep, Timer};
use tokio::runtime::Handle;

/// The runtime that connections and timers live on: the one that was given, else that of whoever calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dispatcher(Option<Handle>);

impl From<Handle> for Dispatcher {
    fn from(handle: Handle) -> Self {
        Self(Some(handle))
    }
}

impl Dispatcher {
    /// The runtime to work on.
    pub(crate) fn current(&self) -> Result<Handle> {
        self.0.clone().map_or_else(Handle::try_current, Ok).map_err(|error| {
            let message = "no tokio runtime: call from within one, or give the engine a dispatcher";
            Error::new(ErrorKind::Engine, message).with_sent(Sent::Nothing).with_source(error)
        })
    }

    /// Polls `work` within the runtime, so that the sockets, timers and tasks of reqwest land there, whatever executor the caller uses.
    pub(crate) async fn run<F: Future>(&self, mut work: Pin<&mut F>) -> F::Output {
        let Some(handle) = &self.0 else {
            return work.await;
        };
        poll_fn(|cx| {
            let _entered = handle.enter();
            work.as_mut().poll(cx)
        })
        .await
    }
}

/// tokio's clock; it obeys `tokio::time::pause`. Outside of any runtime a sleep never ends: no exchange can begin there, and says so.
impl Timer for Dispatcher {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let Ok(runtime) = self.current() else {
            return Box::pin(pending());
        };
        let _entered = runtime.enter();
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn outside_of_a_runtime_nothing_panics() {
        let dispatcher = Dispatcher::default();
        assert_eq!(
            dispatcher.current().unwrap_err().to_string(),
            "no tokio runtime: call from within one, or give the engine a dispatcher"
        );
        let mut sleep = dispatcher.sleep_until(dispatcher.now());
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    #[test]
    fn a_given_runtime_serves_any_executor() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dispatcher = Dispatcher::from(runtime.handle().clone());
        let id = futures::executor::block_on(dispatcher.run(pin!(async { Handle::current().id() })));
        assert_eq!(id, runtime.handle().id());
    }
}
