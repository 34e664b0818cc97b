//! The matrix as text: a summary for the terminal, and `docs/engines.md`.

use std::fmt::Write as _;

use client_conformance::TOPICS;
use client_core::Capability;

use crate::results::{Results, Tally};

/// A table for the terminal.
pub(crate) fn summary(results: &Results) -> String {
    let mut out = String::new();
    let width = TOPICS.iter().map(|topic| topic.name.len()).max().unwrap_or(0) + 2;
    let _ = write!(out, "{:<width$}", "");
    for engine in &results.engines {
        let _ = write!(out, "{:<38}", engine.engine.name);
    }
    out.push('\n');
    for topic in TOPICS {
        let tallies: Vec<_> = results.engines.iter().map(|engine| engine.tally(topic.name)).collect();
        if tallies.iter().all(|tally| *tally == Tally::default()) {
            continue;
        }
        let _ = write!(out, "{:<width$}", topic.name);
        for tally in tallies {
            let _ = write!(out, "{:<38}", words(tally));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

/// `12 passed`, and what else there is.
pub(crate) fn words(tally: Tally) -> String {
    let parts = [
        (tally.failed, "FAILED"),
        (tally.passed, "passed"),
        (tally.refused, "refused"),
        (tally.deviates, "deviate"),
        (tally.skipped, "n/a"),
    ];
    let there = parts.iter().filter(|(count, _)| *count > 0);
    there.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// The page.
pub(crate) fn page(results: &Results) -> String {
    let mut out = String::new();
    let cases: usize = TOPICS.iter().map(|topic| topic.cases.len()).sum();
    let _ = writeln!(
        out,
        "# Engines\n\n\
         <!-- Written by `cargo xtask matrix`; `cargo xtask matrix --check` compares. Do not edit. -->\n\n\
         The {cases} cases of the conformance suite (`crates/client-conformance`), run on every engine. *Passed*: the engine promises it, and \
         does it. *Refused*: it does not promise it, says so by name before the first byte leaves, or, where nothing is asked, still delivers \
         the rest; that is tested as well. *Deviate*: its library does otherwise, as listed below. *n/a*: it has no such setting. Nothing else fails, or this page would not be here.\n\n\
         ![the matrix](engines.svg)\n\n\
         `cargo xtask matrix --engine NAME --case ID -v` shows the wire of one case; `cargo xtask matrix --servers` asks real servers and proxies.\n\n\
         ## Topics\n"
    );
    let names = || results.engines.iter().map(|engine| engine.engine.name);
    let header = |out: &mut String, first: &str| {
        let _ = writeln!(out, "| {first} | {} |", names().collect::<Vec<_>>().join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(results.engines.len()));
    };
    header(&mut out, "topic");
    for topic in TOPICS {
        let link = format!("#topic-{}", topic.name);
        let cells = results.engines.iter().map(|engine| format!("[{}]({link})", words(engine.tally(topic.name))));
        let _ = writeln!(out, "| [{}]({link}) | {} |", topic.name, cells.collect::<Vec<_>>().join(" | "));
    }
    out.push_str("\n## Capabilities\n\nWhat an engine promises. Asking for anything else is refused with `ErrorKind::Unsupported`, before any I/O.\n\n");
    header(&mut out, "capability");
    for capability in Capability::ALL {
        let cells = results.engines.iter().map(|engine| if engine.declared.contains(*capability) { "yes" } else { "–" });
        let _ = writeln!(
            out,
            "| `{}`: {} | {} |",
            capability.id(),
            capability.describe(),
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
    let deviations = results.engines.iter();
    let deviations = deviations.flat_map(|engine| engine.deviations().map(|(case, why)| (engine.engine.name, case, why)));
    reasons(&mut out, "Deviations", "What the library below does, and cannot be told not to do.", deviations);
    let additions = results
        .engines
        .iter()
        .flat_map(|engine| (engine.engine.subject)().additions().iter().map(|field| (engine.engine.name, field)));
    let rows: Vec<_> = additions.map(|(engine, (name, value))| format!("| {engine} | `{name}: {value}` |\n")).collect();
    if !rows.is_empty() {
        let says = "Fields that the library below adds to a request that has none of that name, which is why `exact-headers` is not promised. The cases \
                    compare all fields but these.";
        let _ = write!(out, "\n## Additions\n\n{says}\n\n| engine | field |\n|---|---|\n{}", rows.concat());
    }
    let skipped = results.engines.iter();
    let skipped = skipped.flat_map(|engine| engine.skipped().map(|(case, why)| (engine.engine.name, case, why)));
    reasons(&mut out, "Not applicable", "Cases that need a setting the engine does not have.", skipped);
    out.push_str("\n## Cases\n");
    for topic in TOPICS {
        let _ = writeln!(out, "\n### Topic {}\n\n{}\n", topic.name, topic.says);
        out.push_str("| case | says | clause | needs |\n|---|---|---|---|\n");
        for case in topic.cases {
            let _ = writeln!(out, "| `{}` | {} | {} | {} |", case.id, cell(case.says), cell(case.clause), case.needs);
        }
    }
    out
}

/// A list of cases with reasons, engine by engine.
fn reasons<'a>(out: &mut String, heading: &str, says: &str, all: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
    let rows: Vec<_> = all.map(|(engine, case, why)| format!("| {engine} | `{case}` | {} |\n", cell(why))).collect();
    if !rows.is_empty() {
        let _ = write!(out, "\n## {heading}\n\n{says}\n\n| engine | case | why |\n|---|---|---|\n{}", rows.concat());
    }
}

/// Text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
