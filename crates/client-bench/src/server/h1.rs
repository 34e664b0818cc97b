//! HTTP/1.1 as far as the drivers' requests need it: heads are found by their end and told apart by their path.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Shared;

const HEAD_END: &[u8] = b"\r\n\r\n";
const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";
const CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nserver: bench\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
const REDIRECT: &[u8] = b"HTTP/1.1 302 Found\r\nserver: bench\r\nlocation: /small\r\ncontent-length: 0\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How much of a large body is written at once, and how large its chunks are.
const BLOCK: usize = 256 << 10;
const CHUNK: usize = 16 << 10;

/// What a request asks for.
enum Wanted {
    Small,
    Close,
    Redirect,
    Hold,
    Fixed(u64),
    Chunked(u64),
    Upload { len: u64, waits: bool },
    Unknown,
}

pub(super) async fn serve<S>(mut stream: S, shared: Arc<Shared>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head_end = memmem::Finder::new(HEAD_END);
    let (mut buffer, mut filled) = (vec![0; 16 << 10], 0);
    let mut out: Vec<u8> = Vec::new();
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            n => filled += n,
        }
        shared.watch.read();
        let mut done = 0;
        while let Some(at) = head_end.find(&buffer[done..filled]) {
            let head = &buffer[done..done + at + HEAD_END.len()];
            done += head.len();
            match wanted(head) {
                Wanted::Small => out.extend_from_slice(SMALL),
                Wanted::Redirect => out.extend_from_slice(REDIRECT),
                Wanted::Close => {
                    stream.write_all(CLOSE).await?;
                    stream.flush().await?;
                    return stream.shutdown().await;
                }
                Wanted::Hold => {
                    let mut released = shared.released.subscribe();
                    shared.held.fetch_add(1, Ordering::Relaxed);
                    released.changed().await.map_err(io::Error::other)?;
                    out.extend_from_slice(SMALL);
                }
                Wanted::Fixed(len) => fixed(&mut stream, len).await?,
                Wanted::Chunked(len) => chunked(&mut stream, len).await?,
                Wanted::Upload { len, waits } => {
                    if waits {
                        stream.write_all(CONTINUE).await?;
                        stream.flush().await?;
                    }
                    let here = (filled - done) as u64;
                    swallow(&mut stream, len.saturating_sub(here)).await?;
                    done = filled;
                    out.extend_from_slice(SMALL);
                }
                Wanted::Unknown => return Err(io::Error::other("a request that no driver makes")),
            }
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

fn wanted(head: &[u8]) -> Wanted {
    let path = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    match path {
        b"/small" => Wanted::Small,
        b"/close" => Wanted::Close,
        b"/redirect" => Wanted::Redirect,
        b"/hold" => Wanted::Hold,
        b"/upload" => {
            let waits = field(head, "expect").is_some();
            field(head, "content-length").map_or(Wanted::Unknown, |len| Wanted::Upload { len, waits })
        }
        _ => match (number_after(path, b"/fixed/"), number_after(path, b"/chunked/")) {
            (Some(len), _) => Wanted::Fixed(len),
            (_, Some(len)) => Wanted::Chunked(len),
            _ => Wanted::Unknown,
        },
    }
}

fn number_after(path: &[u8], prefix: &[u8]) -> Option<u64> {
    std::str::from_utf8(path.strip_prefix(prefix)?).ok()?.parse().ok()
}

/// A field's number; 0 where it is there and none.
fn field(head: &[u8], name: &str) -> Option<u64> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).ok()?;
    let field = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    Some(std::str::from_utf8(field.value).ok()?.parse().unwrap_or(0))
}

async fn fixed(stream: &mut (impl AsyncWrite + Unpin), len: u64) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-length: {len}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let (block, mut left) = (vec![b'x'; BLOCK], len);
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        stream.write_all(&block[..part]).await?;
        left -= part as u64;
    }
    stream.flush().await
}

/// `len` is rounded down to whole chunks.
async fn chunked(stream: &mut (impl AsyncWrite + Unpin), len: u64) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nserver: bench\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    let mut chunk = format!("{CHUNK:x}\r\n").into_bytes();
    chunk.resize(chunk.len() + CHUNK, b'x');
    chunk.extend_from_slice(b"\r\n");
    let per_block = BLOCK / CHUNK;
    let (block, chunks) = (chunk.repeat(per_block), len / CHUNK as u64);
    for _ in 0..chunks / per_block as u64 {
        stream.write_all(&block).await?;
    }
    for _ in 0..chunks % per_block as u64 {
        stream.write_all(&chunk).await?;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.flush().await
}

async fn swallow(stream: &mut (impl AsyncRead + Unpin), mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left = left.saturating_sub(n as u64),
        }
    }
    Ok(())
}
