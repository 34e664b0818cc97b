//! `hyper-client.json`: a request described, and what hyper writes for it.
//!
//! What is compared is what a server understands: request line, header fields as a set (names without case, RFC 9110 §5.1), framing,
//! body and trailers. `Host` goes first with us (RFC 9110 §7.2), and is written in lower case.

use client_conformance::Settings;
use client_core::http::header::HOST;
use client_core::http::uri::Authority;
use client_core::http::{HeaderMap, HeaderName, HeaderValue, Version};
use client_core::{AnyEngine, Body, Capability, RequestTarget};
use client_hyper::Hyper;
use serde::Deserialize;

use super::responses::{Base64, Outcome};
use super::{Bench, CaseResult, plain, same, shown};
use crate::rules::{self, Difference, Refusal, Response};
use crate::server::{Reply, Server};
use crate::wire::{Framing, Request};

#[derive(Deserialize)]
struct Case {
    id: String,
    method: String,
    /// With `{addr}` where the server is.
    url: String,
    version: String,
    headers: Vec<(String, String)>,
    #[serde(rename = "expected_request_b64")]
    request: Base64,
    #[serde(rename = "reply_b64")]
    reply: Option<Base64>,
    expect: Expected,
}

#[derive(Deserialize)]
struct Expected {
    outcome: Outcome,
    why: Option<String>,
    #[serde(rename = "body_b64")]
    body: Option<Base64>,
}

/// Fields that say nothing about the request, and that a library below may add.
const DEFAULTS: [&str; 2] = ["accept", "user-agent"];

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<CaseResult>, String> {
    let cases: Vec<Case> = bench.load("hyper-client.json")?;
    let promised = bench.capabilities();
    Ok(bench.each(
        &cases,
        |case| &case.id,
        |case| {
            if !promised.contains(Capability::Http1) {
                return CaseResult::unmapped(&case.id, "the engine does not speak HTTP/1.1");
            }
            if case.version == "HTTP_2" && promised.contains(Capability::Http2) {
                return CaseResult::unmapped(&case.id, "the engine speaks HTTP/2, and the case is about one that does not");
            }
            attempt(bench, case)
        },
    ))
}

fn attempt(bench: &Bench<'_>, case: &Case) -> CaseResult {
    let reply = reply(case);
    let of_server = reply.clone();
    let server = Server::start(move |_| Reply::Raw(of_server.clone()));
    let text = String::from_utf8_lossy(&case.request.0).replace("{addr}", &server.authority());
    // Where nothing may be sent, what stands there is no request.
    let expected = Request::take(&mut text.into_bytes()).ok().flatten();
    let planned = Planned::new(case, &server.authority(), expected.as_ref());
    let leaves_out_host = expected.as_ref().is_some_and(|expected| expected.value("host").is_none());
    let got = bench.drive(Settings::default(), move |engine| async move {
        // What hyper can be told, and no contract has.
        let engine = if leaves_out_host && engine.name() == HYPER { without_host() } else { engine };
        Ok(planned.send(engine).await)
    });
    let got = got.unwrap_or_else(|why| Err(why.into()));
    if let Err(Refusal { why, .. }) = &got
        && super::is_unsupported(why)
        && case.expect.outcome == Outcome::Ok
    {
        return super::lacking(&case.id, why);
    }
    let wire = format!("{}<- {got:?}", server.wire());
    let seen: Vec<Request> = server.seen().into_iter().map(|seen| seen.request).collect();
    let sent = match (&expected, seen.as_slice()) {
        (Some(expected), [seen, ..]) => equal(seen, expected),
        (Some(_), []) => Err("no request arrived".into()),
        (None, []) => Ok(()),
        (None, [seen, ..]) => Err(format!("a request arrived: {seen}")),
    };
    let is_sent = sent.is_ok() && expected.is_some();
    let verdict = answered(&case.expect, &got).and(sent);
    CaseResult::new(&case.id, verdict, wire).about(|| {
        if is_sent {
            // Then it is the response that makes the difference.
            return Difference::Response(Response {
                method: case.method.clone(),
                reply,
                wants_answer: case.expect.outcome == Outcome::Ok,
                got: got.map(|(status, _)| status),
                is_of_job: false,
            });
        }
        Difference::Request(rules::Request {
            headers: case.headers.clone(),
            wanted: expected,
            seen,
            refusal: got.err(),
        })
    })
}

/// The engine that offers hyper's own settings, where a case is about one of them.
const HYPER: &str = "hyper";

/// It with the request's `Host` taken away, which its users may do, however wrong that is.
fn without_host() -> AnyEngine {
    AnyEngine::new(Hyper::builder().customize_request(|head| drop(head.headers_mut().remove(HOST))).build())
}

/// What the server sends. Two replies are too long, or too short, to be written down.
fn reply(case: &Case) -> Vec<u8> {
    match (&case.reply, &case.expect.why) {
        (Some(reply), _) => reply.0.clone(),
        (None, Some(why)) if why.contains("too_large") => {
            [b"HTTP/1.1 200 OK\r\nlong: ", "A".repeat(1 << 20).as_bytes(), b"\r\n\r\n"].concat()
        }
        (None, _) => Vec::new(),
    }
}

/// The request in our words.
struct Planned {
    method: String,
    url: String,
    version: Option<Version>,
    headers: Vec<(String, String)>,
    target: Option<Authority>,
    body: Body,
}

impl Planned {
    fn new(case: &Case, addr: &str, expected: Option<&Request>) -> Self {
        let url = case.url.replace("{addr}", addr);
        let connect = case.method == "CONNECT";
        let (version, http10) = match case.version.as_str() {
            "HTTP_10" => (Some(Version::HTTP_10), true),
            "HTTP_2" => (Some(Version::HTTP_2), false),
            _ => (None, false),
        };
        // `chunked` is how a length that nobody knows is said, by the engine: a header of the user's has no part in it. HTTP/1.0 does
        // not have it, so that there the length has to be known.
        let headers = case
            .headers
            .iter()
            .filter(|(name, value)| !(name.eq_ignore_ascii_case("transfer-encoding") && (value == "chunked" || http10)));
        Self {
            method: case.method.clone(),
            url: if connect { format!("http://{addr}/") } else { url },
            version,
            headers: headers.cloned().collect(),
            target: if connect { addr.parse().ok() } else { None },
            body: expected.map_or_else(Body::empty, body),
        }
    }

    async fn send(self, engine: AnyEngine) -> Result<(u16, Vec<u8>), Refusal> {
        let mut request = plain(engine)?.request(&*self.method, self.url).body(self.body);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(version) = self.version {
            request = request.version(version);
        }
        if let Some(authority) = self.target {
            request = request.target(RequestTarget::Authority(authority));
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        // After a CONNECT, what follows is no body.
        let body = if self.method == "CONNECT" {
            Vec::new()
        } else {
            response.bytes().await?.to_vec()
        };
        Ok((status, body))
    }
}

/// The body that leads to such a request: of unknown length, where the length is not told.
fn body(expected: &Request) -> Body {
    let bytes = expected.body.clone();
    let body = match expected.framing {
        Framing::Chunked => Body::stream(futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)])),
        _ if bytes.is_empty() => Body::empty(),
        _ => Body::from(bytes),
    };
    if expected.trailers.is_empty() {
        return body;
    }
    let field = |(name, value): &(String, Vec<u8>)| {
        Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    body.with_trailers(expected.trailers.iter().filter_map(field).collect::<HeaderMap>())
}

fn answered(expected: &Expected, got: &Result<(u16, Vec<u8>), Refusal>) -> Result<(), String> {
    match (expected.outcome, got) {
        (Outcome::Error, Err(_)) => Ok(()),
        (Outcome::Error, Ok((status, _))) => Err(format!("accepted: {status}")),
        (Outcome::Ok, Err(error)) => Err(error.to_string()),
        (Outcome::Ok, Ok((status, body))) => {
            same("status", status, &200)?;
            expected.body.as_ref().map_or(Ok(()), |expected| same("body", &shown(body), &shown(&expected.0)))
        }
    }
}

/// Fails unless both mean the same.
pub(crate) fn equal(got: &Request, expected: &Request) -> Result<(), String> {
    same("method", &got.method, &expected.method)?;
    same("target", &got.target, &expected.target)?;
    same("version", &got.version, &expected.version)?;
    same("header fields", &fields(got, expected), &fields(expected, expected))?;
    same("framing", &got.framing, &expected.framing)?;
    same("body", &shown(&got.body), &shown(&expected.body))?;
    same("trailers", &set(&got.trailers), &set(&expected.trailers))
}

/// The header fields as a set, without defaults that were not asked for.
fn fields(request: &Request, expected: &Request) -> Vec<(String, String)> {
    let mut fields = set(&request.headers);
    fields.retain(|(name, _)| !DEFAULTS.contains(&name.as_str()) || expected.value(name).is_some());
    fields
}

fn set(fields: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let mut set: Vec<_> = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), shown(value))).collect();
    set.sort();
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(json: &str) -> Case {
        serde_json::from_str(json).unwrap()
    }

    fn request(text: &str) -> Request {
        Request::take(&mut text.as_bytes().to_vec()).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_planned_from_what_is_expected() {
        let case = case(
            r#"{"id": "x", "method": "PUT", "url": "http://{addr}/a", "version": "", "headers": [["Transfer-Encoding", "chunked"], ["A", "b"]],
                "expected_request_b64": "", "reply_b64": null, "expect": {"outcome": "error", "why": "is_parse_too_large"}}"#,
        );
        let expected = request("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: v\r\n\r\n");
        let planned = Planned::new(&case, "h:1", Some(&expected));
        assert_eq!(planned.url, "http://h:1/a");
        assert_eq!(planned.headers, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(planned.body.len(), None);
        assert_eq!(planned.body.trailers().unwrap()["t"], "v");
        assert!(reply(&case).len() > 1 << 20);
    }

    #[test]
    fn requests_are_compared_by_what_they_mean() {
        let expected = request("GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\n\r\n");
        assert_eq!(equal(&request("GET / HTTP/1.1\r\nhost: h\r\na: 1\r\naccept: */*\r\n\r\n"), &expected), Ok(()));
        for (other, what) in [
            ("PUT / HTTP/1.1\r\nhost: h\r\na: 1\r\n\r\n", "method"),
            ("GET /x HTTP/1.1\r\nhost: h\r\na: 1\r\n\r\n", "target"),
            ("GET / HTTP/1.0\r\nhost: h\r\na: 1\r\n\r\n", "version"),
            ("GET / HTTP/1.1\r\nhost: h\r\na: 2\r\n\r\n", "header fields"),
            ("GET / HTTP/1.1\r\nhost: h\r\na: 1\r\nb: 1\r\n\r\n", "header fields"),
        ] {
            assert!(equal(&request(other), &expected).unwrap_err().starts_with(what), "{other}");
        }
    }
}
