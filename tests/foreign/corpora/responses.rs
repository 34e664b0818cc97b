//! `responses.json`: a server sends these bytes and closes; the response is this, or an error.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use client_conformance::Settings;
use client_core::{AnyEngine, Capability};
use serde::Deserialize;

use super::{Bench, CaseResult, plain, same, shown};
use crate::rules::{Difference, Refusal, Response};
use crate::server::{Reply, Server};

#[derive(Deserialize)]
struct Case {
    id: String,
    method: String,
    #[serde(rename = "reply_b64")]
    reply: Base64,
    expect: Expected,
    /// How many other clients do as the source says.
    #[serde(default)]
    agree: usize,
}

/// Where so many agree there is nothing to be explained: we are wrong.
const ALL_VOTERS: usize = 3;

#[derive(Deserialize)]
struct Expected {
    outcome: Outcome,
    status: Option<u16>,
    #[serde(rename = "body_b64")]
    body: Option<Base64>,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Ok,
    Error,
}

/// Bytes, as JSON has them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct Base64(pub(super) Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_STANDARD.decode(text).map(Self)
    }
}

/// A response as the client delivered it.
#[derive(Debug)]
struct Delivered {
    status: u16,
    body: Vec<u8>,
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<CaseResult>, String> {
    let cases: Vec<Case> = bench.load("responses.json")?;
    let speaks = bench.capabilities().contains(Capability::Http1);
    Ok(bench.each(
        &cases,
        |case| &case.id,
        |case| {
            if !speaks {
                return CaseResult::unmapped(&case.id, "the engine does not speak HTTP/1.1");
            }
            attempt(bench, case)
        },
    ))
}

fn attempt(bench: &Bench<'_>, case: &Case) -> CaseResult {
    let reply = case.reply.0.clone();
    let server = Server::start(move |_| Reply::Raw(reply.clone()));
    let (url, method) = (server.url("/"), case.method.clone());
    let protocol = asked_protocol(&case.reply.0);
    let got = bench.drive(Settings::default(), |engine| async move { Ok(call(engine, &method, &url, protocol).await) });
    let got = got.unwrap_or_else(|why| Err(why.into()));
    if let Err(Refusal { why, .. }) = &got
        && super::is_unsupported(why)
    {
        return super::lacking(&case.id, why);
    }
    let wire = format!("{}-> {}\n<- {got:?}", server.wire(), shown(&case.reply.0));
    let result = CaseResult::new(&case.id, judge(&case.expect, &got), wire);
    if case.agree >= ALL_VOTERS {
        return result;
    }
    result.about(|| {
        Difference::Response(Response {
            method: case.method.clone(),
            reply: case.reply.0.clone(),
            wants_answer: case.expect.outcome == Outcome::Ok,
            got: got.map(|delivered| delivered.status),
            is_of_job: false,
        })
    })
}

/// A 101 is an answer to a request that asked for it: the protocol that the reply switches to.
fn asked_protocol(reply: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(reply);
    let mut lines = head.lines();
    let status = lines.next()?.split_ascii_whitespace().nth(1)?;
    let protocol = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("upgrade").then(|| value.trim().to_owned())
    });
    (status == "101").then(|| protocol.unwrap_or_else(|| "any".into()))
}

async fn call(engine: AnyEngine, method: &str, url: &str, protocol: Option<String>) -> Result<Delivered, Refusal> {
    let mut request = plain(engine)?.request(method, url);
    if let Some(protocol) = protocol {
        request = request.header("connection", "upgrade").header("upgrade", protocol);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = if status == 101 { Vec::new() } else { response.bytes().await?.to_vec() };
    Ok(Delivered { status, body })
}

fn judge(expected: &Expected, got: &Result<Delivered, Refusal>) -> Result<(), String> {
    match (expected.outcome, got) {
        (Outcome::Error, Err(_)) => Ok(()),
        (Outcome::Error, Ok(Delivered { status, body })) => Err(format!("accepted: {status} with {} bytes", body.len())),
        (Outcome::Ok, Err(error)) => Err(format!("refused: {error}")),
        (Outcome::Ok, Ok(Delivered { status, body })) => {
            expected.status.map_or(Ok(()), |expected| same("status", status, &expected))?;
            expected.body.as_ref().map_or(Ok(()), |expected| same("body", &shown(body), &shown(&expected.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_asked_for() {
        let asked = |reply: &[u8]| asked_protocol(reply);
        assert_eq!(asked(b"HTTP/1.1 101 Switching\r\nUPGRADE: h2c\r\n\r\nUpgrade: no").as_deref(), Some("h2c"));
        assert_eq!(asked(b"HTTP/1.1 101 Switching\r\n\r\n").as_deref(), Some("any"));
        assert_eq!(asked(b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\n\r\n"), None);
        assert_eq!(asked(b""), None);
    }

    #[test]
    fn both_outcomes_are_judged() {
        let expect = |json: &str| serde_json::from_str::<Expected>(json).unwrap();
        let delivered = |status, body: &str| {
            Ok(Delivered {
                status,
                body: body.into(),
            })
        };
        let ok = expect(r#"{"outcome": "ok", "status": 200, "body_b64": "aGk="}"#);
        assert_eq!(judge(&ok, &delivered(200, "hi")), Ok(()));
        assert!(judge(&ok, &delivered(201, "hi")).unwrap_err().contains("status"));
        assert!(judge(&ok, &delivered(200, "ho")).unwrap_err().contains("body"));
        assert!(judge(&ok, &Err("no".to_owned().into())).unwrap_err().contains("refused: no"));
        let error = expect(r#"{"outcome": "error"}"#);
        assert_eq!(judge(&error, &Err("no".to_owned().into())), Ok(()));
        assert!(judge(&error, &delivered(200, "")).unwrap_err().contains("accepted"));
    }
}
