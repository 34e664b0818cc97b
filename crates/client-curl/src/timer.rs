//! The engine's clock: the driver's thread wakes whoever sleeps, so that no runtime is needed.
//!
//! What must never enter this file: transfers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use client_core::{Instant, Sleep, Timer};

use crate::driver::{Driver, Key};

impl Timer for Driver {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(Sleeper {
            driver: self.clone(),
            deadline,
            key: None,
        })
    }
}

/// The clock of an engine that cannot be built: nothing will ever wait for it.
pub(crate) struct NoTimer;

impl Timer for NoTimer {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, _: Instant) -> Sleep {
        Box::pin(std::future::pending())
    }
}

struct Sleeper {
    driver: Driver,
    deadline: Instant,
    key: Option<Key>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let key = *this.key.get_or_insert_with(|| (this.deadline, this.driver.next_id()));
        if this.driver.sleep(key, cx.waker().clone()).is_err() {
            // A system without a thread to spare: being polled in a circle is costly, never waking would be wrong.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.driver.forget(key);
        }
    }
}
