//! The outermost transport, which ureq talks to: clear text, above TLS. It sees each exchange begin and end on a connection, holds
//! back a response's head until it is whole and has been looked at, and keeps what ureq does not.
//!
//! What must never enter this file: sockets, TLS; what a head means is `head.rs`'s.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use client_core::{Error, ErrorKind, Phase, StatusCode, TlsInfo};
use ureq::Timeout;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::call::{self, Call, Note};
use crate::chunked::Chunked;
use crate::dial::Dial;
use crate::error::{carry, of, of_read};
use crate::head::{self, Look};
use crate::socket::{BUFFER_SIZE, Stream};
use crate::tls::Tls;

/// How much is read at a time where as much comes at a time.
const MAX_READ: usize = 128 << 10;

/// What ureq waits for after `Expect: 100-continue`. It fails on one with fields, so each is shown to it in this form.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The way to a connection that can carry a request.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) dial: Dial,
    pub(crate) tls: Tls,
}

impl Connector<()> for Way {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Wire>, ureq::Error> {
        let call = call::current().map_err(carry)?;
        let socket = self.dial.dial(details, &call).map_err(carry)?;
        let is_tls = details.needs_tls();
        let stream: Box<dyn Stream> = if is_tls {
            let host = details.uri.host().unwrap_or_default();
            self.tls.handshake(socket, host, &call).map_err(carry)?
        } else {
            Box::new(socket)
        };
        call.update(|progress| progress.dialing_since = None);
        let progress = call.progress();
        Ok(Some(Wire {
            stream,
            is_tls,
            remote_addr: progress.remote_addr,
            local_addr: progress.local_addr,
            tls: call.take_tls(),
            chunked: None,
            broken: None,
            has_served: false,
            awaits_head: false,
            informational: 0,
            buffers: Window::default(),
        }))
    }
}

/// A connection that speaks HTTP.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    is_tls: bool,
    remote_addr: Option<SocketAddr>,
    local_addr: Option<SocketAddr>,
    tls: Option<Arc<TlsInfo>>,
    /// It has carried an exchange before.
    has_served: bool,
    awaits_head: bool,
    informational: usize,
    /// How the body that follows is coded.
    chunked: Option<Chunked>,
    /// What is wrong after the bytes that ureq was shown last.
    broken: Option<Error>,
    buffers: Window,
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        if let Ok(call) = call::current() {
            self.buffers.longest_line = call.terms.longest_line;
            self.buffers.upload = call.terms.upload;
        }
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let call = call::current().map_err(carry)?;
        if !call.progress().has_sent {
            self.begin(&call);
        }
        if call.progress().is_muted {
            return Ok(());
        }
        let Err(error) = self.stream.write_all(&self.buffers.output[..amount]) else {
            return Ok(());
        };
        let error = of_read(error, &call);
        // A server that has read enough of a body answers and closes (RFC 9112 §9.5): its answer is worth more than our failure.
        if error.kind() == ErrorKind::Closed && call.progress().is_uploading && !call.is_cancelled() {
            call.update(|progress| progress.is_muted = true);
            return Ok(());
        }
        Err(carry(error))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let call = call::current().map_err(carry)?;
        self.stream.socket().set_ureq_limit(timeout);
        if !self.awaits_head {
            return self.await_body(&call);
        }
        if timeout.reason != Timeout::Await100 {
            call.enter(Phase::Head);
        }
        self.await_head(&call)
    }

    fn is_open(&mut self) -> bool {
        // In this order: the socket also leaves the call.
        self.stream.socket().is_open() && !self.stream.holds_more()
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl Wire {
    /// A request is about to be sent.
    fn begin(&mut self, call: &Call) {
        let reused = std::mem::replace(&mut self.has_served, true);
        call.update(|progress| {
            progress.has_sent = true;
            progress.is_reused = reused;
            progress.remote_addr = self.remote_addr;
            progress.local_addr = self.local_addr;
        });
        call.set_tls(self.tls.clone());
        call.tell(Note::Connected {
            reused,
            remote_addr: self.remote_addr,
        });
        call.enter(Phase::Send);
        self.awaits_head = true;
        self.informational = 0;
        (self.chunked, self.broken) = (None, None);
        self.buffers.is_spent = false;
        self.buffers.reads = 0;
    }

    /// Reads until there is a head that ureq may see.
    fn await_head(&mut self, call: &Call) -> Result<bool, ureq::Error> {
        loop {
            head::unfold(self.buffers.received_mut());
            match head::look(self.buffers.received(), &call.terms.limits).map_err(|error| carry(call.place(error)))? {
                Look::Incomplete { skip: 0 } => {}
                Look::Incomplete { skip } => {
                    self.buffers.skip(skip);
                    continue;
                }
                Look::Informational { len, status, fields } => {
                    self.buffers.skip(len);
                    self.count_informational(call)?;
                    call.tell(Note::Informational(status, fields));
                    if status == StatusCode::CONTINUE {
                        self.buffers.interim = Some(CONTINUE);
                        return Ok(true);
                    }
                    continue;
                }
                Look::Final { len, is_chunked } => {
                    call.enter(Phase::Head);
                    head::mask(self.buffers.received_mut());
                    self.awaits_head = false;
                    self.buffers.has_head = true;
                    self.chunked = (is_chunked && !call.terms.is_head).then(|| Chunked::new(call.terms.limits));
                    let from = self.buffers.start + len;
                    self.decode(from, call);
                    return Ok(true);
                }
            }
            if self.receive(call)? == 0 {
                let message = match self.buffers.received() {
                    [] => "the server closed the connection before its response",
                    _ => "the server closed the connection within its response's head",
                };
                return Err(carry(call.error(ErrorKind::Closed, message)));
            }
            call.update(|progress| progress.has_answer = true);
        }
    }

    fn count_informational(&mut self, call: &Call) -> Result<(), ureq::Error> {
        self.informational += 1;
        let max = call.terms.limits.max_informational();
        if self.informational > max {
            let message = format!("more informational responses than the limit of {max}; raise Limits::informational");
            return Err(carry(call.error(ErrorKind::TooLarge, message)));
        }
        Ok(())
    }

    /// Reads until there is something of the body that ureq may see; `false` at the end.
    fn await_body(&mut self, call: &Call) -> Result<bool, ureq::Error> {
        if self.buffers.is_spent {
            return Err(carry(call.error(ErrorKind::Protocol, "a response head that cannot be read")));
        }
        loop {
            if let Some(error) = self.broken.take() {
                return Err(carry(call.place(error)));
            }
            let n = self.receive(call)?;
            if n == 0 {
                if self.chunked.as_ref().is_some_and(|body| !body.is_done()) {
                    let message = "the server closed the connection within a chunked body";
                    return Err(carry(call.error(ErrorKind::Closed, message)));
                }
                return Ok(false);
            }
            if self.decode(self.buffers.end - n, call) {
                return Ok(true);
            }
        }
    }

    /// Takes off what was received from `from` on whatever ureq shall not see; whether anything is left of it.
    fn decode(&mut self, from: usize, call: &Call) -> bool {
        let Some(mut body) = self.chunked.take() else {
            return true;
        };
        let (kept, error) = body.take(&mut self.buffers.input[from..self.buffers.end]);
        self.buffers.end = from + kept;
        self.broken = error;
        if body.is_done() {
            call.set_trailers(body.into_trailers());
        } else {
            self.chunked = Some(body);
        }
        kept > 0
    }

    /// Reads once: how many bytes, none at the end.
    fn receive(&mut self, call: &Call) -> Result<usize, ureq::Error> {
        let error = match self.stream.read(self.buffers.input_append_buf()) {
            Ok(n) => {
                self.buffers.received_more(n);
                return Ok(n);
            }
            Err(error) => ureq::Error::from(error),
        };
        Err(match error {
            // No 100 has come: ureq goes on without.
            ureq::Error::Timeout(_) => error,
            // Nothing there yet, and nobody who would wait.
            ureq::Error::Io(ref io) if io.kind() == io::ErrorKind::WouldBlock => error,
            // Without its close_notify (RFC 8446 §6.1), an end may be an attacker's. ureq would take it for the server's.
            ureq::Error::Io(ref io) if io.kind() == io::ErrorKind::UnexpectedEof => {
                let message = "the connection ended without TLS's close_notify: the response may be cut short";
                carry(call.error(ErrorKind::Closed, message).with_source(error))
            }
            error => carry(of(error, call)),
        })
    }
}

/// ureq's window on a connection: what was received, as far as it may be seen, and room for what is to be sent.
#[derive(Default)]
struct Window {
    input: Vec<u8>,
    /// What of `input` is received and not consumed.
    start: usize,
    end: usize,
    output: Vec<u8>,
    longest_line: usize,
    upload: usize,
    /// Shown in place of what was received.
    interim: Option<&'static [u8]>,
    /// A whole head begins at `start`, and ureq has not seen it.
    has_head: bool,
    /// ureq has seen a whole head, and could make nothing of it.
    is_spent: bool,
    /// ureq could use what it saw last.
    has_progress: bool,
    /// How much the next read may take; at least [`BUFFER_SIZE`].
    reads: usize,
}

impl Window {
    fn received(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    fn received_mut(&mut self) -> &mut [u8] {
        &mut self.input[self.start..self.end]
    }

    fn skip(&mut self, amount: usize) {
        self.start += amount;
    }

    /// What fills its room is followed by a larger read.
    fn received_more(&mut self, amount: usize) {
        if self.end + amount == self.input.len() {
            self.reads = (2 * amount).clamp(BUFFER_SIZE, MAX_READ);
        }
        self.end += amount;
    }

    /// Room for one more read.
    fn make_room(&mut self) {
        let room = self.reads.max(BUFFER_SIZE);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.input.len() - self.end < room / 2 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let needed = self.end + room;
        if self.input.len() < needed {
            self.input.resize(needed, 0);
        } else if self.end == 0 && self.input.len() > 2 * room {
            // A large head or a large body has passed.
            self.input.truncate(room);
            self.input.shrink_to_fit();
        }
    }
}

impl Buffers for Window {
    fn output(&mut self) -> &mut [u8] {
        self.tmp_and_output().1
    }

    fn input(&self) -> &[u8] {
        self.interim.unwrap_or(&self.input[self.start..self.end])
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.input[self.end..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.received_more(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        // Behind an interim response, nothing that was received has been looked at yet.
        self.has_progress = amount > 0 && self.interim.is_none();
        if self.interim.take().is_none() {
            // It looks at a head twice where it had waited for a 100: only the one who reads the response consumes it.
            self.is_spent = self.has_head && amount == 0;
            self.has_head = false;
            self.start += amount;
        }
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        // The line's end, and that of the head, are written along with the last line.
        let needed = BUFFER_SIZE.max(self.longest_line + 4).max(self.upload);
        if self.output.len() < needed {
            self.output.resize(needed, 0);
        } else if self.output.len() > 2 * needed {
            // A large upload has passed.
            self.output.truncate(needed);
            self.output.shrink_to_fit();
        }
        self.make_room();
        (&mut self.input[self.end..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.interim.is_some() || (self.start < self.end && (self.has_head || self.has_progress))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("remote_addr", &self.remote_addr).finish_non_exhaustive()
    }
}
