//! One request after another, by one worker: what each of them costs is the difference between many and few.

use super::{Job, check_small};
use crate::results::Sample;
use crate::subjects::{Subject, Worker};
use crate::{AllocationCounter, Error, Result};

/// The connection, and whatever is made once or grows to its size.
const WARM_UP: u64 = 200;
const MEASURED: u64 = 1000;

pub(super) async fn run<S: Subject>(subject: &S, job: &Job, allocations: Option<AllocationCounter>) -> Result<Sample> {
    let url = job.url(job.workload()?, "/small")?;
    let mut worker = subject.worker(&url).await?;
    let mut get = async |times: u64| {
        for _ in 0..times {
            check_small(worker.get(&url).await?)?;
        }
        Ok::<_, Error>(())
    };
    let mut sample = Sample::default();
    match (job.only_requests, allocations) {
        (Some(times), _) => get(times).await?,
        (None, Some(count)) => {
            get(WARM_UP).await?;
            let before = count();
            get(MEASURED).await?;
            let after = count();
            sample.counts.allocations = Some((after.0 - before.0) as f64 / MEASURED as f64);
            sample.counts.allocated = Some((after.1 - before.1) as f64 / MEASURED as f64);
        }
        (None, None) => return Err("allocations are counted by the other program".into()),
    }
    Ok(sample)
}
