//! `proxyenv.json`: which proxy Go's httpproxy takes from the environment for a URL.

use client_conformance::{ProxySetting, Settings};
use client_core::{Error, ErrorKind, Result, Uri};
use client_transport::proxy::{Environment, Proxy};
use client_transport::route::Origin;
use serde::Deserialize;
use url::Url;

use super::{Bench, CaseResult, same};

#[derive(Deserialize)]
struct Case {
    id: String,
    env: Variables,
    url: String,
    proxy: Option<String>,
    error: bool,
}

#[derive(Deserialize)]
struct Variables {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    cgi: bool,
}

pub(crate) fn run(bench: &Bench<'_>) -> std::result::Result<Vec<CaseResult>, String> {
    let cases: Vec<Case> = bench.load("proxyenv.json")?;
    let mut settings = Settings::default();
    settings.proxy = Some(ProxySetting::new("http://127.0.0.1:1"));
    // The rule is the transport's: the engines that are built on it have it, and are the ones that a proxy can be set for.
    let has_rule = bench.drive(settings, |_| async { Ok(()) }).is_ok();
    Ok(bench.each(
        &cases,
        |case| &case.id,
        |case| {
            if !has_rule {
                return CaseResult::unmapped(&case.id, "the engine takes no proxies from the environment");
            }
            let chosen = chosen(&case.env, &case.url);
            CaseResult::new(&case.id, judge(case, &chosen), format!("{chosen:?}"))
        },
    ))
}

fn chosen(env: &Variables, url: &str) -> Result<Option<Proxy>> {
    let environment = Environment::read(|name| match name {
        "http_proxy" => Some(env.http_proxy.clone()),
        "https_proxy" => Some(env.https_proxy.clone()),
        "no_proxy" => Some(env.no_proxy.clone()),
        "REQUEST_METHOD" if env.cgi => Some("GET".into()),
        _ => None,
    });
    // As the client's door does it: international names in their ASCII form. What the URL standard refuses is asked about as it is.
    let url = Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
    let uri = url.parse::<Uri>().map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()))?;
    environment.proxy(&Origin::of(&uri)?).map(Option::<&Proxy>::cloned)
}

fn judge(case: &Case, chosen: &Result<Option<Proxy>>) -> std::result::Result<(), String> {
    let shown = |proxy: &Option<Proxy>| proxy.as_ref().map(ToString::to_string);
    match (chosen, case.proxy.as_deref()) {
        (Err(_), _) if case.error => Ok(()),
        (Ok(chosen), _) if case.error => Err(format!("no error, but {:?}", shown(chosen))),
        // Go names the proxy, and fails when it is to be spoken to. Here it is refused where it would be taken: nothing goes past it.
        (Err(error), Some(expected)) if Proxy::new(expected).is_err() => {
            let scheme = expected.split_once("://").map_or("", |(scheme, _)| scheme);
            let is_named = error.to_string().contains("_proxy: a proxy's scheme") && error.to_string().contains(scheme);
            if is_named {
                Ok(())
            } else {
                Err(format!("the error does not name {expected}: {error}"))
            }
        }
        // No proxy for a URL that is not ours at all.
        (Err(error), None) if !case.url.starts_with("http") => {
            let is_named = error.kind() == ErrorKind::InvalidRequest && error.to_string().contains("http or https");
            if is_named { Ok(()) } else { Err(error.to_string()) }
        }
        (Err(error), _) => Err(error.to_string()),
        (Ok(chosen), expected) => {
            let expected = expected.map(|url| Proxy::new(url).map_err(|error| error.to_string())).transpose()?;
            same("proxy", &shown(chosen), &shown(&expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_judged() {
        let judged = |env: &str, url: &str, proxy: &str, error: bool| {
            let json = format!(
                r#"{{"id": "x", "env": {{"http_proxy": "{env}", "https_proxy": "", "no_proxy": "direct.example", "cgi": false}},
                    "url": "{url}", "proxy": {proxy}, "error": {error}}}"#
            );
            let case: Case = serde_json::from_str(&json).unwrap();
            judge(&case, &chosen(&case.env, &case.url))
        };
        assert_eq!(judged("p", "http://h.example/", r#""http://p""#, false), Ok(()));
        assert_eq!(judged("p", "http://direct.example/", "null", false), Ok(()));
        assert_eq!(judged("foo://p", "http://h.example/", r#""foo://p""#, false), Ok(()));
        assert_eq!(judged("p", "ftp://h.example/", "null", false), Ok(()));
        assert!(judged("p", "http://h.example/", "null", false).is_err());
        assert!(judged("p", "http://h.example/", r#""http://q""#, false).is_err());
        assert!(judged("foo://p", "http://h.example/", "null", false).is_err());
        assert!(judged("p", "http://h.example/", "null", true).is_err());
    }
}
