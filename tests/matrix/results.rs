//! What was measured, and whether it agrees with what is declared.

use std::collections::BTreeSet;

use client_conformance::{Case, CaseResult, TOPICS, Verdict};
use client_core::{Capabilities, Capability};

use client_tests::engines::EngineUnderTest;

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) engines: Vec<EngineResults>,
}

/// One engine's results, in the order of the cases.
pub(crate) struct EngineResults {
    pub(crate) engine: EngineUnderTest,
    pub(crate) declared: Capabilities,
    pub(crate) results: Vec<CaseResult>,
}

/// How the cases of a topic ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) refused: usize,
    pub(crate) skipped: usize,
    pub(crate) deviates: usize,
    pub(crate) failed: usize,
}

impl EngineResults {
    pub(crate) fn measure(engine: EngineUnderTest, selects: impl Fn(&Case) -> bool) -> Self {
        Self {
            declared: (engine.capabilities)(),
            results: (engine.run)(&selects),
            engine,
        }
    }

    pub(crate) fn tally(&self, topic: &str) -> Tally {
        let mut tally = Tally::default();
        for result in self.results.iter().filter(|result| result.case.topic == topic) {
            match result.verdict {
                Verdict::Passed => tally.passed += 1,
                Verdict::Refused(_) => tally.refused += 1,
                Verdict::Skipped(_) => tally.skipped += 1,
                Verdict::Deviates(_) => tally.deviates += 1,
                _ => tally.failed += 1,
            }
        }
        tally
    }

    /// The cases that it is known to fail, with the reason.
    pub(crate) fn deviations(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.results.iter().filter_map(|result| match result.verdict {
            Verdict::Deviates(why) => Some((result.case.id, why)),
            _ => None,
        })
    }

    /// The cases that could not be tried, with the reason.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.results.iter().filter_map(|result| match &result.verdict {
            Verdict::Skipped(why) => Some((result.case.id, why.as_str())),
            _ => None,
        })
    }
}

impl Results {
    /// What does not agree, each as one line. `all`: the whole suite was run, so that what no case proves can be told.
    pub(crate) fn complaints(&self, all: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        for engine in &self.engines {
            for result in &engine.results {
                if let Verdict::Failed(why) = &result.verdict {
                    let why = why.lines().next().unwrap_or("");
                    complaints.push(format!("{}: {} failed: {why}", engine.engine.name, result.case.id));
                }
            }
        }
        if all {
            let proven: BTreeSet<_> = TOPICS
                .iter()
                .flat_map(|topic| topic.cases)
                .flat_map(|case| case.needs.iter().map(Capability::id))
                .collect();
            let declared = self.engines.iter().flat_map(|engine| engine.declared.iter());
            let unproven: BTreeSet<_> = declared.map(Capability::id).filter(|id| !proven.contains(id)).collect();
            complaints.extend(unproven.into_iter().map(|id| format!("the capability {id} is declared, and no case needs it")));
        }
        complaints
    }
}
