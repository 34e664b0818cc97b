//! Counts: allocations by an allocator that counts, system calls by strace, instructions by callgrind. The last two count whole processes, so
//! that the cost of one request is the difference of two.

use std::process::Command;

use client_costs::{CALLGRIND, STRACE, Tool};

use super::drive;
use crate::Result;
use crate::drive::Job;
use crate::results::{Counts, Sample};

/// How many requests the two processes make.
const FEW: u64 = 200;
const MANY: u64 = 1200;

/// Instructions take far longer than all the rest: a quick run goes without.
pub(super) fn count(mut job: Job, quick: bool) -> Result<Sample> {
    let counting = std::env::current_exe()?.with_file_name("client-bench-counting");
    let sample: Sample = serde_json::from_str(&drive(&mut Command::new(counting), &job)?)?;
    let counts = Counts {
        system_calls: difference(&mut job, STRACE)?,
        instructions: if quick { None } else { difference(&mut job, CALLGRIND)? },
        ..sample.counts
    };
    Ok(Sample { counts, ..sample })
}

/// What one request costs; of system calls all, waiting for readiness included: that is how a client learns of its answer.
fn difference(job: &mut Job, tool: Tool) -> Result<Option<f64>> {
    if !tool.is_installed() {
        return Ok(None);
    }
    let report = std::env::temp_dir().join(format!("client-bench-{}", std::process::id()));
    let mut counts = [0; 2];
    for (sum, times) in counts.iter_mut().zip([FEW, MANY]) {
        job.only_requests = Some(times);
        drive(tool.command(&report).arg(std::env::current_exe()?), job)?;
        *sum = tool.counts(&report)?.values().sum();
    }
    let [few, many] = counts;
    Ok(Some((many as f64 - few as f64) / (MANY - FEW) as f64))
}
