//! Streams of the user's own: an in-memory pipe, a VPN in user space, a serial line.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use client_core::{BoxError, BoxFuture};

use crate::stream::Stream;

/// Makes the first stream of a connection, in place of TCP. Proxies and TLS run above it, as above any other.
///
/// ```
/// use client_core::{BoxError, BoxFuture};
/// use client_transport::connector::Connect;
/// use client_transport::stream::Stream;
///
/// /// Every connection is one end of a pipe.
/// struct Pipe;
///
/// impl Connect for Pipe {
///     fn connect<'a>(&'a self, _host: &'a str, _port: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
///         let (ours, _theirs) = tokio::io::duplex(4096);
///         Box::pin(async { Ok(Stream::boxed(ours)) })
///     }
/// }
/// ```
pub trait Connect: Send + Sync + 'static {
    /// Connects to `host` (a name, or an IP address without brackets): the origin's, or that of the first proxy on the way. Dropping the future must
    /// release what it holds.
    ///
    /// # Errors
    /// Any; it becomes the source of an error of kind [`ErrorKind::Connect`](client_core::ErrorKind::Connect).
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Stream, BoxError>>;
}

/// A shared [`Connect`]. Two are equal if they are the same object: its connections are shared with nobody else's.
#[derive(Clone)]
pub struct Connector(Arc<dyn Connect>);

impl Connector {
    /// Wraps it.
    pub fn new(connect: impl Connect) -> Self {
        Self(Arc::new(connect))
    }

    pub(crate) fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
        self.0.connect(host, port)
    }
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connector {}

impl Hash for Connector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(..)")
    }
}
