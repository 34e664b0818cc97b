//! Counts: allocations by an allocator that counts, system calls by strace, instructions by callgrind. The last two count whole processes, so
//! that the cost of one request is the difference of two.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{drive, is_installed};
use crate::Result;
use crate::drive::Job;
use crate::results::{Counts, Sample};

/// How many requests the two processes make.
const FEW: u64 = 200;
const MANY: u64 = 1200;

pub(super) fn count(mut job: Job) -> Result<Sample> {
    let counting = std::env::current_exe()?.with_file_name("client-bench-counting");
    let sample: Sample = serde_json::from_str(&drive(&mut Command::new(counting), &job)?)?;
    let counts = Counts {
        system_calls: if is_installed("strace") {
            Some(difference(&mut job, system_calls)?)
        } else {
            None
        },
        instructions: if is_installed("valgrind") {
            Some(difference(&mut job, instructions)?)
        } else {
            None
        },
        ..sample.counts
    };
    Ok(Sample { counts, ..sample })
}

fn difference(job: &mut Job, count: fn(&Job, &Path) -> Result<u64>) -> Result<f64> {
    let report: PathBuf = std::env::temp_dir().join(format!("client-bench-{}", std::process::id()));
    let mut counts = [0; 2];
    for (count_of, times) in counts.iter_mut().zip([FEW, MANY]) {
        job.only_requests = Some(times);
        *count_of = count(job, &report)?;
        fs::remove_file(&report)?;
    }
    let [few, many] = counts;
    Ok((many as f64 - few as f64) / (MANY - FEW) as f64)
}

/// All of them, waiting for readiness included: that is how a client learns of its answer.
fn system_calls(job: &Job, report: &Path) -> Result<u64> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(report).arg(std::env::current_exe()?);
    drive(&mut strace, job)?;
    // "100.00    0.012345           5      2345        12 total"
    let text = fs::read_to_string(report)?;
    let total = text.lines().find(|line| line.ends_with(" total")).ok_or("strace counted nothing")?;
    Ok(total.split_whitespace().nth(3).ok_or("strace counted nothing")?.parse()?)
}

/// Those in user space.
fn instructions(job: &Job, report: &Path) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", report.display())])
        .arg(std::env::current_exe()?);
    drive(&mut valgrind, job)?;
    let text = fs::read_to_string(report)?;
    let summary = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    Ok(summary.ok_or("callgrind counted nothing")?.trim().parse()?)
}
