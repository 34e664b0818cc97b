//! Which fields may follow the content (RFC 9110 §6.5.1). What becomes of them is the engines' matter.

use http::{HeaderMap, HeaderName};

use crate::error::{Error, ErrorKind, Result};

/// Whether a field changes how a message is framed, routed, authenticated or read: it has to be known before the content, is not sent in a trailer
/// section, and has no effect when it is received in one (RFC 9110 §6.5.1). The names are those that Go's `net/http` refuses.
pub fn is_forbidden_in_trailers(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("if-")
        || matches!(
            name,
            "authorization"
                | "cache-control"
                | "connection"
                | "content-encoding"
                | "content-length"
                | "content-range"
                | "content-type"
                | "cookie"
                | "expect"
                | "host"
                | "keep-alive"
                | "max-forwards"
                | "pragma"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "proxy-connection"
                | "range"
                | "set-cookie"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "www-authenticate"
        )
}

/// Refuses trailers that a request must not have. `kind` says who is told: the caller before anything is sent, or the call by its body.
pub(crate) fn check(trailers: &HeaderMap, kind: ErrorKind) -> Result<()> {
    match trailers.keys().find(|name| is_forbidden_in_trailers(name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            kind,
            format!("the field {name} cannot be a trailer (RFC 9110 §6.5.1); send it as a header"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_known_before_the_content() {
        let is_forbidden = |name| is_forbidden_in_trailers(&HeaderName::from_static(name));
        for name in [
            "content-length",
            "host",
            "if-match",
            "authorization",
            "trailer",
            "te",
            "connection",
        ] {
            assert!(is_forbidden(name), "{name}");
        }
        for name in ["x-checksum", "etag", "content-digest", "server-timing", "grpc-status"] {
            assert!(!is_forbidden(name), "{name}");
        }
    }
}
