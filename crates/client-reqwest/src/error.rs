//! What reqwest's errors mean, in the core's words. This is the one place where its chain of causes is walked: reqwest, hyper-util,
//! hyper, then whatever failed below.
//!
//! What must never enter: a URL of reqwest's, as its query may hold secrets.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use client_core::{Error, ErrorKind, Phase, Sent, TimeoutKind};
use hyper_util::client::legacy;

use crate::call::Call;
use crate::connector::ConnectTimedOut;
use crate::{http2, tls};

type Cause<'a> = &'a (dyn StdError + 'static);

/// The error of a call, or of its response's body.
pub(crate) fn classify(error: reqwest::Error, call: &Call) -> Error {
    let phase = call.phase();
    // Whatever hyper made of it: this is what failed first.
    if let Some(failure) = call.take_failure() {
        return failure.with_phase(Phase::Send).with_sent(phase.sent());
    }
    let error = error.without_url();
    let meaning = if error.is_builder() {
        let message = format!("reqwest refuses the request: {}", innermost(&error));
        Error::new(ErrorKind::InvalidRequest, message)
    } else if error.is_connect() {
        connecting(&error)
    } else {
        exchanging(&error, phase)
    };
    meaning.with_source(error)
}

/// No connection: nothing was sent.
fn connecting(error: &reqwest::Error) -> Error {
    if let Some(limited) = find::<ConnectTimedOut>(error) {
        return Error::timeout(TimeoutKind::Connect, limited.limit, limited.elapsed, limited.phase);
    }
    let io = find::<io::Error>(error);
    let (kind, phase, message) = if error.is_dns() {
        (ErrorKind::Resolve, Phase::Resolve, format!("the host is unknown: {}", innermost(error)))
    } else if let Some(message) = chain(error).find_map(tls::explain) {
        (ErrorKind::Tls, Phase::Tls, message)
    } else if let Some(message) = chain(error).find_map(proxy) {
        (ErrorKind::Proxy, Phase::Proxy, message)
    } else if is_handshake(error) {
        let message = format!("the connection failed during the handshake: {}", innermost(error));
        (ErrorKind::Tls, Phase::Tls, message)
    } else if io.is_none() && error.is_timeout() {
        let message = "reqwest's own connect_timeout ran out".to_owned();
        (ErrorKind::Timeout(TimeoutKind::Connect), Phase::Connect, message)
    } else {
        (ErrorKind::Connect, Phase::Connect, format!("no connection: {}", innermost(error)))
    };
    Error::new(kind, message).with_phase(phase).with_sent(Sent::Nothing)
}

/// hyper-util's connector wraps what fails up to TCP in an error of its own, which has no name; reqwest's TLS fails with a plain I/O error.
fn is_handshake(error: &reqwest::Error) -> bool {
    let mut below = chain(error).skip_while(|cause| !cause.is::<legacy::Error>()).skip(1);
    below.next().is_some_and(|cause| cause.is::<io::Error>())
}

/// The errors of reqwest's and hyper-util's proxies cannot be named; their texts can. A change of them turns this into
/// [`ErrorKind::Connect`], and a test red. A proxy that cannot be reached is no proxy that failed; one that is reached and then breaks off is.
fn proxy(cause: Cause<'_>) -> Option<String> {
    let text = cause.to_string();
    let is_proxy = text.starts_with("tunnel error") || text.contains("socks proxy");
    let what = innermost(cause).to_string();
    let is_reached = text.contains("io error establishing tunnel");
    if !is_proxy || !is_reached && (what.contains("underlying connection") || chain(cause).any(|cause| cause.is::<io::Error>())) {
        return None;
    }
    Some(match text.contains("authorization required") {
        true => "the proxy answered 407: it requires credentials".to_owned(),
        false if what == text => text,
        false => format!("{text}: {what}"),
    })
}

/// A connection that was there, and failed: perhaps so soon that the request was not begun, which then shows in what was sent.
fn exchanging(error: &reqwest::Error, reached: Phase) -> Error {
    let phase = reached.max(Phase::Send);
    let said = |kind, message: String| Error::new(kind, message).with_phase(phase).with_sent(reached.sent());
    if let Some(failure) = chain(error).find_map(http2::explain) {
        let sent = if failure.is_untouched { Sent::Nothing } else { reached.sent() };
        return said(failure.kind, failure.message).with_sent(sent);
    }
    // A server of TLS 1.3 refuses a client's certificate after the handshake (RFC 8446 §4.4.2).
    if let Some(message) = chain(error).find_map(tls::explain) {
        return said(ErrorKind::Tls, message);
    }
    let io = find::<io::Error>(error).map(io::Error::kind);
    // Whoever asks a session for its error once more gets a text in place of it.
    let alert = innermost(error).to_string();
    if io == Some(io::ErrorKind::InvalidData) && alert.starts_with("received fatal alert") {
        return said(ErrorKind::Tls, alert);
    }
    let Some(hyper) = find::<hyper::Error>(error) else {
        return match (io, error.is_timeout()) {
            (None, true) => said(
                ErrorKind::Timeout(TimeoutKind::Request),
                "a time limit of reqwest's own configuration ran out".to_owned(),
            ),
            _ => without_hyper(error, phase),
        };
    };
    let text = innermost(error);
    if hyper.is_parse() {
        return match hyper.to_string().as_str() {
            // hyper tells them apart by a method for servers only.
            "message head is too large" => said(ErrorKind::TooLarge, "the response head exceeds what reqwest reads".to_owned()),
            _ => said(ErrorKind::Protocol, text.to_string()),
        };
    }
    if hyper.is_canceled() {
        return said(ErrorKind::Closed, "the connection was closed before the request could be sent".to_owned())
            .with_sent(Sent::Nothing);
    }
    if hyper.is_incomplete_message() || hyper.is_closed() {
        return said(ErrorKind::Closed, "the server closed the connection".to_owned());
    }
    match io {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => said(ErrorKind::Protocol, text.to_string()),
        Some(_) => said(ErrorKind::Closed, format!("the connection was lost: {text}")),
        None if hyper.is_user() => said(ErrorKind::Engine, format!("hyper gave the request up: {text}")),
        None => said(ErrorKind::Protocol, text.to_string()),
    }
}

/// hyper-util's own refusals have no cause. Of these only one can be reached: HTTP/2 was asked for, and ALPN did not agree.
fn without_hyper(error: &reqwest::Error, phase: Phase) -> Error {
    let is_version = find::<legacy::Error>(error).is_some_and(|error| error.to_string().contains("UserUnsupportedVersion"));
    if is_version {
        return Error::new(ErrorKind::Protocol, "the server did not agree to HTTP/2 (ALPN)")
            .with_phase(Phase::Tls)
            .with_sent(Sent::Nothing);
    }
    Error::new(ErrorKind::Engine, format!("reqwest failed: {}", innermost(error)))
        .with_phase(phase)
        .with_sent(phase.sent())
}

/// Whether the error says no more than that one stream of HTTP/2 was reset.
pub(crate) fn is_reset(error: &Error) -> bool {
    error.source().is_some_and(|cause| chain(cause).any(http2::is_reset))
}

fn find<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// What failed first.
pub(crate) fn innermost(error: Cause<'_>) -> Cause<'_> {
    chain(error).last().unwrap_or(error)
}

/// The error, its cause, the cause of that. An [`io::Error`] made of another error hides that one from `source`, which skips to the
/// other's own cause.
fn chain(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    successors(Some(error), |&cause| {
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        within.map(|inner| inner as Cause<'_>).or_else(|| cause.source())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_io_error_hides_is_found() {
        let hidden = ConnectTimedOut {
            limit: std::time::Duration::from_secs(1),
            elapsed: std::time::Duration::from_secs(1),
            phase: Phase::Connect,
        };
        let outer = io::Error::other(io::Error::other(hidden));
        assert!(chain(&outer).any(|cause| cause.is::<ConnectTimedOut>()));
        assert_eq!(innermost(&outer).to_string(), "no connection within 1s");
    }
}
