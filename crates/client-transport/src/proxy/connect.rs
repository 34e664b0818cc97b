//! A tunnel through an HTTP proxy: CONNECT (RFC 9110 §9.3.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use client_core::{BoxError, Result};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::ProxyRefusal;
use crate::stream::Stream;

/// Bytes of the proxy's answer: hyper-util's limit.
const HEAD_BYTES: usize = 8 << 10;
/// Fields of the proxy's answer: hyper's limit.
const HEAD_FIELDS: usize = 100;
/// Informational answers before the final one; nobody sends more than a few.
const INFORMATIONAL: usize = 16;
/// Bytes of a refusal's body that go into the error.
const BODY_BYTES: usize = 512;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection before its answer was complete")]
    Ended,
    #[error("its answer is no HTTP: {0}")]
    Malformed(httparse::Error),
    #[error("the head of its answer exceeds {HEAD_BYTES} bytes")]
    TooLarge,
    #[error("it answered with {INFORMATIONAL} informational responses")]
    Endless,
    #[error("{0}")]
    Refused(ProxyRefusal),
}

impl Failure {
    /// As a cause that callers can find: a refusal is one by itself.
    pub(crate) fn into_cause(self) -> BoxError {
        match self {
            Self::Refused(refusal) => refusal.into(),
            other => other.into(),
        }
    }
}

/// Asks the proxy at the other end of `stream` for a tunnel to `host` and `port`. Its credentials go into this request and nowhere else.
pub(crate) async fn tunnel(
    mut stream: Stream,
    host: &str,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<Stream, Failure> {
    stream.write_all(&request(host, port, authorization)).await?;
    stream.flush().await?;
    let mut received = Vec::with_capacity(512);
    for _ in 0..INFORMATIONAL {
        let head = read_head(&mut stream, &mut received).await?;
        let rest = received.split_off(head.length);
        received = rest;
        match head.status.as_u16() {
            100..=199 => {}
            200..=299 => return Ok(Stream::preceded_by(received, stream)),
            _ => {
                let body = read_body(&mut stream, received, &head).await;
                let body = redact(&body, authorization);
                return Err(Failure::Refused(ProxyRefusal {
                    status: head.status,
                    body,
                }));
            }
        }
    }
    Err(Failure::Endless)
}

fn request(host: &str, port: u16, authorization: Option<&HeaderValue>) -> Vec<u8> {
    // The port is part of it, even the default one (RFC 9112 §3.2.3).
    let authority = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(value) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

#[derive(Debug, PartialEq)]
struct Head {
    status: StatusCode,
    /// In bytes, the empty line included.
    length: usize,
    content_length: Option<usize>,
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> Result<Head, Failure> {
    loop {
        if let Some(head) = parse(received)? {
            return Ok(head);
        }
        if received.len() >= HEAD_BYTES {
            return Err(Failure::TooLarge);
        }
        let room = HEAD_BYTES - received.len();
        if stream.take(room as u64).read_buf(received).await? == 0 {
            return Err(Failure::Ended);
        }
    }
}

fn parse(received: &[u8]) -> Result<Option<Head>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(received).map_err(Failure::Malformed)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Failure::Malformed(httparse::Error::Status))?;
    let content_length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    Ok(Some(Head {
        status,
        length,
        content_length: content_length.and_then(|field| str::from_utf8(field.value).ok()?.trim().parse().ok()),
    }))
}

/// The beginning of a refusal's body. Only what has arrived or was announced: waiting for a body without a length could take for ever, and nobody
/// misses its end.
async fn read_body(stream: &mut (impl AsyncRead + Unpin), mut received: Vec<u8>, head: &Head) -> Vec<u8> {
    let wanted = head.content_length.unwrap_or(received.len()).min(BODY_BYTES);
    received.truncate(wanted);
    while received.len() < wanted {
        let missing = (wanted - received.len()) as u64;
        // What came before a failure is better than nothing.
        if !matches!(stream.take(missing).read_buf(&mut received).await, Ok(1..)) {
            break;
        }
    }
    received
}

/// The body as text, without the credentials that it may quote.
fn redact(body: &[u8], authorization: Option<&HeaderValue>) -> String {
    let text = String::from_utf8_lossy(body);
    let secret = authorization.and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Basic "));
    let Some(secret) = secret else {
        return text.trim().to_owned();
    };
    let mut text = text.replace(secret, "***");
    // The body may have been cut off in the middle of them.
    if let Some(cut) = (1..secret.len()).rev().find(|&length| text.ends_with(&secret[..length])) {
        text.truncate(text.len() - cut);
    }
    text.trim().to_owned()
}

impl Stream {
    /// A stream that begins with bytes which were read from it too early.
    fn preceded_by(bytes: Vec<u8>, stream: Self) -> Self {
        if bytes.is_empty() {
            return stream;
        }
        Self::boxed(Preceded {
            bytes: io::Cursor::new(bytes),
            stream,
        })
    }
}

struct Preceded {
    bytes: io::Cursor<Vec<u8>>,
    stream: Stream,
}

impl AsyncRead for Preceded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let _ = Pin::new(&mut self.bytes).poll_read(cx, buf)?;
        if buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Preceded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// Lets a proxy answer with `pieces`, and close; returns what it received, and the outcome.
    async fn run(pieces: &[&[u8]], authorization: Option<&str>) -> (String, Result<Stream, Failure>) {
        let (ours, mut theirs) = duplex(64 << 10);
        let authorization = authorization.map(|value| HeaderValue::from_str(value).unwrap());
        let proxy = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                theirs.read_buf(&mut request).await.unwrap();
            }
            for piece in pieces {
                // The other side may have lost patience.
                let _ = theirs.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            drop(theirs);
            String::from_utf8(request).unwrap()
        };
        tokio::join!(proxy, tunnel(Stream::boxed(ours), "h.example", 443, authorization.as_ref()))
    }

    async fn read(mut stream: Stream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn the_request() {
        let (request, _) = run(&[b"HTTP/1.1 200 OK\r\n\r\n"], None).await;
        assert_eq!(request, "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n");
        let (request, _) = run(&[b"HTTP/1.1 200 OK\r\n\r\n"], Some("Basic QQ==")).await;
        assert!(request.contains("\r\nProxy-Authorization: Basic QQ==\r\n"));
        assert!(super::request("::1", 80, None).starts_with(b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n"));
    }

    #[tokio::test]
    async fn what_follows_the_head_belongs_to_the_tunnel() {
        let whole: &[u8] = b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nVia: 1.1 p\r\nContent-Length: 9\r\n\r\nhello";
        for split in 0..whole.len() {
            let (first, second) = whole.split_at(split);
            let (_, stream) = run(&[first, second], None).await;
            // A length in a 2xx to CONNECT means nothing (RFC 9110 §9.3.6).
            assert_eq!(read(stream.unwrap()).await, "hello", "split at {split}");
        }
    }

    #[tokio::test]
    async fn refusals() {
        for (pieces, expected) in [
            (
                &[&b"HTTP/1.1 407 X\r\nContent-Length: 6\r\n\r\nlog"[..], b"in!"][..],
                "407 Proxy Authentication Required: login!",
            ),
            (&[b"HTTP/1.1 403 No\r\n\r\nhere\x1b["], "403 Forbidden: here\\u{1b}["),
            (&[b"HTTP/1.0 502 \r\n\r\n"], "502 Bad Gateway"),
            (&[b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"], "302 Found"),
            (&[b"HTTP/1.1 200 OK\r\n"], "it closed the connection before its answer was complete"),
            (&[b"\x05\x00"], "its answer is no HTTP"),
            (&[&[b'a'; 20_000]], "its answer is no HTTP"),
            (&[b"HTTP/1.1 200 OK\r\nX: ", &[b'a'; 20_000]], "exceeds 8192 bytes"),
            (&[&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(17)], "16 informational"),
        ] {
            let failure = run(pieces, None).await.1.unwrap_err();
            assert!(failure.to_string().starts_with(expected) || failure.to_string().contains(expected), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_bounded_and_quotes_no_credentials() {
        let long = format!("HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\nBasic c2VjcmV0 {}", "x".repeat(9000));
        let (_, outcome) = run(&[long.as_bytes()], Some("Basic c2VjcmV0")).await;
        let Err(Failure::Refused(refusal)) = outcome else { panic!() };
        assert!(refusal.body.starts_with("Basic *** xxx"), "{}", refusal.body);
        assert!(refusal.body.len() <= BODY_BYTES);
        let cut = format!("HTTP/1.1 403 No\r\nContent-Length: 600\r\n\r\n{} Basic c2VjcmV0", "x".repeat(BODY_BYTES - 13));
        let (_, outcome) = run(&[cut.as_bytes()], Some("Basic c2VjcmV0")).await;
        let Err(Failure::Refused(refusal)) = outcome else { panic!() };
        assert!(refusal.body.ends_with("x Basic"), "{}", refusal.body);
    }
}
