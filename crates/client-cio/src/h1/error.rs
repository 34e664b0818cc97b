//! What can be wrong with a response (`ProtocolError`, the peer's fault) and with a request (`InvalidRequest`, ours).
//!
//! Messages say what was wrong and where, with a bounded and escaped excerpt. A field *value* never enters a message: it may
//! be a cookie or a credential (compare CVE-2023-0833). Nor does a request target: its query may hold a token.

use std::fmt::Write as _;

use http::{HeaderName, Version};

/// A response that is not HTTP/1.x as this codec accepts it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    kind: ProtocolErrorKind,
    message: Box<str>,
}

/// What sort of protocol error it is, as far as a caller decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolErrorKind {
    /// The bytes break the grammar, or contradict themselves.
    Malformed,
    /// Well-formed, but a feature that this codec refuses on purpose (a transfer coding other than `chunked`).
    Unsupported,
    /// A [`HeadLimits`](super::HeadLimits) bound was crossed.
    TooLarge,
    /// The peer closed before the first byte of a response: a reused connection was dead already (RFC 9112 §9.3.1).
    NoResponse,
    /// The peer closed in the middle of a response (RFC 9112 §8).
    UnexpectedEof,
}

impl ProtocolError {
    /// What sort of error it is.
    pub fn kind(&self) -> ProtocolErrorKind {
        self.kind
    }

    pub(super) fn new(kind: ProtocolErrorKind, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    pub(super) fn malformed(message: impl Into<Box<str>>) -> Self {
        Self::new(ProtocolErrorKind::Malformed, message)
    }

    pub(super) fn too_large(message: impl Into<Box<str>>) -> Self {
        Self::new(ProtocolErrorKind::TooLarge, message)
    }

    pub(super) fn unexpected_eof(message: impl Into<Box<str>>) -> Self {
        Self::new(ProtocolErrorKind::UnexpectedEof, message)
    }
}

/// A request that cannot be written without lying to the server. What was refused was not written, not even in part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    #[error("HTTP/1 codec cannot send a request as {0:?}")]
    Version(Version),
    /// The target does not fit the method, or its form (RFC 9112 §3.2).
    #[error("invalid request target: {0}")]
    Target(&'static str),
    /// A byte of the target would change the request line (RFC 9112 §3.2).
    #[error("invalid request target: byte {byte:#04x} at offset {offset} must be percent-encoded")]
    TargetByte {
        /// The offending byte.
        byte: u8,
        /// Where it stands in the target.
        offset: usize,
    },
    /// Not exactly one usable `Host` (RFC 9112 §3.2).
    #[error("invalid Host: {0}")]
    Host(&'static str),
    /// A `Content-Length` was given that is not the length of the body (RFC 9112 §6.2).
    #[error("Content-Length was set by hand and differs from the body: {0}")]
    ContentLength(&'static str),
    /// A `Transfer-Encoding` was given: framing is computed here, never copied (RFC 9112 §6.1).
    #[error("Transfer-Encoding was set by hand: the framing of the body is computed")]
    TransferEncoding,
    /// A chunked body towards HTTP/1.0, which does not know it (RFC 9112 §6.1).
    #[error("a body of unknown length cannot be sent as HTTP/1.0")]
    ChunkedHttp10,
    /// Content with a method that must not have any.
    #[error("a {0} request must not have a body")]
    BodyNotAllowed(&'static str),
    /// The body yields more bytes than its declared length.
    #[error("body is longer than its declared length of {declared} bytes")]
    BodyTooLong {
        /// The declared length.
        declared: u64,
    },
    /// The body ended before its declared length.
    #[error("body ended after {sent} of its declared {declared} bytes")]
    BodyTooShort {
        /// The declared length.
        declared: u64,
        /// What came.
        sent: u64,
    },
    /// Trailers without chunked framing have no place to go (RFC 9110 §6.5).
    #[error("trailers can only follow a chunked body")]
    TrailersNotAllowed,
    /// A field that must not be sent in a trailer section (RFC 9110 §6.5.1).
    #[error("field `{0}` is not allowed in trailers")]
    TrailerField(HeaderName),
}

/// The beginning of `bytes`, escaped and quoted, at most 40 bytes of it.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const MAX: usize = 40;

    let shown = &bytes[..bytes.len().min(MAX)];
    let mut text = format!("\"{}\"", shown.escape_ascii());
    if bytes.len() > MAX {
        let _ = write!(text, " and {} bytes more", bytes.len() - MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_escaped_and_bounded() {
        assert_eq!(excerpt(b"a\r\n\x00\xff\""), r#""a\r\n\x00\xff\"""#);
        let long = excerpt(&[b'x'; 1000]);
        assert_eq!(long, format!("\"{}\" and 960 bytes more", "x".repeat(40)));
    }
}
