//! hyper's connection, driven by the task of whoever uses it: what hyper would spawn a task for is polled where its outcome is waited for.
//!
//! One task then serves an exchange, where two would wake each other at its every step. Between exchanges nobody drives the connection; whether it
//! lives is asked when it is wanted again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// See the file's head. Dropped, the connection is closed.
pub(crate) struct Drive {
    /// `None` once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    relay: Arc<Relay>,
    /// The relay's: the same for all exchanges, so that nothing in hyper has to note another.
    waker: Waker,
}

/// Wakes whoever waits, if anybody does. What hyper leaves its waker with outlives the wait: it must wake nobody later.
#[derive(Default)]
struct Relay(Mutex<Told>);

#[derive(Default)]
struct Told {
    task: Option<Waker>,
    /// It was called while nobody waited.
    is_due: bool,
}

impl Drive {
    pub(crate) fn new(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        let relay = Arc::<Relay>::default();
        Self {
            connection: Some(Box::pin(connection)),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }

    /// Lets the connection do what it can, and then `look`s for what that has brought. If that is nothing, the task is woken when there is more to do.
    pub(crate) fn poll<T>(&mut self, cx: &Context<'_>, look: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.relay.rest();
        if let Some(connection) = &mut self.connection {
            // What it ends with, the exchange on it has been told.
            if connection.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
                self.connection = None;
            }
        }
        // It can only come of what the connection does, here.
        let found = look(&mut Context::from_waker(Waker::noop()));
        if found.is_pending() {
            self.relay.serve(cx.waker());
        }
        found
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.connection.is_none()
    }
}

impl Relay {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits.
    fn rest(&self) {
        let before = std::mem::take(&mut *self.lock());
        // Not under the lock: a waker may be anything.
        drop(before);
    }

    /// The task waits; if something has come since nobody did, it is woken at once.
    fn serve(&self, task: &Waker) {
        let task = task.clone();
        let mut told = self.lock();
        if told.is_due {
            drop(told);
            task.wake();
        } else {
            told.task = Some(task);
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut told = self.lock();
        let task = told.task.take();
        told.is_due = task.is_none();
        drop(told);
        task.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection that leaves its waker there, and ends after so many polls.
    fn drive(polls: usize) -> (Drive, Arc<Mutex<Option<Waker>>>) {
        let left = Arc::<Mutex<Option<Waker>>>::default();
        let (place, mut polled) = (Arc::clone(&left), 0);
        let connection = poll_fn(move |cx| {
            *place.lock().unwrap() = Some(cx.waker().clone());
            polled += 1;
            if polled < polls { Poll::Pending } else { Poll::Ready(Ok(())) }
        });
        (Drive::new(connection), left)
    }

    #[test]
    fn a_task_is_woken_once_while_it_waits_and_never_after() {
        let (mut drive, left) = drive(9);
        let counter = Arc::<Counter>::default();
        let (waker, woken) = (Waker::from(Arc::clone(&counter)), || counter.0.load(Ordering::Relaxed));
        let cx = Context::from_waker(&waker);
        assert!(drive.poll(&cx, |_| Poll::<()>::Pending).is_pending());
        let hyper = left.lock().unwrap().clone().unwrap();
        hyper.wake_by_ref();
        hyper.wake_by_ref();
        assert_eq!(woken(), 1);
        assert!(drive.poll(&cx, |_| Poll::Ready(())).is_ready());
        hyper.wake_by_ref();
        assert_eq!(woken(), 1, "nobody waits");
        // What has come since then is looked at, and what comes while it is, is not missed.
        assert!(drive.poll(&cx, |_| Poll::<()>::Pending).is_pending());
        assert_eq!(woken(), 1);
        assert!(
            drive
                .poll(&cx, |_| {
                    hyper.wake_by_ref();
                    Poll::<()>::Pending
                })
                .is_pending()
        );
        assert_eq!(woken(), 2);
    }

    #[test]
    fn a_connection_that_has_ended_is_not_polled_again() {
        let (mut drive, _) = drive(1);
        let cx = Context::from_waker(Waker::noop());
        assert!(!drive.has_ended());
        for _ in 0..2 {
            assert!(drive.poll(&cx, |_| Poll::Ready(())).is_ready());
            assert!(drive.has_ended());
        }
    }
}
