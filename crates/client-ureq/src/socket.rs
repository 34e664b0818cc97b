//! A TCP connection that can be shut down from outside, keeps our time limits, and names its errors.
//!
//! What must never enter this file: HTTP, TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use client_core::{ErrorKind, Instant};
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration as UreqDuration;

use crate::call::{self, Call, Interrupt, cancelled};
use crate::connections::Seat;
use crate::error::{carry_io, ureq_timeout};

/// How much is read and written at a time, until more comes at a time.
pub(crate) const BUFFER_SIZE: usize = 16 << 10;

/// How long an upload stands still before we look whether the server has refused it.
pub(crate) const STANDSTILL: Duration = Duration::from_millis(50);

/// One connection. Its errors are ureq's, carried.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    /// Where connections are limited.
    seat: Option<Seat>,
    /// What ureq itself wants to wait when it reads next.
    ureq_limit: Option<NextTimeout>,
    /// What the system was told, so that it is told again only what has changed.
    is_blocking: bool,
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
}

/// A byte stream over a socket: itself, or TLS.
pub(crate) trait Stream: Read + Write + Send + Sync {
    fn socket(&mut self) -> &mut Socket;

    /// Whether bytes have been taken from the socket that nobody has read.
    fn holds_more(&mut self) -> bool;
}

impl Stream for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }

    fn holds_more(&mut self) -> bool {
        false
    }
}

impl Socket {
    pub(crate) fn new(stream: Arc<TcpStream>, seat: Option<Seat>) -> Self {
        Self {
            stream,
            seat,
            ureq_limit: None,
            is_blocking: true,
            read_limit: None,
            write_limit: None,
        }
    }

    pub(crate) fn set_ureq_limit(&mut self, limit: NextTimeout) {
        self.ureq_limit = Some(limit);
    }

    /// From here on, cancelling the call ends what the thread is about to wait for.
    fn attach(&self, call: &Call) -> io::Result<()> {
        call.hold(Arc::clone(&self.stream) as Arc<dyn Interrupt>).map_err(carry_io)
    }

    fn set_blocking(&mut self, is_blocking: bool) -> io::Result<()> {
        if self.is_blocking != is_blocking {
            self.stream.set_nonblocking(!is_blocking)?;
            self.is_blocking = is_blocking;
        }
        Ok(())
    }

    fn set_read_limit(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.read_limit != limit {
            self.stream.set_read_timeout(limit)?;
            self.read_limit = limit;
        }
        Ok(())
    }

    fn set_write_limit(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.write_limit != limit {
            self.stream.set_write_timeout(limit)?;
            self.write_limit = limit;
        }
        Ok(())
    }

    /// Reads what is there, or fails with [`io::ErrorKind::WouldBlock`].
    fn read_eagerly(&mut self, buffer: &mut [u8], call: &Call) -> io::Result<usize> {
        if self.is_blocking {
            // Most often there is nothing, and the socket can stay as it is.
            match glance(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                _ => self.set_blocking(false).map_err(|error| lost(call, error))?,
            }
        }
        match at_once(call, || (&*self.stream).read(buffer))? {
            0 if call.is_cancelled() => Err(carry_io(cancelled())),
            n => Ok(n),
        }
    }

    /// Writes what the system takes, or fails with [`io::ErrorKind::WouldBlock`]: TLS may have to answer while it reads, on a thread that must not wait.
    fn write_eagerly(&mut self, bytes: &[u8], call: &Call) -> io::Result<usize> {
        self.set_blocking(false).map_err(|error| lost(call, error))?;
        at_once(call, || (&*self.stream).write(bytes))
    }

    /// Asked before a pooled connection is used, and before it goes back into the pool.
    pub(crate) fn is_open(&mut self) -> bool {
        let Ok(call) = call::current() else {
            return self.is_quiet();
        };
        let progress = call.progress();
        let is_over = progress.has_sent;
        let is_wanted = if is_over { !progress.is_muted } else { !progress.wants_fresh };
        // It is no longer the call's; if the call was cancelled meanwhile, it is shut down already.
        if !call.let_go() || !is_wanted {
            return false;
        }
        if let Some(seat) = &mut self.seat {
            if is_over {
                seat.offer(&self.stream);
            } else if !seat.claim() {
                return false;
            }
        }
        // Whoever uses it next looks at it.
        is_over || self.is_quiet()
    }

    /// No bytes that nobody asked for, and no end: either way no request should be sent here.
    fn is_quiet(&self) -> bool {
        let peeked = if self.is_blocking { glance(&self.stream) } else { self.stream.peek(&mut [0]) };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let call = call::current().map_err(carry_io)?;
        if call.progress().is_eager {
            return self.read_eagerly(buffer, &call);
        }
        self.attach(&call)?;
        self.set_blocking(true).map_err(|error| lost(&call, error))?;
        let since = Instant::now();
        // The first wait is the whole limit: the system knows it from the last time.
        let mut now = since;
        loop {
            let wait = shorter(left(&call, since, now)?, of_ureq(self.ureq_limit, now - since)?);
            self.set_read_limit(wait).map_err(|error| lost(&call, error))?;
            match (&*self.stream).read(buffer) {
                Ok(0) if call.is_cancelled() => return Err(carry_io(cancelled())),
                Ok(n) => return Ok(n),
                Err(error) if is_pause(&error) => now = Instant::now(),
                Err(error) => return Err(lost(&call, error)),
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let call = call::current().map_err(carry_io)?;
        if call.progress().is_eager {
            return self.write_eagerly(bytes, &call);
        }
        self.attach(&call)?;
        self.set_blocking(true).map_err(|error| lost(&call, error))?;
        let since = Instant::now();
        let mut now = since;
        let is_uploading = call.progress().is_uploading;
        loop {
            let wait = shorter(left(&call, since, now)?, is_uploading.then_some(STANDSTILL));
            self.set_write_limit(wait).map_err(|error| lost(&call, error))?;
            match (&*self.stream).write(bytes) {
                Ok(0) if !bytes.is_empty() => return Err(lost(&call, io::ErrorKind::WriteZero.into())),
                Ok(n) => return Ok(n),
                Err(error) if is_pause(&error) => {
                    now = Instant::now();
                    if is_uploading && call.is_refused() {
                        // Nothing more is sent, and that is no failure.
                        return Ok(bytes.len());
                    }
                }
                Err(error) => return Err(lost(&call, error)),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether there is anything to be read, without waiting for it.
#[cfg(unix)]
fn glance(stream: &TcpStream) -> io::Result<usize> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    socket2::SockRef::from(stream).recv_with_flags(&mut [std::mem::MaybeUninit::uninit()], flags)
}

#[cfg(not(unix))]
fn glance(stream: &TcpStream) -> io::Result<usize> {
    without_waiting(stream, |stream| stream.peek(&mut [0]))
}

/// What a socket that does not wait says to this, told as a loss of the connection unless it is only that it would have to wait.
fn at_once(call: &Call, mut what: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match what() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done.map_err(|error| lost(call, error)),
        }
    }
}

/// Looks at what is there on a stream that waits otherwise.
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

fn lost(call: &Call, error: io::Error) -> io::Error {
    carry_io(if call.is_cancelled() {
        cancelled()
    } else {
        call.error(ErrorKind::Closed, format!("the connection was lost: {error}")).with_source(error)
    })
}

/// What the call still waits, of a wait that began at `since`.
fn left(call: &Call, since: Instant, now: Instant) -> io::Result<Option<Duration>> {
    let Some(patience) = call.patience(since) else {
        return Ok(None);
    };
    patience.left(now).map(Some).ok_or_else(|| carry_io(patience.error(call)))
}

/// What ureq itself wants to wait: the time for a 100 to come.
fn of_ureq(limit: Option<NextTimeout>, waited: Duration) -> io::Result<Option<Duration>> {
    let Some((timeout, UreqDuration::Exact(limit))) = limit.map(|timeout| (timeout, timeout.after)) else {
        return Ok(None);
    };
    let left = limit.saturating_sub(waited);
    if left.is_zero() {
        Err(io::Error::other(ureq_timeout(timeout)))
    } else {
        Ok(Some(left))
    }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_must_not_wait_does_not_wait_to_write_either() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _reads_nothing = listener.accept().unwrap();
        let (done, seen) = channel();
        // Whoever waits, waits for ever.
        thread::spawn(move || {
            let call = Call::new(call::Terms::default());
            call.update(|progress| progress.is_eager = true);
            let _current = call::enter(&call);
            let mut socket = Socket::new(Arc::new(stream), None);
            let piece = vec![0; 1 << 20];
            let error = loop {
                if let Err(error) = socket.write(&piece) {
                    break error;
                }
            };
            done.send(error.kind()).unwrap();
        });
        assert_eq!(seen.recv_timeout(Duration::from_secs(30)), Ok(io::ErrorKind::WouldBlock));
    }
}
