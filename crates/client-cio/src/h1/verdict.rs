//! What becomes of the connection after a response (RFC 9112 §9).
//!
//! Owns the decision and its reasons, as a pure function of facts. It holds no connection and knows no pool.

use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::fields::has;
use super::framing::Framing;

/// What to do with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may carry another exchange.
    Reuse,
    /// It must be closed, and why.
    Close(CloseReason),
    /// It speaks another protocol from the next byte on (101, or 2xx to CONNECT).
    Switch,
}

/// Why a connection may not carry another exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The response body ended with the connection.
    UntilClose,
    /// The response said `Connection: close`.
    ResponseClose,
    /// The response is HTTP/1.0 and did not say `Connection: keep-alive`.
    Http10,
    /// The peer sent more than its response. Last of the response's reasons: but for these bytes the verdict is `Reuse`, so
    /// a driver that has pipelined another request knows them for the beginning of its response.
    ExtraBytes,
    /// The request said `Connection: close`.
    RequestClose,
    /// The request was not sent to its end: the peer would read the next one as the rest of this one's body.
    RequestUnfinished,
}

impl CloseReason {
    /// One sentence for logs and events.
    pub fn explain(self) -> &'static str {
        match self {
            Self::UntilClose => "the response body is delimited by the end of the connection",
            Self::ResponseClose => "the response has `Connection: close`",
            Self::Http10 => "the response is HTTP/1.0 without `Connection: keep-alive`",
            Self::ExtraBytes => "the peer sent bytes after the end of its response",
            Self::RequestClose => "the request has `Connection: close`",
            Self::RequestUnfinished => "the response ended before the request was sent completely",
        }
    }
}

/// What the response says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseSide {
    /// The version in the status line.
    pub version: Version,
    /// Its `Connection` options.
    pub connection: ConnectionOptions,
    /// How its body ended.
    pub framing: Framing,
    /// Whether bytes were left over after its end.
    pub extra_bytes: bool,
}

impl ResponseSide {
    /// The verdict as far as the response goes (RFC 9112 §9.3).
    #[inline]
    pub fn verdict(&self) -> Verdict {
        match self.framing {
            Framing::Tunnel => Verdict::Switch,
            Framing::UntilClose => Verdict::Close(CloseReason::UntilClose),
            _ if self.connection.close => Verdict::Close(CloseReason::ResponseClose),
            _ if self.version == Version::HTTP_10 && !self.connection.keep_alive => Verdict::Close(CloseReason::Http10),
            _ if self.extra_bytes => Verdict::Close(CloseReason::ExtraBytes),
            _ => Verdict::Reuse,
        }
    }
}

/// What the sender of the request knows about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestSide {
    /// Whether the request said `Connection: close` (see [`ConnectionOptions::of`]).
    pub close: bool,
    /// Whether the request was sent to its end.
    pub finished: bool,
}

impl Verdict {
    /// The response's verdict, with the request's side taken into account. It can only become worse.
    #[must_use]
    #[inline]
    pub fn with_request(self, request: RequestSide) -> Self {
        match self {
            Self::Reuse | Self::Switch if !request.finished => Self::Close(CloseReason::RequestUnfinished),
            Self::Reuse if request.close => Self::Close(CloseReason::RequestClose),
            other => other,
        }
    }
}

/// The options of all `Connection` lines that concern persistence (RFC 9110 §7.6.1), of a request or a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionOptions {
    /// `close` is among them. It wins over `keep-alive` (RFC 9112 §9.3).
    pub close: bool,
    /// `keep-alive` is among them.
    pub keep_alive: bool,
}

impl ConnectionOptions {
    /// Reads them from the fields of a message.
    #[inline]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut options = Self::default();
        if !has(headers, &CONNECTION) {
            return options;
        }
        for option in list(headers.get_all(CONNECTION)) {
            options.close |= option.eq_ignore_ascii_case(b"close");
            options.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        options
    }
}

/// What a `Keep-Alive` field promises (RFC 2068 §19.7.1.1, as servers still send it): a hint, never a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepAliveHint {
    /// `timeout=`: how long the peer keeps the connection when idle.
    pub timeout: Option<Duration>,
    /// `max=`: how many more requests it takes.
    pub max: Option<u64>,
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

impl KeepAliveHint {
    /// Reads it from the fields of a response. What is not a number is ignored; of several promises the smallest counts.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut hint = Self::default();
        if !has(headers, &KEEP_ALIVE) {
            return hint;
        }
        for parameter in list(headers.get_all(KEEP_ALIVE)) {
            let mut parts = parameter.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let Some(number) = parts.next().and_then(number) else {
                continue;
            };
            if name.eq_ignore_ascii_case(b"timeout") {
                let timeout = Duration::from_secs(number);
                hint.timeout = Some(hint.timeout.map_or(timeout, |other| other.min(timeout)));
            } else if name.eq_ignore_ascii_case(b"max") {
                hint.max = Some(hint.max.map_or(number, |other| other.min(number)));
            }
        }
        hint
    }
}

/// The members of a comma list over all its lines, OWS trimmed.
fn list<'a>(lines: http::header::GetAll<'a, HeaderValue>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    lines
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Digits, perhaps in quotes.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &'static str, values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn connection_options_are_tokens_over_all_lines() {
        for (values, close, keep_alive) in [
            (&[][..], false, false),
            (&["close"], true, false),
            (&["CLOSE"], true, false),
            (&["Keep-Alive"], false, true),
            (&["keep-alive, close"], true, true),
            (&["foo,\tClose , bar"], true, false),
            (&["upgrade", "x, keep-alive"], false, true),
            (&["closed", "not-close", "keep-alive=1", ""], false, false),
        ] {
            let options = ConnectionOptions::of(&fields("connection", values));
            assert_eq!((options.close, options.keep_alive), (close, keep_alive), "{values:?}");
        }
    }

    #[test]
    fn a_response_decides_by_the_first_reason_that_holds() {
        let good = ResponseSide {
            version: Version::HTTP_11,
            connection: ConnectionOptions::default(),
            framing: Framing::Length(3),
            extra_bytes: false,
        };
        let close = ConnectionOptions {
            close: true,
            keep_alive: true,
        };
        let keep_alive = ConnectionOptions {
            close: false,
            keep_alive: true,
        };
        let old = ResponseSide {
            version: Version::HTTP_10,
            ..good
        };
        for (side, expected) in [
            (good, Verdict::Reuse),
            (
                ResponseSide {
                    framing: Framing::Tunnel,
                    connection: close,
                    ..good
                },
                Verdict::Switch,
            ),
            (
                ResponseSide {
                    framing: Framing::UntilClose,
                    connection: close,
                    ..good
                },
                Verdict::Close(CloseReason::UntilClose),
            ),
            (
                ResponseSide {
                    connection: close,
                    ..good
                },
                Verdict::Close(CloseReason::ResponseClose),
            ),
            (
                ResponseSide {
                    extra_bytes: true,
                    ..good
                },
                Verdict::Close(CloseReason::ExtraBytes),
            ),
            (old, Verdict::Close(CloseReason::Http10)),
            (
                ResponseSide {
                    connection: keep_alive,
                    ..old
                },
                Verdict::Reuse,
            ),
            (
                ResponseSide {
                    connection: close,
                    ..old
                },
                Verdict::Close(CloseReason::ResponseClose),
            ),
        ] {
            assert_eq!(side.verdict(), expected, "{side:?}");
        }
    }

    #[test]
    fn the_request_can_only_make_it_worse() {
        let request = |close, finished| RequestSide { close, finished };
        let unfinished = Verdict::Close(CloseReason::RequestUnfinished);
        let response_close = Verdict::Close(CloseReason::ResponseClose);
        for (verdict, side, expected) in [
            (Verdict::Reuse, request(false, true), Verdict::Reuse),
            (Verdict::Reuse, request(true, true), Verdict::Close(CloseReason::RequestClose)),
            (Verdict::Reuse, request(true, false), unfinished),
            (Verdict::Switch, request(true, true), Verdict::Switch),
            (Verdict::Switch, request(false, false), unfinished),
            (response_close, request(true, false), response_close),
        ] {
            assert_eq!(verdict.with_request(side), expected);
        }
    }

    #[test]
    fn a_keep_alive_hint_is_read_leniently() {
        for (values, timeout, max) in [
            (&["timeout=5, max=100"][..], Some(5), Some(100)),
            (&["Timeout = 5"], Some(5), None),
            (&["timeout=\"7\""], Some(7), None),
            (&["max=3", "timeout=9, timeout=4"], Some(4), Some(3)),
            (&["timeout=0"], Some(0), None),
            (&["timeout=, max=-1", "5", "timeout=+5", "timeout=99999999999999999999"], None, None),
            (&[], None, None),
        ] {
            let hint = KeepAliveHint::of(&fields("keep-alive", values));
            assert_eq!(hint.timeout.map(|timeout| timeout.as_secs()), timeout, "{values:?}");
            assert_eq!(hint.max, max, "{values:?}");
        }
    }
}
