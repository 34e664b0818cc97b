//! A proxy: HTTP (absolute-form and CONNECT, RFC 9112 §3.2) or SOCKS (4, 4a, 5), over TCP or TLS, that does its work well, or badly
//! in exactly the way it is told. Everything that it receives is recorded, so that a case can see where a secret went.
//!
//! It resolves no names: whatever host it is asked for, it connects to that port of the loopback interface. What must never enter:
//! the code of a client, or of an engine's proxy support.

mod http;
mod socks;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::ledger::{Connection, Counts, Entry, Ledger, Tap};
use super::listener::{Listener, Stream};
use super::received::ReceivedRequest;
use super::script::Script;
use super::tls::{Authority, Tls};
use super::{raw, runtime};
use crate::subject::ProxySetting;

/// What a [`Proxy`] is and does. Without more it is well-behaved and asks for no credentials.
///
/// ```
/// use client_conformance::servers::{ProxyPlan, Script};
///
/// // Refuses on its first connection, works on all further ones.
/// let proxy = ProxyPlan::http().first([Script::new().head().send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")]).start();
/// assert_eq!(proxy.setting().url, format!("http://{}", proxy.addr()));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProxyPlan {
    scheme: &'static str,
    tls: Option<Tls>,
    credentials: Option<(String, String)>,
    grant: Option<Bytes>,
    trickles: bool,
    first: Vec<Script>,
}

impl ProxyPlan {
    /// It speaks HTTP.
    pub fn http() -> Self {
        Self::new("http")
    }

    /// It speaks HTTP over TLS.
    pub fn https(tls: &Tls) -> Self {
        Self {
            tls: Some(tls.clone()),
            ..Self::new("https")
        }
    }

    /// It speaks SOCKS4, and is to be given addresses.
    pub fn socks4() -> Self {
        Self::new("socks4")
    }

    /// It speaks SOCKS4, and is to be given names.
    pub fn socks4a() -> Self {
        Self::new("socks4a")
    }

    /// It speaks SOCKS5 (RFC 1928), and is to be given addresses.
    pub fn socks5() -> Self {
        Self::new("socks5")
    }

    /// It speaks SOCKS5, and is to be given names.
    pub fn socks5h() -> Self {
        Self::new("socks5h")
    }

    fn new(scheme: &'static str) -> Self {
        Self {
            scheme,
            tls: None,
            credentials: None,
            grant: None,
            trickles: false,
            first: Vec::new(),
        }
    }

    /// It serves nobody without these: by Basic (RFC 7617), by RFC 1929, or, in SOCKS4, which has no passwords, by the user alone.
    pub fn asks(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// What it says when a tunnel is there, in place of `200` or of a SOCKS reply.
    pub fn grants(mut self, answer: impl Into<Bytes>) -> Self {
        self.grant = Some(answer.into());
        self
    }

    /// What it says itself comes byte by byte.
    pub fn trickles(mut self) -> Self {
        self.trickles = true;
        self
    }

    /// Its first connections follow these scripts; only those after them are served.
    pub fn first(mut self, scripts: impl IntoIterator<Item = Script>) -> Self {
        self.first = scripts.into_iter().collect();
        self
    }

    /// Starts it.
    pub fn start(self) -> Proxy {
        Proxy::start(self)
    }
}

/// A proxy at work. Dropping it closes its connections.
pub struct Proxy {
    listener: Listener,
    setting: ProxySetting,
    asked: Asked,
}

/// Where a SOCKS proxy was asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyTarget {
    /// An address: its client has resolved the name, or there was none.
    Address(SocketAddr),
    /// A name, to be resolved by the proxy.
    Name(String, u16),
}

#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<ProxyTarget>>>);

impl Asked {
    fn push(&self, target: ProxyTarget) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    }
}

impl Proxy {
    fn start(plan: ProxyPlan) -> Self {
        let asked = Asked::default();
        let (host, scheme) = (plan.tls.as_ref().map_or("127.0.0.1", Tls::host).to_owned(), plan.scheme);
        let (credentials, tls) = (plan.credentials.clone(), plan.tls.as_ref().map(Tls::acceptor));
        let log = asked.clone();
        let plan = Arc::new(plan);
        let listener = Listener::start(tls, move |stream, entry| serve(stream, entry, Arc::clone(&plan), log.clone()));
        let setting = ProxySetting {
            url: format!("{scheme}://{host}:{}", listener.addr.port()),
            credentials,
            tls: Authority::get().trusted(),
        };
        Self {
            listener,
            setting,
            asked,
        }
    }

    /// How an engine is told of it: with its credentials, and with trust in the suite's authority.
    pub fn setting(&self) -> ProxySetting {
        self.setting.clone()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr
    }

    /// The connection that was accepted as number `index`, from 0; it may still be to come.
    pub fn connection(&self, index: usize) -> Connection {
        self.listener.ledger.connection(index)
    }

    /// How many connections there were and are.
    pub fn counts(&self) -> Counts {
        self.listener.ledger.counts()
    }

    /// Every complete HTTP request so far, connection by connection. Of a tunnel, only the CONNECT.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.listener.ledger.requests()
    }

    /// Where SOCKS connections were asked to lead, in order.
    pub fn asked(&self) -> Vec<ProxyTarget> {
        self.asked.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.listener.ledger
    }
}

async fn serve(stream: Box<dyn Stream>, entry: Entry, plan: Arc<ProxyPlan>, asked: Asked) {
    if let Some(script) = plan.first.get(entry.index()) {
        return raw::serve(stream, script.clone(), entry).await;
    }
    let client = Client {
        stream: Tap::new(stream, entry),
        trickles: plan.trickles,
    };
    // A client that is gone ends it with an error, which the ledger has seen already.
    let _ = match plan.scheme {
        "http" | "https" => http::serve(client, &plan).await,
        _ => socks::serve(client, &plan, &asked).await,
    };
}

/// The side of a proxy that the engine under test is on.
struct Client {
    stream: Tap<Box<dyn Stream>>,
    trickles: bool,
}

impl Client {
    /// Sends what the proxy itself has to say.
    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = if self.trickles { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(size) {
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
            if self.trickles {
                runtime::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    /// Carries bytes in both directions until both are done; `early` came before it was known where to.
    async fn tunnel(mut self, mut origin: TcpStream, early: &[u8]) -> io::Result<()> {
        origin.write_all(early).await?;
        copy_bidirectional(&mut self.stream, &mut origin).await.map(drop)
    }
}

/// Every host is this machine.
async fn connect(port: u16) -> io::Result<TcpStream> {
    let origin = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    origin.set_nodelay(true)?;
    Ok(origin)
}
