//! ureq's errors as the core's, with the phase, what was sent, and ureq's own error as the source.
//!
//! What goes wrong in our own connector and transports is classified there, and passes through ureq as it is: [`carry`], [`of`].
//! What must never enter this file: decisions about the exchange.

use std::io;

use client_core::{Error, ErrorKind, Phase};
use ureq::unversioned::transport::NextTimeout;

use crate::call::Call;
use crate::tls;

/// An error of ours, on its way through ureq.
pub(crate) fn carry(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// The same, through ureq's readers. ureq takes an [`io::Error`] apart only if one of its own is inside.
pub(crate) fn carry_io(error: Error) -> io::Error {
    io::Error::other(carry(error))
}

/// ureq's own limit has run out: the wait for a 100, which is no error.
pub(crate) fn ureq_timeout(timeout: NextTimeout) -> ureq::Error {
    ureq::Error::Timeout(timeout.reason)
}

/// What ureq returned, classified.
pub(crate) fn of(error: ureq::Error, call: &Call) -> Error {
    let phase = call.progress().phase.unwrap_or(Phase::Pool);
    let meaning = match error {
        ureq::Error::Other(other) => match other.downcast::<Error>() {
            Ok(ours) => return *ours,
            Err(foreign) => return call.error(ErrorKind::Engine, foreign.to_string()).with_source(foreign),
        },
        // A server of TLS 1.3 refuses a client's certificate after the handshake (RFC 8446 §4.4.2).
        ureq::Error::Io(ref io) => tls::classify(io).unwrap_or_else(|| of_io(io, phase)),
        ref other => classify(other, phase),
    };
    call.place(meaning).with_source(error)
}

/// What a reader of ureq's returned, classified.
pub(crate) fn of_read(error: io::Error, call: &Call) -> Error {
    of(ureq::Error::from(error), call)
}

fn classify(error: &ureq::Error, phase: Phase) -> Error {
    use ureq::Error as U;
    let kind = match error {
        // Before anything was sent, it was ureq that refused to send it.
        U::Http(_) | U::BadUri(_) | U::RequireHttpsOnly(_) => ErrorKind::InvalidRequest,
        U::Protocol(_) if phase < Phase::Head => ErrorKind::InvalidRequest,
        U::Protocol(_) | U::BodyStalled => ErrorKind::Protocol,
        U::HostNotFound => ErrorKind::Resolve,
        U::ConnectionFailed => ErrorKind::Connect,
        U::LargeResponseHeader(..) => ErrorKind::TooLarge,
        U::Tls(_) | U::TlsRequired => ErrorKind::Tls,
        _ if phase == Phase::Tls => ErrorKind::Tls,
        _ => ErrorKind::Engine,
    };
    Error::new(kind, error.to_string())
}

fn of_io(error: &io::Error, phase: Phase) -> Error {
    let (kind, message) = match error.kind() {
        // ureq says so of an agent that was shut down.
        io::ErrorKind::NotConnected if phase <= Phase::Pool => (ErrorKind::Closed, "the client is closed".into()),
        _ if phase == Phase::Tls => (ErrorKind::Tls, format!("handshake failed: {error}")),
        _ if phase <= Phase::Connect => (ErrorKind::Connect, error.to_string()),
        _ => (ErrorKind::Closed, format!("the server closed the connection: {error}")),
    };
    Error::new(kind, message)
}

#[cfg(test)]
mod tests {
    use client_core::Sent;

    use super::*;
    use crate::call::Terms;

    #[test]
    fn ours_pass_through_both_ways() {
        let call = Call::new(Terms::default());
        let ours = || Error::new(ErrorKind::Body, "ours").with_phase(Phase::Send);
        for error in [of(carry(ours()), &call), of_read(carry_io(ours()), &call)] {
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Body, Some(Phase::Send)));
        }
    }

    #[test]
    fn classified_by_what_and_where() {
        let io = |kind: io::ErrorKind| ureq::Error::Io(kind.into());
        let table = [
            (io(io::ErrorKind::NotConnected), Phase::Pool, ErrorKind::Closed),
            (io(io::ErrorKind::ConnectionRefused), Phase::Connect, ErrorKind::Connect),
            (io(io::ErrorKind::InvalidData), Phase::Tls, ErrorKind::Tls),
            (io(io::ErrorKind::ConnectionReset), Phase::Tls, ErrorKind::Tls),
            (io(io::ErrorKind::UnexpectedEof), Phase::Head, ErrorKind::Closed),
            (ureq::Error::HostNotFound, Phase::Resolve, ErrorKind::Resolve),
            (ureq::Error::BadUri("x".into()), Phase::Pool, ErrorKind::InvalidRequest),
            (ureq::Error::Tls("x"), Phase::Tls, ErrorKind::Tls),
        ];
        for (error, phase, kind) in table {
            let call = Call::new(Terms::default());
            call.enter(phase);
            let shown = format!("{error:?} in {phase:?}");
            let error = of(error, &call);
            assert_eq!((error.kind(), error.phase()), (kind, Some(phase)), "{shown}");
            assert_eq!(error.sent(), Sent::Nothing, "nothing was sent: {shown}");
            assert!(std::error::Error::source(&error).is_some(), "{shown}");
        }
    }
}
