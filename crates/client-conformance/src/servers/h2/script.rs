//! What an HTTP/2 [`Server`](super::Server) does on a connection, step by step.

use std::time::Duration;

use bytes::Bytes;

use super::frame::Frame;
use crate::servers::Gate;

/// Steps to be taken on a connection. When they are done, the server waits for the client to close.
///
/// A script has a *present request*: [`head`](Self::head) and [`request`](Self::request) go on to the next one, [`nth`](Self::nth) to
/// any. What is sent belongs to its stream. Without being told, the server sends its SETTINGS, acknowledges the client's, answers PING,
/// grants back what it has received, and refuses streams beyond the limit that it has announced.
///
/// ```
/// use client_conformance::servers::h2::{Frame, Script, code};
///
/// let half_a_body = Script::new().request().headers(&[(":status", "200")]).data("hello").send(Frame::reset(code::CANCEL));
/// # let _ = half_a_body;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Script {
    pub(super) settings: Vec<(u16, u32)>,
    pub(super) is_mute: bool,
    pub(super) is_stingy: bool,
    pub(super) steps: Vec<Step>,
    /// The step to go back to when they are done.
    pub(super) repeat_from: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Head,
    RequestEnd,
    Nth(usize),
    Send(Vec<Frame>),
    Bytes(Bytes),
    Trickle(Vec<Frame>),
    Body(Bytes, End),
    Fill(usize),
    Oversized,
    Echo,
    Flood(Vec<Frame>, Option<Gate>),
    Acknowledged,
    ResetByClient,
    Wait(Gate),
    Open(Gate),
    Pause(Duration),
    StopReading,
    HalfClose,
    Close,
    Abort,
}

/// Whether a body ends its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stream,
    Open,
}

impl Script {
    /// No steps: reads, and never answers a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a whole request, then answers it with 200 and this body.
    pub fn reply(body: impl Into<Bytes>) -> Self {
        Self::new().request().answer(body)
    }

    /// What the server's first SETTINGS say.
    pub fn settings(mut self, settings: &[(u16, u32)]) -> Self {
        self.settings = settings.to_vec();
        self
    }

    /// The server begins without SETTINGS, which it must not (RFC 9113 §3.4).
    pub fn mute(mut self) -> Self {
        self.is_mute = true;
        self
    }

    /// The server grants nothing but what it is told to.
    pub fn stingy(mut self) -> Self {
        self.is_stingy = true;
        self
    }

    /// Waits for the next request's head.
    pub fn head(self) -> Self {
        self.then(Step::Head)
    }

    /// Waits for the next whole request; or for its reset.
    pub fn request(self) -> Self {
        self.head().request_end()
    }

    /// Waits for the head of the request number `n`, from 0; [`head`](Self::head) goes on behind it.
    pub fn nth(self, n: usize) -> Self {
        self.then(Step::Nth(n))
    }

    /// Waits until the present request is whole; or reset.
    pub fn request_end(self) -> Self {
        self.then(Step::RequestEnd)
    }

    /// Sends a frame.
    pub fn send(self, frame: Frame) -> Self {
        self.sends(vec![frame])
    }

    /// Sends frames in one piece.
    pub fn sends(self, frames: Vec<Frame>) -> Self {
        self.then(Step::Send(frames))
    }

    /// Sends bytes that need not be a frame.
    pub fn bytes(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Bytes(bytes.into()))
    }

    /// Sends frames byte by byte, one every millisecond.
    pub fn trickle(self, frames: Vec<Frame>) -> Self {
        self.then(Step::Trickle(frames))
    }

    /// Sends a response's head.
    pub fn headers(self, fields: &[(&str, &str)]) -> Self {
        self.send(Frame::headers(fields))
    }

    /// Sends 200 with a length, and this body, as fast as the client's windows allow.
    pub fn answer(self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        self.headers(&[(":status", "200"), ("content-length", &length)]).last_data(body)
    }

    /// Sends DATA, as fast as the client's windows allow.
    pub fn data(self, data: impl Into<Bytes>) -> Self {
        self.then(Step::Body(data.into(), End::Open))
    }

    /// Sends DATA, as fast as the client's windows allow, and ends the stream.
    pub fn last_data(self, data: impl Into<Bytes>) -> Self {
        self.then(Step::Body(data.into(), End::Stream))
    }

    /// Sends as much DATA as the client's windows allow without waiting, at most `most` bytes.
    pub fn fill(self, most: usize) -> Self {
        self.then(Step::Fill(most))
    }

    /// Sends a frame that is larger than the client allows.
    pub fn oversized(self) -> Self {
        self.then(Step::Oversized)
    }

    /// Sends back the present request's DATA as it comes, to its end.
    pub fn echo(self) -> Self {
        self.then(Step::Echo)
    }

    /// Grants so much, on the connection and on the present stream.
    pub fn grant(self, bytes: u32) -> Self {
        self.sends(vec![Frame::window_update(bytes).on_connection(), Frame::window_update(bytes)])
    }

    /// Sends frames again and again, as fast as they are taken and whatever the windows say, until the client closes or resets the
    /// present request.
    pub fn flood(self, frames: Vec<Frame>) -> Self {
        self.then(Step::Flood(frames, None))
    }

    /// The same, but no longer than until the gate is open. Half a frame may be on its way then: nothing but an end can follow.
    pub fn flood_until(self, gate: &Gate, frames: Vec<Frame>) -> Self {
        self.then(Step::Flood(frames, Some(gate.clone())))
    }

    /// Waits until the client has acknowledged all SETTINGS.
    pub fn acknowledged(self) -> Self {
        self.then(Step::Acknowledged)
    }

    /// Waits until the client has reset the present request.
    pub fn reset_by_client(self) -> Self {
        self.then(Step::ResetByClient)
    }

    /// Waits until the gate is open.
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Opens the gate: what comes before it was sent.
    pub fn opens(self, gate: &Gate) -> Self {
        self.then(Step::Open(gate.clone()))
    }

    /// Does nothing for so long, where time is what a case is about.
    pub fn pause(self, duration: Duration) -> Self {
        self.then(Step::Pause(duration))
    }

    /// Reads nothing from here on.
    pub fn stop_reading(self) -> Self {
        self.then(Step::StopReading)
    }

    /// Sends no more, and says so (FIN; over TLS, `close_notify` first); goes on reading until the client closes.
    pub fn half_close(self) -> Self {
        self.then(Step::HalfClose)
    }

    /// Closes the connection. Over TLS without `close_notify`, as an attacker would.
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Resets the connection (TCP's RST).
    pub fn abort(self) -> Self {
        self.then(Step::Abort)
    }

    /// Begins again when the steps are done, on the same connection.
    pub fn repeat(mut self) -> Self {
        self.repeat_from = Some(0);
        self
    }

    /// The steps of this script, then those of the other; which may repeat.
    pub fn followed_by(mut self, other: Self) -> Self {
        self.repeat_from = other.repeat_from.map(|step| self.steps.len() + step);
        self.steps.extend(other.steps);
        self
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
