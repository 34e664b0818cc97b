//! What came of the cases: a line for each that fails, a table of the totals, and whether all of it is as docs/conformance-notes.md says.

use std::collections::BTreeMap;

use crate::corpora::{CaseResult, Verdict};
use crate::notes::Notes;

/// Collects results, and prints them as they come.
pub(crate) struct Report<'a> {
    notes: &'a Notes,
    verbose: bool,
    /// The one case that was asked for.
    id: Option<&'a str>,
    rows: Vec<Row>,
    /// What is not as it is listed, each as a line.
    complaints: Vec<String>,
    unmapped: BTreeMap<String, usize>,
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
    /// Differ as listed.
    listed: usize,
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
        }
    }

    /// Takes what a corpus came to on an engine.
    pub(crate) fn add(&mut self, corpus: &'static str, engine: &'static str, results: Vec<CaseResult>) {
        let mut tally = Tally::default();
        for CaseResult { id, verdict, wire } in results {
            let note = self.notes.of(corpus, engine, &id);
            let place = format!("{corpus} on {engine}: {id}");
            match (&verdict, note) {
                (Verdict::Passed, None) => tally.passed += 1,
                (Verdict::Passed, Some(note)) => {
                    tally.passed += 1;
                    self.complaints.push(format!("{place} passes, and is listed to differ ({note})"));
                }
                (Verdict::Failed(why), Some(note)) => {
                    tally.listed += 1;
                    println!("{place} differs ({note}): {}", line(why));
                }
                (Verdict::Failed(why), None) => {
                    tally.failed += 1;
                    println!("{place} FAILED: {}", line(why));
                    self.complaints.push(format!("{place} differs, and is not listed: {}", line(why)));
                }
                (Verdict::Unmapped(why), _) => {
                    tally.unmapped += 1;
                    *self.unmapped.entry(format!("{corpus} on {engine}: {why}")).or_default() += 1;
                }
            }
            if self.verbose && matches!(verdict, Verdict::Passed) {
                println!("{place} passed");
            }
            if self.verbose && (self.id.is_some() || matches!((&verdict, note), (Verdict::Failed(_), None))) {
                println!("{}", wire.trim_end());
            }
        }
        if tally != Tally::default() {
            self.rows.push(Row { corpus, engine, tally });
        }
    }

    /// Prints the totals.
    ///
    /// # Errors
    /// What is not as it is listed.
    pub(crate) fn finish(self) -> Result<(), String> {
        if self.rows.is_empty() {
            return Err("there is no such case there".to_owned());
        }
        if !self.unmapped.is_empty() {
            println!("\nNot tried:");
            for (why, count) in &self.unmapped {
                println!("{count:>5} {why}");
            }
        }
        println!(
            "\n{:<16}{:<11}{:>13}{:>8}{:>8}{:>11}",
            "corpus", "engine", "passed/total", "differ", "failed", "not tried"
        );
        for Row { corpus, engine, tally } in &self.rows {
            let Tally {
                passed,
                listed,
                failed,
                unmapped,
            } = tally;
            let total = format!("{passed}/{}", passed + listed + failed);
            println!("{corpus:<16}{engine:<11}{total:>13}{listed:>8}{failed:>8}{unmapped:>11}");
        }
        match self.complaints.as_slice() {
            [] => Ok(()),
            complaints => Err(format!(
                "{} cases are not as docs/conformance-notes.md lists them:\n  {}",
                complaints.len(),
                complaints.join("\n  ")
            )),
        }
    }
}

/// The first line of a reason, of bounded length.
fn line(why: &str) -> String {
    why.lines().next().unwrap_or("").chars().take(240).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(verdicts: &[(&str, Verdict)]) -> Vec<CaseResult> {
        let result = |(id, verdict): &(&str, Verdict)| CaseResult {
            id: (*id).to_owned(),
            verdict: verdict.clone(),
            wire: String::new(),
        };
        verdicts.iter().map(result).collect()
    }

    #[test]
    fn only_what_is_listed_may_differ() {
        let notes = Notes::parse("### Note\n- `c` on e: `listed`").unwrap();
        let finish = |verdicts: &[(&str, Verdict)]| {
            let mut report = Report::new(&notes, false, None);
            report.add("c", "e", results(verdicts));
            report.finish()
        };
        let failed = || Verdict::Failed("why".into());
        assert_eq!(finish(&[("a", Verdict::Passed), ("listed", failed())]), Ok(()));
        assert!(finish(&[("a", failed())]).unwrap_err().contains("c on e: a differs, and is not listed: why"));
        assert!(
            finish(&[("listed", Verdict::Passed)])
                .unwrap_err()
                .contains("listed passes, and is listed to differ (Note)")
        );
        assert_eq!(finish(&[("listed", Verdict::Unmapped("cookies".into()))]), Ok(()));
        assert!(finish(&[]).is_err());
    }
}
