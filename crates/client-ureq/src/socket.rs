//! A TCP connection as ureq's transport, which can be shut down from outside, keeps our time limits, and names its errors.
//!
//! What must never enter this file: HTTP, TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use client_core::{ErrorKind, Instant};
use ureq::unversioned::transport::time::Duration as UreqDuration;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use crate::call::{self, Call, Interrupt, cancelled};
use crate::connections::Seat;
use crate::error::{carry, ureq_timeout};

/// How much is read and written at a time.
pub(crate) const BUFFER_SIZE: usize = 16 << 10;

/// How long an upload stands still before we look whether the server has refused it.
pub(crate) const STANDSTILL: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    /// Where connections are limited.
    seat: Option<Seat>,
    buffers: LazyBuffers,
}

impl Socket {
    pub(crate) fn new(stream: Arc<TcpStream>, seat: Option<Seat>) -> Self {
        Self {
            stream,
            seat,
            buffers: LazyBuffers::new(BUFFER_SIZE, BUFFER_SIZE),
        }
    }

    /// From here on, cancelling the call ends what the thread is about to wait for.
    fn attach(&self) -> Result<Arc<Call>, ureq::Error> {
        let call = call::current()?;
        call.hold(Arc::clone(&self.stream) as Arc<dyn Interrupt>).map_err(carry)?;
        Ok(call)
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let call = self.attach()?;
        let mut rest = &self.buffers.output()[..amount];
        let mut since = Instant::now();
        while !rest.is_empty() {
            let patience = call.patience(since);
            let left = patience.map(|patience| patience.left().ok_or_else(|| carry(patience.error(&call)))).transpose()?;
            let wait = if call.progress().is_uploading {
                Some(left.unwrap_or(STANDSTILL).min(STANDSTILL))
            } else {
                left
            };
            self.stream.set_write_timeout(wait).map_err(|error| lost(&call, error))?;
            match (&*self.stream).write(rest) {
                Ok(0) => return Err(lost(&call, io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    rest = &rest[n..];
                    since = Instant::now();
                }
                Err(error) if is_pause(&error) => {
                    if call.progress().is_uploading && call.is_refused() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(lost(&call, error)),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let call = self.attach()?;
        let since = Instant::now();
        let (stream, buffer) = (&self.stream, self.buffers.input_append_buf());
        let n = loop {
            let read = if call.progress().is_eager {
                without_waiting(stream, |mut stream| stream.read(buffer))
            } else {
                let patience = call.patience(since);
                let left = patience.map(|patience| patience.left().ok_or_else(|| carry(patience.error(&call)))).transpose()?;
                let wait = shorter(left, of_ureq(timeout, since)?);
                stream.set_read_timeout(wait).map_err(|error| lost(&call, error))?;
                (&**stream).read(buffer)
            };
            match read {
                Ok(0) if call.is_cancelled() => return Err(carry(cancelled())),
                Ok(n) => break n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && call.progress().is_eager => return Err(error.into()),
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(lost(&call, error)),
            }
        };
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    /// Asked before a pooled connection is used, and before it goes back into the pool.
    fn is_open(&mut self) -> bool {
        let mut is_over = false;
        if let Ok(call) = call::current() {
            let progress = call.progress();
            is_over = progress.has_sent;
            let is_wanted = if progress.has_sent { !progress.is_muted } else { !progress.wants_fresh };
            // It is no longer the call's; if the call was cancelled meanwhile, it is shut down already.
            if !call.let_go() || !is_wanted {
                return false;
            }
        }
        if !is_over && self.seat.as_mut().is_some_and(|seat| !seat.claim()) {
            return false;
        }
        // Bytes that nobody asked for, or the end: either way no request should be sent here.
        let peeked = without_waiting(&self.stream, |stream| stream.peek(&mut [0]));
        let is_open = peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if is_open
            && is_over
            && let Some(seat) = &mut self.seat
        {
            seat.offer(&self.stream);
        }
        is_open
    }
}

/// Reads what is there.
pub(crate) fn without_waiting(stream: &TcpStream, read: impl FnOnce(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
    stream.set_nonblocking(true)?;
    let result = read(stream);
    stream.set_nonblocking(false)?;
    result
}

/// A limit of the socket ran out, or a signal came: no failure of the connection. Unix says `WouldBlock`, Windows `TimedOut`.
fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    // A connection that the system itself gave up is an error with a number of its own.
    matches!(error.kind(), Interrupted | WouldBlock) || error.kind() == TimedOut && cfg!(windows)
}

fn lost(call: &Call, error: io::Error) -> ureq::Error {
    carry(if call.is_cancelled() {
        cancelled()
    } else {
        call.error(ErrorKind::Closed, format!("the connection was lost: {error}")).with_source(error)
    })
}

/// What ureq itself wants to wait: the time for a 100 to come.
fn of_ureq(timeout: NextTimeout, since: Instant) -> Result<Option<Duration>, ureq::Error> {
    let UreqDuration::Exact(limit) = timeout.after else {
        return Ok(None);
    };
    let left = limit.saturating_sub(since.elapsed());
    if left.is_zero() { Err(ureq_timeout(timeout)) } else { Ok(Some(left)) }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}
