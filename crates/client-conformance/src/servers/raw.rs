//! A server of exact bytes: it follows a [`Script`] on each connection and records everything it receives. It knows no HTTP but
//! where a request ends.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::ledger::{Connection, Counts, Entry, Ledger};
use super::listener::{Listener, Stream};
use super::received::{ReceivedRequest, head_len, request_len};
use super::runtime;
use super::script::{Script, Step};
use super::tls::Tls;

/// A server that follows scripts.
///
/// ```
/// use client_conformance::servers::{Raw, Script};
///
/// let server = Raw::start([Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")]);
/// println!("{}", server.url("/"));
/// ```
pub struct Raw {
    listener: Listener,
    host: String,
}

impl Raw {
    /// Each connection gets the next script; those after the last get the last one again.
    pub fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::listen(scripts, None)
    }

    /// The same over TLS.
    pub fn start_tls(tls: &Tls, scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::listen(scripts, Some(tls))
    }

    fn listen(scripts: impl IntoIterator<Item = Script>, tls: Option<&Tls>) -> Self {
        let scripts: Vec<_> = scripts.into_iter().collect();
        let listener = Listener::start(tls.map(Tls::acceptor), move |stream, entry| {
            let script = scripts.get(entry.index()).or(scripts.last()).cloned().unwrap_or_default();
            serve(stream, script, entry)
        });
        Self {
            listener,
            host: tls.map_or("127.0.0.1", Tls::host).to_owned(),
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

    /// The connection that was accepted as number `index`, from 0; it may still be to come.
    pub fn connection(&self, index: usize) -> Connection {
        self.listener.ledger.connection(index)
    }

    /// How many connections there were and are.
    pub fn counts(&self) -> Counts {
        self.listener.ledger.counts()
    }

    /// Every complete request so far, connection by connection.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.listener.ledger.requests()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.listener.ledger
    }
}

pub(super) async fn serve(stream: Box<dyn Stream>, script: Script, entry: Entry) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = AtomicBool::new(true);
    // How the script ended, `None` if the client did.
    let end = {
        let mut read = pin!(record(&mut reader, &entry));
        let mut act = pin!(follow(&script, &mut writer, &entry, &reading));
        // The script first: it may have told us to stop reading.
        poll_fn(|cx| match act.as_mut().poll(cx) {
            Poll::Ready(how) => Poll::Ready(how.ok()),
            Poll::Pending if reading.load(Ordering::Relaxed) => read.as_mut().poll(cx).map(|()| None),
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    let Some(is_reset) = end else {
        entry.closed_by_client();
        return;
    };
    let stream = reader.unsplit(writer);
    if is_reset {
        // With nothing to linger for, closing resets (RST).
        stream.tcp().set_zero_linger().expect("a TCP option");
    }
}

/// Records until the client closes or resets.
async fn record(reader: &mut ReadHalf<Box<dyn Stream>>, entry: &Entry) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = reader.read(&mut buffer).await {
        entry.received(&buffer[..n]);
    }
}

/// Takes the steps; returns whether the connection is to be reset. An error means that the client is gone.
async fn follow(
    script: &Script,
    writer: &mut WriteHalf<Box<dyn Stream>>,
    entry: &Entry,
    reading: &AtomicBool,
) -> io::Result<bool> {
    let mut consumed = 0;
    loop {
        for step in &script.steps {
            match step {
                Step::Head => consumed += wait_for(entry, consumed, head_len).await,
                Step::Request => consumed += wait_for(entry, consumed, request_len).await,
                Step::Received(needle) => {
                    let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
                    entry.connection().until_received(found).await;
                }
                Step::Send(bytes) => send(writer, entry, bytes).await?,
                Step::Trickle { bytes, size, every } => {
                    for piece in bytes.chunks(*size) {
                        runtime::sleep(*every).await;
                        send(writer, entry, piece).await?;
                    }
                }
                Step::Flood(bytes) => flood(writer, entry, bytes).await.map(|never| match never {})?,
                Step::Wait(gate) => gate.opened().await,
                Step::StopReading => reading.store(false, Ordering::Relaxed),
                Step::ReadAgain => reading.store(true, Ordering::Relaxed),
                Step::HalfClose => writer.shutdown().await?,
                Step::Close => return Ok(false),
                Step::Reset => return Ok(true),
            }
        }
        if !script.repeats {
            // From here on only the client can end it.
            return pending().await;
        }
    }
}

/// Waits until `len` finds something complete in what came after `consumed`; its length.
async fn wait_for(entry: &Entry, consumed: usize, len: fn(&[u8]) -> Option<usize>) -> usize {
    let connection = entry.connection();
    connection
        .until_received(|bytes| bytes.get(consumed..).is_some_and(|rest| len(rest).is_some()))
        .await;
    len(&connection.received()[consumed..]).unwrap_or_default()
}

async fn send(writer: &mut WriteHalf<Box<dyn Stream>>, entry: &Entry, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = writer.write(bytes).await?;
        entry.sent(&bytes[..sent]);
        bytes = &bytes[sent..];
    }
    writer.flush().await
}

async fn flood(writer: &mut WriteHalf<Box<dyn Stream>>, entry: &Entry, bytes: &[u8]) -> io::Result<Infallible> {
    loop {
        send(writer, entry, bytes).await?;
        // A client that reads as fast as we write must not keep the other servers from running.
        tokio::task::yield_now().await;
    }
}
