//! HTTP/2, where it is compiled in: the settings of reqwest's that ask for it, and what h2's errors mean.

use std::error::Error as StdError;

use client_core::{Capabilities, Capability, ErrorKind};
use reqwest::ClientBuilder;

pub(crate) const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Http2)
    .with(Capability::Http2PriorKnowledge)
    .with(Capability::StrictHttp2)
    .with(Capability::Http2RequestTrailers);

/// What is offered by ALPN, the best first.
pub(crate) const ALPN: &[&str] = &["h2", "http/1.1"];

/// Bytes of a response head that h2 reads; the limits of a request hold it to fewer. h2 answers more with an error that does not say why.
const MAX_HEAD: u32 = 1 << 20;

pub(crate) fn prepare(builder: ClientBuilder) -> ClientBuilder {
    builder.http2_max_header_list_size(MAX_HEAD)
}

pub(crate) fn only(builder: ClientBuilder) -> ClientBuilder {
    builder.http2_prior_knowledge()
}

/// What a failure of HTTP/2 means, and whether the server has certainly not acted upon the request.
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) is_untouched: bool,
}

/// Whether a single stream was reset: its connection is not dead.
pub(crate) fn is_reset(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_reset)
}

/// `None` if it is none of HTTP/2's.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> Option<Failure> {
    let error = error.downcast_ref::<h2::Error>()?;
    let reason = error.reason();
    // RFC 9113 §6.8, §8.7: neither has been processed, and a retry is safe.
    let is_refused = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
    let is_left_out = error.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
    let is_untouched = error.is_remote() && (is_refused || is_left_out);
    let (kind, message) = match reason {
        Some(reason) if error.is_remote() => {
            let what = if error.is_go_away() { "closed the connection" } else { "reset the stream" };
            (ErrorKind::Closed, format!("the server {what}: {reason}"))
        }
        Some(reason) => (ErrorKind::Protocol, format!("HTTP/2 {reason}")),
        None => (ErrorKind::Closed, "the connection was lost".to_owned()),
    };
    Some(Failure {
        kind,
        message,
        is_untouched,
    })
}
