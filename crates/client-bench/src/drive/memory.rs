//! What waiting costs in memory: idle connections, opened a few at a time so that what is measured is not what their making left behind; then
//! as many requests in flight at once; then the connections these leave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::{HOLD, Job, check_small};
use crate::results::{Memory, Sample};
use crate::server::{ADDRESSES, BURST_ADDRESS, Control};
use crate::subjects::{Subject, Url, Worker};
use crate::{Result, machine};

pub(super) async fn run<S: Subject>(subject: Arc<S>, job: &Job) -> Result<Sample> {
    let all = job.scale.waiting;
    let mut control = Control::new(&job.target)?;
    // What is made once is made before.
    let mut kept = hold(&subject, job, &mut control, 1, 1).await?;
    let start_of_all = machine::resident()?.0;

    let per_address = all.div_ceil(usize::from(ADDRESSES));
    for last in 1..=ADDRESSES {
        kept.extend(hold(&subject, job, &mut control, last, per_address).await?);
    }
    let idle = machine::resident()?.0;

    let calls = start(&subject, job, BURST_ADDRESS, all)?;
    until_held(&mut control, all).await?;
    let in_flight = machine::resident()?.0;
    control.release()?;
    for worker in try_join_all(calls).await? {
        kept.push(worker?);
    }
    let left = machine::resident()?.0;
    Ok(Sample {
        requests: (all + kept.len()) as u64,
        memory: Some(Memory {
            idle: per(idle, start_of_all, per_address * usize::from(ADDRESSES)),
            in_flight: per(in_flight, idle, all),
            after: per(left, idle, all),
        }),
        peak_resident: machine::resident()?.1,
        ..Sample::default()
    })
}

fn per(after: u64, before: u64, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / count as f64
}

/// Makes so many requests to one address at once; they return together, their connections stay.
async fn hold<S: Subject>(subject: &Arc<S>, job: &Job, control: &mut Control, last: u8, count: usize) -> Result<Vec<S::Worker>> {
    let calls = start(subject, job, last, count)?;
    until_held(control, count).await?;
    control.release()?;
    try_join_all(calls).await?.into_iter().collect()
}

type Call<W> = tokio::task::JoinHandle<Result<W>>;

fn start<S: Subject>(subject: &Arc<S>, job: &Job, last: u8, count: usize) -> Result<Vec<Call<S::Worker>>> {
    let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), job.target.h1));
    let url = Arc::new(Url::new(false, address, HOLD)?);
    let call = |subject: Arc<S>, url: Arc<Url>| async move {
        let mut worker = subject.worker(&url).await?;
        check_small(worker.get(&url).await?)?;
        Ok(worker)
    };
    Ok((0..count).map(|_| tokio::spawn(call(Arc::clone(subject), Arc::clone(&url)))).collect())
}

async fn until_held(control: &mut Control, count: usize) -> Result<()> {
    while control.held()? < count as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
