//! What libcurl calls during a transfer, always on the driver's thread: heads, bodies, connections.
//!
//! What must never enter this file: waiting; the options of a transfer.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io::SeekFrom;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use client_core::{Bytes, Error, ErrorKind, Phase, Result, Sent};
use curl::easy::{Handler, InfoType, ReadError, SeekResult, WriteError};
use curl::multi::Socket;

use crate::call::{Call, Pulled};
use crate::chunked::{Chunked, Part};
use crate::head::{Heads, Line};
use crate::raw::{Fields, Handle};
use crate::request::{Content, field_line};

/// A transfer's state, within its libcurl handle.
pub(crate) struct Transfer {
    hooks: Rc<Hooks>,
    heads: Heads,
    /// Of a response that comes in chunks.
    chunked: Option<Chunked>,
    handle: Option<Handle>,
    content: Content,
    /// Of a body in memory: how much is sent.
    sent: usize,
    /// libcurl has only a pointer to them.
    fields: Fields,
    /// Where another call is connecting, it waits for that connection, which may carry both.
    pub(crate) may_wait: bool,
}

/// What is called besides, through shared references only.
pub(crate) struct Hooks {
    pub(crate) call: Arc<Call>,
    desk: Rc<Desk>,
}

/// What callbacks leave for the driver.
#[derive(Default)]
pub(crate) struct Desk {
    /// Sockets that were opened, and for which call.
    pub(crate) opened: RefCell<Vec<(Socket, usize)>>,
    /// Calls whose connection has become ready.
    pub(crate) ready: RefCell<Vec<usize>>,
    /// Calls whose connection, which might have carried many, speaks HTTP/1.1.
    pub(crate) http1: RefCell<Vec<usize>>,
    /// How many answers there were, of all calls.
    pub(crate) answers: Cell<u64>,
}

impl Transfer {
    pub(crate) fn new(call: &Arc<Call>, content: Content, desk: &Rc<Desk>) -> Self {
        Self {
            hooks: Rc::new(Hooks {
                call: Arc::clone(call),
                desk: Rc::clone(desk),
            }),
            heads: Heads::new(call.terms.limits),
            chunked: None,
            handle: None,
            content,
            sent: 0,
            fields: Fields::new(),
            may_wait: call.terms.may_be_http2,
        }
    }

    pub(crate) fn hooks(&self) -> &Rc<Hooks> {
        &self.hooks
    }

    pub(crate) fn set_handle(&mut self, handle: Handle) {
        self.handle = Some(handle);
    }

    pub(crate) fn keep(&mut self, fields: Fields) {
        self.fields = fields;
    }

    fn call(&self) -> &Call {
        &self.hooks.call
    }

    fn head_line(&mut self, line: &[u8]) -> Result<()> {
        let is_first = !self.heads.has_begun();
        let line = self.heads.line(line)?;
        if is_first {
            self.call().begin_answer();
        }
        match line {
            Line::Nothing => {}
            Line::Informational(head) => self.call().informational(head),
            Line::Final(head) => {
                let is_chunked = head.is_chunked() && !self.call().terms.is_head;
                self.chunked = is_chunked.then(Chunked::new);
                self.call().answer(head);
                self.hooks.desk.answers.set(self.hooks.desk.answers.get() + 1);
            }
        }
        Ok(())
    }

    /// A part of the body as it came.
    fn body(&mut self, data: &[u8]) -> Result<()> {
        let Some(chunked) = &mut self.chunked else {
            self.call().deliver(Bytes::copy_from_slice(data));
            return Ok(());
        };
        let (mut rest, mut piece, mut is_over) = (data, Vec::with_capacity(data.len()), false);
        while let Some(part) = chunked.next(&mut rest)? {
            match part {
                Part::Data(part) => piece.extend_from_slice(part),
                Part::Trailer(line) => drop(self.heads.line(&line)?),
                Part::End => is_over = true,
            }
        }
        self.call().deliver(piece.into());
        if is_over {
            self.close();
        }
        if !rest.is_empty()
            && let Some(handle) = &self.handle
        {
            // Whatever it is, it is no answer to the next request (RFC 9112 §6.3).
            handle.forbid_reuse();
        }
        Ok(())
    }

    /// The same request once more.
    pub(crate) fn rewind(&mut self) {
        self.heads = Heads::new(self.call().terms.limits);
        self.chunked = None;
        self.sent = 0;
    }

    /// What followed the body.
    pub(crate) fn close(&mut self) {
        let trailers = self.heads.take_trailers();
        self.call().end_body(trailers);
    }
}

impl Handler for Transfer {
    fn header(&mut self, line: &[u8]) -> bool {
        if !self.call().is_ready() {
            // A proxy's answer to CONNECT.
            if matches!(line, b"\r\n" | b"\n") {
                self.call().tunnelled();
            }
            return true;
        }
        self.call().moved();
        match self.head_line(line) {
            Ok(()) => true,
            Err(error) => {
                self.call().fail(error);
                false
            }
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        self.call().moved();
        if !self.call().has_room_for_more() {
            return Err(WriteError::Pause);
        }
        match self.body(data) {
            Ok(()) => Ok(data.len()),
            Err(error) => {
                self.call().fail(error);
                // Fewer than there were: libcurl gives up.
                Ok(0)
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let call = &self.hooks.call;
        call.moved();
        let n = match &self.content {
            Content::Nothing => 0,
            Content::Bytes(bytes) => {
                let rest = &bytes[self.sent.min(bytes.len())..];
                let n = rest.len().min(buffer.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                self.sent += n;
                n
            }
            Content::Stream { .. } => match call.pull(buffer) {
                Pulled::Bytes(n) => n,
                Pulled::Pause => return Err(ReadError::Pause),
                // The end, or the producer's failure.
                Pulled::End if call.has_failed() => return Err(ReadError::Abort),
                Pulled::End => 0,
            },
        };
        if n == 0 {
            call.enter_head();
        }
        Ok(n)
    }

    fn seek(&mut self, whence: SeekFrom) -> SeekResult {
        match (&self.content, whence) {
            (Content::Bytes(bytes), SeekFrom::Start(place)) if place <= bytes.len() as u64 => {
                self.sent = usize::try_from(place).unwrap_or(bytes.len());
                SeekResult::Ok
            }
            (Content::Stream { .. }, SeekFrom::Start(0)) if self.call().is_untouched() => SeekResult::Ok,
            _ => {
                let message = "the server closed the connection, and the request's body cannot be sent again";
                self.call().fail(Error::new(ErrorKind::Closed, message));
                SeekResult::Fail
            }
        }
    }

    /// Only asked for where HTTP/2 may be spoken, for what libcurl tells in no other way.
    fn debug(&mut self, kind: InfoType, text: &[u8]) {
        let says = |what: &str| matches!(kind, InfoType::Text) && text.windows(what.len()).any(|part| part == what.as_bytes());
        if says("refused by server, try again") {
            self.call().refuse();
        }
        if !says("ALPN: server ") {
            return;
        }
        let is_agreed = !says("ALPN: server did not agree");
        if (!is_agreed || says("ALPN: server accepted http/1")) && !self.call().is_at_proxy() {
            self.hooks.desk.http1.borrow_mut().push(self.call().id);
        }
        // It would speak HTTP/2 all the same.
        if self.call().terms.needs_http2 && !is_agreed {
            let message = "the server did not agree to HTTP/2 (ALPN)";
            let error = Error::new(ErrorKind::Protocol, message).with_phase(Phase::Tls).with_sent(Sent::Nothing);
            self.call().forbid(error);
        }
    }

    fn open_socket(&mut self, family: c_int, socktype: c_int, protocol: c_int) -> Option<Socket> {
        if !self.hooks.call.may_dial() {
            return None;
        }
        // Of socket2: closed by itself in programs that this one starts.
        let socket = socket2::Socket::new(family.into(), socktype.into(), Some(protocol.into())).ok()?;
        let socket = into_raw(socket);
        self.hooks.call.dial(Phase::Connect);
        self.hooks.desk.opened.borrow_mut().push((socket, self.hooks.call.id));
        Some(socket)
    }
}

#[cfg(unix)]
fn into_raw(socket: socket2::Socket) -> Socket {
    std::os::fd::IntoRawFd::into_raw_fd(socket)
}

#[cfg(windows)]
fn into_raw(socket: socket2::Socket) -> Socket {
    std::os::windows::io::IntoRawSocket::into_raw_socket(socket) as Socket
}

impl Hooks {
    pub(crate) fn resolving(&self) -> bool {
        let may_dial = self.call.may_dial();
        if may_dial {
            self.call.dial(Phase::Resolve);
        }
        may_dial
    }

    pub(crate) fn ready(&self, remote: Option<SocketAddr>, local: Option<SocketAddr>) -> bool {
        self.desk.ready.borrow_mut().push(self.call.id);
        self.call.ready(remote, local)
    }

    pub(crate) fn trailers(&self) -> Result<Fields, curl::Error> {
        let mut fields = Fields::new();
        for (name, value) in &self.call.take_upload_trailers() {
            fields.push(field_line(name, value))?;
        }
        Ok(fields)
    }
}
