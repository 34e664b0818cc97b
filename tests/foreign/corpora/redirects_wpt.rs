//! `redirects-wpt.json`: what browsers do when they are led around (WPT, fetch/api/redirect).

use std::collections::BTreeMap;

use client_conformance::Settings;
use client_core::{HttpClient, Redirect};
use serde::Deserialize;

use super::{Bench, CaseResult, same};
use crate::server::{Reply, Seen, Server};

#[derive(Deserialize)]
struct Case {
    id: String,
    status: Option<u16>,
    method: Option<String>,
    body: Option<String>,
    #[serde(default)]
    request_headers: BTreeMap<String, String>,
    /// Each character is a byte.
    location_latin1: Option<String>,
    redirects: Option<usize>,

    want_method: Option<String>,
    #[serde(default)]
    strip_body_headers: bool,
    want_url_suffix: Option<String>,
    ok: Option<bool>,
    want_final_status: Option<u16>,
    want: Option<String>,
}

/// Fetch follows so many.
const LIMIT: usize = 20;

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<CaseResult>, String> {
    let cases: Vec<Case> = bench.load("redirects-wpt.json")?;
    Ok(bench.each(
        &cases,
        |case| &case.id,
        |case| {
            let server = serve(case);
            let got = call(bench, case, server.url("/0"));
            CaseResult::new(&case.id, judge(case, &got, &server.seen()), format!("{}<- {got:?}", server.wire()))
        },
    ))
}

fn serve(case: &Case) -> Server {
    let location = match (&case.location_latin1, &case.want_method) {
        // Characters above U+00FF do not occur in Latin-1.
        (Some(latin1), _) => Some(latin1.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()),
        (None, Some(_)) => Some(b"/target".to_vec()),
        (None, None) => None,
    };
    let (status, redirects) = (case.status.unwrap_or(302), case.redirects);
    Server::start(move |seen| {
        let headers = match redirects {
            // The path counts.
            Some(redirects) => {
                let step: usize = seen.request.target.trim_start_matches('/').parse().unwrap_or(redirects);
                if step == redirects {
                    None
                } else {
                    Some(format!("/{}", step + 1).into_bytes())
                }
            }
            None if seen.first => Some(location.clone().unwrap_or_default()),
            None => None,
        };
        Reply::Http {
            status: if headers.is_some() { status } else { 200 },
            headers: headers
                .into_iter()
                .filter(|location| !location.is_empty())
                .map(|location| ("location", location))
                .collect(),
            body: "ok",
        }
    })
}

fn call(bench: &Bench<'_>, case: &Case, url: String) -> Result<u16, String> {
    let method = case.method.clone().unwrap_or_else(|| "GET".into());
    let (headers, body) = (case.request_headers.clone(), case.body.clone());
    bench.drive(Settings::default(), |engine| async move {
        let client = HttpClient::builder(engine).install(Redirect::limit(LIMIT)).build();
        let mut request = client.map_err(|error| error.to_string())?.request(&*method, url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "text/plain").body(body);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        Ok(response.status().as_u16())
    })
}

fn judge(case: &Case, got: &Result<u16, String>, seen: &[Seen]) -> Result<(), String> {
    if case.want.as_deref() == Some("error") || case.ok == Some(false) {
        return got.as_ref().map_or(Ok(()), |status| Err(format!("accepted: {status}")));
    }
    let status = got.clone()?;
    if let Some(expected) = case.want_final_status {
        return same("status", &status, &expected);
    }
    same("status", &status, &200)?;
    let last = &seen.last().ok_or("no request arrived")?.request;
    if let Some(suffix) = &case.want_url_suffix
        && !last.target.ends_with(suffix)
    {
        return Err(format!("the last target is {}, expected …{suffix}", last.target));
    }
    let Some(method) = &case.want_method else {
        return Ok(());
    };
    same("requests", &seen.len(), &2)?;
    same("second method", &last.method, method)?;
    let goes_on = !case.strip_body_headers;
    for name in case.request_headers.keys().map(String::as_str).chain(case.body.as_ref().map(|_| "content-type")) {
        same(format!("{name} goes along"), &last.value(name).is_some(), &goes_on)?;
    }
    let body = if goes_on { case.body.as_deref().unwrap_or("") } else { "" };
    same("second body", &String::from_utf8_lossy(&last.body).as_ref(), &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    #[test]
    fn every_kind_of_case_is_judged() {
        let case = |json: &str| serde_json::from_str::<Case>(json).unwrap();
        let seen = |target: &str, headers: &[&str]| Seen {
            to: None,
            is_tls: false,
            first: false,
            request: Request {
                method: "GET".into(),
                target: target.into(),
                headers: headers.iter().map(|name| ((*name).to_owned(), Vec::new())).collect(),
                ..Request::default()
            },
        };
        let error = case(r#"{"id": "x", "want": "error"}"#);
        assert_eq!(judge(&error, &Err("no".into()), &[]), Ok(()));
        assert!(judge(&error, &Ok(200), &[]).is_err());
        let count = case(r#"{"id": "x", "redirects": 21, "ok": false}"#);
        assert!(judge(&count, &Ok(200), &[]).is_err());
        let status = case(r#"{"id": "x", "status": 307, "want_final_status": 307}"#);
        assert_eq!(judge(&status, &Ok(307), &[]), Ok(()));
        let suffix = case(r#"{"id": "x", "want_url_suffix": "t?%FF"}"#);
        assert_eq!(judge(&suffix, &Ok(200), &[seen("/t?%FF", &[])]), Ok(()));
        assert!(judge(&suffix, &Ok(200), &[seen("/t?%EF", &[])]).is_err());
        let stripped = case(
            r#"{"id": "x", "want_method": "GET", "strip_body_headers": true, "request_headers": {"Content-Language": "en"}}"#,
        );
        let (first, along) = (seen("/", &[]), seen("/", &["content-language"]));
        assert_eq!(judge(&stripped, &Ok(200), &[first.clone(), first.clone()]), Ok(()));
        assert!(judge(&stripped, &Ok(200), &[first, along]).unwrap_err().contains("Content-Language"));
    }
}
