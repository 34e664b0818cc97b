//! Whether a silent server still lives (RFC 9113 §6.7): after a while of silence, while calls wait, it is asked; after a while without an answer,
//! it is dead. Anything that it sends is an answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep_until};

/// Watches one connection.
pub(super) struct KeepAlive {
    pings: PingPong,
    interval: Duration,
    limit: Duration,
    /// Since when calls wait; `None` while there are none.
    busy: Option<Instant>,
    /// When the server was asked; `None` if it has answered.
    asked: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    pub(super) fn new(pings: PingPong, interval: Duration, limit: Duration) -> Self {
        Self {
            pings,
            interval,
            limit,
            busy: None,
            asked: None,
            timer: None,
        }
    }

    /// Ready when the server is dead. To be called whenever the connection has been looked after, which was `heard` of then.
    pub(super) fn poll(&mut self, is_busy: bool, heard: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.asked.is_some() && self.pings.poll_pong(cx).is_ready() {
            self.asked = None;
        }
        if !is_busy {
            self.busy = None;
            return Poll::Pending;
        }
        loop {
            let since = *self.busy.get_or_insert_with(Instant::now);
            let deadline = match self.asked {
                Some(asked) => asked.max(heard).checked_add(self.limit),
                None => since.max(heard).checked_add(self.interval),
            };
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // It is moved only when it fires, or is too late: not at every frame.
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            while Instant::now() < deadline {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                timer.as_mut().reset(deadline);
            }
            if self.asked.is_some() {
                return Poll::Ready(());
            }
            // Fails only if one is on its way, which then is the question.
            let _ = self.pings.send_ping(Ping::opaque());
            self.asked = Some(Instant::now());
            if self.pings.poll_pong(cx).is_ready() {
                self.asked = None;
            }
        }
    }
}
