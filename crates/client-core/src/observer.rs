//! What happens during a call, told to whoever wants to know: the phases, and the events within them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::error::{Error, Sent};
use crate::headers::Names;
use crate::url;

/// Where the time of an exchange is spent, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Waiting for a connection from the pool.
    Pool = 1,
    /// Resolving the host's name.
    Resolve,
    /// Connecting the socket.
    Connect,
    /// Talking to a proxy.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for the response's head.
    Head,
    /// Reading the response's body.
    Body,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: &'static [Self] = &[
        Self::Pool,
        Self::Resolve,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Send,
        Self::Head,
        Self::Body,
    ];

    fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|&phase| phase as u8 == number)
    }

    /// As a phrase that completes "while … {uri}".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Pool => "waiting for a connection to",
            Self::Resolve => "resolving the host of",
            Self::Connect => "connecting to",
            Self::Proxy => "asking the proxy for",
            Self::Tls => "in TLS handshake with",
            Self::Send => "sending the request to",
            Self::Head => "waiting for the response head from",
            Self::Body => "reading the response body from",
        }
    }

    /// What the server may have seen when a call fails in this phase.
    pub fn sent(self) -> Sent {
        match self {
            Self::Pool | Self::Resolve | Self::Connect | Self::Proxy | Self::Tls => Sent::Nothing,
            Self::Send | Self::Head => Sent::Maybe,
            Self::Body => Sent::Answered,
        }
    }
}

/// Something that happened during a call.
#[non_exhaustive]
pub enum Event<'a> {
    /// A call begins: the first event of each. What ends it before its response's head is [`Failed`](Self::Failed), also where it is refused
    /// before anything is done.
    CallStarted {
        /// The method.
        method: &'a Method,
        /// The URI, without userinfo.
        uri: &'a Uri,
    },
    /// A phase of an exchange begins; the one before it has ended.
    PhaseStarted(Phase),
    /// The exchange has a connection.
    Connected {
        /// Whether it came from the pool.
        reused: bool,
        /// The peer's address, where the engine knows it.
        remote_addr: Option<SocketAddr>,
    },
    /// An informational (1xx) response arrived.
    Informational {
        /// Its status: 100, 102, 103, …
        status: StatusCode,
        /// Its fields.
        headers: &'a HeaderMap,
    },
    /// A final response's head arrived.
    ResponseHead {
        /// Its status.
        status: StatusCode,
        /// The protocol version really spoken.
        version: Version,
    },
    /// A redirect is followed: one more exchange.
    Redirected {
        /// The status that asked for it.
        status: StatusCode,
        /// Where to.
        to: &'a Uri,
    },
    /// The engine repeats an exchange on another connection, because the first was dead and repeating is safe.
    Retried {
        /// Why.
        reason: &'a Error,
    },
    /// The call failed before its response's head.
    Failed(&'a Error),
}

impl fmt::Debug for Event<'_> {
    /// URIs without their query, header fields without their values: either may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallStarted { method, uri } => {
                let uri = format_args!("{}", url::display(uri));
                f.debug_struct("CallStarted").field("method", method).field("uri", &uri).finish()
            }
            Self::PhaseStarted(phase) => f.debug_tuple("PhaseStarted").field(phase).finish(),
            Self::Connected { reused, remote_addr } => {
                f.debug_struct("Connected").field("reused", reused).field("remote_addr", remote_addr).finish()
            }
            Self::Informational { status, headers } => {
                let headers = Names(headers);
                f.debug_struct("Informational").field("status", status).field("headers", &headers).finish()
            }
            Self::ResponseHead { status, version } => {
                f.debug_struct("ResponseHead").field("status", status).field("version", version).finish()
            }
            Self::Redirected { status, to } => {
                let to = format_args!("{}", url::display(to));
                f.debug_struct("Redirected").field("status", status).field("to", &to).finish()
            }
            Self::Retried { reason } => f.debug_struct("Retried").field("reason", reason).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// Sees the events of calls. Called on the task that drives the call: be quick, never block.
///
/// ```
/// use client_core::{Event, Observer};
///
/// struct Phases;
/// impl Observer for Phases {
///     fn on_event(&self, event: &Event<'_>) {
///         if let Event::PhaseStarted(phase) = event {
///             println!("{phase:?}");
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// A call's line to its observers, and the memory of the phase it is in.
///
/// Costs nothing where nobody listens. Clones share what they know.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Shared>>);

struct Shared {
    /// The current phase, 0 before the first.
    phase: AtomicU8,
    /// The latest phase that any exchange of the call has come to.
    furthest: AtomicU8,
    observers: Vec<Arc<dyn Observer>>,
}

impl Shared {
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.furthest.fetch_max(phase as u8, Ordering::Relaxed);
        self.emit(&Event::PhaseStarted(phase));
    }

    fn emit(&self, event: &Event<'_>) {
        for observer in &self.observers {
            observer.on_event(event);
        }
    }
}

impl Trace {
    /// A trace that tells `observers`.
    pub fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        if observers.is_empty() {
            return Self(None);
        }
        Self::listening(observers)
    }

    fn listening(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(Some(Arc::new(Shared {
            phase: AtomicU8::new(0),
            furthest: AtomicU8::new(0),
            observers,
        })))
    }

    /// Makes sure that the phase is remembered, also where nobody listens: a time limit has to name the phase it struck in.
    pub fn remember(&mut self) {
        if self.0.is_none() {
            *self = Self::listening(Vec::new());
        }
    }

    /// One more observer; what was remembered so far is kept.
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        let mut observers = self.0.as_ref().map(|shared| shared.observers.clone()).unwrap_or_default();
        observers.push(observer);
        *self = Self::listening(observers);
    }

    /// For engines: a phase begins.
    #[inline]
    pub fn enter(&self, phase: Phase) {
        if let Some(shared) = &self.0 {
            shared.enter(phase);
        }
    }

    /// For engines and plugins: something happened.
    #[inline]
    pub fn emit(&self, event: &Event<'_>) {
        if let Some(shared) = &self.0 {
            shared.emit(event);
        }
    }

    /// The phase that was entered last, where anybody asked to remember it.
    pub fn phase(&self) -> Option<Phase> {
        Phase::from_u8(self.0.as_ref()?.phase.load(Ordering::Relaxed))
    }

    /// What servers may have seen of the call, all its exchanges together, where anybody asked to remember it: the last may not have
    /// been sent, and an earlier one may have been answered.
    pub(crate) fn sent(&self) -> Option<Sent> {
        Phase::from_u8(self.0.as_ref()?.furthest.load(Ordering::Relaxed)).map(Phase::sent)
    }

    /// Whether anybody listens; where not, events need not be made.
    pub fn is_enabled(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| !shared.observers.is_empty())
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn phases_are_told_and_remembered() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let trace = Trace::new(vec![Arc::new(move |event: &Event<'_>| {
            log.lock().unwrap().push(format!("{event:?}"));
        })]);
        trace.enter(Phase::Pool);
        trace.enter(Phase::Send);
        assert_eq!(*seen.lock().unwrap(), ["PhaseStarted(Pool)", "PhaseStarted(Send)"]);
        assert_eq!(trace.phase(), Some(Phase::Send));
    }

    #[test]
    fn silence_remembers_only_on_demand() {
        let mut trace = Trace::default();
        trace.enter(Phase::Tls);
        assert_eq!(trace.phase(), None);
        trace.remember();
        trace.clone().enter(Phase::Tls);
        assert_eq!(trace.phase(), Some(Phase::Tls));
        assert!(!trace.is_enabled());
    }
}
