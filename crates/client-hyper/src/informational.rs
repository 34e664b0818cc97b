//! Informational responses on their way out of hyper's connection, which hands them over while it is driven.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Extensions, HeaderMap, Request, StatusCode};

/// Those of one connection that nobody has looked at yet. It carries one exchange at a time, so that they are all of the same.
pub(crate) struct Mailbox {
    heads: Arc<Mutex<Heads>>,
    /// What hyper wants to find in a request: made once per connection, and copied.
    callback: Extensions,
}

type Heads = VecDeque<(StatusCode, HeaderMap)>;

/// More than this many at a time are not kept: a call reads them as they come, and accepts no more than its limit.
const KEPT: usize = 64;

impl Mailbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let heads = Arc::<Mutex<Heads>>::default();
        let sender = Arc::clone(&heads);
        let mut request = Request::new(());
        hyper::ext::on_informational(&mut request, move |response| {
            let mut heads = lock(&sender);
            if heads.len() < KEPT {
                heads.push_back((response.status(), response.headers().clone()));
            }
        });
        Self {
            heads,
            callback: std::mem::take(request.extensions_mut()),
        }
    }

    /// From now on, those of this request.
    pub(crate) fn watch<B>(&self, request: &mut Request<B>) {
        lock(&self.heads).clear();
        *request.extensions_mut() = self.callback.clone();
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<(StatusCode, HeaderMap)> {
        lock(&self.heads).pop_front()
    }
}

fn lock(heads: &Mutex<Heads>) -> MutexGuard<'_, Heads> {
    heads.lock().unwrap_or_else(PoisonError::into_inner)
}
