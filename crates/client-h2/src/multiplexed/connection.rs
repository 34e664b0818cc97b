//! A connection as those see it who hold handles to it.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use client_core::{ConnectionInfo, Error, ErrorKind, Phase, Result};
use client_transport::dial::Dialed;
use client_transport::monitored::Monitored;
use client_transport::wire::{Line, Protocol};
use h2::client::{Builder, SendRequest};
use tokio::sync::oneshot;

use super::frames::{Fate, Frames};
use super::preface::Preface;
use super::{Manner, error, limits};

/// A handle to a connection; clones share it. It closes in good order (GOAWAY) when the last one is dropped.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    sender: SendRequest<Bytes>,
    stream: Monitored,
    info: Arc<ConnectionInfo>,
    /// As it is told of every exchange but the first.
    reused: Arc<ConnectionInfo>,
    fate: Arc<Fate>,
    calls: Arc<AtomicUsize>,
    /// Its end tells the task that nobody is left.
    _handles: oneshot::Sender<Infallible>,
}

/// The settings of a connection, before anybody changes them.
pub fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .initial_max_send_streams(limits::INITIAL_STREAMS)
        .max_header_list_size(limits::MAX_HEADER_LIST)
        .max_local_error_reset_streams(Some(limits::MAX_LOCAL_RESETS))
        .max_pending_accept_reset_streams(limits::MAX_PENDING_RESETS);
    builder
}

/// Begins a connection, and a task that drives it on the current runtime. Returns how many exchanges it can carry, as far as known.
///
/// # Errors
/// [`ErrorKind::Connect`], if the peer has hung up already.
pub async fn start<P: Protocol>(
    mut builder: Builder,
    dialed: Dialed,
    manner: &Manner,
    line: Line<P>,
) -> Result<(Connection, usize)> {
    let stream = Monitored::timed(dialed.stream);
    let (fate, calls) = <(Arc<Fate>, Arc<AtomicUsize>)>::default();
    builder.enable_push(false);
    let preface = Preface::new(stream.clone(), Arc::clone(&fate));
    let (sender, connection) = builder.handshake(preface).await.map_err(|error| {
        let message = format!("the connection broke before it could be used: {error}");
        Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect).with_source(error)
    })?;
    let capacity = sender.current_max_send_streams();
    let (handles, gone) = oneshot::channel();
    let frames = Frames::new(connection, sender.clone(), stream.clone(), Arc::clone(&fate), Arc::clone(&calls), line);
    tokio::spawn(frames.run(gone, manner.ping_interval, manner.ping_timeout));
    let mut reused = dialed.info.clone();
    reused.reused = true;
    let connection = Connection(Arc::new(Shared {
        sender,
        stream,
        info: Arc::new(dialed.info),
        reused: Arc::new(reused),
        fate,
        calls,
        _handles: handles,
    }));
    Ok((connection, capacity))
}

impl Connection {
    /// Whether streams can begin on it.
    pub fn is_alive(&self) -> bool {
        !self.0.fate.is_over()
    }

    /// What is known about it.
    pub fn info(&self) -> &ConnectionInfo {
        &self.0.info
    }

    /// The same, for an exchange that it carries.
    pub fn info_of_exchange(&self, is_reused: bool) -> Arc<ConnectionInfo> {
        Arc::clone(if is_reused { &self.0.reused } else { &self.0.info })
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.0.sender.clone()
    }

    pub(super) fn stream(&self) -> &Monitored {
        &self.0.stream
    }

    /// h2's error in an exchange on this connection, in the words of all engines.
    pub(super) fn failed(&self, error: h2::Error) -> Error {
        match self.0.fate.end().filter(|_| error.is_io()) {
            Some(end) => error::ended(end).with_source(error),
            None => error::classify(error),
        }
    }

    /// One call more, until it is dropped.
    pub(super) fn count_call(&self) -> Call {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        Call(Arc::clone(&self.0.calls))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("info", self.info()).finish_non_exhaustive()
    }
}

/// A call in progress: while there is one, the server is asked whether it lives.
pub(super) struct Call(Arc<AtomicUsize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
