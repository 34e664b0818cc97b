//! What was measured, and whether it agrees with what is declared.

use client_conformance::{Case, CaseResult, Verdict};
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

impl EngineResults {
    /// What an engine declares and no case has shown; what it does not declare and no case has seen refused, or left out; and what was
    /// skipped though nothing says that it may be.
    fn unmeasured(&self, complaints: &mut Vec<String>) {
        let name = self.engine.name;
        let (mut shown, mut refused) = (Capabilities::NONE, Capabilities::NONE);
        for result in &self.results {
            match &result.verdict {
                Verdict::Passed => shown = shown | result.case.needs,
                Verdict::Refused(capability) => refused = refused.with(*capability),
                // What the subject has no setting for is declared by that; anything else could have been tried.
                Verdict::Skipped(why) if !why.starts_with(NO_SETTING) => {
                    complaints.push(format!("{name}: {} was skipped: {why}", result.case.id));
                }
                _ => {}
            }
        }
        // Without HTTP/2 nothing can be asked of it: the first refusal is the second's too.
        if refused.contains(Capability::Http2) && !self.declared.contains(Capability::Http2RequestTrailers) {
            refused = refused.with(Capability::Http2RequestTrailers);
        }
        for &capability in Capability::ALL {
            let (declares, measured) =
                (self.declared.contains(capability), if self.declared.contains(capability) { shown } else { refused });
            if !measured.contains(capability) {
                let what = if declares {
                    "declared, and no case has shown it"
                } else {
                    "not declared, and no case has seen it refused"
                };
                complaints.push(format!("{name}: {} is {what}", capability.id()));
            }
        }
    }
}

/// How the suite begins when it says that a subject has no such setting.
const NO_SETTING: &str = "the engine has no such setting";

impl Results {
    /// What does not agree, each as one line. `all`: the whole suite was run, so that what no case has measured can be told.
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
            self.engines.iter().for_each(|engine| engine.unmeasured(&mut complaints));
        }
        complaints
    }
}
