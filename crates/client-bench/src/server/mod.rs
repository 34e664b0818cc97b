//! The server: a process of its own on a core of its own, which answers bytes made beforehand and looks at as little as it can, so that the
//! client is what is measured.
//!
//! One runtime thread, listeners for each way to speak: HTTP/1.1 plain and over TLS 1.3, HTTP/2 over TLS and by prior knowledge; and a line
//! protocol for the drivers, by which they ask for its processor time and release the requests it holds.

mod awake;
mod control;
mod h1;
mod h2_bulk;
mod h2_canned;
mod nginx;
mod tls;

use std::future::Future;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use awake::Watch;
pub(crate) use control::Control;
use nginx::Nginx;

use crate::machine::{self, Core};
use crate::{Result, SERVE};

/// On how many addresses of the loopback network HTTP/1.1 is spoken: idle connections are opened address by address.
pub(crate) const ADDRESSES: u8 = 50;

/// One more, for many requests at once.
pub(crate) const BURST_ADDRESS: u8 = ADDRESSES + 1;

/// What the small answers have as their content.
pub(crate) const SMALL: &[u8] = b"hello";

/// Where the server is to be found, and the root certificate of its TLS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) control: SocketAddr,
    /// HTTP/1.1, on 127.0.0.1 to 127.0.0.51.
    pub(crate) h1: u16,
    /// How many of these addresses are up.
    pub(crate) addresses: u8,
    pub(crate) h1_tls: u16,
    pub(crate) h2c: u16,
    pub(crate) h2_tls: u16,
    /// HTTP/2 over TLS for large bodies: with flow control, by the h2 crate.
    pub(crate) h2_bulk: u16,
    /// Where it is installed.
    pub(crate) nginx: Option<nginx::Ports>,
    pub(crate) root_pem: String,
}

/// The running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) target: Target,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let mut process = machine::copy_evenly(&mut Command::new(std::env::current_exe()?))
            .arg(SERVE)
            // Its end is the server's signal to end: also when this process is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let target = serde_json::from_str(&line).map_err(|error| format!("the server did not start: {error}"))?;
        Ok(Self { process, target })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends what it started, and itself.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What connections share.
struct Shared {
    /// Requests that wait to be released.
    held: AtomicUsize,
    /// Counts the releases.
    released: watch::Sender<u64>,
    /// Whether no client runs on the core of this process.
    has_own_core: bool,
    watch: Arc<Watch>,
    /// Stopped when it is taken.
    nginx: Mutex<Option<Nginx>>,
}

/// The server process: prints where it listens, serves until its standard input ends.
pub(crate) fn serve() -> Result<()> {
    let has_own_core = machine::pin(Core::Server)?;
    machine::raise_descriptor_limit()?;
    let nginx = Nginx::start()?;
    let ports = nginx.as_ref().map(|nginx| nginx.ports);
    let shared = Arc::new(Shared {
        held: AtomicUsize::new(0),
        released: watch::channel(0).0,
        has_own_core,
        watch: Arc::default(),
        nginx: Mutex::new(nginx),
    });
    std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            drop(shared.nginx.lock().unwrap_or_else(PoisonError::into_inner).take());
            std::process::exit(0);
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let certificate = tls::Certified::new()?;
        let plain_tls = certificate.acceptor(&[])?;
        let h2_tls = certificate.acceptor(&[b"h2"])?;

        let h1 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut target = Target {
            control: control::start(&shared).await?,
            h1: h1.local_addr()?.port(),
            addresses: 1,
            h1_tls: listen({
                let (shared, tls) = (Arc::clone(&shared), plain_tls);
                move |stream| over_tls(tls.clone(), stream, Arc::clone(&shared), h1::serve)
            })
            .await?,
            h2c: listen({
                let watch = Arc::clone(&shared.watch);
                move |stream| h2_canned::serve(stream, Arc::clone(&watch))
            })
            .await?,
            h2_tls: listen({
                let (tls, watch) = (h2_tls.clone(), Arc::clone(&shared.watch));
                move |stream| {
                    let (tls, watch) = (tls.clone(), Arc::clone(&watch));
                    async move { h2_canned::serve(tls.accept(stream).await?, watch).await }
                }
            })
            .await?,
            h2_bulk: listen(move |stream| {
                let tls = h2_tls.clone();
                async move { h2_bulk::serve(tls.accept(stream).await?).await }
            })
            .await?,
            nginx: ports,
            root_pem: certificate.root_pem,
        };
        let on_addresses = {
            let shared = Arc::clone(&shared);
            move |stream| h1::serve(stream, Arc::clone(&shared))
        };
        accept(h1, on_addresses.clone());
        for last in 2..=BURST_ADDRESS {
            // Elsewhere than on Linux only the first of the loopback addresses is up.
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), target.h1)).await {
                accept(listener, on_addresses.clone());
                target.addresses = last;
            }
        }
        println!("{}", serde_json::to_string(&target)?);
        std::future::pending().await
    })
}

async fn over_tls<F>(
    tls: TlsAcceptor,
    stream: TcpStream,
    shared: Arc<Shared>,
    serve: impl FnOnce(tokio_rustls::server::TlsStream<TcpStream>, Arc<Shared>) -> F,
) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    serve(tls.accept(stream).await?, shared).await
}

/// Listens on a port of its own.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> io::Result<u16>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    accept(listener, serve);
    Ok(port)
}

/// Serves each connection on a task. What ends one early is the client's affair, which checks every response.
fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    });
}
