//! Keeps the server's thread awake while small requests are measured.
//!
//! A thread that sleeps has to be woken by whoever sends to it, and on loopback that is the client: it would pay up to a microsecond for each request, but only
//! where it is slower than the server, so that a client somewhat slower than another would seem to be much slower. Requests that come from another machine wake
//! a server at that machine's cost, not the client's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, yield_now};

/// What is known of the time spent awake for nothing.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Counts reads from connections.
    reads: AtomicU64,
    /// How long nothing was there to read, in nanoseconds.
    idle: AtomicU64,
}

impl Watch {
    /// Something was read.
    pub(super) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// The time spent awake with nothing to do: no work of the server's.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_nanos(self.idle.load(Ordering::Relaxed))
    }
}

/// The server's thread does not sleep as long as this is there.
#[derive(Debug)]
pub(super) struct Vigil(AbortHandle);

impl Vigil {
    pub(super) fn begin(watch: Arc<Watch>) -> Self {
        let vigil = async move {
            let mut last = Instant::now();
            loop {
                let before = watch.reads.load(Ordering::Relaxed);
                // The runtime asks for what has arrived, without waiting for it, before this goes on.
                yield_now().await;
                let now = Instant::now();
                if watch.reads.load(Ordering::Relaxed) == before {
                    let idle = u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX);
                    watch.idle.fetch_add(idle, Ordering::Relaxed);
                }
                last = now;
            }
        };
        Self(tokio::spawn(vigil).abort_handle())
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.0.abort();
    }
}
