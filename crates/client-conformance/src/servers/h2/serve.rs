//! Following a script on one connection, while everything that comes is read, recorded and, where RFC 9113 wants it, answered.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Mutex;

use super::Log;
use super::frame::{self, Frame, Received};
use super::request::Request;
use super::script::{End, Script, Step};
use super::state::State;
use crate::servers::ledger::Entry;
use crate::servers::listener::Stream;
use crate::servers::runtime;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The size of our DATA frames: what every client takes (RFC 9113 §4.2).
const PIECE: usize = 16_384;

pub(super) async fn serve(stream: Box<dyn Stream>, script: Script, entry: Entry, log: Log) {
    log.open(entry.index(), State::new(!script.is_stingy));
    let (mut reader, writer) = tokio::io::split(stream);
    let reading = AtomicBool::new(true);
    let wire = Wire {
        writer: Mutex::new(writer),
        entry,
        log,
    };
    // How the script ended, `None` if the client did.
    let end = {
        let mut read = pin!(wire.read(&mut reader));
        let mut act = pin!(wire.follow(&script, &reading));
        // The script first: it may have told us to stop reading.
        poll_fn(|cx| match act.as_mut().poll(cx) {
            Poll::Ready(how) => Poll::Ready(how.ok()),
            Poll::Pending if reading.load(Ordering::Relaxed) => read.as_mut().poll(cx).map(|_| None),
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    let Some(is_aborted) = end else {
        wire.entry.closed_by_client();
        return;
    };
    let stream = reader.unsplit(wire.writer.into_inner());
    if is_aborted {
        // With nothing to linger for, closing resets (RST).
        stream.tcp().set_zero_linger().expect("a TCP option");
    }
}

struct Wire {
    /// Of the script, and of what is answered whatever it says.
    writer: Mutex<WriteHalf<Box<dyn Stream>>>,
    entry: Entry,
    log: Log,
}

impl Wire {
    /// Reads until the client closes, or what it sends is no HTTP/2.
    async fn read(&self, reader: &mut ReadHalf<Box<dyn Stream>>) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut begun = false;
        loop {
            if reader.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            if !begun {
                if buffer.len() < PREFACE.len() && PREFACE.starts_with(&buffer) {
                    continue;
                }
                if !buffer.starts_with(PREFACE) {
                    self.entry.received(&buffer);
                    let first = buffer[..buffer.len().min(64)].escape_ascii().to_string();
                    self.update(|state| {
                        state.violation(format!("it begins with {first:?} instead of the preface (RFC 9113 §3.4)"));
                    });
                    return Ok(());
                }
                begun = true;
                buffer.drain(..PREFACE.len());
            }
            let mut consumed = 0;
            while let Some((frame, length)) = frame::parse(&buffer[consumed..]) {
                consumed += length;
                let answers = self.log.update(self.entry.index(), |state| state.received(frame)).unwrap_or_default();
                if !answers.is_empty() {
                    self.send(answers.iter().map(|answer| answer.resolve(0))).await?;
                }
            }
            buffer.drain(..consumed);
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let _ = self.log.update(self.entry.index(), change);
    }

    fn state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        self.log.read(self.entry.index(), read).expect("opened before anything is read")
    }

    async fn until(&self, wanted: impl Fn(&State) -> bool) {
        self.log.until(self.entry.index(), wanted).await;
    }

    /// Sends frames in one piece.
    async fn send(&self, frames: impl IntoIterator<Item = Received>) -> io::Result<()> {
        let mut writer = self.writer.lock().await;
        let mut bytes = Vec::new();
        for frame in frames {
            // Before it leaves: its answer may be here before we look again.
            self.update(|state| state.sent(&frame));
            bytes.extend(frame.encode());
        }
        self.write(&mut writer, &bytes).await
    }

    async fn write(&self, writer: &mut WriteHalf<Box<dyn Stream>>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = writer.write(bytes).await?;
            self.entry.sent(&bytes[..written]);
            bytes = &bytes[written..];
        }
        writer.flush().await
    }

    /// Takes the steps; returns whether the connection is to be reset. An error means that the client is gone.
    async fn follow(&self, script: &Script, reading: &AtomicBool) -> io::Result<bool> {
        if !script.is_mute {
            self.send([Frame::settings(&script.settings).resolve(0)]).await?;
        }
        let (mut next, mut present) = (0, 0);
        let mut steps = script.steps.iter();
        loop {
            for step in steps.by_ref() {
                let id = self.state(|state| state.requests.get(present).map_or(0, |request| request.stream));
                match step {
                    Step::Head => {
                        self.until(|state| state.requests.len() > next).await;
                        (present, next) = (next, next + 1);
                    }
                    Step::RequestEnd => {
                        let is_over = |request: &Request| request.ended || request.reset.is_some();
                        self.until(|state| is_over(&state.requests[present])).await;
                    }
                    Step::Nth(n) => {
                        self.until(|state| state.requests.len() > *n).await;
                        (present, next) = (*n, next.max(n + 1));
                    }
                    Step::Send(frames) => self.send(frames.iter().map(|frame| frame.resolve(id))).await?,
                    Step::Bytes(bytes) => self.write(&mut *self.writer.lock().await, bytes).await?,
                    Step::Trickle(frames) => self.trickle(id, frames).await?,
                    Step::Body(bytes, end) => self.body(id, bytes.clone(), *end).await?,
                    Step::Fill(most) => self.fill(id, *most).await?,
                    Step::Oversized => {
                        let too_long = vec![0; self.state(|state| state.max_frame) + 1];
                        self.send([Frame::data(too_long).resolve(id)]).await?;
                    }
                    Step::Echo => self.echo(id, present).await?,
                    Step::Flood(frames, None) => self.flood(id, present, frames).await?,
                    Step::Flood(frames, Some(gate)) => {
                        let (flood, opened) = (pin!(self.flood(id, present, frames)), pin!(gate.opened()));
                        if let Either::Left((flooded, _)) = select(flood, opened).await {
                            flooded?;
                        }
                    }
                    Step::Acknowledged => self.until(|state| state.unacknowledged == 0).await,
                    Step::ResetByClient => self.until(|state| state.requests[present].reset.is_some()).await,
                    Step::Wait(gate) => gate.opened().await,
                    Step::Open(gate) => gate.open(),
                    Step::Pause(duration) => runtime::sleep(*duration).await,
                    Step::StopReading => reading.store(false, Ordering::Relaxed),
                    Step::HalfClose => self.writer.lock().await.shutdown().await?,
                    Step::Close => return Ok(false),
                    Step::Abort => return Ok(true),
                }
            }
            match script.repeat_from {
                Some(step) => steps = script.steps[step..].iter(),
                // From here on only the client can end it.
                None => return pending().await,
            }
        }
    }

    /// DATA within the client's windows.
    async fn body(&self, id: u32, mut rest: Bytes, end: End) -> io::Result<()> {
        loop {
            self.until(|state| rest.is_empty() || state.room(id) > 0 || state.is_over(id)).await;
            if self.state(|state| state.is_over(id)) {
                return Ok(());
            }
            let room = self.state(|state| state.room(id)).max(0) as usize;
            let piece = rest.split_to(rest.len().min(room).min(PIECE));
            let is_last = rest.is_empty();
            let frame = Frame::data(piece);
            let frame = if is_last && end == End::Stream { frame.end_stream() } else { frame };
            self.send([frame.resolve(id)]).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn fill(&self, id: u32, most: usize) -> io::Result<()> {
        let mut left = most;
        while left > 0 {
            let room = self.state(|state| if state.is_over(id) { 0 } else { state.room(id) }).max(0) as usize;
            let piece = left.min(room).min(PIECE);
            if piece == 0 {
                break;
            }
            self.send([Frame::data(vec![b'.'; piece]).resolve(id)]).await?;
            left -= piece;
        }
        Ok(())
    }

    async fn echo(&self, id: u32, present: usize) -> io::Result<()> {
        let mut echoed = 0;
        loop {
            self.until(|state| {
                let request = &state.requests[present];
                request.ended || request.reset.is_some() || request.body.len() > echoed
            })
            .await;
            let (new, ended) = self.state(|state| {
                let request = &state.requests[present];
                (Bytes::copy_from_slice(&request.body[echoed..]), request.ended)
            });
            echoed += new.len();
            self.body(id, new, if ended { End::Stream } else { End::Open }).await?;
            if ended || self.state(|state| state.is_over(id)) {
                return Ok(());
            }
        }
    }

    async fn flood(&self, id: u32, present: usize, frames: &[Frame]) -> io::Result<()> {
        // In larger pieces than a frame may be: a flood is to be fast.
        let once: Vec<_> = frames.iter().map(|frame| frame.resolve(id)).collect();
        let length: usize = once.iter().map(|frame| 9 + frame.payload.len()).sum();
        let times = PIECE.div_ceil(length.max(1));
        while self.state(|state| state.requests.get(present).is_none_or(|request| request.reset.is_none())) {
            self.send((0..times).flat_map(|_| once.iter().cloned())).await?;
            // A client that reads as fast as we write must not keep the other servers from running.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn trickle(&self, id: u32, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            let frame = frame.resolve(id);
            self.update(|state| state.sent(&frame));
            let mut writer = self.writer.lock().await;
            for byte in frame.encode() {
                runtime::sleep(Duration::from_millis(1)).await;
                self.write(&mut writer, &[byte]).await?;
            }
        }
        Ok(())
    }
}
