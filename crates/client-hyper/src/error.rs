//! What an error of hyper's means, in the words of all engines.

use std::error::Error as _;
use std::io;

use client_core::{Error, ErrorKind};
use client_transport::tls;

/// hyper's error, without phase and without what the server may have seen.
pub(crate) fn classify(error: hyper::Error) -> Error {
    let of_tls = find::<io::Error>(&error).and_then(tls::classify);
    let classified = of_tls.unwrap_or_else(|| {
        let (kind, message) = words(&error);
        Error::new(kind, message)
    });
    classified.with_source(error)
}

fn words(error: &hyper::Error) -> (ErrorKind, String) {
    let cause = cause(error);
    // hyper has a method for this, but only with its server; a test of ours notices if the words change.
    if error.is_parse() && error.to_string() == "message head is too large" {
        return (ErrorKind::TooLarge, "the response head is larger than a connection reads".to_owned());
    }
    if error.is_parse() {
        return (ErrorKind::Protocol, cause);
    }
    if error.is_incomplete_message() {
        return (ErrorKind::Closed, "the server closed the connection before the response was complete".to_owned());
    }
    if let Some(io) = find::<io::Error>(error) {
        return match io.kind() {
            // hyper's decoder uses these two for what the server got wrong in a chunked body.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => (ErrorKind::Protocol, cause),
            io::ErrorKind::UnexpectedEof => {
                (ErrorKind::Closed, "the server closed the connection before the response was complete".to_owned())
            }
            _ => (ErrorKind::Closed, format!("the connection broke: {cause}")),
        };
    }
    if error.is_canceled() || error.is_closed() || error.is_user() {
        return (ErrorKind::Closed, format!("the connection was closed: {cause}"));
    }
    (ErrorKind::Protocol, cause)
}

/// The innermost words.
pub(crate) fn cause(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn find<T: std::error::Error + 'static>(error: &hyper::Error) -> Option<&T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
