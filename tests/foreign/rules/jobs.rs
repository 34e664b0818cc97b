//! What curl does as a matter of its own policy, and we do otherwise.

use client_core::ErrorKind;
use url::{ParseError, Url};

use super::reply::{Reply, is_token};
use super::responses::Response;
use super::{Explains, Refusal, Rule};

/// What curl is told, what the server answers, and what came of it here.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) ops: Vec<Op>,
    /// What the server has to say, in no order.
    pub(crate) replies: Vec<Vec<u8>>,
    /// How curl ends: any of these.
    pub(crate) wanted: Vec<String>,
    /// How the last call ended.
    pub(crate) got: Result<u16, Refusal>,
    /// How the requests differ first, as the corpus's judge says it.
    pub(crate) difference: Option<String>,
}

/// Some calls with the same options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Op {
    pub(crate) method: String,
    pub(crate) urls: Vec<String>,
    /// Without those that are not to be sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body_length: u64,
    pub(crate) asks_for_server: bool,
    pub(crate) has_proxy: bool,
}

/// One part of a request that differs.
struct Part<'a> {
    /// The request's index.
    index: usize,
    name: &'a str,
    wanted: &'a str,
    got: &'a str,
}

/// How curl ends because of what a server sends.
const OF_RESPONSES: [&str; 8] = [
    "ok",
    "bad-reply",
    "empty-reply",
    "receive",
    "partial-body",
    "content-encoding",
    "unsupported-protocol",
    "too-large",
];

impl Job {
    /// Its replies, each as a case of its own; none if what differs has nothing to do with them.
    pub(super) fn responses(&self) -> impl Iterator<Item = Response> {
        let is_of_responses = |outcome: &String| OF_RESPONSES.contains(&outcome.as_str());
        let differs_in_requests = self.got.is_ok() && self.difference.is_some();
        let replies = self.replies.iter().filter(move |_| self.wanted.iter().any(is_of_responses) && !differs_in_requests);
        let method = self.ops.last().map_or("GET", |op| &op.method);
        replies.map(move |reply| Response {
            method: method.to_owned(),
            reply: reply.clone(),
            wants_answer: self.wants_answer(),
            got: self.got.clone(),
            is_of_job: true,
        })
    }

    fn wants_answer(&self) -> bool {
        self.wanted.iter().any(|outcome| outcome == "ok")
    }

    fn is_refused_as(&self, kinds: &[ErrorKind]) -> bool {
        self.wants_answer() && matches!(&self.got, Err(Refusal { kind: Some(kind), .. }) if kinds.contains(kind))
    }

    /// What differs, where the call itself ended as it should.
    fn part(&self) -> Option<Part<'_>> {
        let difference = self.difference.as_deref().filter(|_| self.wants_answer() && self.got.is_ok())?;
        let (place, values) = difference.split_once(": want '")?;
        let (wanted, got) = values.strip_suffix('\'')?.split_once("' got '")?;
        let (index, name) = place.split_once('[')?.1.split_once("].")?;
        Some(Part {
            index: index.parse().ok()?,
            name,
            wanted,
            got,
        })
    }

    fn locations(&self) -> impl Iterator<Item = String> {
        self.replies.iter().flat_map(|reply| Reply::read(reply).values("location"))
    }

    fn has_reply(&self, fits: impl Fn(&Reply<'_>) -> bool) -> bool {
        self.replies.iter().any(|reply| fits(&Reply::read(reply)))
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        self.ops.iter().flat_map(|op| &op.urls).map(String::as_str)
    }
}

const fn rule(name: &'static str, clause: &'static str, explains: fn(&Job) -> bool) -> Rule {
    Rule::new(name, clause, Explains::Job(explains))
}

pub(super) const RULES: &[Rule] = &[
    rule("spaces-in-locations", "WHATWG URL §4.4", spaces_in_locations),
    rule("slashes-before-hosts", "WHATWG URL §4.4", slashes_before_hosts),
    rule("zone-identifiers", "RFC 3986 §3.2.2", zone_identifiers),
    rule("hosts-that-end-in-a-number", "WHATWG URL §3.5", hosts_that_end_in_a_number),
    rule("own-methods-at-a-redirect", "RFC 9110 §15.4.3", own_methods_at_a_redirect),
    rule("untrue-lengths", "RFC 9110 §8.6", untrue_lengths),
    rule("several-hosts", "RFC 9112 §3.2", several_hosts),
    rule("names-of-header-fields", "RFC 9110 §5.6.2", names_of_header_fields),
    rule("remembered-downgrades", "RFC 9110 §2.5", remembered_downgrades).on(&["cio", "ureq"]),
    rule("names-below-localhost", "RFC 6761 §6.3", names_below_localhost).on(&["reqwest", "ureq"]),
    rule("asterisk-through-a-proxy", "RFC 9112 §3.2.4", asterisk_through_a_proxy).on(&["curl"]),
];

/// `+` in curl's query, `%20` in ours, and nothing else.
fn spaces_in_locations(job: &Job) -> bool {
    let has_space = |location: String| location.split_once('?').is_some_and(|(_, query)| query.trim().contains(' '));
    job.part().is_some_and(|part| {
        let (path, query) = part.wanted.split_once('?').unwrap_or((part.wanted, ""));
        part.name == "target" && query.contains('+') && part.got == format!("{path}?{}", query.replace('+', "%20"))
    }) && job.locations().any(has_space)
}

fn slashes_before_hosts(job: &Job) -> bool {
    let has_many = |url: &str| {
        url.split_once(':')
            .is_some_and(|(scheme, rest)| scheme.starts_with("http") && rest.starts_with("////"))
    };
    let is_refused = job.wanted.iter().all(|outcome| outcome == "bad-url");
    is_refused && job.got.is_ok() && (job.locations().any(|location| has_many(&location)) || job.urls().any(has_many))
}

fn zone_identifiers(job: &Job) -> bool {
    let has_zone = |url: &str| {
        let host = url.split_once("://[").and_then(|(_, rest)| rest.split_once(']'));
        host.is_some_and(|(host, _)| host.contains('%'))
    };
    let has_any = job.locations().any(|location| has_zone(&location)) || job.urls().any(has_zone);
    has_any && job.is_refused_as(&[ErrorKind::Redirect, ErrorKind::InvalidRequest])
}

fn hosts_that_end_in_a_number(job: &Job) -> bool {
    let is_one = |url: &str| Url::parse(url) == Err(ParseError::InvalidIpv4Address);
    let has_any = job.locations().any(|location| is_one(&location)) || job.urls().any(is_one);
    has_any && job.is_refused_as(&[ErrorKind::Redirect, ErrorKind::InvalidRequest])
}

/// curl goes on with GET, and here the method stays.
fn own_methods_at_a_redirect(job: &Job) -> bool {
    let is_own = |method: &str| !matches!(method, "GET" | "HEAD" | "POST") && job.ops.iter().any(|op| op.method == method);
    job.part()
        .is_some_and(|part| part.index > 0 && part.name == "method" && part.wanted == "GET" && is_own(part.got))
        && job.has_reply(|reply| matches!(reply.status(), Some(301 | 302)))
}

/// The user says another length than the body has.
fn untrue_lengths(job: &Job) -> bool {
    let is_untrue = |op: &Op| {
        let is_other = |value: &str| value.trim().parse() != Ok(op.body_length);
        op.headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("content-length") && is_other(value))
    };
    job.ops.iter().any(is_untrue) && job.is_refused_as(&[ErrorKind::Body, ErrorKind::InvalidRequest])
}

fn several_hosts(job: &Job) -> bool {
    let has_several = |op: &Op| op.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count() > 1;
    job.ops.iter().any(has_several) && job.is_refused_as(&[ErrorKind::InvalidRequest])
}

fn names_of_header_fields(job: &Job) -> bool {
    let is_none = |op: &Op| op.headers.iter().any(|(name, _)| !is_token(name.as_bytes()));
    job.ops.iter().any(is_none) && job.is_refused_as(&[ErrorKind::InvalidRequest])
}

/// curl asks in HTTP/1.0 after an answer in it.
fn remembered_downgrades(job: &Job) -> bool {
    let is_it = |part: Part<'_>| part.index > 0 && (part.name, part.wanted, part.got) == ("version", "HTTP/1.0", "HTTP/1.1");
    job.part().is_some_and(is_it) && job.has_reply(|reply| reply.status_line.starts_with(b"HTTP/1.0 "))
}

fn names_below_localhost(job: &Job) -> bool {
    let is_below = |url: &str| {
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        host.strip_suffix('.').unwrap_or(&host).ends_with(".localhost")
    };
    job.urls().any(is_below) && job.is_refused_as(&[ErrorKind::Resolve])
}

/// As RFC 9112 has it for a proxy: the URL without a path.
fn asterisk_through_a_proxy(job: &Job) -> bool {
    let asks = job.ops.iter().any(|op| op.asks_for_server && op.has_proxy && op.method == "OPTIONS");
    let is_it = |part: Part<'_>| part.name == "target" && part.wanted == "*" && part.got.starts_with("http://");
    asks && job.part().is_some_and(is_it)
}

#[cfg(test)]
mod tests {
    use super::super::{Difference, explain};
    use super::*;

    fn job(op: Op, reply: &str, difference: Option<&str>) -> Job {
        Job {
            ops: vec![op],
            replies: vec![reply.as_bytes().to_vec()],
            wanted: vec!["ok".into()],
            got: Ok(200),
            difference: difference.map(str::to_owned),
        }
    }

    fn refused(op: Op, reply: &str, kind: ErrorKind) -> Job {
        Job {
            got: Err(Refusal {
                kind: Some(kind),
                why: "no".into(),
            }),
            ..job(op, reply, None)
        }
    }

    fn name_on(engine: &str, job: Job) -> Option<&'static str> {
        explain(&Difference::Job(job), engine).map(|rule| rule.name)
    }

    fn name(job: Job) -> Option<&'static str> {
        name_on("cio", job)
    }

    fn op(url: &str, headers: &[(&str, &str)]) -> Op {
        Op {
            method: "PUT".into(),
            urls: vec![url.into()],
            headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            body_length: 4,
            ..Op::default()
        }
    }

    fn to(location: &str) -> String {
        format!("HTTP/1.1 302 There\r\nLocation: {location}\r\n\r\n")
    }

    const URL: &str = "http://h.example/";

    #[test]
    fn a_reply_is_judged_like_a_response() {
        let reply = "HTTP/1.1 200 Fine\nContent-Length: four\n\n";
        assert_eq!(name(refused(op(URL, &[]), reply, ErrorKind::Protocol)), Some("lengths-that-are-none"));
        assert_eq!(name(refused(op(URL, &[]), "HTTP/1.1 200 Fine\n\n", ErrorKind::Protocol)), None);
        let twice = "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked, chunked\r\n\r\n";
        assert_eq!(name(job(op(URL, &[]), twice, None)), Some("chunked-twice"));
        assert_eq!(name(job(op(URL, &[]), twice, Some("protocol: 2 requests instead of 1"))), None);
        let elsewhere = Job {
            wanted: vec!["bad-url".into()],
            ..job(op(URL, &[]), twice, None)
        };
        assert_eq!(name(elsewhere), None);
    }

    #[test]
    fn locations() {
        let target = |got: &str| format!("protocol[1].target: want '/a?b+c' got '{got}'");
        let spaced = |location: &str, got: &str| name(job(op(URL, &[]), &to(location), Some(&target(got))));
        assert_eq!(spaced("/a?b c", "/a?b%20c"), Some("spaces-in-locations"));
        assert_eq!(spaced("/a?b c", "/a?b%2bc"), None);
        assert_eq!(spaced("/a?b+c", "/a?b%20c"), None);

        let slashes = |location: &str| Job {
            wanted: vec!["bad-url".into()],
            ..job(op(URL, &[]), &to(location), None)
        };
        assert_eq!(name(slashes("http:////h.example/")), Some("slashes-before-hosts"));
        assert_eq!(name(slashes("http:///h.example/")), None);

        let led = |location: &str, kind| name(refused(op(URL, &[]), &to(location), kind));
        assert_eq!(led("http://[fe80::1%25eth0]/", ErrorKind::Redirect), Some("zone-identifiers"));
        assert_eq!(led("http://[fe80::1]/%25", ErrorKind::Redirect), None);
        assert_eq!(led("http://h.7/", ErrorKind::Redirect), Some("hosts-that-end-in-a-number"));
        assert_eq!(led("http://h.7/", ErrorKind::Connect), None);
        assert_eq!(led("http://7.example/", ErrorKind::Redirect), None);
    }

    #[test]
    fn methods_and_versions() {
        let method = |got: &str| Some(format!("protocol[1].method: want 'GET' got '{got}'"));
        assert_eq!(name(job(op(URL, &[]), &to("/"), method("PUT").as_deref())), Some("own-methods-at-a-redirect"));
        assert_eq!(name(job(op(URL, &[]), &to("/"), method("POST").as_deref())), None);
        assert_eq!(name(job(op(URL, &[]), "HTTP/1.1 303 There\r\n\r\n", method("PUT").as_deref())), None);

        let version = Some("protocol[1].version: want 'HTTP/1.0' got 'HTTP/1.1'");
        assert_eq!(name(job(op(URL, &[]), "HTTP/1.0 200 Fine\r\n\r\n", version)), Some("remembered-downgrades"));
        assert_eq!(name(job(op(URL, &[]), "HTTP/1.1 200 Fine\r\n\r\n", version)), None);
        assert_eq!(name_on("hyper", job(op(URL, &[]), "HTTP/1.0 200 Fine\r\n\r\n", version)), None);
    }

    #[test]
    fn header_fields() {
        let invalid = |headers: &[(&str, &str)]| name(refused(op(URL, headers), "", ErrorKind::InvalidRequest));
        assert_eq!(invalid(&[("content-length", "5")]), Some("untrue-lengths"));
        assert_eq!(invalid(&[("content-length", "4")]), None);
        assert_eq!(invalid(&[("Host", "a"), ("host", "b")]), Some("several-hosts"));
        assert_eq!(invalid(&[("Host", "a")]), None);
        assert_eq!(invalid(&[("A b", "c")]), Some("names-of-header-fields"));
        assert_eq!(invalid(&[("A-b", "c")]), None);
        assert_eq!(name(refused(op(URL, &[("content-length", "5")]), "", ErrorKind::Closed)), None);
    }

    #[test]
    fn engines_of_their_own() {
        let below = || refused(op("http://a.localhost/", &[]), "", ErrorKind::Resolve);
        assert_eq!((name_on("ureq", below()), name(below())), (Some("names-below-localhost"), None));
        assert_eq!(name_on("ureq", refused(op("http://localhost.example/", &[]), "", ErrorKind::Resolve)), None);

        let asterisk = |has_proxy| {
            let op = Op {
                method: "OPTIONS".into(),
                asks_for_server: true,
                has_proxy,
                ..op(URL, &[])
            };
            name_on("curl", job(op, "", Some("protocol[0].target: want '*' got 'http://h.example'")))
        };
        assert_eq!((asterisk(true), asterisk(false)), (Some("asterisk-through-a-proxy"), None));
    }
}
