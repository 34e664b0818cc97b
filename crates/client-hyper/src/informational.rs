//! Informational responses on their way out of hyper's connection, which hands them over while it is driven.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client_transport::monitored::Monitored;
use http::{Extensions, HeaderMap, Request, StatusCode};

/// Those of one connection that nobody has looked at yet. It carries one exchange at a time, so that they are all of the same.
pub(crate) struct Mailbox {
    heads: Arc<Mutex<Heads>>,
    /// What hyper wants to find in a request: made once per connection, and copied.
    callback: Extensions,
}

#[derive(Default)]
struct Heads {
    unread: VecDeque<(StatusCode, HeaderMap)>,
    /// How many more are kept: of those that the exchange accepts one too many, by which it knows.
    left: usize,
}

impl Mailbox {
    /// An empty one, of a connection on this stream.
    pub(crate) fn new(stream: Monitored) -> Self {
        let heads = Arc::<Mutex<Heads>>::default();
        let sender = Arc::clone(&heads);
        let mut request = Request::new(());
        hyper::ext::on_informational(&mut request, move |response| {
            let mut heads = lock(&sender);
            let Some(left) = heads.left.checked_sub(1) else {
                return;
            };
            heads.unread.push_back((response.status(), response.headers().clone()));
            heads.left = left;
            if left == 0 {
                // hyper would go on for as long as they come, and let nobody else have a word.
                stream.close();
            }
        });
        Self {
            heads,
            callback: std::mem::take(request.extensions_mut()),
        }
    }

    /// From now on, those of this request, which accepts so many. With the next, the connection is closed.
    pub(crate) fn watch<B>(&self, request: &mut Request<B>, limit: usize) {
        let mut heads = lock(&self.heads);
        heads.unread.clear();
        heads.left = limit.saturating_add(1);
        drop(heads);
        *request.extensions_mut() = self.callback.clone();
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<(StatusCode, HeaderMap)> {
        lock(&self.heads).unread.pop_front()
    }
}

fn lock(heads: &Mutex<Heads>) -> MutexGuard<'_, Heads> {
    heads.lock().unwrap_or_else(PoisonError::into_inner)
}
