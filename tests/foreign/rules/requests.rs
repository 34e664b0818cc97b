//! Requests that are not written as another client writes them.

use client_core::ErrorKind;

use super::{Explains, Refusal, Rule};
use crate::corpora::same_request;
use crate::wire;

/// A request as a case describes it, and what was sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The fields that the case sets.
    pub(crate) headers: Vec<(String, String)>,
    /// `None`: nothing is to be sent.
    pub(crate) wanted: Option<wire::Request>,
    pub(crate) seen: Vec<wire::Request>,
    pub(crate) refusal: Option<Refusal>,
}

const fn rule(name: &'static str, clause: &'static str, explains: fn(&Request) -> bool) -> Rule {
    Rule::new(name, clause, Explains::Request(explains))
}

pub(super) const RULES: &[Rule] = &[
    rule("transfer-codings-are-the-engines", "RFC 9112 §6.1", transfer_codings_are_the_engines),
    rule("host-is-always-sent", "RFC 9112 §3.2", host_is_always_sent),
];

/// The user's own coding is refused, before anything is sent.
fn transfer_codings_are_the_engines(request: &Request) -> bool {
    let is_own = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("transfer-encoding") && !value.trim().eq_ignore_ascii_case("chunked")
    };
    let is_refused = request.refusal.as_ref().is_some_and(|refusal| refusal.kind == Some(ErrorKind::InvalidRequest));
    request.headers.iter().any(is_own) && is_refused && request.seen.is_empty()
}

/// The request has a Host, where the case switches it off, and is as wanted otherwise.
fn host_is_always_sent(request: &Request) -> bool {
    let (Some(wanted), [seen]) = (&request.wanted, &request.seen[..]) else {
        return false;
    };
    let mut without = seen.clone();
    without.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
    let is_left_out = wanted.version == "HTTP/1.1" && wanted.value("host").is_none() && seen.value("host").is_some();
    request.refusal.is_none() && is_left_out && same_request(&without, wanted).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Difference, explain};
    use super::*;

    fn name(request: Request) -> Option<&'static str> {
        explain(&Difference::Request(request), "cio").map(|rule| rule.name)
    }

    fn wire(text: &str) -> wire::Request {
        wire::Request::take(&mut text.as_bytes().to_vec()).unwrap().unwrap()
    }

    #[test]
    fn a_coding_of_the_users() {
        let request = |value: &str, kind, seen: &[&str]| Request {
            headers: vec![("Transfer-Encoding".into(), value.into())],
            wanted: None,
            seen: seen.iter().map(|text| wire(text)).collect(),
            refusal: Some(Refusal {
                kind: Some(kind),
                why: "no".into(),
            }),
        };
        assert_eq!(name(request("x-own", ErrorKind::InvalidRequest, &[])), Some("transfer-codings-are-the-engines"));
        assert_eq!(name(request("chunked", ErrorKind::InvalidRequest, &[])), None);
        assert_eq!(name(request("x-own", ErrorKind::Closed, &[])), None);
        assert_eq!(name(request("x-own", ErrorKind::InvalidRequest, &["GET / HTTP/1.1\r\n\r\n"])), None);
    }

    #[test]
    fn a_host_that_is_not_wanted() {
        let request = |wanted: &str, seen: &str| Request {
            headers: Vec::new(),
            wanted: Some(wire(wanted)),
            seen: vec![wire(seen)],
            refusal: None,
        };
        let bare = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
        assert_eq!(name(request(bare, "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n")), Some("host-is-always-sent"));
        assert_eq!(name(request(bare, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")), None);
        assert_eq!(name(request(bare, "PUT / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n")), None);
        assert_eq!(name(request(bare, "GET / HTTP/1.1\r\nB: c\r\n\r\n")), None);
        assert_eq!(name(request("GET / HTTP/1.1\r\nHost: g\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n")), None);
    }
}
