//! The bounds of a connection, with where they come from, and those of a head.

use std::time::Duration;

use client_core::{Error, ErrorKind, Limits, Result};
use http::HeaderMap;

/// How much of one response may come before it is read: 4 MiB, as Go's client (hyper's: 2 MiB, Chrome's: 6 MiB). One stream fills a link of
/// 1 Gbit/s up to 33 ms of round trip, and gets 335 Mbit/s at 100 ms. `customize_client` sets another for longer ones.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all responses of a connection together: 64 MiB, so that it takes 16 readers that have stopped to stop the others. Go
/// allows 1 GiB, hyper 5 MiB.
pub(super) const CONNECTION_WINDOW: u32 = 64 << 20;

/// Streams on a connection whose server has not said yet how many it allows: 100, as in Go; RFC 9113 §6.5.2 asks servers for no fewer.
pub(super) const INITIAL_STREAMS: usize = 100;

/// The largest head that is taken in, by RFC 9113 §6.5.2's count: 1 MiB. What a response may have is up to its [`Limits`], which are
/// checked afterwards; this bounds the memory of what nobody has looked at yet. At four times as much the connection ends.
pub(super) const MAX_HEADER_LIST: u32 = 1 << 20;

/// Streams that we have reset for errors of the server's, until the connection ends: 1024, as h2's own default (RUSTSEC-2024-0003).
pub(super) const MAX_LOCAL_RESETS: usize = 1024;

/// Streams that the server has reset and that nobody has looked at yet: 20, as h2's own default (CVE-2023-44487).
pub(super) const MAX_PENDING_RESETS: usize = 20;

/// After how much silence of the server it is asked whether it still lives, while calls wait for it: 30 s. (undici: 60 s; Go, .NET: never.)
pub(super) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long its answer may take: 20 s, as hyper's.
pub(super) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Whether a head or a trailer section is within the limits of a response.
///
/// # Errors
/// [`ErrorKind::TooLarge`].
pub fn check_fields(fields: &HeaderMap, limits: &Limits) -> Result<()> {
    if fields.len() > limits.max_head_fields() {
        let message = format!("{} header fields, more than the limit of {}", fields.len(), limits.max_head_fields());
        return Err(too_large(message, "fields"));
    }
    // As they are on an HTTP/1.1 wire, with ": " and a line end.
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > limits.max_head_bytes() {
        let message = format!("header fields of {bytes} bytes, more than the limit of {}", limits.max_head_bytes());
        return Err(too_large(message, "bytes"));
    }
    Ok(())
}

fn too_large(message: String, of: &str) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{message}; raise Limits::head_{of} if that is right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_bytes_are_counted() {
        let mut fields = HeaderMap::new();
        fields.insert("a", "1".parse().unwrap());
        fields.append("a", "2".parse().unwrap());
        let check = |limits: Limits| check_fields(&fields, &limits).map_err(|error| error.kind());
        assert_eq!(check(Limits::default().head_fields(2).head_bytes(12)), Ok(()));
        assert_eq!(check(Limits::default().head_fields(1)), Err(ErrorKind::TooLarge));
        assert_eq!(check(Limits::default().head_bytes(11)), Err(ErrorKind::TooLarge));
    }
}
