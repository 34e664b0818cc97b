//! What came of the cases: a line for each that fails, a table of the totals, and whether all of it is as docs/conformance-notes.md says.

use std::collections::BTreeMap;

use crate::corpora::{CaseResult, Verdict};
use crate::notes::Notes;
use crate::rules;

/// Collects results, and prints them as they come.
pub(crate) struct Report<'a> {
    notes: &'a Notes,
    verbose: bool,
    /// The one case that was asked for.
    id: Option<&'a str>,
    rows: Vec<Row>,
    /// What no rule explains, or what the page has wrong, each as a line.
    complaints: Vec<String>,
    unmapped: BTreeMap<String, usize>,
    /// By rule and corpus: the cases that it explains, each with the engines; and how many of them the page does not list.
    explained: BTreeMap<(&'static str, &'static str), BTreeMap<String, Vec<&'static str>>>,
    unlisted: usize,
}

/// One corpus on one engine.
struct Row {
    corpus: &'static str,
    engine: &'static str,
    tally: Tally,
}

/// How the cases ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    /// Differ, and a rule says why.
    explained: usize,
    failed: usize,
    unmapped: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(notes: &'a Notes, verbose: bool, id: Option<&'a str>) -> Self {
        Self {
            notes,
            verbose,
            id,
            rows: Vec::new(),
            complaints: Vec::new(),
            unmapped: BTreeMap::new(),
            explained: BTreeMap::new(),
            unlisted: 0,
        }
    }

    /// Takes what a corpus came to on an engine.
    pub(crate) fn add(&mut self, corpus: &'static str, engine: &'static str, results: Vec<CaseResult>) {
        let mut tally = Tally::default();
        for result in results {
            let CaseResult {
                id,
                verdict,
                wire,
                difference,
            } = result;
            let listed = self.notes.of(corpus, engine, &id);
            let rule = difference.and_then(|difference| rules::explain(&difference, engine));
            let place = format!("{corpus} on {engine}: {id}");
            match (&verdict, rule) {
                (Verdict::Passed, _) => {
                    tally.passed += 1;
                    if let Some(rule) = listed {
                        self.complaints.push(format!("{place} passes, and is listed to differ ({rule})"));
                    }
                }
                (Verdict::Failed(why), Some(rule)) => {
                    tally.explained += 1;
                    println!("{place} differs ({}, {}): {}", rule.name, rule.clause, line(why));
                    self.explained.entry((rule.name, corpus)).or_default().entry(id).or_default().push(engine);
                    match listed {
                        Some(listed) if listed != rule.name => {
                            self.complaints
                                .push(format!("{place} differs by the rule {}, and is listed under {listed}", rule.name));
                        }
                        Some(_) => {}
                        None => self.unlisted += 1,
                    }
                }
                (Verdict::Failed(why), None) => {
                    tally.failed += 1;
                    println!("{place} FAILED: {}", line(why));
                    self.complaints.push(format!("{place} differs, and no rule says why: {}", line(why)));
                }
                (Verdict::Unmapped(why), _) => {
                    tally.unmapped += 1;
                    *self.unmapped.entry(format!("{corpus} on {engine}: {why}")).or_default() += 1;
                }
            }
            if self.verbose && matches!(verdict, Verdict::Passed) {
                println!("{place} passed");
            }
            if self.verbose && (self.id.is_some() || matches!((&verdict, rule), (Verdict::Failed(_), None))) {
                println!("{}", wire.trim_end());
            }
        }
        if tally != Tally::default() {
            self.rows.push(Row { corpus, engine, tally });
        }
    }

    /// Prints the totals. In a run of everything (`whole`), a rule that explains nothing is told, too.
    ///
    /// # Errors
    /// What no rule explains, and what is not as it is listed.
    pub(crate) fn finish(self, whole: bool) -> Result<(), String> {
        if self.rows.is_empty() {
            return Err("there is no such case there".to_owned());
        }
        if !self.unmapped.is_empty() {
            println!("\nNot tried:");
            for (why, count) in &self.unmapped {
                println!("{count:>5} {why}");
            }
        }
        self.print_rules(whole);
        println!(
            "\n{:<16}{:<11}{:>13}{:>8}{:>8}{:>11}",
            "corpus", "engine", "passed/total", "differ", "failed", "not tried"
        );
        for Row { corpus, engine, tally } in &self.rows {
            let Tally {
                passed,
                explained,
                failed,
                unmapped,
            } = tally;
            let total = format!("{passed}/{}", passed + explained + failed);
            println!("{corpus:<16}{engine:<11}{total:>13}{explained:>8}{failed:>8}{unmapped:>11}");
        }
        match self.complaints.as_slice() {
            [] => Ok(()),
            complaints => Err(format!(
                "{} cases are not as docs/conformance-notes.md says:\n  {}",
                complaints.len(),
                complaints.join("\n  ")
            )),
        }
    }
}

impl Report<'_> {
    /// The cases of each rule, in the form of the page.
    fn print_rules(&self, whole: bool) {
        if !self.explained.is_empty() {
            println!("\nDiffer, by rule:");
        }
        let mut idle = Vec::new();
        for rule in rules::all() {
            let corpora: Vec<_> = self.explained.iter().filter(|((name, _), _)| *name == rule.name).collect();
            if corpora.is_empty() {
                idle.push(rule.name);
                continue;
            }
            println!("{} ({})", rule.name, rule.clause);
            for ((_, corpus), cases) in corpora {
                // Cases that differ on the same engines share a line.
                let mut lines = BTreeMap::<_, Vec<_>>::new();
                for (id, engines) in cases {
                    lines.entry(engines.join(", ")).or_default().push(format!("`{id}`"));
                }
                for (engines, ids) in lines {
                    println!("- `{corpus}` on {engines}: {}", ids.join(", "));
                }
            }
        }
        if whole && !idle.is_empty() {
            println!("\nRules that explain nothing here: {}", idle.join(", "));
        }
        if self.unlisted > 0 {
            println!("\n{} of those that differ are not on the page by name", self.unlisted);
        }
    }
}

/// The first line of a reason, of bounded length.
fn line(why: &str) -> String {
    why.lines().next().unwrap_or("").chars().take(240).collect()
}

#[cfg(test)]
mod tests {
    use client_core::ErrorKind;

    use super::*;
    use crate::rules::{Difference, Url};

    fn results(verdicts: &[(&str, Verdict)]) -> Vec<CaseResult> {
        let result = |(id, verdict): &(&str, Verdict)| CaseResult {
            id: (*id).to_owned(),
            verdict: verdict.clone(),
            wire: String::new(),
            difference: None,
        };
        verdicts.iter().map(result).collect()
    }

    #[test]
    fn only_what_a_rule_explains_may_differ() {
        let notes =
            "### Note\nRule `names-of-dots`: c\n- `c` on curl: `listed`\n### Other\nRule `other`: c\n- `c` on curl: `elsewhere`";
        let notes = Notes::parse(notes).unwrap();
        let finish = |results: Vec<CaseResult>| {
            let mut report = Report::new(&notes, false, None);
            report.add("c", "curl", results);
            report.finish(true)
        };
        let one = |id: &str, verdict: Verdict| finish(results(&[(id, verdict)]));
        let failed = || Verdict::Failed("why".into());
        // A host that libcurl refuses.
        let differs = |id: &str, host: &str| {
            let url = Url {
                host: Some(host.into()),
                got: Err(client_core::Error::new(ErrorKind::InvalidRequest, "no").into()),
            };
            finish(vec![CaseResult::new(id, Err("why".into()), "").about(|| Difference::Url(url))])
        };
        assert_eq!(one("a", Verdict::Passed), Ok(()));
        assert_eq!(differs("listed", "a..b"), Ok(()));
        assert_eq!(differs("unseen", "a..b"), Ok(()));
        assert!(
            differs("unseen", "a.b")
                .unwrap_err()
                .contains("c on curl: unseen differs, and no rule says why: why")
        );
        assert!(
            differs("elsewhere", "a..b")
                .unwrap_err()
                .contains("differs by the rule names-of-dots, and is listed under other")
        );
        // To be listed is no excuse.
        assert!(one("listed", failed()).unwrap_err().contains("no rule says why"));
        assert!(
            one("listed", Verdict::Passed)
                .unwrap_err()
                .contains("listed passes, and is listed to differ (names-of-dots)")
        );
        assert_eq!(one("listed", Verdict::Unmapped("cookies".into())), Ok(()));
        assert!(finish(Vec::new()).is_err());
    }
}
