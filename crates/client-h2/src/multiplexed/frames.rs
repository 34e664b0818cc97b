//! The one task of a connection: it moves frames, asks a silent server whether it lives, and tells the pool what the server says: how many streams
//! it allows, and that it is going away.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use client_transport::monitored::Monitored;
use client_transport::pool::CloseReason;
use client_transport::wire::{Line, Protocol};
use h2::client::SendRequest;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::keep_alive::KeepAlive;
use super::preface::{Misfit, Preface};

/// What became of a connection, for those who hold handles.
#[derive(Debug, Default)]
pub(super) struct Fate {
    over: AtomicBool,
    end: OnceLock<End>,
}

/// Why a connection ended, where its streams are only told that it did.
#[derive(Debug)]
pub(super) enum End {
    /// The server did not answer a PING in time.
    Silence,
    /// It began as no server of HTTP/2 does.
    Misfit(Misfit),
    /// The stream below failed.
    Below(io::Error),
}

impl Fate {
    /// Nobody can begin a stream on it.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn ends(&self, end: End) {
        // What came first is the reason.
        let _ = self.end.set(end);
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.get()
    }
}

/// A connection as its task sees it.
pub(super) struct Frames<P: Protocol> {
    connection: h2::client::Connection<Preface, Bytes>,
    /// To see whether streams can begin; `None` when they cannot, or nobody would. While it is there, the connection does not close.
    sender: Option<SendRequest<Bytes>>,
    stream: Monitored,
    capacity: usize,
    fate: Arc<Fate>,
    calls: Arc<AtomicUsize>,
    line: Line<P>,
}

/// How long the last words of a connection that nobody uses any more may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl<P: Protocol> Frames<P> {
    pub(super) fn new(
        connection: h2::client::Connection<Preface, Bytes>,
        sender: SendRequest<Bytes>,
        stream: Monitored,
        fate: Arc<Fate>,
        calls: Arc<AtomicUsize>,
        line: Line<P>,
    ) -> Self {
        Self {
            connection,
            capacity: sender.current_max_send_streams(),
            sender: Some(sender),
            stream,
            fate,
            calls,
            line,
        }
    }

    /// Until the connection has ended.
    pub(super) async fn run(mut self, gone: oneshot::Receiver<Infallible>, interval: Option<Duration>, limit: Duration) {
        let mut keep_alive = interval.and_then(|interval| Some(KeepAlive::new(self.connection.ping_pong()?, interval, limit)));
        let mut gone = pin!(gone);
        let mut last_words = None;
        poll_fn(|cx| {
            if last_words.is_none() && gone.as_mut().poll(cx).is_ready() {
                self.sender = None;
                last_words = Some(Box::pin(sleep(LAST_WORDS)));
            }
            // What it ends with, its streams have been told.
            if Pin::new(&mut self.connection).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(sender) = &mut self.sender
                && let Poll::Ready(Err(_)) = sender.poll_ready(cx)
            {
                // GOAWAY, or the numbers of streams are exhausted; the streams there are go on.
                self.sender = None;
                self.fate.over.store(true, Ordering::Release);
                self.line.retire(CloseReason::GoAway);
            }
            if self.connection.max_concurrent_send_streams() != self.capacity {
                self.capacity = self.connection.max_concurrent_send_streams();
                self.line.set_capacity(self.capacity);
            }
            if let Some(keep_alive) = &mut keep_alive {
                let is_busy = self.calls.load(Ordering::Relaxed) > 0;
                if keep_alive.poll(is_busy, self.stream.last_read(), cx).is_ready() {
                    self.fate.ends(End::Silence);
                    return Poll::Ready(());
                }
            }
            last_words.as_mut().map_or(Poll::Pending, |last_words| last_words.as_mut().poll(cx))
        })
        .await;
    }
}

impl<P: Protocol> Drop for Frames<P> {
    /// The end of the connection, or of its runtime.
    fn drop(&mut self) {
        self.fate.over.store(true, Ordering::Release);
        self.line.retire(CloseReason::PeerClosed);
    }
}
