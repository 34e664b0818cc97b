//! One request and one response, as an engine sees it: the request, and the settings that engines read.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use http::uri::Authority;
use http::{Request, Response, Version};

use crate::body::Body;
use crate::connection::ConnectionInfo;
use crate::headers::Names;
use crate::limits::Limits;
use crate::observer::Trace;
use crate::timeouts::Timeouts;
use crate::timer::Instant;
use crate::url;

/// What an engine performs. It is lent to plugins and engines, never copied on a call's way: it is large.
///
/// Settings that every engine reads are fields; settings of one plugin or one engine travel in the request's
/// [`http::Extensions`]. They are merged once, at the door.
#[non_exhaustive]
pub struct Exchange {
    /// The request: absolute `http` or `https` URI without userinfo and fragment.
    pub request: Request<Body>,
    /// The time limits. `request` is enforced by the core, the others by the engine.
    pub timeouts: Timeouts,
    /// When the whole call must be over; for engines whose library wants to know. The core enforces it.
    pub deadline: Option<Instant>,
    /// What the response may cost.
    pub limits: Limits,
    /// The protocol version that is asked for; `None` leaves it to the engine.
    pub version: Option<Version>,
    /// The line to the observers.
    pub trace: Trace,
    /// A redirect has led this call away from the origin that its user named, be it back to it. Whatever a setting among the request's extensions says
    /// about that origin alone (a client certificate, a name to expect, leave to be lax) must not be used any more.
    pub left_origin: bool,
    /// The connection that carried it: written by the engine, for [`Response::connection`](crate::Response::connection). An engine may put a
    /// [`ConnectionInfo`] into the response's extensions instead, which costs three allocations.
    pub connection: Option<Arc<ConnectionInfo>>,
    /// The call's own, which looks at it in the end. What is written into any other reaches nobody.
    pub(crate) is_calls_own: bool,
}

/// The Unix domain socket to connect to in place of the URI's host and port, in the request's extensions; asks for
/// [`Capability::UnixSocket`](crate::Capability::UnixSocket).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket(Arc<Path>);

impl UnixSocket {
    /// The socket at `path`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A request target other than the URI's path and query, in the request's extensions (RFC 9112 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTarget {
    /// `*`, for OPTIONS of a server as a whole.
    Asterisk,
    /// The authority a CONNECT asks for; without it, that of the URI.
    Authority(Authority),
}

impl Exchange {
    /// An exchange with default settings.
    #[inline]
    pub fn new(request: Request<Body>) -> Self {
        Self {
            request,
            timeouts: Timeouts::new(),
            deadline: None,
            limits: Limits::default(),
            version: None,
            trace: Trace::default(),
            left_origin: false,
            connection: None,
            is_calls_own: false,
        }
    }

    /// The same exchange once more, without its body: what a redirect or a retry builds upon. Clones share the trace.
    #[must_use]
    pub fn clone_head(&self) -> Self {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.request.method().clone();
        *request.uri_mut() = self.request.uri().clone();
        *request.version_mut() = self.request.version();
        *request.headers_mut() = self.request.headers().clone();
        *request.extensions_mut() = self.request.extensions().clone();
        Self {
            request,
            timeouts: self.timeouts,
            deadline: self.deadline,
            limits: self.limits,
            version: self.version,
            trace: self.trace.clone(),
            left_origin: self.left_origin,
            connection: None,
            is_calls_own: false,
        }
    }

    /// Sees to it that what the engine says of the connection reaches the caller, by the response, if nobody looks at it here.
    pub(crate) fn tell_connection<B>(&mut self, response: &mut Response<B>) {
        if !self.is_calls_own
            && let Some(connection) = self.connection.take()
        {
            response.extensions_mut().insert(Arc::unwrap_or_clone(connection));
        }
    }

    /// The exchange itself, its body included, for whoever needs one of their own: a task, a thread. Its head is copied, as what lies around may need
    /// it for the next hop; its body is taken.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let mut own = self.clone_head();
        *own.request.body_mut() = std::mem::take(self.request.body_mut());
        own
    }

    /// The same exchange once more; `None` if its body can be sent only once.
    pub fn try_clone(&self) -> Option<Self> {
        let body = self.request.body().try_clone()?;
        let mut copy = self.clone_head();
        *copy.request.body_mut() = body;
        Some(copy)
    }
}

impl fmt::Debug for Exchange {
    /// The names of the header fields without their values, and the URI without its query: either may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", self.request.method())
            .field("uri", &format_args!("{}", url::display(self.request.uri())))
            .field("headers", &Names(self.request.headers()))
            .field("body", self.request.body())
            .field("timeouts", &self.timeouts)
            .field("deadline", &self.deadline)
            .field("limits", &self.limits)
            .field("version", &self.version)
            .field("trace", &self.trace)
            .field("left_origin", &self.left_origin)
            .finish()
    }
}
