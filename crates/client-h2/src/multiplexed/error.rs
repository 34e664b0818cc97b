//! What an error of the `h2` crate means, in the words of all engines.

use client_core::{Error, ErrorKind, Phase, Sent};
use client_transport::route::Alpn;
use client_transport::tls;
use h2::Reason;

use super::frames::End;

/// An error of a request that was on its way, or of its response.
///
/// A request that the server has provably not acted on (RFC 9113 §8.7) is [`ErrorKind::Closed`] with [`Sent::Nothing`]: it may be repeated. A stream
/// that was reset for another reason was answered, if only by that.
pub(super) fn classify(error: h2::Error) -> Error {
    if error.is_io() {
        let message = format!("the connection broke: {error}");
        return Error::new(ErrorKind::Closed, message).with_sent(Sent::Maybe).with_source(error);
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    let (kind, sent, message) = match (error.is_remote(), error.is_reset(), error.is_go_away()) {
        (true, true, _) if reason == Reason::REFUSED_STREAM => {
            (ErrorKind::Closed, Sent::Nothing, "the server refused the stream (REFUSED_STREAM)".to_owned())
        }
        (true, true, _) if reason == Reason::HTTP_1_1_REQUIRED => {
            let message = "the server wants HTTP/1.1 for this (HTTP_1_1_REQUIRED); ask for it with Version::HTTP_11";
            (ErrorKind::Closed, Sent::Answered, message.to_owned())
        }
        (true, true, _) => (ErrorKind::Closed, Sent::Answered, format!("the server reset the stream: {reason:?}")),
        // The streams that a GOAWAY ends are those above its last one, which the server has not acted on.
        (true, _, true) => {
            let message = format!("the server is going away ({reason:?}) and did not act on this request");
            (ErrorKind::Closed, Sent::Nothing, message)
        }
        (false, true, _) if error.is_library() => (ErrorKind::Protocol, Sent::Answered, format!("a malformed response: {error}")),
        (false, _, true) if error.is_library() => {
            let text = error.to_string();
            let is_size = ["header_list_way_too_large", "too_many_continuations"].iter().any(|size| text.contains(size));
            (if is_size { ErrorKind::TooLarge } else { ErrorKind::Protocol }, Sent::Maybe, text)
        }
        _ => (ErrorKind::Engine, Sent::Maybe, error.to_string()),
    };
    Error::new(kind, message).with_sent(sent).with_source(error)
}

/// Why a connection ended, as an error of each of its streams.
pub(super) fn ended(end: &End) -> Error {
    let error = match end {
        End::Silence => Error::new(ErrorKind::Closed, "the server did not answer a PING in time: the connection is dead"),
        End::Misfit(misfit) => Error::new(ErrorKind::Protocol, misfit.to_string()),
        End::Below(io) => {
            tls::classify(io).unwrap_or_else(|| Error::new(ErrorKind::Closed, format!("the connection broke: {io}")))
        }
    };
    error.with_sent(Sent::Maybe)
}

/// The server has agreed by ALPN upon something else.
pub fn not_http2(chosen: Option<Alpn>) -> Error {
    let message = match chosen {
        Some(Alpn::Http1) => "the server speaks HTTP/1.1, not HTTP/2 (by ALPN)",
        _ => "the server does not speak HTTP/2: it agreed upon no protocol by ALPN",
    };
    Error::new(ErrorKind::Protocol, message).with_phase(Phase::Tls).with_sent(Sent::Nothing)
}
