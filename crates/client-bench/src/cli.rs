//! The command line, and what follows from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::drive::Scale;
use crate::results::Results;
use crate::run::{Plan, run};
use crate::subject::SubjectName;
use crate::workload::{Kind, WORKLOADS, Workload};
use crate::{Result, report};

/// Measures the engines of this project and the field's other clients side by side.
///
/// A server that answers canned bytes runs on one core, each client in turn on another, in a process of its own; so in several rounds. What
/// counts is the client's processor time per request, as a ratio to a loop written by hand, within the round. Wall-clock figures need a quiet
/// machine; processor time bears some load.
///
/// The full run takes about twenty minutes and writes docs/performance.md with its pictures, and docs/performance/results.json. Any
/// other only prints, and saves its results where --save says.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", after_help = EXAMPLES)]
struct Args {
    /// Fewer rounds of less: two minutes
    #[arg(long)]
    quick: bool,
    /// Only these workloads, by name or the beginning of one
    #[arg(long, value_name = "WORKLOAD", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these clients, and those they are held against
    #[arg(long, value_name = "CLIENT", value_delimiter = ',')]
    client: Vec<SubjectName>,
    /// How often each client has its turn
    #[arg(long, value_name = "TIMES")]
    rounds: Option<usize>,
    /// How long a closed loop is measured
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Also compile a program on each engine alone; part of the full run, minutes of it
    #[arg(long)]
    build: bool,
    /// Compare with earlier results: a file, or a git revision whose committed results are meant
    #[arg(long, value_name = "BASE")]
    compare: Option<String>,
    /// Write the results to this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write docs/performance.md from results saved earlier, and measure nothing
    #[arg(long, value_name = "FILE")]
    render: Option<PathBuf>,
    /// List the workloads
    #[arg(long)]
    list: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                                  the full run, which writes the page
  cargo xtask bench --quick                          an overview
  cargo xtask bench --only get-64 --client cio,hyper two engines, their references, one workload
  cargo xtask bench --only get --save /tmp/before.json
  cargo xtask bench --only get --compare /tmp/before.json
  cargo xtask bench --compare HEAD~5                 against what was committed then";

pub(crate) fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        list();
        return Ok(());
    }
    if let Some(file) = &args.render {
        return report::write_page(&read(file)?, &root());
    }
    // Before the measurement: an argument that is wrong is told at once.
    let base = args.compare.as_deref().map(base).transpose()?;
    let plan = plan(&args)?;
    let results = run(&plan)?;
    report::print(&results);
    if let Some(file) = &args.save {
        fs::write(file, serde_json::to_vec_pretty(&results)?)?;
    }
    if plan.is_full {
        report::write_page(&results, &root())?;
    }
    if let Some(base) = base {
        report::compare(&base, &results);
    }
    Ok(())
}

fn list() {
    for workload in WORKLOADS {
        println!("{:<18}{}", workload.name, workload.about);
    }
    println!();
    for client in SubjectName::value_variants() {
        let value = client.to_possible_value();
        let (name, about) = value.as_ref().map_or(("", None), |value| (value.get_name(), value.get_help()));
        println!("{name:<18}{}", about.map(ToString::to_string).unwrap_or_default());
    }
}

fn plan(args: &Args) -> Result<Plan> {
    let is_full =
        !args.quick && args.only.is_empty() && args.client.is_empty() && args.rounds.is_none() && args.seconds.is_none();
    let mut workloads: Vec<&'static Workload> = Vec::new();
    for name in &args.only {
        let found: Vec<_> = match Workload::named(name) {
            Some(exact) => vec![exact],
            None => WORKLOADS.iter().filter(|workload| workload.name.starts_with(name.as_str())).collect(),
        };
        if found.is_empty() {
            return Err(format!("no workload {name}; `cargo xtask bench --list` names them").into());
        }
        workloads.extend(found);
    }
    if workloads.is_empty() {
        let builds = is_full || args.build;
        workloads.extend(WORKLOADS.iter().filter(|workload| builds || !matches!(workload.kind, Kind::Build { .. })));
    } else if args.build {
        workloads.extend(WORKLOADS.iter().filter(|workload| matches!(workload.kind, Kind::Build { .. })));
    }
    let duration = args.seconds.unwrap_or(if args.quick { 0.1 } else { 0.4 });
    if !(duration > 0.0 && duration <= 3600.0) {
        return Err("--seconds takes a number above 0".into());
    }
    let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 5 });
    if rounds == 0 {
        return Err("--rounds takes a number above 0".into());
    }
    let share = if args.quick { 8 } else { 1 };
    Ok(Plan {
        is_full,
        quick: args.quick,
        rounds,
        workloads,
        clients: args.client.clone(),
        scale: Scale {
            warm_up: Duration::from_millis(if args.quick { 50 } else { 100 }),
            duration: Duration::from_secs_f64(duration),
            download: (1 << 30) / share,
            upload: (256 << 20) / share,
            waiting: if args.quick { 1000 } else { 5000 },
            // A minute beyond what it should take: for 5,000 connections, a body, a process under callgrind.
            patience: Duration::from_secs_f64(duration + 60.0),
        },
    })
}

/// Earlier results.
fn base(name: &str) -> Result<Results> {
    if Path::new(name).exists() {
        return read(Path::new(name));
    }
    let file = format!("{name}:{}", report::RESULTS);
    let output = std::process::Command::new("git").args(["show", &file]).current_dir(root()).output()?;
    if !output.status.success() {
        return Err(format!("{name} is neither a file nor a revision with {}", report::RESULTS).into());
    }
    parse(&output.stdout, name)
}

fn read(file: &Path) -> Result<Results> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    parse(&bytes, &file.display().to_string())
}

fn parse(json: &[u8], name: &str) -> Result<Results> {
    serde_json::from_slice(json).map_err(|error| format!("{name} holds no results: {error}").into())
}

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn of(args: &[&str]) -> Result<Plan> {
        plan(&Args::parse_from([&["bench"], args].concat()))
    }

    #[test]
    fn arguments_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn only_an_unaltered_run_writes_the_page() {
        assert!(of(&[]).unwrap().is_full);
        for altered in [
            ["--quick", "--build"],
            ["--only", "get-1"],
            ["--client", "cio"],
            ["--rounds", "9"],
        ] {
            assert!(!of(&altered).unwrap().is_full, "{altered:?}");
        }
    }

    #[test]
    fn workloads_are_chosen_by_their_beginning() {
        let names = |args: &[&str]| of(args).unwrap().workloads.iter().map(|workload| workload.name).collect::<Vec<_>>();
        assert_eq!(names(&["--only", "get-1"]), ["get-1"]);
        assert_eq!(names(&["--only", "get-"]), ["get-1", "get-16", "get-64", "get-256"]);
        assert!(of(&["--only", "nothing"]).is_err());
    }

    #[test]
    fn nothing_to_measure_is_refused() {
        assert!(of(&["--rounds", "0"]).is_err());
        assert!(of(&["--seconds", "0"]).is_err());
        assert!(of(&["--seconds", "nan"]).is_err());
    }
}
