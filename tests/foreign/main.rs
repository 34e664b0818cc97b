//! Runs cases that other projects wrote for their own clients through every engine: `cargo xtask foreign FOLDER`.
//!
//! The cases are not part of this repository: the folder is an argument. What differs on purpose is explained by a rule (rules/), each
//! with a section and a clause in docs/conformance-notes.md: a difference that no rule explains is a failure, and so is one that is listed
//! there by name and differs no longer.

mod corpora;
mod notes;
mod report;
mod rules;
mod server;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use client_tests::engines;

use corpora::{Bench, Corpus};
use notes::Notes;
use report::Report;

/// Runs the corpora in a folder through every engine; prints passed/total for each, and every case that fails.
#[derive(Parser)]
#[command(bin_name = "cargo xtask foreign")]
struct Args {
    /// Where the corpora are
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Only this engine
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Only this corpus
    #[arg(long, value_name = "NAME")]
    corpus: Option<String>,
    /// Only this case
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Show every case, and what was on the wire of the one asked for
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foreign: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance-notes.md");
    let text = fs::read_to_string(page).map_err(|error| format!("docs/conformance-notes.md: {error}"))?;
    let notes = Notes::parse(&text).map_err(|error| format!("docs/conformance-notes.md: {error}"))?;
    notes.fit(rules::all()).map_err(|error| format!("docs/conformance-notes.md: {error}"))?;
    let engines = chosen("engine", engines::all(), |engine| engine.name, args.engine.as_deref())?;
    let corpora = chosen("corpus", corpora::all(), |corpus: &Corpus| corpus.name, args.corpus.as_deref())?;

    let mut report = Report::new(&notes, args.verbose, args.id.as_deref());
    for corpus in &corpora {
        if let Some(file) = corpus.files.iter().find(|file| !args.folder.join(file).exists()) {
            println!("{}: skipped, {file} is not in {}", corpus.name, args.folder.display());
            continue;
        }
        for engine in &engines {
            let bench = Bench {
                subject: (engine.subject)(),
                folder: &args.folder,
                id: args.id.as_deref(),
            };
            let results = (corpus.run)(&bench).map_err(|error| format!("{}: {error}", corpus.name))?;
            report.add(corpus.name, engine.name, results);
        }
    }
    report.finish(args.engine.is_none() && args.corpus.is_none() && args.id.is_none())
}

/// Those of a name; all of them where none is asked for.
fn chosen<T>(what: &str, all: Vec<T>, name: impl Fn(&T) -> &'static str, asked: Option<&str>) -> Result<Vec<T>, String> {
    let names: Vec<_> = all.iter().map(&name).collect();
    let chosen: Vec<T> = all.into_iter().filter(|one| asked.is_none_or(|asked| asked == name(one))).collect();
    if chosen.is_empty() {
        return Err(format!("there is no such {what}; there are {}", names.join(", ")));
    }
    Ok(chosen)
}
