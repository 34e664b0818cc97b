//! Ending everything that is under way, the same on every engine: cancellation is drop, so to abort is to drop each exchange and each response
//! body, wherever they are. What an engine does then is what it does for any call that is given up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, ErrorKind, Sent};

/// The exchanges of an engine that are under way, those included whose responses are being read.
#[derive(Default)]
pub(crate) struct UnderWay {
    is_aborted: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// Who is to be woken: a slab, so that waiting costs no allocation once it has grown.
#[derive(Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl UnderWay {
    /// One exchange more.
    pub(crate) fn enter(self: &Arc<Self>) -> Membership {
        Membership {
            under_way: Arc::clone(self),
            place: None,
        }
    }

    /// Ends them all. Idempotent.
    pub(crate) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut *self.waiting()).wakers;
        // Woken without the lock: a waker may run its task at once.
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One exchange's place among those that are under way; dropped at its end.
pub(crate) struct Membership {
    under_way: Arc<UnderWay>,
    /// Taken when it has to wait for the first time.
    place: Option<usize>,
}

impl Membership {
    /// Whether everything has been ended, without waiting for it.
    pub(crate) fn is_aborted(&self) -> bool {
        self.under_way.is_aborted.load(Ordering::Acquire)
    }

    /// Ready once everything has been ended; until then the task is woken when that happens.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, sent: Sent) -> Poll<Error> {
        let mut waiting = self.under_way.waiting();
        // Under the lock: whoever aborts sets it first, and takes the wakers then.
        if self.is_aborted() {
            drop(waiting);
            return Poll::Ready(aborted(sent));
        }
        let waker = cx.waker();
        match self.place {
            Some(place) => match &mut waiting.wakers[place] {
                Some(known) => known.clone_from(waker),
                empty => *empty = Some(waker.clone()),
            },
            None => {
                let place = waiting.free.pop().unwrap_or_else(|| {
                    waiting.wakers.push(None);
                    waiting.wakers.len() - 1
                });
                waiting.wakers[place] = Some(waker.clone());
                self.place = Some(place);
            }
        }
        Poll::Pending
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut waiting = self.under_way.waiting();
        // Gone already, if everything was aborted.
        let waker = waiting.wakers.get_mut(place).map(Option::take);
        if waker.is_some() {
            waiting.free.push(place);
        }
        drop(waiting);
    }
}

/// What becomes of an exchange that is ended.
pub(crate) fn aborted(sent: Sent) -> Error {
    Error::new(ErrorKind::Closed, "the client was aborted").with_sent(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let under_way = Arc::<UnderWay>::default();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut members: Vec<_> = (0..4).map(|_| under_way.enter()).collect();
            for member in &mut members {
                assert!(member.poll(&mut cx, Sent::Nothing).is_pending());
                assert!(member.poll(&mut cx, Sent::Nothing).is_pending());
            }
            drop(members);
            let waiting = under_way.waiting();
            assert_eq!((waiting.wakers.len(), waiting.free.len()), (4, 4));
            assert!(waiting.wakers.iter().all(Option::is_none));
        }
    }

    #[test]
    fn an_end_is_an_end() {
        let under_way = Arc::<UnderWay>::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut early, mut late) = (under_way.enter(), under_way.enter());
        assert!(early.poll(&mut cx, Sent::Nothing).is_pending());
        under_way.abort();
        under_way.abort();
        for member in [&mut early, &mut late] {
            assert!(member.is_aborted());
            let Poll::Ready(error) = member.poll(&mut cx, Sent::Maybe) else {
                panic!()
            };
            assert_eq!((error.kind(), error.sent()), (ErrorKind::Closed, Sent::Maybe));
        }
        drop(early);
        assert!(under_way.enter().is_aborted());
    }
}
