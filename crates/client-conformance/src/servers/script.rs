//! What a [`Raw`](super::Raw) server does on a connection, step by step.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

/// Steps to be taken on a connection. When they are done, the server waits for the client to close.
///
/// While a step waits, the server goes on reading and recording, unless it was told to [`stop`](Self::stop_reading): so it sees a
/// client that closes, wherever that happens.
///
/// ```
/// use client_conformance::servers::Script;
///
/// let half_a_body = Script::new().request().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").close();
/// # let _ = half_a_body;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) repeats: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Head,
    Request,
    Received(Bytes),
    Send(Bytes),
    Trickle { bytes: Bytes, size: usize, every: Duration },
    Flood(Bytes),
    Wait(Gate),
    StopReading,
    ReadAgain,
    HalfClose,
    Close,
    Reset,
}

impl Script {
    /// No steps: accepts, reads, and never answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a whole request, then sends `reply`. The connection stays open.
    pub fn reply(reply: impl Into<Bytes>) -> Self {
        Self::new().request().send(reply)
    }

    /// Waits for the next request's head.
    pub fn head(self) -> Self {
        self.then(Step::Head)
    }

    /// Waits for the next whole request, its body included.
    pub fn request(self) -> Self {
        self.then(Step::Request)
    }

    /// Waits until `needle` has been received, anywhere on the connection.
    pub fn received(self, needle: impl Into<Bytes>) -> Self {
        self.then(Step::Received(needle.into()))
    }

    /// Sends `bytes` at once.
    pub fn send(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Sends `bytes` in pieces of `size`, one `every` so often.
    pub fn trickle(self, bytes: impl Into<Bytes>, size: usize, every: Duration) -> Self {
        self.then(Step::Trickle {
            bytes: bytes.into(),
            size,
            every,
        })
    }

    /// Sends `bytes` again and again, as fast as they are taken, until the client closes.
    pub fn flood(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Flood(bytes.into()))
    }

    /// Waits until the gate is open.
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Reads nothing from here on: the client's send buffer fills up.
    pub fn stop_reading(self) -> Self {
        self.then(Step::StopReading)
    }

    /// Reads again.
    pub fn read_again(self) -> Self {
        self.then(Step::ReadAgain)
    }

    /// Sends no more, and says so (FIN; over TLS, `close_notify` first); goes on reading until the client closes.
    pub fn half_close(self) -> Self {
        self.then(Step::HalfClose)
    }

    /// Closes the connection. Over TLS without `close_notify`, as an attacker would.
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Resets the connection (RST).
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Begins again when the steps are done, on the same connection.
    pub fn repeat(mut self) -> Self {
        self.repeats = true;
        self
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// Holds a server back until a case says so. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        let open = self.0.subscribe().wait_for(|open| *open).await.map(|_| ());
        open.expect("the gate is held by whoever waits at it");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
