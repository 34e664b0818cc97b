//! What drivers ask the server beside the measured connections: one line there, one line back.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::awake::Vigil;
use super::{Shared, Target};
use crate::{Result, machine};

/// A driver's end.
pub(crate) struct Control(BufReader<TcpStream>);

impl Control {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(target.control)?)))
    }

    /// The processor time of the servers so far.
    pub(crate) fn cpu_time(&mut self) -> Result<Duration> {
        Ok(Duration::from_micros(self.ask("cpu")?))
    }

    /// How many requests are being held.
    pub(crate) fn held(&mut self) -> Result<u64> {
        self.ask("held")
    }

    /// Answers all that are being held.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.ask("release").map(drop)
    }

    /// Has the server stay awake until this connection ends, where it has a core of its own.
    pub(crate) fn stay_awake(&mut self) -> Result<()> {
        self.ask("awake").map(drop)
    }

    fn ask(&mut self, what: &str) -> Result<u64> {
        self.0.get_mut().write_all(format!("{what}\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

/// The server's end.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (address, shared) = (listener.local_addr()?, Arc::clone(shared));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&shared)));
        }
    });
    Ok(address)
}

async fn answer(stream: tokio::net::TcpStream, shared: Arc<Shared>) -> Result<()> {
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read).lines();
    let mut _vigil = None;
    while let Some(line) = lines.next_line().await? {
        let number = match line.as_str() {
            "cpu" => u64::try_from(shared.cpu_time()?.as_micros())?,
            "held" => u64::try_from(shared.held.load(Ordering::Relaxed))?,
            "awake" => {
                _vigil = shared.has_own_core.then(|| Vigil::begin(Arc::clone(&shared.watch)));
                0
            }
            "release" => {
                shared.held.store(0, Ordering::Relaxed);
                shared.released.send_modify(|times| *times += 1);
                0
            }
            other => return Err(format!("unknown: {other}").into()),
        };
        write.write_all(format!("{number}\n").as_bytes()).await?;
    }
    Ok(())
}

impl Shared {
    /// Of this process and of nginx, of which only one has work at a time; without what was spent awake for nothing.
    fn cpu_time(&self) -> Result<Duration> {
        let nginx = self.nginx.lock().unwrap_or_else(PoisonError::into_inner);
        let other = nginx.as_ref().map_or(Ok(Duration::ZERO), super::Nginx::cpu_time)?;
        Ok((machine::cpu_time()? + other).saturating_sub(self.watch.idle()))
    }
}
