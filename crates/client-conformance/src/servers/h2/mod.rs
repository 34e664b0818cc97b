//! A server of exact HTTP/2 frames: it follows a [`Script`] on each connection, and holds the client to RFC 9113 on all of them.
//! [`Frame`] writes what is right and what is wrong; a [`Connection`] tells what the client did, and can be waited for. Frames and header
//! blocks are made and read by hand: what must never enter is a codec that an engine may share.

mod frame;
mod hpack;
mod request;
mod script;
mod serve;
mod state;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

pub use self::frame::{Frame, Received, code, flag, kind, setting};
pub use self::hpack::{incremental, indexed, literal, table_size};
pub use self::request::Request;
pub use self::script::Script;
use self::state::State;
use super::ledger::{self, Counts, Ledger};
use super::listener::Listener;
use super::tls::Tls;

/// An HTTP/2 server that follows scripts: by prior knowledge over TCP, or over TLS.
///
/// ```
/// use client_conformance::servers::h2::{Script, Server};
///
/// let server = Server::start([Script::reply("hello").repeat()]);
/// println!("{}", server.url("/"));
/// ```
pub struct Server {
    listener: Listener,
    host: String,
    log: Log,
}

impl Server {
    /// Each connection gets the next script; those after the last get the last one again.
    pub fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::listen(scripts, None)
    }

    /// The same over TLS, which has to offer `h2` by ALPN.
    pub fn start_tls(tls: &Tls, scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::listen(scripts, Some(tls))
    }

    fn listen(scripts: impl IntoIterator<Item = Script>, tls: Option<&Tls>) -> Self {
        let scripts: Vec<_> = scripts.into_iter().collect();
        let log = Log::default();
        let of_server = log.clone();
        let listener = Listener::start(tls.map(Tls::acceptor), move |stream, entry| {
            let script = scripts.get(entry.index()).or(scripts.last()).cloned().unwrap_or_default();
            serve::serve(stream, script, entry, of_server.clone())
        });
        Self {
            listener,
            host: tls.map_or("127.0.0.1", Tls::host).to_owned(),
            log,
        }
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        self.listener.url(&self.host, path)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr
    }

    /// How many connections there were and are.
    pub fn counts(&self) -> Counts {
        self.listener.ledger.counts()
    }

    /// The connection that was accepted as number `index`, from 0; it may still be to come.
    pub fn connection(&self, index: usize) -> Connection {
        Connection {
            tcp: self.listener.ledger.connection(index),
            log: self.log.clone(),
            index,
        }
    }

    /// Every request so far, complete or not, connection by connection.
    pub fn requests(&self) -> Vec<Request> {
        self.log.0.borrow().values().flat_map(|state| state.requests.iter().cloned()).collect()
    }

    /// What the client did that RFC 9113 forbids.
    pub fn violations(&self) -> Vec<String> {
        self.log.0.borrow().values().flat_map(|state| state.violations.iter().cloned()).collect()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.listener.ledger
    }

    /// The frames of every connection, as text.
    pub(crate) fn wire(&self) -> String {
        let mut text = format!("HTTP/2: {:?}\n", self.counts());
        for (index, state) in self.log.0.borrow().iter() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "connection {index}\n  {}", state.log.join("\n  "));
        }
        text
    }
}

/// The connections of a server. Clones share them.
#[derive(Clone, Default)]
struct Log(Arc<watch::Sender<BTreeMap<usize, State>>>);

impl Log {
    fn open(&self, index: usize, state: State) {
        self.0.send_modify(|connections| drop(connections.insert(index, state)));
    }

    /// Changes a connection's state; `None` if it has none.
    fn update<T>(&self, index: usize, change: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut output = None;
        self.0.send_modify(|connections| output = connections.get_mut(&index).map(change));
        output
    }

    fn read<T>(&self, index: usize, read: impl FnOnce(&State) -> T) -> Option<T> {
        self.0.borrow().get(&index).map(read)
    }

    async fn until(&self, index: usize, wanted: impl Fn(&State) -> bool) {
        let mut watched = self.0.subscribe();
        let there = watched.wait_for(|connections| connections.get(&index).is_some_and(&wanted)).await;
        drop(there.expect("the log outlives whoever waits on it"));
    }
}

/// One connection: what the client did on it.
#[derive(Clone)]
pub struct Connection {
    tcp: ledger::Connection,
    log: Log,
    index: usize,
}

impl Connection {
    /// Every request so far, complete or not; but those that were refused because there were too many at a time.
    pub fn requests(&self) -> Vec<Request> {
        self.log.read(self.index, |state| state.requests.clone()).unwrap_or_default()
    }

    /// Every frame so far; DATA without its payload.
    pub fn frames(&self) -> Vec<Received> {
        self.log.read(self.index, |state| state.frames.clone()).unwrap_or_default()
    }

    /// The most requests that were open at a time.
    pub fn peak(&self) -> usize {
        self.log.read(self.index, |state| state.peak).unwrap_or(0)
    }

    /// How many bytes the server could send so far.
    pub fn sent(&self) -> usize {
        self.tcp.sent()
    }

    /// Waits until a request is as `wanted`; they are counted from 0.
    pub async fn until(&self, request: usize, wanted: impl Fn(&Request) -> bool) -> Request {
        self.log.until(self.index, |state| state.requests.get(request).is_some_and(&wanted)).await;
        self.requests().swap_remove(request)
    }

    /// Waits until the client has reset a request; the code.
    pub async fn reset(&self, request: usize) -> u32 {
        let reset = self.until(request, |request| request.reset.is_some()).await;
        reset.reset.unwrap_or(u32::MAX)
    }

    /// Waits until frames of the client's are as `wanted`.
    pub async fn until_frames(&self, wanted: impl Fn(&[Received]) -> bool) {
        self.log.until(self.index, |state| wanted(&state.frames)).await;
    }

    /// Waits until `bytes` bytes were sent.
    pub async fn until_sent(&self, bytes: usize) {
        self.tcp.until_sent(bytes).await;
    }

    /// Waits until the client closes or resets the connection.
    pub async fn closed_by_client(&self) {
        self.tcp.closed_by_client().await;
    }
}
