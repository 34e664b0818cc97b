//! The history: what arrived, and how its exchange ended.

use std::time::Duration;

use bytes::Bytes;
use client_core::{RequestTarget, Timeouts};
use http::{Extensions, HeaderMap, Method, Uri, Version};

/// A request as the mock received it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// The virtual time of its arrival, since the mock's clock was made.
    pub at: Duration,
    /// The method.
    pub method: Method,
    /// The URI: absolute, without userinfo and fragment.
    pub uri: Uri,
    /// The protocol version that was asked for.
    pub version: Option<Version>,
    /// The header fields.
    pub headers: HeaderMap,
    /// The settings of plugins and engines that travel with the request.
    pub extensions: Extensions,
    /// As much of the body as was taken: all of it, unless the exchange ended before.
    pub body: Bytes,
    /// The fields after the body.
    pub trailers: Option<HeaderMap>,
    /// The time limits that arrived.
    pub timeouts: Timeouts,
    /// How the exchange ended.
    pub outcome: Outcome,
}

/// How an exchange ended, as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It has not ended: its answer is still to come, or to be read.
    Active,
    /// The response was read to its end.
    Complete,
    /// It failed, as scripted or by a time limit of the engine's.
    Failed,
    /// The caller dropped it: the call before the response's head, or the response before the end of its body.
    Cancelled,
}

impl Recorded {
    /// A header field's value as text; `None` if it is absent or no text. The first one of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; malformed parts become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// The request target, where it was another than the URI's path and query.
    pub fn target(&self) -> Option<&RequestTarget> {
        self.extensions.get()
    }
}
