//! The clock of an engine without a runtime: one thread that sleeps until the next deadline, while there is any.
//!
//! What must never enter this file: HTTP, the worker threads.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use client_core::{Instant, Sleep, Timer};

/// How long the thread stays when nobody sleeps; requests with a time limit come in series.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The timer. Clones share its thread.
#[derive(Clone, Default)]
pub(crate) struct ThreadTimer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sleepers: BTreeMap<Key, Waker>,
    next_id: u64,
    has_thread: bool,
    is_closed: bool,
}

type Key = (Instant, u64);

impl ThreadTimer {
    /// The thread ends as soon as nobody sleeps.
    pub(crate) fn close(&self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl Timer for ThreadTimer {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(Sleeper {
            shared: Arc::clone(&self.0),
            deadline,
            key: None,
        })
    }
}

struct Sleeper {
    shared: Arc<Shared>,
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
        let mut state = this.shared.lock();
        let key = *this.key.get_or_insert_with(|| {
            state.next_id += 1;
            (this.deadline, state.next_id)
        });
        state.sleepers.insert(key, cx.waker().clone());
        if !state.has_thread {
            let shared = Arc::clone(&this.shared);
            state.has_thread = thread::Builder::new().name("client-ureq-timer".into()).spawn(move || shared.run()).is_ok();
            if !state.has_thread {
                // A system without a thread to spare: being polled in a circle is costly, never waking would be wrong.
                cx.waker().wake_by_ref();
            }
        } else if state.sleepers.first_key_value().is_some_and(|(first, _)| *first == key) {
            this.shared.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.shared.lock().sleepers.remove(&key);
            // Not under the lock: a waker may be anything.
            drop(waker);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let first = state.sleepers.first_key_value().map(|(key, _)| key.0);
            let wait = match first {
                Some(deadline) if deadline <= now => {
                    let waker = state.sleepers.pop_first().map(|(_, waker)| waker);
                    drop(state);
                    waker.into_iter().for_each(Waker::wake);
                    state = self.lock();
                    continue;
                }
                Some(deadline) => deadline - now,
                None if state.is_closed => break,
                None => KEEP_ALIVE,
            };
            let (woken, timeout) = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if first.is_none() && timeout.timed_out() && state.sleepers.is_empty() {
                break;
            }
        }
        state.has_thread = false;
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;

    #[test]
    fn never_early_whatever_the_order() {
        let timer = ThreadTimer::default();
        let sleeps = [7, 1, 5, 3, 0, 2].map(|millis| {
            let deadline = timer.now() + Duration::from_millis(millis);
            let sleep = timer.sleep_until(deadline);
            async move {
                sleep.await;
                assert!(Instant::now() >= deadline);
            }
        });
        block_on(join_all(sleeps));
        assert!(timer.0.lock().sleepers.is_empty());
    }

    #[test]
    fn dropping_a_sleep_frees_it_and_closing_ends_the_thread() {
        let timer = ThreadTimer::default();
        let mut sleep = timer.sleep_until(timer.now() + Duration::from_secs(3600));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert!(timer.0.lock().has_thread);
        drop(sleep);
        assert!(timer.0.lock().sleepers.is_empty());
        timer.close();
        while timer.0.lock().has_thread {
            thread::yield_now();
        }
        // It is needed once more.
        block_on(timer.sleep_until(timer.now() + Duration::from_millis(1)));
    }
}
