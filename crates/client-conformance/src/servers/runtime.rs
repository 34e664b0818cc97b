//! The thread and the runtime of the servers, and the only clock of the suite. An engine under test never runs here.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// The servers' runtime; its thread starts at the first use and lives as long as the process.
pub(crate) fn handle() -> &'static Handle {
    static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime for the servers");
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("conformance-servers".into())
            .spawn(move || runtime.block_on(pending::<()>()))
            .expect("a thread for the servers");
        handle
    });
    &RUNTIME
}

/// Starts a task that ends at the latest when its handle is dropped.
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(handle().spawn(future))
}

/// Sleeps, whatever executor polls it.
pub(crate) async fn sleep(duration: Duration) {
    // The timer is made inside the task, where its runtime is known.
    spawn(async move { tokio::time::sleep(duration).await }).await;
}

/// A task on the servers' thread; its output, to be awaited anywhere.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|output| output.expect("a task of the suite neither panics nor is aborted while awaited"))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
