//! HTTP/2 for small answers: every request gets the same two frames. Request heads are not decoded, so that an answer costs the server next
//! to nothing; windows are not watched, for a hundred answers together do not fill one.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::awake::Watch;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// Of SETTINGS and PING.
const ACK: u8 = 1;
/// Of HEADERS.
const END_STREAM: u8 = 1;

/// MAX_CONCURRENT_STREAMS = 1000.
const OUR_SETTINGS: &[u8] = &[0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 3, 0, 0, 3, 232];
const THEIR_SETTINGS_SEEN: &[u8] = &[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0];

/// `:status: 200`, and literals without indexing (RFC 7541 §6.2.2): content-length 5, server bench, content-type text/plain.
const HEAD: &[u8] = b"\x88\x0f\x0d\x015\x0f\x27\x05bench\x0f\x10\x0atext/plain";

pub(super) async fn serve<S>(mut stream: S, watch: Arc<Watch>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != PREFACE {
        return Err(io::Error::other("not HTTP/2"));
    }
    stream.write_all(OUR_SETTINGS).await?;
    stream.flush().await?;

    let (mut buffer, mut filled) = (vec![0; 64 << 10], 0);
    let mut out = Vec::new();
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            n => filled += n,
        }
        watch.read();
        let mut done = 0;
        while let Some(frame) = frame(&buffer[done..filled]) {
            answer(frame, &mut out);
            done += frame.len();
        }
        buffer.copy_within(done..filled, 0);
        filled -= done;
        if !out.is_empty() {
            stream.write_all(&out).await?;
            stream.flush().await?;
            out.clear();
        }
    }
}

/// The first frame of `bytes`, if all of it is there.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let &[a, b, c, ..] = bytes else { return None };
    let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    bytes.get(..FRAME_HEAD + len)
}

fn answer(frame: &[u8], out: &mut Vec<u8>) {
    let (kind, flags, id) = (frame[3], frame[4], &frame[5..FRAME_HEAD]);
    match kind {
        HEADERS if flags & END_STREAM != 0 => {
            let head_len = HEAD.len().to_be_bytes();
            // HEADERS with END_HEADERS, DATA with END_STREAM.
            out.extend_from_slice(&head_len[head_len.len() - 3..]);
            out.extend_from_slice(&[HEADERS, 4]);
            out.extend_from_slice(id);
            out.extend_from_slice(HEAD);
            out.extend_from_slice(&[0, 0, 5, 0, END_STREAM]);
            out.extend_from_slice(id);
            out.extend_from_slice(super::SMALL);
        }
        SETTINGS if flags & ACK == 0 => out.extend_from_slice(THEIR_SETTINGS_SEEN),
        PING if flags & ACK == 0 => {
            out.extend_from_slice(frame);
            let at = out.len() - frame.len() + 4;
            out[at] = ACK;
        }
        _ => {}
    }
}
