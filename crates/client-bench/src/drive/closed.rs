//! A closed loop: workers that ask again as soon as they have their answer. A warm-up, then a measured time.
//!
//! The warm-up is over when every worker has had an answer, and some time after. Where connections are kept, all workers ask at once for something that is
//! held back until all have asked, so that then as many connections exist as will be used: 256 handshakes take longer than a short warm-up.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use hdrhistogram::Histogram;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Job, check_small};
use crate::results::{Latency, Sample};
use crate::server::Control;
use crate::subjects::{Subject, Url, Worker};
use crate::{Result, machine};

/// If for so long no further request came to be held, none will before some are answered.
const STANDSTILL: Duration = Duration::from_millis(500);

/// What the workers write down together. One lock, taken by one thread: the clients under test have one core.
struct Record {
    latencies: Histogram<u64>,
    failed: Option<String>,
}

struct Shared {
    record: Mutex<Record>,
    stop: AtomicBool,
}

impl Shared {
    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: &dyn std::fmt::Display) {
        self.record().failed.get_or_insert(error.to_string());
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn run<S: Subject>(
    subject: Arc<S>,
    job: &Job,
    (held, url): (Option<&Url>, &Url),
    workers: usize,
) -> Result<Sample> {
    let shared = Arc::new(Shared {
        record: Mutex::new(Record {
            // In nanoseconds, up to 100 s, to three digits.
            latencies: Histogram::new_with_bounds(1, 100_000_000_000, 3)?,
            failed: None,
        }),
        stop: AtomicBool::new(false),
    });
    let (mut begun, mut finished) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let worker = subject.worker(url).await?;
        let ((ready, begins), (done, ends)) = (oneshot::channel(), oneshot::channel());
        let work = work(worker, held.unwrap_or(url).clone(), ready, url.clone(), Arc::clone(&shared));
        let work = async {
            work.await;
            let _ = done.send(());
        };
        start(work, S::BLOCKS)?;
        begun.push(begins);
        finished.push(ends);
    }

    let mut control = job.control()?;
    all_begun(begun, held.is_some().then_some(&mut control), workers as u64).await?;
    tokio::time::sleep(job.scale.warm_up).await;
    let server_before = control.cpu_time()?;
    shared.record().latencies.clear();
    let (started, before) = (Instant::now(), machine::cpu_time()?);
    tokio::time::sleep(job.scale.duration).await;
    let (cpu, wall) = (machine::cpu_time()? - before, started.elapsed());
    let requests = shared.record().latencies.len();
    let server_cpu = control.cpu_time()? - server_before;

    shared.stop.store(true, Ordering::Relaxed);
    try_join_all(finished).await?;
    let record = shared.record();
    if let Some(failed) = &record.failed {
        return Err(failed.clone().into());
    }
    if requests == 0 {
        return Err("no request was answered in time".into());
    }
    let at = |quantile| record.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Sample {
        requests,
        seconds: wall.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        server_cpu: server_cpu.as_secs_f64(),
        latency: Some(Latency {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
        }),
        peak_resident: machine::resident()?.1,
        ..Sample::default()
    })
}

/// Waits until all workers have had their first answer, which the server holds back where there is a `control`: until as many are held as there are workers,
/// or no more come. libcurl, for one, waits with the second connection for the first one's answer, in case that turns out to be HTTP/2.
async fn all_begun(begun: Vec<oneshot::Receiver<()>>, mut control: Option<&mut Control>, workers: u64) -> Result<()> {
    // One that failed has said why, and is over, too.
    let mut begun = pin!(join_all(begun));
    let (mut most, mut since) = (0, Instant::now());
    while timeout(Duration::from_millis(2), &mut begun).await.is_err() {
        let Some(control) = &mut control else { continue };
        let held = control.held()?;
        if held > most {
            (most, since) = (held, Instant::now());
        }
        if held == workers || since.elapsed() > STANDSTILL {
            control.release()?;
        }
    }
    Ok(())
}

fn start(work: impl Future<Output = ()> + Send + 'static, blocks: bool) -> Result<()> {
    if blocks {
        let small_stack = std::thread::Builder::new().stack_size(256 << 10);
        small_stack.spawn(move || futures_util::FutureExt::now_or_never(work))?;
    } else {
        tokio::spawn(work);
    }
    Ok(())
}

/// Asks for `first` once, tells that it is `ready`, and then asks for `url` again and again.
async fn work(mut worker: impl Worker, first: Url, ready: oneshot::Sender<()>, url: Url, shared: Arc<Shared>) {
    if let Err(error) = worker.get(&first).await.and_then(check_small) {
        return shared.fail(&error);
    }
    let _ = ready.send(());
    let mut last = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        if let Err(error) = worker.get(&url).await.and_then(check_small) {
            return shared.fail(&error);
        }
        // The end of one request is the beginning of the next: one look at the clock for each.
        let now = Instant::now();
        let nanos = u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX);
        shared.record().latencies.saturating_record(nanos);
        last = now;
    }
}
