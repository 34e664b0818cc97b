//! `curl-jobs.json`: what curl's own tests make it do, in neutral words, and what its test server saw of it.
//!
//! `curl_serve.py` plays that server, and `curl_judge.py` compares the requests; status, body and the kind of failure are compared here.
//! Some expectations are curl's policy: docs/conformance-notes.md lists them.

mod conditions;
mod connect_to;
mod job;
mod labels;
mod plan;
mod python;

use std::collections::BTreeMap;

use client_conformance::Settings;
use client_core::{Capability, Error, ErrorKind, HttpClient};
use serde::Deserialize;

use self::job::{Job, Scene};
use self::plan::{Call, Plan};
use self::python::{Judge, Server};
use super::{Bench, CaseResult, same, shown};
use crate::rules::{self, Difference, Refusal};

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Scenes {
    cases: Vec<Scene>,
}

/// How a call ended.
type Ended = Result<(u16, Vec<u8>), (ErrorKind, String)>;

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<CaseResult>, String> {
    let Jobs { jobs } = bench.load("curl-jobs.json")?;
    let Scenes { cases } = bench.load("curl-cases.json")?;
    let scenes: BTreeMap<_, _> = cases.iter().map(|scene| (&*scene.id, scene)).collect();
    let nothing = Scene::default();
    let speaks = bench.capabilities().contains(Capability::Http1);
    let mut results = Vec::new();
    let mut planned = Vec::new();
    for job in jobs.iter().filter(|job| bench.selects(&job.id)) {
        if !speaks {
            results.push(CaseResult::unmapped(&job.id, "the engine does not speak HTTP/1.1"));
            continue;
        }
        let scene = scenes.get(&*job.id).copied().unwrap_or(&nothing);
        match job.plan(scene) {
            Ok(plans) => planned.push((job, scene, plans)),
            Err(why) => results.push(CaseResult::unmapped(&job.id, why)),
        }
    }
    if planned.is_empty() {
        return Ok(results);
    }
    let (mut server, mut judge) = (Server::start(bench.folder)?, Judge::start(bench.folder)?);
    // One after the other: the server has fixed ports.
    for (job, scene, plans) in planned {
        if let Some(why) = plans.iter().find_map(|plan| lacks(bench, plan)) {
            results.push(CaseResult::unmapped(&job.id, why));
            continue;
        }
        server.load(&job.id)?;
        let mut ended = Vec::new();
        for plan in plans {
            match perform(bench, plan) {
                Ok(calls) => ended.extend(calls),
                Err(why) => ended.push(Err((ErrorKind::Engine, why))),
            }
        }
        let record = labels::shed(job, server.finish()?);
        let wire = format!("{record}<- {ended:?}");
        if let Some(Err((ErrorKind::Unsupported, why))) =
            ended.iter().find(|ended| matches!(ended, Err((ErrorKind::Unsupported, _))))
        {
            results.push(super::lacking(&job.id, why));
            continue;
        }
        let requests = judge.differences(&job.id, &record)?;
        let result = CaseResult::new(&job.id, verdict(job, &ended, &requests), wire);
        results.push(result.about(|| Difference::Job(seen_by_rules(job, scene, &ended, requests))));
    }
    Ok(results)
}

/// The job as rules see it.
fn seen_by_rules(job: &Job, scene: &Scene, ended: &[Ended], requests: Vec<String>) -> rules::Job {
    let got = match ended.last() {
        Some(Ok((status, _))) => Ok(*status),
        Some(Err((kind, why))) => Err(Refusal {
            kind: Some(*kind),
            why: why.clone(),
        }),
        None => Err("no call was made".to_owned().into()),
    };
    rules::Job {
        ops: job.ops.iter().map(job::Op::seen_by_rules).collect(),
        replies: scene.replies.values().map(|reply| reply.0.clone()).collect(),
        wanted: job.expect.outcome.clone(),
        got,
        difference: requests.into_iter().next(),
    }
}

/// The engines on our own transport, which read what others cannot be told: how to connect.
const ON_TRANSPORT: [&str; 3] = ["cio", "h2", "hyper"];

/// What the engine cannot be set to.
fn lacks(bench: &Bench<'_>, plan: &Plan) -> Option<String> {
    if plan.needs_transport() {
        let name = bench.drive(Settings::default(), |engine| async move { Ok(engine.name()) });
        if !name.is_ok_and(|name| ON_TRANSPORT.contains(&name)) {
            return Some("how to connect, on engines without our transport".into());
        }
    }
    let outcome = bench.drive(plan.settings.clone(), |_| async { Ok(()) });
    outcome.err().map(|why| if why.contains("no setting") { why } else { format!("no engine: {why}") })
}

/// The calls of a plan, one after the other, on an engine of their own, which is gone when they are over.
fn perform(bench: &Bench<'_>, plan: Plan) -> Result<Vec<Ended>, String> {
    let Plan { settings, calls } = plan;
    bench.drive(settings, |engine| async move {
        let client = HttpClient::new(engine);
        let mut ended = Vec::new();
        for call in calls {
            ended.push(one(&client, call).await.map_err(|error| (error.kind(), error.to_string())));
        }
        Ok(ended)
    })
}

async fn one(client: &HttpClient, call: Call) -> Result<(u16, Vec<u8>), Error> {
    let is_strict = call.fails_on_status;
    let mut response = call.request(client).send().await?;
    if is_strict {
        response = response.error_for_status()?;
    }
    let status = response.status().as_u16();
    Ok((status, response.bytes().await?.to_vec()))
}

fn verdict(job: &Job, ended: &[Ended], requests: &[String]) -> Result<(), String> {
    let Some(last) = ended.last() else {
        return Err("no call was made".into());
    };
    let expect = &job.expect;
    match last {
        Ok(_) if !expect.outcome.iter().any(|outcome| outcome == "ok") => {
            return Err(format!("no error, expected {}", expect.outcome.join(" or ")));
        }
        Err((kind, why)) if !expect.outcome.iter().any(|outcome| is_kind(outcome, *kind)) => {
            return Err(format!("{kind:?}, expected {}: {why}", expect.outcome.join(" or ")));
        }
        _ => {}
    }
    if let Some(difference) = requests.first() {
        return Err(difference.clone());
    }
    let Ok((status, body)) = last else {
        return Ok(());
    };
    if let Some(expected) = expect.statuses.as_ref().and_then(|statuses| statuses.last()) {
        same("status", status, expected)?;
    }
    // What curl writes to a file is not the body of every answer.
    let is_written = ended.len() == 1 && !(*status == 416 && job.ops.iter().any(|op| op.resume_from.is_some()));
    let body_is_expected = expect.final_body.as_ref().filter(|_| is_written);
    body_is_expected.map_or(Ok(()), |expected| same("body", &shown(body), &shown(&expected.0)))
}

/// Whether an error of ours is what curl calls so.
fn is_kind(outcome: &str, kind: ErrorKind) -> bool {
    use ErrorKind::{
        Body, Closed, Connect, Decode, InvalidRequest, Protocol, Proxy, Redirect, Resolve, Status, Timeout, TooLarge,
    };
    match outcome {
        "bad-reply" | "empty-reply" | "receive" | "partial-body" => matches!(kind, Protocol | Closed | Proxy),
        "content-encoding" => matches!(kind, Protocol | Decode),
        // What is no status line is another protocol to curl.
        "unsupported-protocol" => matches!(kind, InvalidRequest | Protocol | Redirect),
        "connect" => matches!(kind, Connect | Proxy),
        "resolve-proxy" => matches!(kind, Resolve | Proxy),
        "http-status" => matches!(kind, Status(_)),
        "too-large" => kind == TooLarge,
        "timeout" => matches!(kind, Timeout(_)),
        "upload" => matches!(kind, Body | InvalidRequest | Redirect),
        "bad-url" => matches!(kind, InvalidRequest | Redirect),
        "too-many-redirects" => kind == Redirect,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_requests_status_and_body_are_judged() {
        let job: Job = serde_json::from_str(
            r#"{"id": "x", "ops": [], "env": {}, "expect": {"outcome": ["ok"], "statuses": [301, 200], "final_body_b64": "aGk="}}"#,
        )
        .unwrap();
        let ok = |status, body: &str| vec![Ok((status, body.as_bytes().to_vec()))];
        assert_eq!(verdict(&job, &ok(200, "hi"), &[]), Ok(()));
        assert!(verdict(&job, &ok(200, "hi"), &["method".into()]).unwrap_err().contains("method"));
        assert!(verdict(&job, &ok(301, "hi"), &[]).unwrap_err().contains("status"));
        assert!(verdict(&job, &ok(200, "ho"), &[]).unwrap_err().contains("body"));
        let failed = [Err((ErrorKind::Closed, "gone".to_owned()))];
        assert!(verdict(&job, &failed, &[]).unwrap_err().contains("Closed, expected ok: gone"));
        assert!(verdict(&job, &[], &[]).is_err());
    }

    #[test]
    fn failures_have_other_names() {
        assert!(is_kind("bad-reply", ErrorKind::Protocol) && !is_kind("bad-reply", ErrorKind::Connect));
        assert!(!is_kind("ok", ErrorKind::Closed) && !is_kind("unheard-of", ErrorKind::Closed));
    }
}
