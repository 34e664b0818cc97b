//! A run: the server, and then every workload in rounds in which each client has its turn.

mod build;
mod count;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::drive::{Job, Scale};
use crate::results::{Record, Results, Sample};
use crate::server::Server;
use crate::subject::SubjectName;
use crate::workload::{self, Kind, Workload};
use crate::{DRIVE, Result, machine};

/// What to run.
pub(crate) struct Plan {
    /// Everything, at full length: its results are worth a page.
    pub(crate) is_full: bool,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) workloads: Vec<&'static Workload>,
    /// Empty: all.
    pub(crate) clients: Vec<SubjectName>,
    pub(crate) scale: Scale,
}

/// Bodies are large, and waiting is long: they need no more rounds than these.
const FEW_ROUNDS: usize = 3;

pub(crate) fn run(plan: &Plan) -> Result<Results> {
    let server = Server::start()?;
    let mut results = Results {
        machine: machine::describe(),
        compiler: output(Command::new("rustc").arg("--version")),
        revision: output(Command::new("git").args(["describe", "--always", "--dirty"])),
        quick: plan.quick,
        rounds: plan.rounds,
        load: machine::load(),
        ..Results::default()
    };
    let mut turn = 0;
    for workload in &plan.workloads {
        eprintln!("{:<18}{}", workload.name, workload.about);
        if workload.server == workload::Server::Nginx && server.target.nginx.is_none() {
            skip(&mut results.skipped, format!("{}: nginx is not installed", workload.name));
            continue;
        }
        let subjects = subjects(plan, workload, &mut results.skipped);
        let rounds = match workload.kind {
            Kind::Closed { .. } => plan.rounds,
            Kind::Transfer(_) => plan.rounds.min(FEW_ROUNDS),
            // These are no measurements of time.
            Kind::Memory | Kind::Counts | Kind::Build { .. } => 1,
        };
        for round in 0..rounds {
            for &subject in &subjects {
                turn += 1;
                match sample(plan, &server, workload, subject, turn) {
                    Ok(sample) => results.records.push(Record {
                        workload: workload.name.to_owned(),
                        subject,
                        round,
                        sample,
                    }),
                    // One that fails does not cost the others their results, but it is told.
                    Err(error) => skip(&mut results.skipped, format!("{}: {}: {error}", workload.name, subject.title())),
                }
            }
        }
    }
    if results.records.is_empty() {
        return Err("nothing was measured".into());
    }
    Ok(results)
}

/// Who takes part: the chosen ones, and those they are held against.
fn subjects(plan: &Plan, workload: &Workload, skipped: &mut Vec<String>) -> Vec<SubjectName> {
    let chosen = |subject: SubjectName| {
        let references = plan.clients.iter().filter_map(|client| client.bare());
        plan.clients.is_empty()
            || plan.clients.contains(&subject)
            || [workload.base(), SubjectName::HyperConn].contains(&subject)
            || references.into_iter().any(|reference| reference == subject)
    };
    let mut subjects: Vec<_> = workload.subjects.iter().copied().filter(|&subject| chosen(subject)).collect();
    subjects.retain(|subject| match subject.program() {
        Some(program) if !is_installed(program) => {
            skip(skipped, format!("{}: {program} is not installed", subject.title()));
            false
        }
        _ => true,
    });
    subjects
}

fn skip(skipped: &mut Vec<String>, what: String) {
    if !skipped.contains(&what) {
        eprintln!("  not measured: {what}");
        skipped.push(what);
    }
}

fn sample(plan: &Plan, server: &Server, workload: &Workload, subject: SubjectName, turn: usize) -> Result<Sample> {
    let job = Job {
        workload: workload.name.to_owned(),
        subject,
        target: server.target.clone(),
        scale: plan.scale,
        turn,
        only_requests: None,
    };
    match workload.kind {
        Kind::Build { features } => build::build(subject, features),
        Kind::Counts => count::count(job, plan.quick),
        _ => {
            let program = std::env::current_exe()?;
            serde_json::from_str(&drive(&mut Command::new(program), &job)?).map_err(Into::into)
        }
    }
}

/// Runs a driver, and returns what it prints.
fn drive(command: &mut Command, job: &Job) -> Result<String> {
    let command = machine::copy_evenly(command);
    let mut driver = command.arg(DRIVE).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    driver.stdin.take().ok_or("no pipe")?.write_all(&serde_json::to_vec(job)?)?;
    let output = driver.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(format!("{} ({last})", output.status).into())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The first line of what a command prints; empty where it cannot be had.
fn output(command: &mut Command) -> String {
    let output = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
