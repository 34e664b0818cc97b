//! The driver: a process of its own for each client and turn, so that processor time, allocations and memory are that client's alone. It reads a
//! job, does it, checks every answer, and prints a sample.

mod closed;
mod counted;
mod memory;
mod transfer;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::{self, Core};
use crate::results::Sample;
use crate::server::{Control, SMALL, Target};
use crate::subject::SubjectName;
use crate::subjects::{self, Answer, Ours, Setup, Subject, Url, Version, tools};
use crate::workload::{Direction, Kind, Server, With, Workload};
use crate::{AllocationCounter, Result};

/// What a driver is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) workload: String,
    pub(crate) subject: SubjectName,
    pub(crate) target: Target,
    pub(crate) scale: Scale,
    /// Which turn of the run this is.
    pub(crate) turn: usize,
    /// Instead of measuring, only make so many requests: another program counts.
    pub(crate) only_requests: Option<u64>,
}

/// How much is done.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) download: u64,
    pub(crate) upload: u64,
    /// How many connections wait, and how many requests.
    pub(crate) waiting: usize,
    /// How long one turn may take.
    pub(crate) patience: Duration,
}

/// The server holds its answer to this back until it is told to give it.
const HOLD: &str = "/hold";

/// The server closes the connection after this.
const CLOSE: &str = "/close";

/// The driver process.
pub(crate) fn drive(allocations: Option<AllocationCounter>) -> Result<()> {
    machine::pin(Core::Client)?;
    machine::raise_descriptor_limit()?;
    let mut job = String::new();
    std::io::stdin().read_to_string(&mut job)?;
    let job: Job = serde_json::from_str(&job)?;
    give_up_after(job.scale.patience);
    let sample = match job.subject {
        SubjectName::Floor => run::<subjects::Floor>(&job, allocations),
        SubjectName::RawH2 => run::<subjects::RawH2>(&job, allocations),
        SubjectName::HyperConn => run::<subjects::HyperConn>(&job, allocations),
        SubjectName::HyperUtil => run::<subjects::HyperUtil>(&job, allocations),
        SubjectName::Reqwest => run::<subjects::Reqwest>(&job, allocations),
        SubjectName::Ureq => run::<subjects::Ureq>(&job, allocations),
        SubjectName::Isahc => run::<subjects::Isahc>(&job, allocations),
        SubjectName::Cio => run::<Ours<subjects::Cio>>(&job, allocations),
        SubjectName::Hyper => run::<Ours<subjects::Hyper>>(&job, allocations),
        SubjectName::H2 => run::<Ours<subjects::H2>>(&job, allocations),
        SubjectName::ClientReqwest => run::<Ours<subjects::OurReqwest>>(&job, allocations),
        SubjectName::ClientCurl => run::<Ours<subjects::Curl>>(&job, allocations),
        SubjectName::ClientUreq => run::<Ours<subjects::OurUreq>>(&job, allocations),
        SubjectName::Wrk => tools::wrk(&job),
        SubjectName::H2load => tools::h2load(&job),
    }?;
    println!("{}", serde_json::to_string(&sample)?);
    // Without taking down thousands of connections one by one.
    std::process::exit(0)
}

/// A client that hangs must not hold up the others.
fn give_up_after(patience: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        eprintln!("bench: not done after {} s", patience.as_secs());
        std::process::exit(1)
    });
}

fn run<S: Subject>(job: &Job, allocations: Option<AllocationCounter>) -> Result<Sample> {
    let workload = job.workload()?;
    let setup = job.setup(workload)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let subject = Arc::new(S::new(&setup)?);
        match workload.kind {
            Kind::Closed { workers, path, with } => {
                let (first, url) = (job.first_url(workload, path, with)?, job.url(workload, path)?);
                closed::run(subject, job, (first.as_ref(), &url), workers).await
            }
            Kind::Transfer(direction) => transfer::run(&*subject, job, direction).await,
            Kind::Memory => memory::run(subject, job).await,
            Kind::Counts => counted::run(&*subject, job, allocations).await,
            Kind::Build { .. } => Err("a build is not driven".into()),
        }
    })
}

impl Job {
    pub(crate) fn workload(&self) -> Result<&'static Workload> {
        Workload::named(&self.workload).ok_or_else(|| format!("no workload {}", self.workload).into())
    }

    /// The line to the server; as long as it is there, a server of ours does not sleep.
    pub(crate) fn control(&self) -> Result<Control> {
        let mut control = Control::new(&self.target)?;
        if self.workload()?.server == Server::Canned {
            control.stay_awake()?;
        }
        Ok(control)
    }

    fn setup(&self, workload: &Workload) -> Result<Setup> {
        let connections = match workload.kind {
            Kind::Closed { workers, .. } => workers,
            Kind::Memory => 3 * self.scale.waiting,
            _ => 1,
        };
        let mut setup = Setup::new(workload.version, &self.target.root_pem, connections)?;
        if let Kind::Closed { with, .. } = workload.kind {
            setup.timeouts = with == With::Timeouts;
            setup.pipeline = match with {
                With::Pipeline(ahead) => Some(ahead),
                _ => None,
            };
        }
        Ok(setup)
    }

    /// Where a workload's requests go.
    pub(crate) fn url(&self, workload: &Workload, path: &str) -> Result<Url> {
        let bulk = matches!(workload.kind, Kind::Transfer(_));
        if workload.server == Server::Nginx {
            let ports = self.target.nginx.ok_or("nginx is not installed")?;
            let port = match workload.version {
                Version::Http1 => ports.h1,
                Version::Http2 => ports.h2c,
            };
            return Url::new(false, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), path);
        }
        let port = match (workload.version, workload.tls) {
            (Version::Http1, false) => self.target.h1,
            (Version::Http1, true) => self.target.h1_tls,
            (Version::Http2, _) if bulk => self.target.h2_bulk,
            (Version::Http2, false) => self.target.h2c,
            (Version::Http2, true) => self.target.h2_tls,
        };
        // Each closed connection keeps its ports for a minute, and those of an address run out: whose turn was later would search longer for a free one.
        let last = match path {
            CLOSE if port == self.target.h1 => 1 + self.turn % usize::from(self.target.addresses),
            _ => 1,
        };
        Url::new(workload.tls, SocketAddr::from((Ipv4Addr::new(127, 0, 0, u8::try_from(last)?), port)), path)
    }

    /// What each worker asks for first, where that shall wait until all have asked: so that each has a connection then.
    fn first_url(&self, workload: &Workload, path: &str, with: With) -> Result<Option<Url>> {
        let is_kept = workload.version == Version::Http1 && path != CLOSE && !matches!(with, With::Pipeline(_));
        (is_kept && workload.server == Server::Canned).then(|| self.url(workload, HOLD)).transpose()
    }

    fn transfer_url(&self, direction: Direction, len: u64) -> Result<Url> {
        let path = match direction {
            Direction::Upload => "/upload".to_owned(),
            download => format!("/{download}/{len}"),
        };
        self.url(self.workload()?, &path)
    }
}

/// Every answer is looked at: a client that is fast because it fails is none.
fn check(answer: Answer, bytes: u64) -> Result<()> {
    if answer == (Answer { status: 200, bytes }) {
        Ok(())
    } else {
        Err(format!("{answer:?} instead of 200 with {bytes} bytes").into())
    }
}

fn check_small(answer: Answer) -> Result<()> {
    check(answer, SMALL.len() as u64)
}
