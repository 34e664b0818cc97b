//! Load generators written in C, where they are installed: run as this process's child, on its core.

use std::process::Command;

use crate::drive::Job;
use crate::results::Sample;
use crate::workload::Kind;
use crate::{Result, machine};

pub(crate) fn wrk(job: &Job) -> Result<Sample> {
    let (workers, url, seconds) = arguments(job)?;
    let mut command = Command::new("wrk");
    command.args([
        "--threads",
        "1",
        "--connections",
        &workers,
        "--duration",
        &format!("{seconds}s"),
        &url,
    ]);
    let (mut sample, report) = run(job, &mut command)?;
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(report.into());
    }
    // "  12345 requests in 1.00s, 1.23MB read"
    sample.requests = number_before(&report, " requests in ")?;
    Ok(sample)
}

pub(crate) fn h2load(job: &Job) -> Result<Sample> {
    let (streams, url, seconds) = arguments(job)?;
    let mut command = Command::new("h2load");
    command.args([
        "--clients",
        "1",
        "--threads",
        "1",
        "--max-concurrent-streams",
        &streams,
        "--duration",
        &seconds,
        &url,
    ]);
    let (mut sample, report) = run(job, &mut command)?;
    // "requests: 12345 total, 12345 started, 12345 done, 12345 succeeded, 0 failed, 0 errored, 0 timeout"
    sample.requests = number_before(&report, " succeeded")?;
    if number_before(&report, " failed")? + number_before(&report, " errored")? > 0 {
        return Err(report.into());
    }
    Ok(sample)
}

/// Both take whole seconds only.
fn arguments(job: &Job) -> Result<(String, String, String)> {
    let workload = job.workload()?;
    let Kind::Closed { workers, path, .. } = workload.kind else {
        return Err("not for this workload".into());
    };
    let seconds = job.scale.duration.as_secs_f64().ceil().max(1.0);
    Ok((workers.to_string(), job.url(workload, path)?.text, seconds.to_string()))
}

fn run(job: &Job, command: &mut Command) -> Result<(Sample, String)> {
    let mut control = job.control()?;
    let (started, server_before, before) = (std::time::Instant::now(), control.cpu_time()?, machine::cpu_time_of_children()?);
    let output = command.output()?;
    let (cpu, wall) = (machine::cpu_time_of_children()? - before, started.elapsed());
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{report}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let sample = Sample {
        seconds: wall.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        server_cpu: (control.cpu_time()? - server_before).as_secs_f64(),
        ..Sample::default()
    };
    Ok((sample, report))
}

fn number_before(report: &str, what: &str) -> Result<u64> {
    let before = report.split(what).next().filter(|before| before.len() < report.len());
    let number = before.and_then(|before| before.rsplit(|c: char| !c.is_ascii_digit()).next());
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("no number before {what:?} in:\n{report}").into())
}
