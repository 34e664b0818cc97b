//! The socket timeout: the longest silence between two packets (DESIGN: `socket`). It is no limit of bandwidth: any byte begins it anew.
//!
//! No timer exists until there is something to wait for, and it is not moved at every packet: when it fires, it looks whether the
//! silence has really lasted, and otherwise sleeps on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use client_core::{Error, Phase, TimeoutKind};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

/// A limit for silence, if there is one.
pub type SocketTimeout = Option<Duration>;

/// A timer that one exchange after the other can use.
pub type Timer = Pin<Box<Sleep>>;

/// Watches one exchange for silence.
pub struct Silence {
    limit: SocketTimeout,
    /// Since when nothing has happened; `None` while nobody waits for the peer.
    since: Option<Instant>,
    timer: Option<Timer>,
    /// The body may be read outside of the runtime; its timers have to be made inside.
    runtime: Option<Handle>,
}

impl Silence {
    /// A watch that has seen nothing yet. To be made within the runtime.
    pub fn new(limit: SocketTimeout) -> Self {
        Self {
            limit,
            since: None,
            timer: None,
            runtime: limit.and_then(|_| Handle::try_current().ok()),
        }
    }

    /// The same watch for another exchange, with its timer: that is made once in the life of a connection, and not set for each exchange. Between two, the task
    /// that waited last may be woken once, for nothing.
    pub fn renew(&mut self, limit: SocketTimeout) {
        (self.limit, self.since) = (limit, None);
        if limit.is_some() && self.runtime.is_none() {
            self.runtime = Handle::try_current().ok();
        }
    }

    /// A byte came or went, or the silence is our own.
    pub fn broken(&mut self) {
        self.since = None;
    }

    /// The peer is silent; ready when it has been for too long.
    pub fn poll(&mut self, phase: Phase, cx: &mut Context<'_>) -> Poll<Error> {
        self.poll_unless(|| None, phase, cx)
    }

    /// The same, where the silence may have been our own, or `heard` of otherwise: it is asked when that was, once the time is over.
    pub fn poll_unless(&mut self, heard: impl Fn() -> Option<Instant>, phase: Phase, cx: &mut Context<'_>) -> Poll<Error> {
        let (Some(limit), Some(runtime)) = (self.limit, &self.runtime) else {
            return Poll::Pending;
        };
        let mut since = *self.since.get_or_insert_with(Instant::now);
        let Some(deadline) = since.checked_add(limit) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| {
            let _inside = runtime.enter();
            Box::pin(sleep_until(deadline))
        });
        // An earlier exchange may have had a longer limit.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if let Some(heard) = heard().filter(|&heard| heard > since) {
                since = heard;
                self.since = Some(since);
            }
            let elapsed = since.elapsed();
            if elapsed >= limit {
                return Poll::Ready(Error::timeout(TimeoutKind::Socket, limit, elapsed, phase));
            }
            let Some(deadline) = since.checked_add(limit) else {
                return Poll::Pending;
            };
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use super::*;

    /// The timer that an exchange left set is no limit of the next one, be that shorter, longer or none.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_renewed_has_the_new_limit() {
        let seconds = Duration::from_secs;
        let noop = || Context::from_waker(Waker::noop());
        let mut silence = Silence::new(Some(seconds(60)));
        assert!(silence.poll(Phase::Head, &mut noop()).is_pending());
        for limit in [1, 30, 5] {
            silence.renew(Some(seconds(limit)));
            let started = Instant::now();
            let error = poll_fn(|cx| silence.poll(Phase::Head, cx)).await;
            assert!(error.is_timeout());
            let elapsed = started.elapsed();
            assert!((seconds(limit)..seconds(limit + 1)).contains(&elapsed), "{limit} s: {elapsed:?}");
            // Set again for the next one, which then never comes to wait.
            silence.renew(Some(seconds(limit)));
            assert!(silence.poll(Phase::Head, &mut noop()).is_pending());
        }
        silence.renew(None);
        tokio::time::advance(seconds(100)).await;
        assert!(silence.poll(Phase::Head, &mut noop()).is_pending());
    }
}
