//! One large body, after a small one that warms up.

use std::time::Instant;

use super::{Job, check};
use crate::results::Sample;
use crate::server::{Control, SMALL};
use crate::subjects::{Subject, Worker};
use crate::workload::Direction;
use crate::{Result, machine};

const WARM_UP: u64 = 4 << 20;

pub(super) async fn run<S: Subject>(subject: &S, job: &Job, direction: Direction) -> Result<Sample> {
    let len = match direction {
        Direction::Upload => job.scale.upload,
        Direction::Fixed | Direction::Chunked => job.scale.download,
    };
    let mut worker = subject.worker(&job.transfer_url(direction, 0)?).await?;
    transfer(&mut worker, job, direction, WARM_UP).await?;
    let mut control = Control::new(&job.target)?;
    let (started, server_before, before) = (Instant::now(), control.cpu_time()?, machine::cpu_time()?);
    transfer(&mut worker, job, direction, len).await?;
    let (cpu, wall) = (machine::cpu_time()? - before, started.elapsed());
    Ok(Sample {
        requests: 1,
        bytes: len,
        seconds: wall.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        server_cpu: (control.cpu_time()? - server_before).as_secs_f64(),
        peak_resident: machine::resident()?.1,
        ..Sample::default()
    })
}

async fn transfer(worker: &mut impl Worker, job: &Job, direction: Direction, len: u64) -> Result<()> {
    let url = job.transfer_url(direction, len)?;
    match direction {
        Direction::Upload => check(worker.put(&url, len).await?, SMALL.len() as u64),
        Direction::Fixed | Direction::Chunked => check(worker.get(&url).await?, len),
    }
}
