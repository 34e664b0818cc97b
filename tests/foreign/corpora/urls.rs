//! `urltestdata.json`: how the URL standard reads a reference (WPT). Its http and https URLs are judged on the wire: where the client
//! connects to, the request's target and its Host.
//!
//! What is relative to a base is what a redirect from there says: the base answers with the reference as its `Location`.

use client_conformance::Settings;
use client_core::{AnyEngine, HttpClient, Redirect};
use serde::Deserialize;

use super::redirects::{self, everywhere};
use super::{Bench, CaseResult, same};
use crate::rules::{Difference, Refusal, Url};
use crate::server::{Reply, Seen, Server};

#[derive(Deserialize)]
struct Entry {
    input: String,
    base: Option<String>,
    href: Option<String>,
    protocol: Option<String>,
    host: Option<String>,
    #[serde(default)]
    failure: bool,
}

struct Case {
    id: String,
    input: String,
    /// Whose `Location` the input is.
    base: Option<String>,
    expected: Expected,
}

/// What is seen on the wire.
#[derive(Debug, PartialEq)]
enum Expected {
    Request(Target),
    /// Nothing is sent to it.
    Refused,
}

#[derive(Clone, Debug, PartialEq)]
struct Target {
    is_tls: bool,
    /// Host and port, as connected to.
    to: String,
    /// The request's target.
    target: String,
    /// The `Host` field: the port only where it is not the scheme's own.
    host: String,
}

impl Target {
    /// The host that is connected to.
    fn name(&self) -> &str {
        self.to.rsplit_once(':').map_or(&*self.to, |(host, _)| host)
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<CaseResult>, String> {
    let entries: Vec<Entry> = bench.load("urltestdata.json")?;
    let cases: Vec<Case> = entries.iter().filter_map(case).collect();
    Ok(bench.each(&cases, |case| &case.id, |case| attempt(bench, case)))
}

/// The case, if it is about http or https.
fn case(entry: &Entry) -> Option<Case> {
    let is_http = |url: &str| url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
    let input = entry.input.trim_matches(|c: char| c <= ' ');
    let base = entry.base.as_deref().filter(|base| is_http(base));
    let expected = match (entry.failure, &entry.href, entry.protocol.as_deref()) {
        (true, ..) if is_http(input) || base.is_some() => Expected::Refused,
        (false, Some(href), Some("http:" | "https:")) => Expected::Request(target(href, entry.host.as_deref()?)?),
        _ => return None,
    };
    // An absolute reference needs no base; a `Location` could not hold every one.
    let is_absolute = input.split_once(':').is_some_and(|(scheme, rest)| is_http(scheme) && rest.starts_with("//"));
    let base = base.filter(|_| !is_absolute);
    Some(Case {
        id: id(base, &entry.input),
        input: entry.input.clone(),
        base: base.map(str::to_owned),
        expected,
    })
}

/// The entries have no ids: it is the input, after its base if that matters, without characters that a shell or a page would change.
fn id(base: Option<&str>, input: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && c != '`';
    let shown = |c: char| {
        if plain(c) {
            c.to_string()
        } else {
            c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
        }
    };
    let input: String = input.chars().map(shown).collect();
    base.map_or(input.clone(), |base| format!("{base}>{input}"))
}

/// What a request to a URL shows, as the standard has written it.
fn target(href: &str, host: &str) -> Option<Target> {
    let (scheme, rest) = href.split_once("://")?;
    let rest = rest.split('#').next()?;
    let path = rest.find('/')?;
    let is_tls = scheme == "https";
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty());
    let has_port = has_port && !host.ends_with(']');
    let port = if is_tls { 443 } else { 80 };
    Some(Target {
        is_tls,
        to: if has_port { host.to_owned() } else { format!("{host}:{port}") },
        target: rest[path..].to_owned(),
        host: host.to_owned(),
    })
}

fn attempt(bench: &Bench<'_>, case: &Case) -> CaseResult {
    // What a field value cannot hold, no server can send.
    let location = case.base.as_ref().map(|_| case.input.trim_matches([' ', '\t']).as_bytes().to_vec());
    if location
        .as_ref()
        .is_some_and(|location| location.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f))
    {
        return CaseResult::unmapped(&case.id, "a relative reference with control characters cannot be a Location");
    }
    let server = Server::start(move |seen| match &location {
        Some(location) if seen.first => Reply::Http {
            status: 302,
            headers: vec![("location", location.clone())],
            body: "",
        },
        _ => redirects::OK,
    });
    let Some(settings) = everywhere(bench, &server) else {
        return CaseResult::unmapped(&case.id, "the engine has no SOCKS proxy, by which the server stands for every host");
    };
    let got = call(bench, settings, case.base.clone().unwrap_or_else(|| case.input.clone()));
    let verdict = judge(case, &got, &server.seen()).map_err(|why| format!("{:?} at {:?}: {why}", case.input, case.base));
    let wire = format!("{}<- {got:?}", server.wire());
    let was_asked = server.seen().len() > usize::from(case.base.is_some());
    CaseResult::new(&case.id, verdict, wire).about(|| {
        Difference::Url(Url {
            host: match &case.expected {
                Expected::Request(target) => Some(target.name().to_owned()),
                Expected::Refused => None,
            },
            got: got.map(|_| ()).or_else(|refusal| if was_asked { Ok(()) } else { Err(refusal) }),
        })
    })
}

fn call(bench: &Bench<'_>, settings: Settings, url: String) -> Result<u16, Refusal> {
    let called = bench.drive(settings, |engine| async move { Ok(follow(engine, url).await) });
    called.unwrap_or_else(|why| Err(why.into()))
}

async fn follow(engine: AnyEngine, url: String) -> Result<u16, Refusal> {
    let client = HttpClient::builder(engine).install(Redirect::default().allow_https_downgrade(true)).build()?;
    let response = client.get(url).send().await?;
    Ok(response.status().as_u16())
}

fn judge(case: &Case, got: &Result<u16, Refusal>, seen: &[Seen]) -> Result<(), String> {
    let seen = if case.base.is_some() {
        seen.get(1..).ok_or("the base was not asked")?
    } else {
        seen
    };
    match (&case.expected, got, seen) {
        (Expected::Refused, Err(_), []) => Ok(()),
        (Expected::Refused, got, seen) => {
            Err(format!("not refused: {got:?}, {}", seen.first().map_or("", |seen| &seen.request.target)))
        }
        (Expected::Request(_), Err(error), []) => Err(format!("refused: {error}")),
        (Expected::Request(expected), _, [seen]) => same("on the wire", &shown(seen), expected),
        (Expected::Request(_), got, seen) => Err(format!("{} requests, and {got:?}", seen.len())),
    }
}

fn shown(seen: &Seen) -> Target {
    Target {
        is_tls: seen.is_tls,
        to: seen.to.clone().unwrap_or_default(),
        target: seen.request.target.clone(),
        host: seen.request.value("host").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_on_the_wire() {
        let wire = |is_tls, to: &str, target: &str, host: &str| Target {
            is_tls,
            to: to.into(),
            target: target.into(),
            host: host.into(),
        };
        for (href, host, expected) in [
            ("http://u:p@h/a?b#c", "h", wire(false, "h:80", "/a?b", "h")),
            ("https://h:81/?", "h:81", wire(true, "h:81", "/?", "h:81")),
            ("https://[::1]/#", "[::1]", wire(true, "[::1]:443", "/", "[::1]")),
            ("http://[::1]:8/", "[::1]:8", wire(false, "[::1]:8", "/", "[::1]:8")),
        ] {
            assert_eq!(target(href, host), Some(expected), "{href}");
        }
    }

    #[test]
    fn only_http_is_a_case() {
        let case = |json: &str| case(&serde_json::from_str(json).unwrap());
        assert!(case(r#"{"input": "ftp://x", "base": null, "failure": true}"#).is_none());
        assert!(case(r#"{"input": "x", "base": "file:///", "href": "file:///x", "protocol": "file:", "host": ""}"#).is_none());
        let failing = case(r#"{"input": " HTTP://[x", "base": "about:blank", "failure": true}"#).unwrap();
        assert_eq!((failing.expected, failing.base, &*failing.id), (Expected::Refused, None, "%20HTTP://[x"));
        let relative = case(r#"{"input": "//x/y", "base": "http://h", "href": "http://x/y", "protocol": "http:", "host": "x"}"#);
        let relative = relative.unwrap();
        assert_eq!((relative.base.as_deref(), &*relative.id), (Some("http://h"), "http://h>//x/y"));
        let absolute =
            case(r#"{"input": "http://x/y", "base": "http://h", "href": "http://x/y", "protocol": "http:", "host": "x"}"#);
        assert_eq!(absolute.unwrap().base, None);
    }
}
