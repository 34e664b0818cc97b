//! `redirects.json`: what Go's client does when it is led around; chains, methods, and headers that must not cross an origin.

use client_conformance::{ProxySetting, Settings};
use client_core::{AnyEngine, HttpClient, Redirect, TlsConfig};
use serde::Deserialize;

use super::{Bench, CaseResult, same};
use crate::rules::{Difference, Redirects, Step};
use crate::server::{Reply, Seen, Server};

#[derive(Deserialize)]
#[serde(untagged)]
enum Case {
    /// The target says what is answered, and where to go then.
    Chain {
        id: String,
        method: String,
        body: String,
        start: String,
        want_status: u16,
        want_requests: Vec<Want>,
    },
    /// One redirect to the same place.
    Method {
        id: String,
        method: String,
        server: String,
        want_second_method: String,
        note: Option<String>,
    },
    /// Which header fields go along.
    Sensitive {
        id: String,
        from: String,
        to: String,
        headers: Vec<String>,
        copied: bool,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
struct Want {
    method: String,
    target: String,
    body: String,
}

impl Case {
    fn id(&self) -> &str {
        match self {
            Self::Chain { id, .. } | Self::Method { id, .. } | Self::Sensitive { id, .. } => id,
        }
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<CaseResult>, String> {
    let cases: Vec<Case> = bench.load("redirects.json")?;
    Ok(bench.each(&cases, Case::id, |case| attempt(bench, case)))
}

fn attempt(bench: &Bench<'_>, case: &Case) -> CaseResult {
    match case {
        Case::Chain {
            id,
            method,
            body,
            start,
            want_status,
            want_requests,
        } => {
            let server = Server::start(chain);
            let status = call(bench, Settings::default(), method, server.url(start), body, &[]);
            let steps = steps(&server);
            let verdict = status.and_then(|status| {
                let got = steps.iter().map(|step| Want {
                    method: step.method.clone(),
                    target: step.target.clone(),
                    body: step.body.clone(),
                });
                same("requests", &got.collect(), want_requests)?;
                same("status", &status, want_status)
            });
            CaseResult::new(id, verdict, server.wire()).about(|| {
                let wanted = want_requests.iter().map(|want| Step {
                    method: want.method.clone(),
                    target: want.target.clone(),
                    body: want.body.clone(),
                });
                let mut statuses: Vec<u16> = server.seen().iter().map(|seen| status_of(&chain(seen))).collect();
                statuses.pop();
                Difference::Redirects(Redirects {
                    statuses,
                    wanted: wanted.collect(),
                    got: steps,
                })
            })
        }
        Case::Method {
            id,
            method,
            server: does,
            want_second_method,
            note,
        } => {
            let status = does.split(' ').find_map(|word| word.parse().ok()).unwrap_or_default();
            let server = led(status, "/again");
            let got = call(bench, Settings::default(), method, server.url("/"), "", &[]);
            let verdict = got.and_then(|status| {
                same("status", &status, &200)?;
                let seen = server.seen();
                same("requests", &seen.len(), &2)?;
                match note {
                    // The source says so itself: a policy, not to be judged.
                    Some(note) if note.contains("do not judge") => Ok(()),
                    _ => same("second method", &seen[1].request.method, want_second_method),
                }
            });
            CaseResult::new(id, verdict, server.wire()).about(|| {
                let got = steps(&server);
                let mut wanted = got.clone();
                if let [_, second] = wanted.as_mut_slice() {
                    second.method.clone_from(want_second_method);
                }
                Difference::Redirects(Redirects {
                    statuses: vec![status],
                    wanted,
                    got,
                })
            })
        }
        Case::Sensitive {
            id,
            from,
            to,
            headers,
            copied,
        } => {
            let server = led(302, to);
            let Some(settings) = everywhere(bench, &server) else {
                return CaseResult::unmapped(id, "the engine has no SOCKS proxy, by which the server stands for every host");
            };
            let got = call(bench, settings, "GET", from.clone(), "", headers);
            CaseResult::new(id, sensitive(&server.seen(), got, headers, *copied, same_origin(from, to)), server.wire())
        }
    }
}

/// The requests so far.
fn steps(server: &Server) -> Vec<Step> {
    let step = |Seen { request, .. }| Step {
        method: request.method,
        target: request.target,
        body: String::from_utf8_lossy(&request.body).into_owned(),
    };
    server.seen().into_iter().map(step).collect()
}

fn status_of(reply: &Reply) -> u16 {
    match reply {
        Reply::Http { status, .. } => *status,
        Reply::Raw(_) => 0,
    }
}

/// Settings by which every host and port leads to the server, https too; `None` if the engine has no such settings.
pub(super) fn everywhere(bench: &Bench<'_>, server: &Server) -> Option<Settings> {
    let mut settings = Settings::default();
    settings.proxy = Some(ProxySetting::new(server.proxy()));
    settings.tls = TlsConfig::new().danger_accept_invalid_certs(true);
    bench.subject.engine(&settings).map(|_| settings)
}

/// A server that leads its first client to `location`, and answers then.
fn led(status: u16, location: &str) -> Server {
    let location = location.to_owned();
    Server::start(move |seen| if seen.first { redirect(status, location.clone()) } else { OK })
}

pub(super) const OK: Reply = Reply::Http {
    status: 200,
    headers: Vec::new(),
    body: "ok",
};

fn redirect(status: u16, location: impl Into<Vec<u8>>) -> Reply {
    Reply::Http {
        status,
        headers: vec![("location", location.into())],
        body: "",
    }
}

/// `/?code=301&next=302,308`: 301, then 302, then 308, then 200.
fn chain(seen: &Seen) -> Reply {
    let query = seen.request.target.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let Some(code) = value("code").and_then(|code| code.parse().ok()) else {
        return OK;
    };
    if matches!(code, 304 | 305 | 404) {
        return Reply::Http {
            status: code,
            headers: Vec::new(),
            body: "",
        };
    }
    redirect(
        code,
        match value("next").unwrap_or("").split_once(',') {
            Some((code, next)) => format!("/?code={code}&next={next}"),
            None if value("next").is_none_or(str::is_empty) => "/".to_owned(),
            None => format!("/?code={}", value("next").unwrap_or("")),
        },
    )
}

/// Makes the call, following redirects; its status.
fn call(bench: &Bench<'_>, settings: Settings, method: &str, url: String, body: &str, secrets: &[String]) -> Result<u16, String> {
    let (method, body, secrets) = (method.to_owned(), body.to_owned(), secrets.to_vec());
    bench.drive(settings, |engine: AnyEngine| async move {
        let client = HttpClient::builder(engine).install(Redirect::default().allow_https_downgrade(true)).build();
        let client = client.map_err(|error| error.to_string())?;
        let mut request = client.request(&*method, url).body(body);
        for name in secrets {
            request = request.header(name, "secret");
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        response.bytes().await.map_err(|error| error.to_string())?;
        Ok(status)
    })
}

/// What may not be copied must not be; where Go copies, to another origin is its own policy.
fn sensitive(seen: &[Seen], got: Result<u16, String>, headers: &[String], copied: bool, same_origin: bool) -> Result<(), String> {
    let carried = |seen: &Seen| headers.iter().filter(|name| seen.request.value(name).is_some()).cloned().collect::<Vec<_>>();
    match (seen, got) {
        ([first, second], Ok(_)) => {
            same("sent to the first", &carried(first), &headers.to_vec())?;
            if !copied {
                same("carried on", &carried(second), &Vec::new())
            } else if same_origin {
                same("carried on", &carried(second), &headers.to_vec())
            } else {
                Ok(())
            }
        }
        // Not to go there at all copies nothing.
        ([_], Err(_)) if !copied => Ok(()),
        (seen, got) => Err(format!("{} requests, then {got:?}", seen.len())),
    }
}

fn same_origin(from: &str, to: &str) -> bool {
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next()?;
        let port = if scheme == "https" { ":443" } else { ":80" };
        Some((scheme.to_owned(), authority.strip_suffix(port).unwrap_or(authority).to_owned()))
    };
    origin(from) == origin(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    fn seen(target: &str, headers: &[&str]) -> Seen {
        Seen {
            to: None,
            is_tls: false,
            first: false,
            request: Request {
                target: target.into(),
                headers: headers.iter().map(|name| ((*name).to_owned(), b"secret".to_vec())).collect(),
                ..Request::default()
            },
        }
    }

    #[test]
    fn a_chain_leads_through_its_codes() {
        for (target, status, location) in [
            ("/?code=301&next=302,308", 301, Some("/?code=302&next=308")),
            ("/?code=302&next=308", 302, Some("/?code=308")),
            ("/?code=308", 308, Some("/")),
            ("/?code=404", 404, None),
            ("/", 200, None),
        ] {
            let Reply::Http {
                status: code, headers, ..
            } = chain(&seen(target, &[]))
            else {
                panic!("a response");
            };
            let to = headers.first().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            assert_eq!((code, to.as_deref()), (status, location), "{target}");
        }
    }

    #[test]
    fn a_secret_that_goes_along_is_seen() {
        let (names, secret, bare) = (["Cookie".to_owned()], seen("/", &["Cookie"]), seen("/", &[]));
        let judge = |second: &Seen, copied, same_origin| {
            sensitive(&[secret.clone(), second.clone()], Ok(200), &names, copied, same_origin)
        };
        assert_eq!(judge(&bare, false, false), Ok(()));
        assert!(judge(&secret, false, false).is_err());
        assert!(judge(&bare, true, true).is_err());
        assert_eq!(judge(&secret, true, true), Ok(()));
        assert_eq!(judge(&bare, true, false), Ok(()));
        assert_eq!(sensitive(std::slice::from_ref(&secret), Err("refused".into()), &names, false, false), Ok(()));
        assert!(same_origin("http://h:80/", "http://h/x") && !same_origin("http://h/", "https://h/"));
    }
}
