//! Virtual time: a clock that moves only when it is told to, or when everything waits for it. Knows nothing of HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use client_core::{Instant, Sleep, Timer};

/// A virtual clock. Clones share it.
///
/// Time stands still until a test moves it:
///
/// - [`run`](Self::run) drives a future and, whenever nothing is ready, jumps to the next deadline. An hour takes no time, and every
///   measured duration is exact. It is all that most tests need, and needs no runtime.
/// - [`run_for`](Self::run_for) does so for a bounded time, to look at what is halfway.
/// - [`advance`](Self::advance) moves time by hand, where another runtime drives the futures.
///
/// ```
/// use std::time::Duration;
/// use client_core::Timer;
/// use client_mock::MockTimer;
///
/// let timer = MockTimer::new();
/// let slept = timer.run(async {
///     timer.sleep_until(timer.now() + Duration::from_secs(3600)).await;
///     timer.elapsed()
/// });
/// assert_eq!(slept, Duration::from_secs(3600));
/// assert_eq!(timer.pending(), 0);
/// ```
#[derive(Clone)]
pub struct MockTimer(Arc<Shared>);

struct Shared {
    start: Instant,
    clock: Mutex<Clock>,
}

struct Clock {
    now: Instant,
    created: u64,
    /// By deadline, then in the order of their making.
    sleepers: BTreeMap<Key, Option<Waker>>,
}

type Key = (Instant, u64);

impl MockTimer {
    /// A clock that stands at zero.
    pub fn new() -> Self {
        let start = Instant::now();
        let clock = Clock {
            now: start,
            created: 0,
            sleepers: BTreeMap::new(),
        };
        Self(Arc::new(Shared {
            start,
            clock: Mutex::new(clock),
        }))
    }

    /// The virtual time that has passed since the clock was made.
    pub fn elapsed(&self) -> Duration {
        self.0.lock().now - self.0.start
    }

    /// How many sleeps are neither over nor dropped: zero, when no timer was left behind.
    pub fn pending(&self) -> usize {
        self.0.lock().sleepers.len()
    }

    /// How many sleeps were ever made.
    pub fn created(&self) -> u64 {
        self.0.lock().created
    }

    /// Moves time on by `duration`, and wakes whatever sleeps until then, in the order of the deadlines.
    pub fn advance(&self, duration: Duration) {
        let target = self.now() + duration;
        while self.wake_next(Some(target)) {}
        self.0.lock().now = target;
    }

    /// Drives `future` to its end. Whenever it waits, time jumps to the next deadline.
    ///
    /// # Panics
    /// If the future waits and no sleep is pending: nothing could ever wake it.
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        match self.drive(pin!(future), None) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!(
                "deadlock at {:?} of virtual time: the future waits, and no timer is pending that could wake it",
                self.elapsed()
            ),
        }
    }

    /// Drives `future` for at most `duration` of virtual time; [`Duration::ZERO`] polls what is ready now. Stops when the future is
    /// ready; while it is not, all of `duration` passes.
    ///
    /// ```
    /// # use std::{pin::pin, time::Duration};
    /// # use client_core::Timer;
    /// # let timer = client_mock::MockTimer::new();
    /// let mut sleep = pin!(timer.sleep_until(timer.now() + Duration::from_secs(5)));
    /// assert!(timer.run_for(Duration::from_secs(4), sleep.as_mut()).is_pending());
    /// assert!(timer.run_for(Duration::from_secs(4), sleep.as_mut()).is_ready());
    /// assert_eq!(timer.elapsed(), Duration::from_secs(5));
    /// ```
    pub fn run_for<F: Future + ?Sized>(&self, duration: Duration, future: Pin<&mut F>) -> Poll<F::Output> {
        self.drive(future, Some(self.now() + duration))
    }

    /// The executor: poll while anything is ready, then let time pass, at most until `end`.
    fn drive<F: Future + ?Sized>(&self, mut future: Pin<&mut F>, end: Option<Instant>) -> Poll<F::Output> {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            while woken.0.swap(false, Ordering::AcqRel) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(output);
                }
            }
            if !self.wake_next(end) {
                if let Some(end) = end {
                    self.0.lock().now = end;
                }
                return Poll::Pending;
            }
        }
    }

    /// Jumps to the next deadline and wakes who waits for it; false if there is none, or none until `end`.
    fn wake_next(&self, end: Option<Instant>) -> bool {
        let mut clock = self.0.lock();
        let Some(next) = clock.sleepers.first_entry() else {
            return false;
        };
        let deadline = next.key().0;
        if end.is_some_and(|end| deadline > end) {
            return false;
        }
        let waker = next.remove();
        clock.now = deadline;
        // A waker runs foreign code, which may look at this clock.
        drop(clock);
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

impl Timer for MockTimer {
    fn now(&self) -> Instant {
        self.0.lock().now
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let mut clock = self.0.lock();
        clock.created += 1;
        let key = (deadline, clock.created);
        if deadline > clock.now {
            clock.sleepers.insert(key, None);
        }
        drop(clock);
        Box::pin(MockSleep {
            shared: Arc::clone(&self.0),
            key,
        })
    }
}

impl Default for MockTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MockTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockTimer")
            .field("elapsed", &self.elapsed())
            .field("pending", &self.pending())
            .finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MockSleep {
    shared: Arc<Shared>,
    key: Key,
}

impl Future for MockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.shared.lock().sleepers.get_mut(&self.key) {
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            // Over: only time, passing the deadline, takes a sleep that is polled out of the map.
            None => Poll::Ready(()),
        }
    }
}

impl Drop for MockSleep {
    fn drop(&mut self) {
        self.shared.lock().sleepers.remove(&self.key);
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sleepers_wake_in_the_order_of_their_deadlines() {
        let timer = MockTimer::new();
        let order = Mutex::new(Vec::new());
        let sleeper = async |seconds: u32| {
            timer.sleep_until(timer.now() + SECOND * seconds).await;
            order.lock().unwrap().push((seconds, timer.elapsed().as_secs()));
        };
        timer.run(async {
            futures::join!(sleeper(3), sleeper(1), sleeper(2), sleeper(1));
        });
        assert_eq!(*order.lock().unwrap(), [(1, 1), (1, 1), (2, 2), (3, 3)]);
        assert_eq!((timer.pending(), timer.created()), (0, 4));
    }

    #[test]
    fn advancing_by_hand_stops_short_of_what_is_later() {
        let timer = MockTimer::new();
        let mut sleep = timer.sleep_until(timer.now() + SECOND * 5);
        timer.advance(SECOND * 4);
        assert!(timer.run_for(Duration::ZERO, sleep.as_mut()).is_pending());
        assert_eq!((timer.elapsed(), timer.pending()), (SECOND * 4, 1));
        timer.advance(SECOND * 4);
        assert!(timer.run_for(Duration::ZERO, sleep.as_mut()).is_ready());
        assert_eq!((timer.elapsed(), timer.pending()), (SECOND * 8, 0));
    }

    #[test]
    fn a_dropped_sleep_is_gone_and_a_past_one_ready() {
        let timer = MockTimer::new();
        drop(timer.sleep_until(timer.now() + SECOND));
        assert_eq!(timer.pending(), 0);
        timer.run(timer.sleep_until(timer.now()));
        assert_eq!(timer.elapsed(), Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "deadlock at 1s of virtual time")]
    fn a_deadlock_is_told() {
        let timer = MockTimer::new();
        timer.run(async {
            timer.sleep_until(timer.now() + SECOND).await;
            std::future::pending::<()>().await;
        });
    }
}
