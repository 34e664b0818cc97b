//! Informational responses on their way from hyper's task to that of the call, which alone tells of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use http::{HeaderMap, Request, StatusCode};

/// Those that nobody has looked at yet.
#[derive(Clone, Default)]
pub(crate) struct Mailbox(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    heads: VecDeque<(StatusCode, HeaderMap)>,
    waker: Option<Waker>,
}

/// More than this many at a time are not kept: a call reads them as they come, and accepts no more than its limit.
const KEPT: usize = 64;

impl Mailbox {
    /// Sees those of one request.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Self {
        let mailbox = Self::default();
        let sender = mailbox.clone();
        hyper::ext::on_informational(request, move |response| {
            let mut inner = sender.lock();
            if inner.heads.len() < KEPT {
                inner.heads.push_back((response.status(), response.headers().clone()));
            }
            if let Some(waker) = inner.waker.take() {
                waker.wake();
            }
        });
        mailbox
    }

    /// The next one; if there is none, the task is woken when there is.
    pub(crate) fn next(&self, cx: &Context<'_>) -> Option<(StatusCode, HeaderMap)> {
        let mut inner = self.lock();
        let head = inner.heads.pop_front();
        if head.is_none() {
            inner.waker = Some(cx.waker().clone());
        }
        head
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
