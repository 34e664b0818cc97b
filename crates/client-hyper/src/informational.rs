//! Informational responses on their way from hyper's task to that of the call, which alone tells of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use http::{Extensions, HeaderMap, Request, StatusCode};

/// Those of one connection that nobody has looked at yet. It carries one exchange at a time, so that they are all of the same.
pub(crate) struct Mailbox {
    inner: Arc<Mutex<Inner>>,
    /// What hyper wants to find in a request: made once per connection, and copied.
    callback: Extensions,
}

#[derive(Default)]
struct Inner {
    heads: VecDeque<(StatusCode, HeaderMap)>,
    waker: Option<Waker>,
}

/// More than this many at a time are not kept: a call reads them as they come, and accepts no more than its limit.
const KEPT: usize = 64;

impl Mailbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let inner = Arc::<Mutex<Inner>>::default();
        let sender = Arc::clone(&inner);
        let mut request = Request::new(());
        hyper::ext::on_informational(&mut request, move |response| {
            let mut inner = lock(&sender);
            if inner.heads.len() < KEPT {
                inner.heads.push_back((response.status(), response.headers().clone()));
            }
            if let Some(waker) = inner.waker.take() {
                waker.wake();
            }
        });
        Self {
            inner,
            callback: std::mem::take(request.extensions_mut()),
        }
    }

    /// From now on, those of this request.
    pub(crate) fn watch<B>(&self, request: &mut Request<B>) {
        lock(&self.inner).heads.clear();
        *request.extensions_mut() = self.callback.clone();
    }

    /// The next one; if there is none, the task is woken when there is.
    pub(crate) fn next(&self, cx: &Context<'_>) -> Option<(StatusCode, HeaderMap)> {
        let mut inner = lock(&self.inner);
        let head = inner.heads.pop_front();
        if head.is_none() && !inner.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        head
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
