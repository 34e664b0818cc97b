//! What a server saw of its connections: bytes in both directions, and who ended them. Waiting for any of it works on every
//! executor and never polls a clock.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::received::{ReceivedRequest, parse};

/// The records of one server's connections, in the order in which they were accepted. Clones share them.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<watch::Sender<Records>>);

#[derive(Default)]
struct Records {
    all: Vec<Record>,
    most_open: usize,
}

/// How many connections a server has had, and how many of them are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that were accepted so far.
    pub accepted: usize,
    /// Those that neither side has closed yet.
    pub open: usize,
    /// The most that were open at a time.
    pub most_open: usize,
}

#[derive(Default)]
struct Record {
    received: Vec<u8>,
    sent: Vec<u8>,
    /// `sent` keeps the first [`KEPT`] bytes only.
    sent_total: usize,
    end: Option<End>,
}

/// Enough of what we sent to read a wire log; a flood need not be kept.
const KEPT: usize = 16 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    ByClient,
    ByServer,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// A record for a connection that was just accepted.
    pub(crate) fn open(&self) -> Entry {
        let mut index = 0;
        self.0.send_modify(|records| {
            index = records.all.len();
            records.all.push(Record::default());
            records.most_open = records.most_open.max(records.open());
        });
        Entry {
            ledger: self.clone(),
            index,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.borrow().counts()
    }

    /// Waits until the counts are as `wanted`.
    pub(crate) async fn until(&self, wanted: impl Fn(Counts) -> bool) -> Counts {
        let mut watched = self.0.subscribe();
        let records = watched.wait_for(|records| wanted(records.counts())).await;
        records.expect("the ledger outlives whoever waits on it").counts()
    }

    pub(crate) fn connection(&self, index: usize) -> Connection {
        Connection {
            ledger: self.clone(),
            index,
        }
    }

    /// Every complete request, connection by connection.
    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.0.borrow().all.iter().flat_map(|record| parse(&record.received)).collect()
    }

    /// Both directions of every connection, as text.
    pub(crate) fn wire(&self, name: &str) -> String {
        let mut text = String::new();
        for (index, record) in self.0.borrow().all.iter().enumerate() {
            let end = match record.end {
                None => "open",
                Some(End::ByClient) => "closed by the client",
                Some(End::ByServer) => "closed by the server",
            };
            let (received, sent) = (record.received.len(), record.sent_total);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}, connection {index}: {received} bytes received, {sent} sent, {end}");
            excerpt(&mut text, "->", &record.received);
            excerpt(&mut text, "<-", &record.sent);
        }
        text
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Record)) {
        self.0.send_modify(|records| change(&mut records.all[index]));
    }
}

impl Records {
    fn open(&self) -> usize {
        self.all.iter().filter(|record| record.end.is_none()).count()
    }

    fn counts(&self) -> Counts {
        Counts {
            accepted: self.all.len(),
            open: self.open(),
            most_open: self.most_open,
        }
    }
}

fn excerpt(text: &mut String, arrow: &str, bytes: &[u8]) {
    const SHOWN: usize = 2048;
    for line in bytes[..bytes.len().min(SHOWN)].split_inclusive(|&byte| byte == b'\n') {
        let _ = writeln!(text, "  {arrow} {}", line.escape_ascii());
    }
}

/// One connection, as its server saw it.
#[derive(Clone)]
pub struct Connection {
    ledger: Ledger,
    index: usize,
}

impl Connection {
    /// Everything that was received so far; over TLS, what was inside.
    pub fn received(&self) -> Vec<u8> {
        self.ledger.0.borrow().all.get(self.index).map(|record| record.received.clone()).unwrap_or_default()
    }

    /// How many bytes the server could send so far.
    pub fn sent(&self) -> usize {
        self.ledger.0.borrow().all.get(self.index).map_or(0, |record| record.sent_total)
    }

    /// Every complete request on this connection.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        parse(&self.received())
    }

    /// Waits until the connection is accepted.
    pub async fn accepted(&self) {
        self.wait(|_| true).await;
    }

    /// Waits until what was received is as `wanted`.
    pub async fn until_received(&self, wanted: impl Fn(&[u8]) -> bool) {
        self.wait(|record| wanted(&record.received)).await;
    }

    /// Waits until `bytes` bytes were sent.
    pub async fn until_sent(&self, bytes: usize) {
        self.wait(|record| record.sent_total >= bytes).await;
    }

    /// Waits until the client closes or resets the connection.
    pub async fn closed_by_client(&self) {
        self.wait(|record| record.end == Some(End::ByClient)).await;
    }

    /// The server's side is over, whatever the client still sends.
    pub(crate) fn ended_by_server(&self) {
        self.ledger.update(self.index, |record| {
            record.end.get_or_insert(End::ByServer);
        });
    }

    async fn wait(&self, wanted: impl Fn(&Record) -> bool) {
        let mut watched = self.ledger.0.subscribe();
        let there = watched.wait_for(|records| records.all.get(self.index).is_some_and(&wanted)).await;
        drop(there.expect("the ledger outlives whoever waits on it"));
    }
}

/// A server's side of a record. Dropping it says that the server closed, unless the client had closed before.
pub(crate) struct Entry {
    ledger: Ledger,
    index: usize,
}

impl Entry {
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn connection(&self) -> Connection {
        self.ledger.connection(self.index)
    }

    pub(crate) fn received(&self, bytes: &[u8]) {
        self.ledger.update(self.index, |record| record.received.extend_from_slice(bytes));
    }

    pub(crate) fn sent(&self, bytes: &[u8]) {
        self.ledger.update(self.index, |record| {
            let room = KEPT.saturating_sub(record.sent.len()).min(bytes.len());
            record.sent.extend_from_slice(&bytes[..room]);
            record.sent_total += bytes.len();
        });
    }

    pub(crate) fn closed_by_client(&self) {
        self.end(End::ByClient);
    }

    fn end(&self, end: End) {
        self.ledger.update(self.index, |record| {
            record.end.get_or_insert(end);
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(End::ByServer);
    }
}

/// A stream whose bytes are entered into the ledger.
pub(crate) struct Tap<S> {
    stream: S,
    entry: Entry,
}

impl<S> Tap<S> {
    pub(crate) fn new(stream: S, entry: Entry) -> Self {
        Self { stream, entry }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining();
        let read = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let new = &buf.filled()[before..];
        match &read {
            Ok(()) if !new.is_empty() => self.entry.received(new),
            Ok(()) if room == 0 => {}
            _ => self.entry.closed_by_client(),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        match &written {
            Ok(n) => self.entry.sent(&buf[..*n]),
            Err(_) => self.entry.closed_by_client(),
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
