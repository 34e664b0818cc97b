//! An in-memory connection with two ends, for what an upgrade hands out. Bounded, as a socket is.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use client_core::Upgraded;
use futures_io::{AsyncRead, AsyncWrite};

/// Bytes on the way in one direction; Linux gives a pipe as much.
const CAPACITY: usize = 64 << 10;

/// The two ends of a connection. Dropping or closing one is the end of the stream for the other.
pub(crate) fn duplex() -> (Upgraded, Upgraded) {
    let (there, back) = (Pipe::default(), Pipe::default());
    let near = End {
        reads: back.clone(),
        writes: there.clone(),
    };
    let far = End {
        reads: there,
        writes: back,
    };
    (Upgraded::new(near), Upgraded::new(far))
}

struct End {
    reads: Pipe,
    writes: Pipe,
}

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    is_closed: bool,
    /// Of the one end that waits: a reader for bytes, or a writer for room.
    waiting: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.reads.lock();
        if pipe.bytes.is_empty() && !pipe.is_closed && !buf.is_empty() {
            return pipe.wait(cx);
        }
        let read = io::Read::read(&mut pipe.bytes, buf);
        pipe.wake();
        Poll::Ready(read)
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.writes.lock();
        if pipe.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY - pipe.bytes.len();
        if room == 0 && !buf.is_empty() {
            return pipe.wait(cx);
        }
        let written = buf.len().min(room);
        pipe.bytes.extend(&buf[..written]);
        pipe.wake();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writes.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::{AsyncReadExt, AsyncWriteExt, join};

    use super::*;

    #[test]
    fn more_than_fits_passes_when_both_ends_work() {
        let (mut near, mut far) = duplex();
        let sent = vec![7; 3 * CAPACITY];
        let mut received = Vec::new();
        block_on(async {
            join!(
                async {
                    near.write_all(&sent).await.unwrap();
                    near.close().await.unwrap();
                },
                async { far.read_to_end(&mut received).await.unwrap() }
            );
            // Half-closed: the other direction still works.
            far.write_all(b"back").await.unwrap();
            drop(far);
            let mut answer = String::new();
            near.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "back");
        });
        assert!(sent == received);
    }

    #[test]
    fn writing_to_nobody_fails() {
        let (mut near, far) = duplex();
        drop(far);
        let error = block_on(near.write_all(b"a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
