//! The floor: what a client written by hand for just this server costs. One loop over a socket and `httparse`, no pool, no types of requests
//! and responses, nothing allocated for a request. No general client can be much cheaper.

use httparse::Status;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::{Answer, BLOCK, Setup, Subject, Url, Worker};
use crate::Result;

/// Enough for any small answer.
const SMALL_BUFFER: usize = 4 << 10;

pub(crate) struct Floor {
    tls: TlsConnector,
    pipeline: Option<usize>,
}

impl Subject for Floor {
    type Worker = Connection;

    fn new(setup: &Setup) -> Result<Self> {
        Ok(Self {
            tls: setup.connector(),
            pipeline: setup.pipeline,
        })
    }

    async fn worker(&self, url: &Url) -> Result<Connection> {
        Ok(Connection {
            stream: Some(Stream::connect(url, &self.tls).await?),
            tls: self.tls.clone(),
            request: Vec::new(),
            path: String::new(),
            ahead: self.pipeline.unwrap_or(1),
            expected: 0,
            buffer: vec![0; SMALL_BUFFER],
            filled: 0,
        })
    }
}

pub(crate) struct Connection {
    /// `None`: the server has closed it.
    stream: Option<Stream>,
    tls: TlsConnector,
    /// All that goes out at once, as long as the path stays the same.
    request: Vec<u8>,
    path: String,
    /// How many requests go out at once, and how many of their answers are still to come.
    ahead: usize,
    expected: usize,
    buffer: Vec<u8>,
    filled: usize,
}

fn request(method: &str, url: &Url, fields: &str) -> Vec<u8> {
    format!("{method} {} HTTP/1.1\r\nhost: {}\r\n{fields}\r\n", url.uri.path(), url.address).into_bytes()
}

impl Worker for Connection {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        if self.stream.is_none() {
            self.stream = Some(Stream::connect(url, &self.tls).await?);
        }
        if self.expected == 0 {
            if self.path != url.uri.path() {
                self.path = url.uri.path().to_owned();
                self.request = request("GET", url, "").repeat(self.ahead);
            }
            let stream = self.stream.as_mut().ok_or("closed")?;
            stream.write_all(&self.request).await?;
            stream.flush().await?;
            self.expected = self.ahead;
        }
        self.expected -= 1;
        self.response().await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let stream = self.stream.as_mut().ok_or("closed")?;
        stream.write_all(&request("PUT", url, &format!("content-length: {len}\r\n"))).await?;
        let block = vec![b'x'; BLOCK];
        let mut left = len;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            stream.write_all(&block[..part]).await?;
            left -= part as u64;
        }
        stream.flush().await?;
        self.response().await
    }
}

/// What a head says.
struct Head {
    len: usize,
    status: u16,
    content: Content,
    close: bool,
}

enum Content {
    Fixed(u64),
    Chunked,
}

impl Connection {
    async fn response(&mut self) -> Result<Answer> {
        let head = loop {
            if let Some(head) = head(&self.buffer[..self.filled])? {
                break head;
            }
            self.read().await?;
        };
        self.consume(head.len);
        let bytes = match head.content {
            Content::Fixed(len) => {
                self.skip(len).await?;
                len
            }
            Content::Chunked => self.chunks().await?,
        };
        if head.close {
            self.stream = None;
        }
        Ok(Answer {
            status: head.status,
            bytes,
        })
    }

    async fn read(&mut self) -> Result<()> {
        let stream = self.stream.as_mut().ok_or("closed")?;
        match stream.read(&mut self.buffer[self.filled..]).await? {
            0 => Err("the server closed the connection".into()),
            n => {
                self.filled += n;
                Ok(())
            }
        }
    }

    fn consume(&mut self, len: usize) {
        self.buffer.copy_within(len..self.filled, 0);
        self.filled -= len;
    }

    async fn skip(&mut self, len: u64) -> Result<()> {
        let here = usize::try_from(len).unwrap_or(self.filled).min(self.filled);
        self.consume(here);
        let mut left = len - here as u64;
        if left > SMALL_BUFFER as u64 && self.buffer.len() < BLOCK {
            self.buffer.resize(BLOCK, 0);
        }
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BLOCK).min(self.buffer.len());
            match self.stream.as_mut().ok_or("closed")?.read(&mut self.buffer[..most]).await? {
                0 => return Err("the server closed the connection".into()),
                n => left -= n as u64,
            }
        }
        Ok(())
    }

    /// The chunks are taken from the buffer as far as they are in it.
    async fn chunks(&mut self) -> Result<u64> {
        self.buffer.resize(BLOCK, 0);
        let (mut total, mut at) = (0, 0);
        loop {
            match httparse::parse_chunk_size(&self.buffer[at..self.filled]).map_err(|_| "no chunk size")? {
                Status::Complete((head, 0)) => {
                    // No trailers: the empty line that ends the body.
                    while self.filled < at + head + 2 {
                        self.read().await?;
                    }
                    self.consume(at + head + 2);
                    return Ok(total);
                }
                Status::Complete((head, size)) => {
                    total += size;
                    at += head;
                    let with_end = usize::try_from(size)? + 2;
                    if self.filled - at >= with_end {
                        at += with_end;
                    } else {
                        let missing = with_end - (self.filled - at);
                        (self.filled, at) = (0, 0);
                        self.take(missing).await?;
                    }
                }
                Status::Partial => {
                    self.consume(at);
                    at = 0;
                    self.read().await?;
                }
            }
        }
    }

    /// Drops so many bytes that are still to come, and keeps what comes with them.
    async fn take(&mut self, mut missing: usize) -> Result<()> {
        while missing > 0 {
            self.read().await?;
            let part = missing.min(self.filled);
            missing -= part;
            self.consume(part);
        }
        Ok(())
    }
}

fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let Status::Complete(len) = response.parse(bytes)? else {
        return Ok(None);
    };
    let (mut content, mut close) = (Content::Fixed(0), false);
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            content = Content::Fixed(std::str::from_utf8(field.value)?.parse()?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            content = Content::Chunked;
        } else if field.name.eq_ignore_ascii_case("connection") {
            close = memmem::find(field.value, b"close").is_some();
        }
    }
    Ok(Some(Head {
        len,
        status: response.code.ok_or("no status")?,
        content,
        close,
    }))
}
