//! Time as the core needs it: *now* and *sleep*. The engine knows its runtime, nobody else has to.

use std::future::Future;
use std::pin::Pin;

// The one place where the clock's type is named, so that a target without `std`'s clock needs one change.
pub use std::time::Instant;

/// A future that is ready at its deadline. Dropping it frees its timer.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// The clock of an engine.
///
/// A sleep is never ready before its deadline, by this timer's own [`now`](Timer::now).
pub trait Timer: Send + Sync {
    /// The present moment.
    fn now(&self) -> Instant;

    /// A future that is ready once [`now`](Timer::now) has reached `deadline`.
    fn sleep_until(&self, deadline: Instant) -> Sleep;
}
