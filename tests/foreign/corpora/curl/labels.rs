//! Hosts such as `www.example.1214`: the last label is the test's number, by which curl's test server knows it. To the URL standard a
//! host that ends in a number is an IPv4 address or none at all (WHATWG URL §3.5), so that the job would not say what it is about. It
//! gets one more label, which is taken away again from what was received.

use url::{ParseError, Url};

use super::job::Job;
use super::python::Record;

const LABEL: &str = ".example";

/// The URL with one more label at the end of its host, where it is in need of it.
pub(super) fn add(url: &str) -> Option<String> {
    let host = host(url)?;
    let labelled = of_host(host)?;
    (Url::parse(url) == Err(ParseError::InvalidIpv4Address)).then(|| url.replacen(host, &labelled, 1))
}

/// The host likewise. Numbers alone are no name: they stay what they are.
pub(super) fn of_host(host: &str) -> Option<String> {
    let is_number = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = host.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_name && host.rsplit('.').next().is_some_and(is_number)).then(|| format!("{host}{LABEL}"))
}

/// What was received, as it had been without the labels.
pub(super) fn shed(job: &Job, record: Record) -> Record {
    let urls = job.ops.iter().flat_map(|op| &op.urls);
    let hosts = urls.filter_map(|url| {
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        add(&url).and_then(|_| host(&url).map(str::to_owned))
    });
    hosts.fold(record, |record, host| record.replaced(&format!("{host}{LABEL}"), &host))
}

/// The host as it is written.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.split(':').next().unwrap_or(host)).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_ends_in_a_number_gets_a_label() {
        for (url, labelled) in [
            ("http://h.7/a.7", Some("http://h.7.example/a.7")),
            ("http://u:h.7@h.7:81?a#b", None),
            ("http://u@h.7:81?a#b", Some("http://u@h.7.example:81?a#b")),
            ("http://h.7#@other.8/", Some("http://h.7.example#@other.8/")),
            ("http://7.h/", None),
            ("http://127.0.0.1/", None),
            ("http://1.2.3.4.5/", None),
            ("http://[::1]/", None),
            ("h.7", None),
        ] {
            let got = add(url);
            // A host that stands before itself is not in the corpus, and would be replaced in the wrong place.
            if labelled.is_some() {
                assert_eq!(got.as_deref(), labelled, "{url}");
            } else {
                assert!(got.is_none_or(|got| got.starts_with("http://u:")), "{url}");
            }
        }
    }
}
