//! The table of time limits in `docs/timeouts.md`: how much of each limit every engine was measured to keep.

use std::fmt::Write as _;

use client_conformance::{Case, Verdict};
use client_core::Capability;

use crate::results::{EngineResults, Results};

const BEGIN: &str = "<!-- Begin: written by `cargo xtask matrix`; `cargo xtask matrix --check` compares. -->\n";
const END: &str = "<!-- End -->";

const TOPICS: [&str; 3] = ["timeouts", "timeout_grid", "http2_timeouts"];

/// The limits, and what an engine has to promise for each; the core keeps the first on every engine.
const LIMITS: [(&str, Option<Capability>); 4] = [
    ("request", None),
    ("connect", Some(Capability::ConnectTimeout)),
    ("socket", Some(Capability::SocketTimeout)),
    ("connection_request", Some(Capability::ConnectionRequestTimeout)),
];

/// The page with the table of what was measured.
pub(crate) fn page(results: &Results, current: &str) -> Result<String, String> {
    let around = current.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = around.ok_or("docs/timeouts.md has lost the marks of its table")?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table(results)))
}

fn table(results: &Results) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "| engine | {} |", LIMITS.map(|(name, _)| format!("`{name}`")).join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(LIMITS.len()));
    for engine in &results.engines {
        let cells = LIMITS.map(|(_, capability)| cell(engine, capability));
        let _ = writeln!(out, "| {} | {} |", engine.engine.name, cells.join(" | "));
    }
    out
}

fn cell(engine: &EngineResults, capability: Option<Capability>) -> String {
    if capability.is_some_and(|capability| !engine.declared.contains(capability)) {
        return "refused by name".to_owned();
    }
    let of_limit = engine.results.iter().filter(|result| is_about(result.case, capability));
    let (mut passed, mut deviating) = (0, 0);
    for result in of_limit {
        match result.verdict {
            Verdict::Passed => passed += 1,
            Verdict::Deviates(_) => deviating += 1,
            _ => {}
        }
    }
    match (passed, deviating) {
        // The cases need something else that the engine has not: HTTP/1.1, a setting.
        (0, 0) => "promised, without a case".to_owned(),
        (_, 0) => format!("{passed} passed"),
        _ => format!("{passed} passed, {deviating} deviate"),
    }
}

/// A case is about the limit that it needs of an engine, else about that of the whole call.
fn is_about(case: &Case, capability: Option<Capability>) -> bool {
    let needed = LIMITS
        .iter()
        .filter_map(|(_, capability)| *capability)
        .find(|&capability| case.needs.contains(capability));
    TOPICS.contains(&case.topic) && needed == capability
}
