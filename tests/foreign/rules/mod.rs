//! Why a case may differ: rules, each for one clause.
//!
//! A rule looks at what a case is made of (what the server sends, what is asked for, what is wanted) and at what came of it here. It
//! knows no case by name, so that it says of unseen ones what it says of those we have. docs/conformance-notes.md has a section for
//! each, with the clause and the reasons; what no rule explains, fails.

mod jobs;
mod redirects;
mod reply;
mod requests;
mod responses;
mod urls;

pub(crate) use self::jobs::{Job, Op};
pub(crate) use self::redirects::{Redirects, Step};
pub(crate) use self::requests::Request;
pub(crate) use self::responses::Response;
pub(crate) use self::urls::Url;

use std::fmt;

use client_core::ErrorKind;

/// One reason to differ.
pub(crate) struct Rule {
    /// As docs/conformance-notes.md and the output call it.
    pub(crate) name: &'static str,
    /// What justifies it, as its section words it.
    pub(crate) clause: &'static str,
    /// The engines that differ so; empty: all.
    engines: &'static [&'static str],
    explains: Explains,
}

/// What kind of difference a rule is for.
enum Explains {
    /// Of a job too, where one of the server's replies is such a response.
    Response(fn(&Response) -> bool),
    Request(fn(&Request) -> bool),
    Redirects(fn(&Redirects) -> bool),
    Url(fn(&Url) -> bool),
    Job(fn(&Job) -> bool),
}

/// A case that did not come out as wanted: what rules see of it.
#[derive(Clone, Debug)]
pub(crate) enum Difference {
    Response(Response),
    Request(Request),
    Redirects(Redirects),
    Url(Url),
    Job(Job),
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// `None`: it was no error of the client, but of the runner.
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) why: String,
}

impl From<client_core::Error> for Refusal {
    fn from(error: client_core::Error) -> Self {
        Self {
            kind: Some(error.kind()),
            why: error.to_string(),
        }
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { kind: None, why }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Every rule, in the order of the page. The first that holds explains a difference.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    [responses::RULES, requests::RULES, redirects::RULES, urls::RULES, jobs::RULES]
        .into_iter()
        .flatten()
}

/// The rule that says why a case differs on an engine.
pub(crate) fn explain(difference: &Difference, engine: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.explains(difference, engine))
}

impl Rule {
    const fn new(name: &'static str, clause: &'static str, explains: Explains) -> Self {
        Self {
            name,
            clause,
            engines: &[],
            explains,
        }
    }

    /// Only of some engines.
    const fn on(mut self, engines: &'static [&'static str]) -> Self {
        self.engines = engines;
        self
    }

    fn explains(&self, difference: &Difference, engine: &str) -> bool {
        if !self.engines.is_empty() && !self.engines.contains(&engine) {
            return false;
        }
        match (&self.explains, difference) {
            (Explains::Response(explains), Difference::Response(response)) => explains(response),
            (Explains::Response(explains), Difference::Job(job)) => job.responses().any(|response| explains(&response)),
            (Explains::Request(explains), Difference::Request(request)) => explains(request),
            (Explains::Redirects(explains), Difference::Redirects(redirects)) => explains(redirects),
            (Explains::Url(explains), Difference::Url(url)) => explains(url),
            (Explains::Job(explains), Difference::Job(job)) => explains(job),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_rule_has_a_name_of_its_own_and_a_clause() {
        let mut names = BTreeSet::new();
        for rule in all() {
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert!(
                rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{}",
                rule.name
            );
            assert!(rule.clause.contains('§'), "{}: {}", rule.name, rule.clause);
        }
    }
}
