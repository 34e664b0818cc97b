//! Servers of one script each, on threads; what they saw is handed back.

#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use client_core::{Body, HttpClient, Redirect, Response};
use client_ureq::{Ureq, UreqBuilder};
use futures::executor::block_on;

/// A listener whose connections are each served by `script` on a thread of its own; it is told which connection it is, from 0.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(Peer, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, script) = (Arc::clone(&accepted), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, stream) = (Arc::clone(&script), stream.unwrap());
                let index = count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    script(Peer::new(stream), index);
                });
            }
        });
        Self { address, accepted }
    }

    /// Answers every request, on every connection, with the same bytes.
    pub(crate) fn always(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut peer, _| {
            while peer.head().is_some() {
                peer.send(&answer);
            }
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// A connection, as the server has it.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// The next request head; `None` if the client has closed.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                let head = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            self.more()?;
        }
    }

    /// Exactly so many bytes of a body; `None` if the client closed before.
    pub(crate) fn bytes(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.read.len() < n {
            self.more()?;
        }
        let rest = self.read.split_off(n);
        Some(std::mem::replace(&mut self.read, rest))
    }

    /// Everything up to and including `mark`; each byte a character.
    pub(crate) fn until(&mut self, mark: &str) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|window| window == mark.as_bytes()) {
                let rest = self.read.split_off(at + mark.len());
                return Some(std::mem::replace(&mut self.read, rest).into_iter().map(char::from).collect());
            }
            self.more()?;
        }
    }

    /// Sends; a client that is gone is none of the server's business.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Waits until the client closes; returns how many bytes came before.
    pub(crate) fn closed(&mut self) -> usize {
        let mut n = 0;
        while self.more().is_some() {
            n += self.read.len();
            self.read.clear();
        }
        n
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => {
                    self.read.extend_from_slice(&buffer[..n]);
                    return Some(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client that follows nothing.
pub(crate) fn client(engine: UreqBuilder) -> HttpClient {
    HttpClient::builder(engine.build()).install(Redirect::none()).build().unwrap()
}

pub(crate) fn default() -> HttpClient {
    client(Ureq::builder())
}

pub(crate) fn get(http: &HttpClient, url: String) -> client_core::Result<Response> {
    block_on(http.get(url).send())
}

pub(crate) fn text(http: &HttpClient, url: String) -> client_core::Result<String> {
    block_on(async { http.get(url).send().await?.text().await })
}

/// A body of `count` pieces, made while it is sent.
pub(crate) fn pieces(count: usize, piece: &'static [u8]) -> Body {
    Body::stream(futures::stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(piece))))
}
