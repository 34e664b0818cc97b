//! How far an exchange is, what it asks for, and what of it the observers are told.
//!
//! What must never enter this file: libcurl; locks.

use std::borrow::Cow;
use std::net::SocketAddr;

use client_core::{Error, ErrorKind, Event, HeaderMap, Instant, Limits, Phase, Sent, StatusCode, Timeouts, Trace};

/// What an exchange asks of those who serve it.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    /// The response to a HEAD has no body, whatever its fields say.
    pub(crate) is_head: bool,
    pub(crate) has_content: bool,
    /// The same request once more is harmless (RFC 9110 §9.2.2).
    pub(crate) is_idempotent: bool,
    pub(crate) is_tls: bool,
    pub(crate) may_be_http2: bool,
    /// Whom it is for, where a connection may carry many: host and port, as the URL has them.
    pub(crate) server: Option<String>,
    pub(crate) needs_http2: bool,
    pub(crate) via: Via,
    /// Somebody listens, and is told of each phase when it begins; otherwise it is enough to know of it when the answer comes, or the time is up.
    pub(crate) is_observed: bool,
}

/// What stands between TCP and TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Via {
    #[default]
    Nothing,
    HttpProxy,
    HttpsProxy,
    Socks,
}

/// How often a request is begun anew whose stream a server has left alone. libcurl itself has tried it five times by then, and at each
/// attempt a server that allows few streams has served some.
pub(crate) const MAX_REPETITIONS: usize = 8;

/// How far it is. Only the driver's thread writes.
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    pub(crate) since: Instant,
    pub(crate) dialing_since: Option<Instant>,
    /// When something moved last, once the connection is ready.
    pub(crate) moved: Option<Instant>,
    pub(crate) is_reused: bool,
    pub(crate) has_answer: bool,
    /// Bytes came on a kept connection that were nothing but an answer's, though no line of it is whole.
    pub(crate) has_begun: bool,
    pub(crate) is_http1: bool,
    /// The connection is none that the request may go over.
    pub(crate) is_forbidden: bool,
    /// The socket was readable while the connection was made.
    pub(crate) has_heard: bool,
    /// The proxy's answer to CONNECT is there.
    pub(crate) is_tunnelled: bool,
    /// The server said that it left the stream alone (RFC 9113 §8.7).
    pub(crate) is_refused: bool,
    pub(crate) attempts: usize,
    pub(crate) repetitions: usize,
    /// How many answers other calls had got when this attempt began.
    pub(crate) answers: u64,
    /// The phase in which the attempt before ended.
    pub(crate) ended_in: Option<Phase>,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) local_addr: Option<SocketAddr>,
}

/// Something for the observers. They are called on the task that drives the call, not on the driver's thread.
pub(crate) enum Note {
    Phase(Phase),
    Connected { reused: bool, remote_addr: Option<SocketAddr> },
    Informational(StatusCode, HeaderMap),
    Retried(Error),
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Pool,
            since: Instant::now(),
            dialing_since: None,
            moved: None,
            is_reused: false,
            has_answer: false,
            has_begun: false,
            is_http1: false,
            is_forbidden: false,
            has_heard: false,
            is_tunnelled: false,
            is_refused: false,
            attempts: 0,
            repetitions: 0,
            answers: 0,
            ended_in: None,
            remote_addr: None,
            local_addr: None,
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        self.place(Error::new(kind, message))
    }

    /// Says in which phase it happened, and what the server may have seen.
    pub(crate) fn place(&self, error: Error) -> Error {
        let sent = if self.moved.is_none() || self.is_refused {
            Sent::Nothing
        } else {
            self.phase.sent()
        };
        error.with_phase(self.phase).with_sent(sent)
    }
}

impl Note {
    pub(crate) fn tell(&self, trace: &Trace) {
        match self {
            Self::Phase(phase) => trace.enter(*phase),
            Self::Connected { reused, remote_addr } => trace.emit(&Event::Connected {
                reused: *reused,
                remote_addr: *remote_addr,
            }),
            Self::Informational(status, headers) => trace.emit(&Event::Informational {
                status: *status,
                headers,
            }),
            Self::Retried(reason) => trace.emit(&Event::Retried { reason }),
        }
    }
}
