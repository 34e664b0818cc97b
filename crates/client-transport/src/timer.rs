//! The clock of engines that work on tokio.

use std::future::pending;

use client_core::{Instant, Sleep, Timer};
use tokio::runtime::Handle;

use crate::runtime::{Dispatcher, current};

/// tokio's clock; it obeys `tokio::time::pause`.
///
/// A sleep is at most 1 ms late, by tokio's granularity, and never early. Outside of any runtime a sleep never ends: no exchange can begin
/// there, and says so.
#[derive(Clone, Debug, Default)]
pub struct TokioTimer(Dispatcher);

impl TokioTimer {
    /// The clock of that dispatcher's runtime.
    pub fn new(dispatcher: Dispatcher) -> Self {
        Self(dispatcher)
    }
}

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        // Most are made within the caller's runtime, which need not be entered.
        let given = self.0.handle();
        if given.is_none() && current().is_err() {
            return Box::pin(pending());
        }
        let _entered = given.as_ref().map(Handle::enter);
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn never_early() {
        let timer = TokioTimer::default();
        for micros in [1, 300, 999, 1000, 1001, 1500] {
            let deadline = timer.now() + Duration::from_micros(micros);
            timer.sleep_until(deadline).await;
            assert!(timer.now() >= deadline, "{micros} us");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn obeys_virtual_time() {
        let timer = TokioTimer::default();
        let deadline = timer.now() + Duration::from_secs(3600);
        timer.sleep_until(deadline).await;
        assert!(timer.now() >= deadline);
    }

    #[test]
    fn no_runtime_no_panic() {
        let timer = TokioTimer::default();
        let mut sleep = timer.sleep_until(timer.now());
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
