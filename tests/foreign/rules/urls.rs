//! URLs that the URL standard passes, and we refuse.

use client_core::ErrorKind;
use url::ParseError;

use super::{Explains, Refusal, Rule};

/// A URL that is wanted to be asked for, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    /// Its host, as the standard writes it. `None`: it is to be refused.
    pub(crate) host: Option<String>,
    /// `Ok`: something was sent there.
    pub(crate) got: Result<(), Refusal>,
}

impl Url {
    /// The host of a URL that is refused.
    fn refused(&self) -> Option<&str> {
        let host = self.host.as_deref()?;
        match &self.got {
            Err(Refusal {
                kind: Some(ErrorKind::InvalidRequest | ErrorKind::Redirect),
                ..
            }) => Some(host),
            _ => None,
        }
    }
}

const fn rule(name: &'static str, clause: &'static str, explains: fn(&Url) -> bool) -> Rule {
    Rule::new(name, clause, Explains::Url(explains))
}

pub(super) const RULES: &[Rule] = &[
    rule("names-that-are-no-punycode", "UTS #46 §4", names_that_are_no_punycode),
    rule("hosts-that-no-request-can-name", "RFC 3986 §3.2.2", hosts_that_no_request_can_name),
    rule("names-of-dots", "RFC 1034 §3.5", names_of_dots).on(&["curl"]),
];

fn is_prefixed(label: &str) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

/// ASCII, refused by IDNA, and for no other reason than its labels that begin with `xn--`.
fn names_that_are_no_punycode(url: &Url) -> bool {
    let Some(host) = url.refused().filter(|host| host.is_ascii()) else {
        return false;
    };
    let parsed = |host: &str| url::Url::parse(&format!("http://{host}/"));
    let replaced: Vec<&str> = host.split('.').map(|label| if is_prefixed(label) { "x" } else { label }).collect();
    parsed(host) == Err(ParseError::IdnaError) && parsed(&replaced.join(".")).is_ok()
}

/// Neither an address in brackets nor a `reg-name`.
fn hosts_that_no_request_can_name(url: &Url) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:".contains(&byte);
    url.refused().is_some_and(|host| !host.starts_with('[') && !host.bytes().all(is_of_name))
}

/// A label is empty, other than the root's.
fn names_of_dots(url: &Url) -> bool {
    let is_of_dots = |host: &str| {
        let host = host.strip_suffix('.').unwrap_or(host);
        host.split('.').any(str::is_empty)
    };
    url.refused().is_some_and(is_of_dots)
}

#[cfg(test)]
mod tests {
    use super::super::{Difference, explain};
    use super::*;

    fn name(host: &str, engine: &str) -> Option<&'static str> {
        let refused = |kind| Url {
            host: Some(host.into()),
            got: Err(Refusal {
                kind: Some(kind),
                why: "no".into(),
            }),
        };
        // Whatever the host, only a refusal before anything is sent is one.
        assert!(explain(&Difference::Url(refused(ErrorKind::Connect)), engine).is_none());
        explain(&Difference::Url(refused(ErrorKind::InvalidRequest)), engine).map(|rule| rule.name)
    }

    #[test]
    fn hosts() {
        for (host, rule) in [
            ("xn--0", Some("names-that-are-no-punycode")),
            ("a.XN--zzzzzzz99999.example", Some("names-that-are-no-punycode")),
            // What is right, or wrong otherwise.
            ("xn--bcher-kva.example", None),
            ("xn--0.1", None),
            ("h.example", None),
            ("h.1", None),
            ("a\"b", Some("hosts-that-no-request-can-name")),
            ("{a}", Some("hosts-that-no-request-can-name")),
            ("a!$&'()*+,;=_~b", None),
            ("[::1]", None),
        ] {
            assert_eq!(name(host, "cio"), rule, "{host}");
        }
        for (host, rule) in [
            (".", Some("names-of-dots")),
            ("a..b", Some("names-of-dots")),
            ("a..", Some("names-of-dots")),
            ("a.b.", None),
            ("a.b", None),
        ] {
            assert_eq!((name(host, "curl"), name(host, "cio")), (rule, None), "{host}");
        }
    }

    #[test]
    fn what_is_to_be_refused_is_not_excused() {
        for got in [Ok(()), Err("hangs".to_owned().into())] {
            let url = Url { host: None, got };
            assert!(explain(&Difference::Url(url), "curl").is_none());
        }
    }
}
