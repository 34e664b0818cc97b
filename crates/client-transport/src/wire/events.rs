//! What happens to connections, told to whoever wants to know: between calls, too, where no [`Observer`](client_core::Observer) of calls can see it.
//! No decision may depend on it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client_core::{ConnectionInfo, Error};

use crate::pool::{CloseReason, ConnId};
use crate::route::Origin;

/// Something that happened in the pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolEvent<'a> {
    /// All connections are in use, and no more may be made: a call waits.
    Waiting {
        /// For a connection to here.
        origin: &'a Origin,
    },
    /// A connection was made.
    Opened {
        /// To here.
        origin: &'a Origin,
        /// Its addresses, and what TLS agreed upon.
        info: &'a ConnectionInfo,
    },
    /// A connection could not be made.
    DialFailed {
        /// To here.
        origin: &'a Origin,
        /// Why.
        error: &'a Error,
    },
    /// A connection of the pool carries one more exchange.
    Reused {
        /// To here.
        origin: &'a Origin,
        /// Its addresses, and what TLS agreed upon.
        info: &'a ConnectionInfo,
    },
    /// A connection was closed.
    Closed {
        /// To here.
        origin: &'a Origin,
        /// Its addresses, and what TLS agreed upon.
        info: &'a ConnectionInfo,
        /// Why.
        reason: CloseReason,
    },
}

/// Sees the events of a pool. Called wherever something happens, never under the pool's lock: be quick, never block. Any function of the same shape
/// is one.
///
/// ```
/// use client_transport::wire::PoolEvent;
///
/// let observer = |event: &PoolEvent<'_>| {
///     if let PoolEvent::Closed { origin, reason, .. } = event {
///         println!("{origin}: {reason:?}");
///     }
/// };
/// # fn check(_: impl client_transport::wire::PoolObserver) {}
/// # check(observer);
/// ```
pub trait PoolObserver: Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, event: &PoolEvent<'_>);
}

impl<F: Fn(&PoolEvent<'_>) + Send + Sync + 'static> PoolObserver for F {
    fn on_event(&self, event: &PoolEvent<'_>) {
        self(event);
    }
}

/// The line to the observer, if there is one. Without, it costs nothing.
#[derive(Clone, Default)]
pub struct PoolTrace(Option<Arc<Told>>);

struct Told {
    observer: Box<dyn PoolObserver>,
    /// Where the open connections lead: the pool forgets it before it says that one is to be closed.
    origins: Mutex<HashMap<ConnId, Origin>>,
}

impl PoolTrace {
    /// Tells `observer`.
    pub fn new(observer: impl PoolObserver) -> Self {
        Self(Some(Arc::new(Told {
            observer: Box::new(observer),
            origins: Mutex::default(),
        })))
    }

    pub(super) fn emit(&self, event: &PoolEvent<'_>) {
        if let Some(told) = &self.0 {
            told.observer.on_event(event);
        }
    }

    pub(super) fn opened(&self, id: ConnId, origin: &Origin, info: &ConnectionInfo) {
        if let Some(told) = &self.0 {
            told.origins().insert(id, origin.clone());
            told.observer.on_event(&PoolEvent::Opened { origin, info });
        }
    }

    pub(super) fn closed(&self, id: ConnId, info: &ConnectionInfo, reason: CloseReason) {
        let Some(told) = &self.0 else { return };
        // Not held while the observer looks at it.
        let origin = told.origins().remove(&id);
        if let Some(origin) = &origin {
            told.observer.on_event(&PoolEvent::Closed { origin, info, reason });
        }
    }
}

impl Told {
    fn origins(&self) -> MutexGuard<'_, HashMap<ConnId, Origin>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PoolTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "PoolTrace(..)" } else { "PoolTrace" })
    }
}
