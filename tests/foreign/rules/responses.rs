//! Responses that we refuse and others take, or the other way about.
//!
//! Longer than most because each predicate stands beside its near misses: rules that were read apart from each other would overlap.

use client_core::ErrorKind;

use super::reply::{Leniency, Reply, after_chunks, is_chunked, is_extension, is_folded, is_token, split};
use super::{Explains, Refusal, Rule};

/// A response, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Of the request.
    pub(crate) method: String,
    /// What the server sends.
    pub(crate) reply: Vec<u8>,
    /// Whether the case wants an answer, not an error.
    pub(crate) wants_answer: bool,
    /// The status that was delivered, with the whole body.
    pub(crate) got: Result<u16, Refusal>,
    /// The case is a job of curl's, which takes what is written oddly itself.
    pub(crate) is_of_job: bool,
}

impl Response {
    /// Refused as a violation of the protocol, where an answer is wanted.
    fn is_refused(&self) -> bool {
        self.wants_answer && matches!(&self.got, Err(Refusal { kind, .. }) if *kind == Some(ErrorKind::Protocol))
    }

    /// Delivered, where an error is wanted.
    fn is_taken(&self) -> bool {
        !self.wants_answer && self.got.is_ok()
    }

    /// Delivered, where somebody stricter than curl wants an error.
    fn is_taken_leniently(&self) -> bool {
        self.is_taken() && !self.is_of_job
    }

    /// Delivered as something else than what is wanted.
    fn is_other(&self) -> bool {
        self.wants_answer && self.got.is_ok()
    }

    fn reply(&self) -> Reply<'_> {
        Reply::read(&self.reply)
    }

    /// Whether it has no body, whatever its fields say (RFC 9112 §6.3 rule 1).
    fn is_bodiless(&self, reply: &Reply<'_>) -> bool {
        self.method == "HEAD" || matches!(reply.status(), Some(204 | 304))
    }
}

const fn rule(name: &'static str, clause: &'static str, explains: fn(&Response) -> bool) -> Rule {
    Rule::new(name, clause, Explains::Response(explains))
}

/// What decides for itself what it takes for a coding or a length.
const ON_HYPER: &[&str] = &["hyper", "reqwest"];

pub(super) const RULES: &[Rule] = &[
    rule("lengths-of-no-body", "RFC 9112 §6.3 rule 1", lengths_of_no_body),
    rule("lengths-that-are-none", "RFC 9112 §6.3 rule 5", lengths_that_are_none),
    rule("lengths-beyond-64-bits", "RFC 9110 §8.6", lengths_beyond_64_bits),
    rule("lengths-in-two-spellings", "RFC 9112 §6.3 rule 5", lengths_in_two_spellings),
    rule("lengths-that-repeat", "RFC 9112 §6.3 rule 5", lengths_that_repeat),
    rule("coding-in-http10", "RFC 9112 §6.1", coding_in_http10),
    rule("coding-beside-length", "RFC 9112 §6.3 rule 3", coding_beside_length).on(&["cio", "curl", "reqwest", "ureq"]),
    rule("coding-wins", "RFC 9112 §6.3 rule 3", coding_wins).on(&["hyper"]),
    rule("chunked-twice", "RFC 9112 §6.1", chunked_twice),
    rule("codings-unasked", "RFC 9112 §6.3 rule 4", codings_unasked).on(&["cio", "curl", "ureq"]),
    rule("codings-read", "RFC 9112 §6.3 rule 4", codings_read).on(ON_HYPER),
    rule("status-codes", "RFC 9110 §15", status_codes),
    rule("status-line-spaces", "RFC 9112 §4", status_line_spaces),
    rule("reasons", "RFC 9112 §4", reasons),
    rule("versions", "RFC 9112 §2.3", versions),
    rule("bare-lf-in-head", "RFC 9112 §2.2", bare_lf_in_head),
    rule("bare-lf-in-chunks", "RFC 9112 §7.1", bare_lf_in_chunks),
    rule("chunk-extensions", "RFC 9112 §7.1.1", chunk_extensions),
    rule("chunk-sizes", "RFC 9112 §7.1", chunk_sizes),
    rule("bytes-beyond", "RFC 9112 §6.3", bytes_beyond),
    rule("empty-lines-before", "RFC 9112 §2.2", empty_lines_before).on(&["curl"]),
    rule("bare-cr-ends-head", "RFC 9112 §2.2", bare_cr_ends_head).on(&["curl"]),
    rule("folded-fields", "RFC 9112 §5.2", folded_fields),
    rule("whitespace-before-fields", "RFC 9112 §2.2", whitespace_before_fields),
    rule("space-before-colon", "RFC 9112 §5.1", space_before_colon),
    rule("field-names", "RFC 9110 §5.1", field_names),
    rule("field-values", "RFC 9110 §5.5", field_values),
];

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn lengths_of_no_body(response: &Response) -> bool {
    let reply = response.reply();
    let lengths = reply.list("content-length");
    let is_odd = lengths.iter().any(|length| !is_number(length)) || lengths.windows(2).any(|pair| pair[0] != pair[1]);
    response.is_taken() && response.is_bodiless(&reply) && reply.is_plain() && (is_odd || reply.has("transfer-encoding"))
}

fn lengths_that_are_none(response: &Response) -> bool {
    response.is_refused() && response.reply().list("content-length").iter().any(|length| !is_number(length))
}

/// Here it is no length at all; others say that it is too large.
fn lengths_beyond_64_bits(response: &Response) -> bool {
    let is_protocol = matches!(&response.got, Err(Refusal { kind, .. }) if *kind == Some(ErrorKind::Protocol));
    let lengths = response.reply().list("content-length");
    is_protocol && lengths.iter().all(|length| is_number(length)) && lengths.iter().any(|length| length.parse::<u64>().is_err())
}

fn lengths_in_two_spellings(response: &Response) -> bool {
    let lengths = response.reply().list("content-length");
    let numbers: Vec<u64> = lengths.iter().filter(|length| is_number(length)).filter_map(|length| length.parse().ok()).collect();
    let is_one = numbers.len() == lengths.len() && numbers.windows(2).all(|pair| pair[0] == pair[1]);
    let is_spelt_twice = lengths.windows(2).any(|pair| pair[0] != pair[1]);
    (response.is_refused() || response.is_taken()) && is_one && is_spelt_twice
}

fn lengths_that_repeat(response: &Response) -> bool {
    let reply = response.reply();
    let lengths = reply.list("content-length");
    let is_same = lengths.len() > 1 && lengths.windows(2).all(|pair| pair[0] == pair[1]);
    response.is_taken_leniently() && reply.is_plain() && is_same && is_number(&lengths[0])
}

fn coding_in_http10(response: &Response) -> bool {
    let reply = response.reply();
    response.is_refused() && reply.has("transfer-encoding") && reply.status_line.starts_with(b"HTTP/1.0 ")
}

fn coding_beside_length(response: &Response) -> bool {
    let reply = response.reply();
    response.is_refused() && reply.has("transfer-encoding") && reply.has("content-length")
}

fn coding_wins(response: &Response) -> bool {
    let reply = response.reply();
    response.is_taken() && reply.has("transfer-encoding") && reply.has("content-length")
}

fn chunked_twice(response: &Response) -> bool {
    let codings = response.reply().list("transfer-encoding");
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case("chunked")).count();
    (response.is_refused() || response.is_taken() || response.is_other()) && chunked > 1
}

/// Whether there is a coding, and another than exactly `chunked`.
fn is_unasked(response: &Response) -> bool {
    let values = response.reply().values("transfer-encoding");
    !values.is_empty() && !matches!(&values[..], [value] if value.eq_ignore_ascii_case("chunked"))
}

fn codings_unasked(response: &Response) -> bool {
    response.is_refused() && is_unasked(response)
}

/// Read until the connection ends, which the server may never do.
fn codings_read(response: &Response) -> bool {
    let waits = matches!(&response.got, Err(Refusal { kind, .. }) if matches!(kind, Some(ErrorKind::Timeout(_))));
    (response.is_taken() || waits) && is_unasked(response)
}

/// What stands between the first space and the second.
fn code<'a>(reply: &Reply<'a>) -> Option<&'a [u8]> {
    let rest = reply
        .status_line
        .strip_prefix(b"HTTP/1.0 ")
        .or_else(|| reply.status_line.strip_prefix(b"HTTP/1.1 "))?;
    rest.split(|byte| *byte == b' ').next()
}

/// Less than 100, or more than 599 and passed on.
fn status_codes(response: &Response) -> bool {
    let reply = response.reply();
    let code = code(&reply).unwrap_or_default();
    let is_low = (1..=3).contains(&code.len()) && code.iter().all(u8::is_ascii_digit) && (code.len() < 3 || code[0] == b'0');
    let is_high = reply.status().is_some_and(|status| status >= 600);
    response.is_refused() && is_low || response.is_taken() && is_high
}

fn status_line_spaces(response: &Response) -> bool {
    let line = response.reply().status_line;
    let rest = line.strip_prefix(b"HTTP/1.0").or_else(|| line.strip_prefix(b"HTTP/1.1")).unwrap_or_default();
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let code = &rest[spaces..];
    let has_code = code.len() >= 3 && code[..3].iter().all(u8::is_ascii_digit) && matches!(code.get(3), None | Some(b' '));
    response.is_refused() && has_code && (spaces > 1 || rest.starts_with(b"\t"))
}

/// None, not even its space, or one that begins with a space, is taken; control characters are not.
fn reasons(response: &Response) -> bool {
    let reply = response.reply();
    let (start, reason) = reply.status_line.split_at_checked(12).unwrap_or_default();
    let has_status = Reply::read(start).status().is_some();
    let has_control = reason.starts_with(b" ") && reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    response.is_taken_leniently() && reply.is_plain() && (reason.is_empty() || reason.starts_with(b"  "))
        || response.is_refused() && has_status && has_control
}

fn versions(response: &Response) -> bool {
    let line = response.reply().status_line;
    let name = line.split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    response.is_refused() && !name.is_empty() && name != b"HTTP/1.0" && name != b"HTTP/1.1"
}

fn bare_lf_in_head(response: &Response) -> bool {
    let reply = response.reply();
    response.is_taken_leniently() && reply.has_bare_lf && reply.is_plain()
}

/// The body, if it is in the chunked coding, and complete for somebody.
fn chunks<'a>(reply: &Reply<'a>, allowed: Leniency) -> Option<&'a [u8]> {
    let codings = reply.values("transfer-encoding");
    let is_coded = matches!(&codings[..], [coding] if coding.eq_ignore_ascii_case("chunked"));
    // What is right has nothing to be explained.
    (is_coded && !is_chunked(reply.body, Leniency::default()) && is_chunked(reply.body, allowed)).then_some(reply.body)
}

fn bare_lf_in_chunks(response: &Response) -> bool {
    let allowed = Leniency {
        bare_lf: true,
        ..Leniency::default()
    };
    response.is_refused() && chunks(&response.reply(), allowed).is_some()
}

/// They are passed over where they break no line; where a quote or a control character makes them ambiguous, some refuse them.
fn chunk_extensions(response: &Response) -> bool {
    let allowed = Leniency {
        extensions: true,
        ..Leniency::default()
    };
    let reply = response.reply();
    let Some(body) = chunks(&reply, allowed) else {
        return false;
    };
    let is_ambiguous = |line: &[u8]| {
        let extension = line.iter().position(|byte| *byte == b';').map_or(&[][..], |at| &line[at..]);
        let extension = extension.trim_ascii();
        !is_extension(extension) && extension.iter().any(|byte| *byte == b'"' || byte.is_ascii_control())
    };
    response.is_taken_leniently() || response.is_refused() && body.split(|byte| *byte == b'\n').any(is_ambiguous)
}

/// Whitespace after a size is passed over; one of more than 16 digits is a length that nobody reads.
fn chunk_sizes(response: &Response) -> bool {
    let spaced = Leniency {
        space: true,
        ..Leniency::default()
    };
    let long = Leniency {
        long_sizes: true,
        ..Leniency::default()
    };
    let reply = response.reply();
    response.is_taken_leniently() && chunks(&reply, spaced).is_some()
        || (response.is_refused() || response.is_taken_leniently()) && chunks(&reply, long).is_some()
}

/// More than the framing says.
fn bytes_beyond(response: &Response) -> bool {
    let reply = response.reply();
    let rest = match (&reply.values("transfer-encoding")[..], &reply.list("content-length")[..]) {
        _ if response.is_bodiless(&reply) => Some(reply.body),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => after_chunks(reply.body, Leniency::default()),
        ([], [length]) => length.parse().ok().and_then(|length: usize| reply.body.get(length..)),
        _ => None,
    };
    response.is_taken_leniently() && reply.is_plain() && rest.is_some_and(|rest| !rest.is_empty())
}

fn empty_lines_before(response: &Response) -> bool {
    response.is_refused() && response.reply().blank_before
}

fn bare_cr_ends_head(response: &Response) -> bool {
    let reply = response.reply();
    response.is_taken() && !reply.is_complete && response.reply.ends_with(b"\n\r")
}

/// Folded after a field, and nothing else wrong.
fn folded_fields(response: &Response) -> bool {
    let mut reply = response.reply();
    let starts_right = reply.field_lines.first().is_some_and(|line| !is_folded(line));
    let before = reply.field_lines.len();
    reply.field_lines.retain(|line| !is_folded(line));
    response.is_taken_leniently() && starts_right && reply.field_lines.len() < before && reply.is_plain()
}

fn whitespace_before_fields(response: &Response) -> bool {
    let reply = response.reply();
    response.is_refused() && reply.field_lines.first().is_some_and(|line| is_folded(line)) && reply.status().is_some()
}

fn space_before_colon(response: &Response) -> bool {
    let has_space = |line: &&[u8]| {
        let name = split(line).map_or(&[][..], |(name, _)| name);
        let trimmed = name.trim_ascii_end();
        trimmed.len() < name.len() && is_token(trimmed)
    };
    response.is_refused() && response.reply().field_lines.iter().any(has_space)
}

/// No token, or no colon after it.
fn field_names(response: &Response) -> bool {
    let reply = response.reply();
    let is_none = |line: &&[u8]| !is_folded(line) && !split(line).is_some_and(|(name, _)| is_token(name.trim_ascii_end()));
    response.is_refused() && reply.is_complete && reply.status().is_some() && reply.field_lines.iter().any(is_none)
}

/// Control characters, other than a tab.
fn field_values(response: &Response) -> bool {
    let has_control = |line: &&[u8]| {
        let value = split(line).map_or(&[][..], |(_, value)| value);
        value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
    };
    response.is_refused() && response.reply().field_lines.iter().any(has_control)
}

#[cfg(test)]
mod tests {
    use super::super::{Difference, explain};
    use super::*;

    fn name(response: Response, engine: &str) -> Option<&'static str> {
        explain(&Difference::Response(response), engine).map(|rule| rule.name)
    }

    fn response(reply: &str, wants_answer: bool, got: Result<u16, Refusal>) -> Response {
        Response {
            method: "GET".into(),
            reply: reply.as_bytes().to_vec(),
            wants_answer,
            got,
            is_of_job: false,
        }
    }

    fn refusal(kind: ErrorKind) -> Refusal {
        Refusal {
            kind: Some(kind),
            why: "no".into(),
        }
    }

    /// Refused, where an answer is wanted.
    fn refused_on(engine: &str, reply: &str) -> Option<&'static str> {
        name(response(reply, true, Err(refusal(ErrorKind::Protocol))), engine)
    }

    fn refused(reply: &str) -> Option<&'static str> {
        refused_on("cio", reply)
    }

    /// Delivered, where an error is wanted.
    fn taken_on(engine: &str, reply: &str) -> Option<&'static str> {
        name(response(reply, false, Ok(200)), engine)
    }

    fn taken(reply: &str) -> Option<&'static str> {
        taken_on("cio", reply)
    }

    /// A response with these fields.
    fn with(fields: &str) -> String {
        format!("HTTP/1.1 200 Fine\r\n{fields}\r\n\r\nbody")
    }

    /// A chunked one.
    fn chunked(body: &str) -> String {
        format!("HTTP/1.1 200 Fine\r\nTransfer-Encoding: Chunked\r\n\r\n{body}")
    }

    #[test]
    fn what_is_right_is_never_explained() {
        for reply in [
            "HTTP/1.1 200 Fine\r\n\r\nbody",
            "HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\n\r\nbody",
            "HTTP/1.1 204 Empty\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 Fine\r\nA: \r\nB: \tx y\t\r\n\r\nbody",
            &*chunked("4;a=b\r\nbody\r\n0\r\nT: v\r\n\r\n"),
        ] {
            for engine in ["cio", "hyper", "curl", "ureq"] {
                assert_eq!((refused_on(engine, reply), taken_on(engine, reply)), (None, None), "{reply:?}");
            }
        }
    }

    #[test]
    fn only_a_violation_of_the_protocol_is_a_refusal() {
        let reply = with("Content-Length: four");
        assert_eq!(refused(&reply), Some("lengths-that-are-none"));
        for kind in [ErrorKind::Closed, ErrorKind::Connect, ErrorKind::Engine, ErrorKind::TooLarge] {
            assert_eq!(name(response(&reply, true, Err(refusal(kind))), "cio"), None, "{kind:?}");
        }
        // The runner's own trouble.
        assert_eq!(name(response(&reply, true, Err("hangs".to_owned().into())), "cio"), None);
        // Another status or body than wanted.
        assert_eq!(name(response(&reply, true, Ok(200)), "cio"), None);
    }

    #[test]
    fn lengths() {
        for value in ["four", "+4", "-4", "4.0", "0x4", "", "4,", "4;", "4 4", "four, four"] {
            assert_eq!(refused(&with(&format!("Content-Length: {value}"))), Some("lengths-that-are-none"), "{value:?}");
        }
        assert_eq!(refused(&with("X-Content-Length: four")), None);
        assert_eq!(taken(&with("Content-Length: four")), None);

        let large = with("Content-Length: 98765432109876543210");
        assert_eq!(refused(&large), Some("lengths-beyond-64-bits"));
        assert_eq!(refused(&with("Content-Length: 18446744073709551615")), None);
        // Wanted is an error of another kind.
        let other = response(&large, false, Err(refusal(ErrorKind::Protocol)));
        assert_eq!(name(other, "cio"), Some("lengths-beyond-64-bits"));

        for fields in ["Content-Length: 04, 4", "Content-Length: 4\r\nContent-Length: 004"] {
            assert_eq!(refused(&with(fields)), Some("lengths-in-two-spellings"), "{fields}");
            assert_eq!(taken_on("hyper", &with(fields)), Some("lengths-in-two-spellings"), "{fields}");
        }
        assert_eq!(taken_on("hyper", &with("Content-Length: 4, 5")), None);
        assert_eq!(refused(&with("Content-Length: 4, 5")), None);

        assert_eq!(taken(&with("Content-Length: 4\r\nContent-Length: 4")), Some("lengths-that-repeat"));
        assert_eq!(refused(&with("Content-Length: 4, 4")), None);
        assert_eq!(taken(&with("Content-Length: 4")), None);
    }

    #[test]
    fn lengths_where_there_is_no_body() {
        let reply = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(taken(&reply("204 Empty")), Some("lengths-of-no-body"));
        assert_eq!(taken(&reply("304 Same")), Some("lengths-of-no-body"));
        assert_eq!(taken(&reply("200 Fine")), None);
        let mut head = response(&reply("200 Fine"), false, Ok(200));
        head.method = "HEAD".into();
        assert_eq!(name(head, "cio"), Some("lengths-of-no-body"));
        assert_eq!(taken("HTTP/1.1 204 Empty\r\nContent-Length: 1\r\n\r\n"), None);
        assert_eq!(taken("HTTP/1.1 204 Empty\r\nTransfer-Encoding: chunked\r\n\r\n"), Some("lengths-of-no-body"));
    }

    #[test]
    fn codings() {
        for coding in [
            "gzip",
            "chunked, gzip",
            "gzip, chunked",
            "x-chunked",
            "\"chunked\"",
            "chunked,",
            "",
        ] {
            let reply = with(&format!("Transfer-Encoding: {coding}"));
            assert_eq!(refused(&reply), Some("codings-unasked"), "{coding}");
            assert_eq!(taken_on("hyper", &reply), Some("codings-read"), "{coding}");
            assert_eq!(taken(&reply), None, "{coding}");
        }
        let waits = Err(refusal(ErrorKind::Timeout(client_core::TimeoutKind::Request)));
        assert_eq!(
            name(response(&with("Transfer-Encoding: gzip"), false, waits.clone()), "hyper"),
            Some("codings-read")
        );
        assert_eq!(name(response(&with("Transfer-Encoding: chunked"), false, waits), "hyper"), None);

        let twice = with("Transfer-Encoding: chunked\r\nTransfer-Encoding: CHUNKED");
        assert_eq!((refused(&twice), taken_on("hyper", &twice)), (Some("chunked-twice"), Some("chunked-twice")));
        assert_eq!(name(response(&twice, true, Ok(200)), "hyper"), Some("chunked-twice"));
        let beside = with("Transfer-Encoding: chunked\r\nContent-Length: 4");
        assert_eq!((refused(&beside), taken_on("hyper", &beside)), (Some("coding-beside-length"), Some("coding-wins")));
        assert_eq!((refused_on("hyper", &beside), taken(&beside)), (None, None));
        assert_eq!(
            refused("HTTP/1.0 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Some("coding-in-http10")
        );
        assert_eq!(refused(&chunked("0\r\n\r\n")), None);
    }

    #[test]
    fn status_lines() {
        for (line, rule) in [
            ("HTTP/1.1 7 Low", Some("status-codes")),
            ("HTTP/1.1 42 Low", Some("status-codes")),
            ("HTTP/1.1 042 Low", Some("status-codes")),
            ("HTTP/1.1 1234 High", None),
            ("HTTP/1.1 2x0 Odd", None),
            ("HTTP/1.1 No", None),
            ("HTTP/1.1", None),
            ("HTTP/1.1  200 Fine", Some("status-line-spaces")),
            ("HTTP/1.0\t200", Some("status-line-spaces")),
            ("HTTP/1.1  20 Fine", None),
            ("HTTP/1.1 200 F\u{1}ne", Some("reasons")),
            ("HTTP/1.1 20 F\u{1}ne", Some("status-codes")),
            ("HTTP/1.1 2x0 F\u{1}ne", None),
            ("HTTP/1.1 200 F\tne", None),
            ("HTTP/1.1200 Fine", Some("versions")),
            ("HTTP/1.3 200 Fine", Some("versions")),
            ("SIP/2.0 200 Fine", Some("versions")),
            ("http/1.1 200 Fine", Some("versions")),
            ("hello", Some("versions")),
        ] {
            assert_eq!(refused(&format!("{line}\r\n\r\nbody")), rule, "{line}");
        }
        for (line, rule) in [
            ("HTTP/1.1 642 High", Some("status-codes")),
            ("HTTP/1.1 599 Fine", None),
            ("HTTP/1.1 200", Some("reasons")),
            ("HTTP/1.1 200  Fine", Some("reasons")),
            ("HTTP/1.1 200 ", None),
            ("HTTP/1.3 200 Fine", None),
            ("HTTP/1.1  200 Fine", None),
        ] {
            assert_eq!(taken(&format!("{line}\r\n\r\nbody")), rule, "{line}");
        }
    }

    #[test]
    fn what_curl_takes_is_no_excuse_in_its_jobs() {
        for reply in [
            "HTTP/1.1 200 Fine\nA: b\n\n",
            "HTTP/1.1 200\r\n\r\n",
            &*with("A: b\r\n c"),
            &*chunked("4 \r\nbody\r\n0\r\n\r\n"),
        ] {
            let mut response = response(reply, false, Ok(200));
            assert!(name(response.clone(), "cio").is_some(), "{reply:?}");
            response.is_of_job = true;
            assert_eq!(name(response, "cio"), None, "{reply:?}");
        }
    }

    #[test]
    fn ends_of_lines() {
        assert_eq!(taken("HTTP/1.1 200 Fine\nA: b\r\n\r\nbody"), Some("bare-lf-in-head"));
        assert_eq!(refused("HTTP/1.1 200 Fine\nA: b\n\nbody"), None);
        // Something else is wrong, too.
        assert_eq!(taken("HTTP/1.1 200 Fine\nA\n\nbody"), None);
        assert_eq!(taken("HTTP/1.1 200 Fine\nA: \rb\n\nbody"), None);
        assert_eq!(taken("HTTP/1.1 200 Fine\nA: b\n"), None);

        assert_eq!(refused(&chunked("4\nbody\r\n0\r\n\r\n")), Some("bare-lf-in-chunks"));
        assert_eq!(refused(&chunked("6\nbody\r\n0\r\n\r\n")), None);
        assert_eq!(taken(&chunked("4\nbody\r\n0\r\n\r\n")), None);

        assert_eq!(refused_on("curl", "\r\nHTTP/1.1 200 Fine\r\n\r\n"), Some("empty-lines-before"));
        assert_eq!(refused("\r\nHTTP/1.1 200 Fine\r\n\r\n"), None);
        assert_eq!(taken_on("curl", "HTTP/1.1 200 Fine\r\nA: b\n\r"), Some("bare-cr-ends-head"));
        assert_eq!(taken("HTTP/1.1 200 Fine\r\nA: b\n\r"), None);
        assert_eq!(taken_on("curl", "HTTP/1.1 200 Fine\r\nA: b\r\n"), None);
    }

    #[test]
    fn chunks_with_oddities() {
        for body in ["4;\r\nbody\r\n0\r\n\r\n", "4;a b\r\nbody\r\n0\r\n\r\n"] {
            assert_eq!((taken(&chunked(body)), refused(&chunked(body))), (Some("chunk-extensions"), None), "{body}");
        }
        let open = chunked("4;a=\"b\r\nbody\r\n0\r\n\r\n");
        assert_eq!((taken(&open), refused(&open)), (Some("chunk-extensions"), Some("chunk-extensions")));
        assert_eq!(taken(&chunked("4 \r\nbody\r\n0\r\n\r\n")), Some("chunk-sizes"));
        assert_eq!(refused(&chunked("4 \r\nbody\r\n0\r\n\r\n")), None);
        let long = chunked("00000000000000004\r\nbody\r\n0\r\n\r\n");
        assert_eq!((taken(&long), refused(&long)), (Some("chunk-sizes"), Some("chunk-sizes")));
        for body in [
            "4x\r\nbody\r\n0\r\n\r\n",
            "4\r\nbody",
            "-4\r\nbody\r\n0\r\n\r\n",
            " 4\r\nbody\r\n0\r\n\r\n",
        ] {
            assert_eq!((taken(&chunked(body)), refused(&chunked(body))), (None, None), "{body}");
        }
    }

    #[test]
    fn what_comes_after_the_end() {
        let beyond = Some("bytes-beyond");
        assert_eq!(taken(&with("Content-Length: 3")), beyond);
        assert_eq!(taken(&with("Content-Length: 4")), None);
        assert_eq!(taken(&chunked("4\r\nbody\r\n0\r\n\r\nmore")), beyond);
        assert_eq!(taken("HTTP/1.1 204 Empty\r\n\r\nmore"), beyond);
        // Without a length, all of it is the body.
        assert_eq!(taken(&with("A: b")), None);
        assert_eq!(refused(&with("Content-Length: 3")), None);
    }

    #[test]
    fn fields() {
        assert_eq!(taken(&with("A: b\r\n c")), Some("folded-fields"));
        assert_eq!(taken(&with("A\r\n c")), None);
        assert_eq!(refused(&with("A: b\r\n c")), None);
        assert_eq!(refused(&with(" A: b")), Some("whitespace-before-fields"));
        assert_eq!(taken(&with(" A: b")), None);
        assert_eq!(refused(&with("A : b")), Some("space-before-colon"));
        assert_eq!(taken(&with("A : b")), None);
        for field in ["A", "A b: c", "(a): b", ": b"] {
            assert_eq!(refused(&with(field)), Some("field-names"), "{field}");
            assert_eq!(taken(&with(field)), None, "{field}");
        }
        for field in ["A: b\0c", "A: \x1b", "A: b\rc"] {
            assert_eq!(refused(&with(field)), Some("field-values"), "{field:?}");
            assert_eq!(taken(&with(field)), None, "{field:?}");
        }
    }
}
