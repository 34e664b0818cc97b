//! Closes idle connections when their time is over: one task per engine, while there are any. No exchange ever spawns or wakes it
//! but the first.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::Protocol;
use super::shared::Shared;

/// The task, while it runs.
#[derive(Default)]
pub(super) struct Reaper(Mutex<Option<JoinHandle<()>>>);

impl Reaper {
    /// Makes sure that it runs: it ends when nothing can expire any more, or with its runtime.
    pub(super) fn watch<P: Protocol>(&self, shared: &Arc<Shared<P>>) {
        let mut task = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let runtime = shared.config.dispatcher.handle().or_else(|| Handle::try_current().ok());
        *task = runtime.map(|runtime| {
            let shared = Arc::downgrade(shared);
            runtime.spawn(async move {
                // A connection with less time than the one it sleeps for is closed a little late; it is never used again, as
                // the pool looks at the clock at every checkout.
                while let Some(deadline) = shared.upgrade().and_then(|shared| shared.tick()) {
                    sleep_until(deadline.into()).await;
                }
            })
        });
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        if let Some(task) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}
