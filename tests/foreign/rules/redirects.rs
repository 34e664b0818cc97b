//! Which method goes on after a redirect.

use super::{Explains, Rule};

/// Requests that redirects lead through.
#[derive(Clone, Debug)]
pub(crate) struct Redirects {
    /// What was answered to each request but the last.
    pub(crate) statuses: Vec<u16>,
    pub(crate) wanted: Vec<Step>,
    pub(crate) got: Vec<Step>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: String,
}

const fn rule(name: &'static str, clause: &'static str, explains: fn(&Redirects) -> bool) -> Rule {
    Rule::new(name, clause, Explains::Redirects(explains))
}

pub(super) const RULES: &[Rule] = &[
    rule("methods-that-stay", "RFC 9110 §15.4.2 and §15.4.3", methods_that_stay),
    rule("bodies-that-come-back", "RFC 9110 §15.4", bodies_that_come_back),
];

/// The two rules part at a 301 or 302.
fn methods_that_stay(redirects: &Redirects) -> bool {
    let methods = |steps: &[Step]| steps.iter().map(|step| step.method.clone()).collect::<Vec<_>>();
    methods(&redirects.wanted) != methods(&redirects.got) && is_by_rule(redirects)
}

/// The two rules part at a 307 or 308, after the method has become GET.
fn bodies_that_come_back(redirects: &Redirects) -> bool {
    let methods = |steps: &[Step]| steps.iter().map(|step| step.method.clone()).collect::<Vec<_>>();
    redirects.wanted != redirects.got && methods(&redirects.wanted) == methods(&redirects.got) && is_by_rule(redirects)
}

/// We go on by Fetch's rule, and the case by Go's, and nothing else is different.
fn is_by_rule(redirects: &Redirects) -> bool {
    let Redirects { statuses, wanted, got } = redirects;
    let same_places = wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| wanted.target == got.target);
    let first = got.first();
    let is_led = |steps: &[Step], next: fn(&Step, u16, &str) -> (String, String)| {
        let body = first.map_or("", |first| &first.body);
        steps.len() == statuses.len() + 1
            && steps.windows(2).zip(statuses).all(|(pair, status)| {
                let (method, body) = next(&pair[0], *status, body);
                pair[1].method == method && pair[1].body == body
            })
    };
    first == wanted.first() && same_places && is_led(got, fetchs) && is_led(wanted, gos)
}

/// RFC 9110 §15.4 and Fetch: only a POST becomes a GET at a 301 or 302. A body goes along with its method, and not without it.
fn fetchs(step: &Step, status: u16, _: &str) -> (String, String) {
    let method = match (status, step.method.as_str()) {
        (301 | 302, "POST") => "GET",
        (303, "HEAD") => "HEAD",
        (303, _) => "GET",
        (_, method) => method,
    };
    let body = if method == step.method { step.body.as_str() } else { "" };
    (method.to_owned(), body.to_owned())
}

/// Go: everything but HEAD does, as at a 303, and goes on without a body; a 307 or 308 brings the first body back, whatever the method is
/// by then.
fn gos(step: &Step, status: u16, first_body: &str) -> (String, String) {
    match (status, step.method.as_str()) {
        (301..=303, "HEAD") => ("HEAD".to_owned(), String::new()),
        (301..=303, _) => ("GET".to_owned(), String::new()),
        (_, method) => (method.to_owned(), first_body.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Difference, explain};
    use super::*;

    fn steps(methods: &[(&str, &str)]) -> Vec<Step> {
        let step = |(index, (method, body)): (usize, &(&str, &str))| Step {
            method: (*method).into(),
            target: format!("/{index}"),
            body: (*body).into(),
        };
        methods.iter().enumerate().map(step).collect()
    }

    fn name(statuses: &[u16], wanted: &[(&str, &str)], got: &[(&str, &str)]) -> Option<&'static str> {
        let redirects = Redirects {
            statuses: statuses.to_vec(),
            wanted: steps(wanted),
            got: steps(got),
        };
        explain(&Difference::Redirects(redirects), "cio").map(|rule| rule.name)
    }

    #[test]
    fn a_method_stays_where_fetch_says_so() {
        let stays = Some("methods-that-stay");
        assert_eq!(name(&[301], &[("PUT", "x"), ("GET", "")], &[("PUT", "x"), ("PUT", "x")]), stays);
        let wanted = [("DELETE", ""), ("DELETE", ""), ("GET", ""), ("GET", "")];
        let got = [("DELETE", ""), ("DELETE", ""), ("DELETE", ""), ("GET", "")];
        assert_eq!(name(&[308, 302, 303], &wanted, &got), stays);
        // The body comes back in the case, too.
        let wanted = [("PUT", "x"), ("GET", ""), ("GET", "x")];
        assert_eq!(name(&[301, 308], &wanted, &[("PUT", "x"), ("PUT", "x"), ("PUT", "x")]), stays);
    }

    #[test]
    fn a_body_that_is_gone_stays_away() {
        let wanted = [("POST", "x"), ("GET", ""), ("GET", "x")];
        let got = [("POST", "x"), ("GET", ""), ("GET", "")];
        assert_eq!(name(&[303, 307], &wanted, &got), Some("bodies-that-come-back"));
        assert_eq!(name(&[303, 303], &wanted, &got), None);
        // The other way about, we would be wrong.
        assert_eq!(name(&[303, 307], &got, &wanted), None);
        let other = [("POST", "x"), ("GET", ""), ("GET", "y")];
        assert_eq!(name(&[303, 307], &other, &got), None);
    }

    #[test]
    fn nothing_else_is_excused() {
        // A POST does not stay, nor anything at a 303.
        assert_eq!(name(&[302], &[("POST", "x"), ("GET", "")], &[("POST", "x"), ("POST", "x")]), None);
        assert_eq!(name(&[303], &[("PUT", "x"), ("GET", "")], &[("PUT", "x"), ("PUT", "x")]), None);
        // Its body is lost, or kept without it.
        assert_eq!(name(&[301], &[("PUT", "x"), ("GET", "")], &[("PUT", "x"), ("PUT", "")]), None);
        assert_eq!(
            name(&[301, 303], &[("PUT", "x"), ("GET", ""), ("GET", "")], &[("PUT", "x"), ("PUT", "x"), ("GET", "x")]),
            None
        );
        // It is not followed to the end.
        assert_eq!(name(&[301], &[("PUT", "x"), ("GET", "")], &[("PUT", "x")]), None);
        // The case wants something else than Go's rule.
        assert_eq!(name(&[307], &[("PUT", "x"), ("GET", "")], &[("PUT", "x"), ("PUT", "x")]), None);
        assert_eq!(name(&[301], &[("PUT", "x"), ("PUT", "x")], &[("PUT", "x"), ("PUT", "x")]), None);
    }
}
