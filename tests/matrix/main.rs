//! Runs the conformance suite on every engine, and writes what came of it: `cargo xtask matrix`.
//!
//! The tables are made by running, never by hand. What is declared and what is measured have to agree.

mod limits;
mod page;
mod picture;
mod results;
mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use client_conformance::{Case, Verdict};

use results::{EngineResults, Results};

/// Runs the conformance suite on every engine, prints the matrix, and writes docs/engines.md, docs/engines.svg, and the table of docs/timeouts.md.
#[derive(Parser)]
#[command(bin_name = "cargo xtask matrix")]
struct Args {
    /// Write nothing: fail if the files in docs/ are not what they should be
    #[arg(long)]
    check: bool,
    /// Instead of the suite: a smaller set of cases against the real servers and proxies that are installed here; writes nothing
    #[arg(long, conflicts_with = "check")]
    servers: bool,
    /// Only this server, of the real ones
    #[arg(long, value_name = "NAME", requires = "servers")]
    server: Option<String>,
    /// Only this engine; writes nothing
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Only this case, or the cases of this topic; writes nothing
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Show each case, and the wire of those that failed or were asked for by name
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrix: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    if args.servers {
        return servers::run(args);
    }
    let selects = |case: &Case| args.case.as_deref().is_none_or(|id| case.id == id || case.topic == id);
    if !client_conformance::cases().any(&selects) {
        return Err("there is no such case or topic".to_owned());
    }
    let mut results = Results::default();
    for engine in client_tests::engines::all() {
        if args.engine.as_deref().is_some_and(|name| name != engine.name) {
            continue;
        }
        let measured = EngineResults::measure(engine, selects);
        show(&measured, args);
        results.engines.push(measured);
    }
    if results.engines.is_empty() {
        let names: Vec<_> = client_tests::engines::all().iter().map(|engine| engine.name).collect();
        return Err(format!("there is no such engine; there are {}", names.join(", ")));
    }
    println!("\n{}", page::summary(&results));
    let complaints = results.complaints(args.case.is_none());
    if !complaints.is_empty() {
        return Err(format!("declared and measured differ:\n  {}", complaints.join("\n  ")));
    }
    if args.engine.is_some() || args.case.is_some() {
        return Ok(());
    }
    let files = [
        ("engines.md", page::page(&results)),
        ("engines.svg", picture::picture(&results)),
        ("timeouts.md", limits::page(&results, &read("timeouts.md")?)?),
    ];
    files.iter().try_for_each(|(name, text)| settle(&docs().join(name), text, args.check))
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn read(name: &str) -> Result<String, String> {
    fs::read_to_string(docs().join(name)).map_err(|error| format!("docs/{name}: {error}"))
}

/// Writes the file, or checks that it is as it would be written.
fn settle(path: &Path, text: &str, check: bool) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !check {
        return fs::write(path, text).map_err(|error| format!("docs/{name}: {error}"));
    }
    match fs::read_to_string(path) {
        Ok(current) if current == text => Ok(()),
        _ => Err(format!("docs/{name} is not what was measured; run `cargo xtask matrix` and commit it")),
    }
}

fn show(engine: &EngineResults, args: &Args) {
    for result in &engine.results {
        let (word, why) = match &result.verdict {
            Verdict::Passed => ("passed", ""),
            Verdict::Refused(capability) => ("refused", capability.id()),
            Verdict::Skipped(why) => ("skipped", why.as_str()),
            Verdict::Deviates(why) => ("deviates", *why),
            Verdict::Failed(why) => ("FAILED", why.as_str()),
            _ => ("?", ""),
        };
        let failed = word == "FAILED";
        if args.verbose || failed || word == "skipped" {
            println!("{}: {word} {} {why}", engine.engine.name, result.case.id);
        }
        if args.verbose && (failed || args.case.as_deref() == Some(result.case.id)) {
            println!("  {} ({})\n{}", result.case.says, result.case.clause, result.wire);
        }
    }
}
