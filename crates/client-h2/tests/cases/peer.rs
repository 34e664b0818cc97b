//! A server of HTTP/2 by hand: frames as the test writes them, and frames as they were received. It answers nothing by itself.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Settings (RFC 9113 §6.5.2).
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (RFC 9113 §7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Listens; each connection is accepted by the test.
pub(crate) struct Peer(TcpListener);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number that RST_STREAM and WINDOW_UPDATE consist of.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr())
    }

    /// The next connection, before a byte of it was read.
    pub(crate) async fn accept_raw(&self) -> TcpStream {
        self.0.accept().await.unwrap().0
    }

    /// The next connection, with its prefaces exchanged (RFC 9113 §3.4): ours has these settings, theirs is looked at.
    pub(crate) async fn accept(&self, settings: &[(u16, u32)]) -> Link {
        self.accept_and_read(settings).await.0
    }

    /// The same, and the client's settings.
    pub(crate) async fn accept_and_read(&self, settings: &[(u16, u32)]) -> (Link, Vec<(u16, u32)>) {
        let mut link = Link(self.accept_raw().await);
        let mut preface = [0; 24];
        link.0.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        link.settings(settings).await;
        let theirs = link.next().await;
        assert_eq!((theirs.kind, theirs.flags), (SETTINGS, 0));
        link.send(SETTINGS, ACK, 0, &[]).await;
        let pairs = theirs.payload.chunks(6).map(|pair| {
            let (id, value) = pair.split_at(2);
            (u16::from_be_bytes(id.try_into().unwrap()), u32::from_be_bytes(value.try_into().unwrap()))
        });
        (link, pairs.collect())
    }
}

/// A connection.
pub(crate) struct Link(pub(crate) TcpStream);

impl Link {
    /// The next frame; the connection must not end.
    pub(crate) async fn next(&mut self) -> Frame {
        self.try_next().await.expect("a frame, and not the end of the connection")
    }

    /// The next frame; `None` if the connection ended, in whatever way.
    pub(crate) async fn try_next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }

    /// The next frame of this kind; others are skipped.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await;
            // An acknowledgement is nobody's question.
            if frame.kind == kind && (kind != SETTINGS || frame.flags == 0) {
                return frame;
            }
        }
    }

    /// The stream of the next request.
    pub(crate) async fn request(&mut self) -> u32 {
        self.next_of(HEADERS).await.stream
    }

    /// Until the connection has ended; the last GOAWAY's error code.
    pub(crate) async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.try_next().await {
            if frame.kind == GOAWAY {
                code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        code
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await
    }

    pub(crate) async fn settings(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.send(SETTINGS, 0, 0, &payload).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub(crate) async fn goaway(&mut self, last: u32, code: u32) {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await;
    }

    pub(crate) async fn window(&mut self, stream: u32, more: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &more.to_be_bytes()).await;
    }

    /// A response's head, `:status: 200` alone.
    pub(crate) async fn head(&mut self, stream: u32) {
        self.fields(stream, 0, &[]).await;
    }

    /// `:status: 200` and these fields.
    pub(crate) async fn fields(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        self.send(HEADERS, flags | END_HEADERS, stream, &block(&[&[STATUS_200][..]], fields)).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, flags: u8, data: &[u8]) {
        self.send(DATA, flags, stream, data).await;
    }

    /// A whole response.
    pub(crate) async fn respond(&mut self, stream: u32, body: &[u8]) {
        self.head(stream).await;
        self.data(stream, END_STREAM, body).await;
    }
}

/// The index of `:status: 200` in HPACK's static table (RFC 7541 appendix A).
pub(crate) const STATUS_200: u8 = 0x88;

/// A header block: what is given, then fields as literals that nobody indexes (RFC 7541 §6.2.2).
pub(crate) fn block(begin: &[&[u8]], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = begin.concat();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(&mut block, text.as_bytes());
        }
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    // RFC 7541 §5.1, with a prefix of 7 bits.
    let mut rest = text.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(rest as u8 | 128);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}
