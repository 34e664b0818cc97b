//! Frames (RFC 9113 §4, §6): what a script sends, right or wrong, and what came from the client.

use bytes::Bytes;

use super::hpack;

/// The types of frames (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs, reason = "the names of RFC 9113 §6")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// The flags of frames (RFC 9113 §6); an acknowledgement has the bit of an end.
pub mod flag {
    #![allow(missing_docs, reason = "the names of RFC 9113 §6")]
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// The codes of errors (RFC 9113 §7).
pub mod code {
    #![allow(missing_docs, reason = "the names of RFC 9113 §7")]
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// The names of settings (RFC 9113 §6.5.2).
pub mod setting {
    #![allow(missing_docs, reason = "the names of RFC 9113 §6.5.2")]
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
}

/// A frame to be sent. Where its stream is not given, it is that of the script's present request.
#[derive(Clone, Debug)]
#[must_use]
pub struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) on: On,
    pub(super) payload: Vec<u8>,
}

/// The stream of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// That of the script's present request.
    Present,
    Id(u32),
    /// A GOAWAY, whose last stream is that of the present request.
    LastPresent,
    /// A GOAWAY, whose last stream is the one before that of the present request.
    LastBefore,
}

impl Frame {
    /// Any frame.
    pub fn new(kind: u8, flags: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            on: On::Present,
            payload: payload.into(),
        }
    }

    /// A complete HEADERS frame.
    pub fn headers(fields: &[(&str, &str)]) -> Self {
        Self::block(hpack::encode(fields))
    }

    /// A complete HEADERS frame of an encoded block.
    pub fn block(block: impl Into<Vec<u8>>) -> Self {
        Self::new(kind::HEADERS, flag::END_HEADERS, block)
    }

    /// The last CONTINUATION frame of a block.
    pub fn continuation(fields: &[(&str, &str)]) -> Self {
        Self::new(kind::CONTINUATION, flag::END_HEADERS, hpack::encode(fields))
    }

    /// A DATA frame.
    pub fn data(data: impl AsRef<[u8]>) -> Self {
        Self::new(kind::DATA, 0, data.as_ref())
    }

    /// A RST_STREAM frame.
    pub fn reset(code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, code.to_be_bytes())
    }

    /// A SETTINGS frame.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let payload = settings.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
        Self::new(kind::SETTINGS, 0, payload.collect::<Vec<_>>()).on_connection()
    }

    /// A PING frame.
    pub fn ping() -> Self {
        Self::new(kind::PING, 0, *b"how fast").on_connection()
    }

    /// A WINDOW_UPDATE frame.
    pub fn window_update(bytes: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, bytes.to_be_bytes())
    }

    /// A PUSH_PROMISE frame.
    pub fn push_promise(promised: u32, fields: &[(&str, &str)]) -> Self {
        let payload = [&promised.to_be_bytes()[..], &hpack::encode(fields)].concat();
        Self::new(kind::PUSH_PROMISE, flag::END_HEADERS, payload)
    }

    /// A GOAWAY frame that names a last stream.
    pub fn go_away(last: u32, code: u32) -> Self {
        Self::new(kind::GOAWAY, 0, [last.to_be_bytes(), code.to_be_bytes()].concat()).on_connection()
    }

    /// A GOAWAY frame: the present request is the last that will be answered.
    pub fn go_away_after(code: u32) -> Self {
        let mut frame = Self::go_away(0, code);
        frame.on = On::LastPresent;
        frame
    }

    /// A GOAWAY frame: the present request will not be answered.
    pub fn go_away_before(code: u32) -> Self {
        let mut frame = Self::go_away(0, code);
        frame.on = On::LastBefore;
        frame
    }

    /// With END_STREAM.
    pub fn end_stream(mut self) -> Self {
        self.flags |= flag::END_STREAM;
        self
    }

    /// Without END_HEADERS: a CONTINUATION is to follow.
    pub fn to_be_continued(mut self) -> Self {
        self.flags &= !flag::END_HEADERS;
        self
    }

    /// With so many bytes of padding (DATA, HEADERS).
    pub fn padded(mut self, bytes: u8) -> Self {
        self.flags |= flag::PADDED;
        self.payload.insert(0, bytes);
        self.payload.extend(std::iter::repeat_n(0, bytes.into()));
        self
    }

    /// With these flags, too.
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// On this stream.
    pub fn on_stream(mut self, id: u32) -> Self {
        self.on = On::Id(id);
        self
    }

    /// On the connection: stream 0.
    pub fn on_connection(self) -> Self {
        self.on_stream(0)
    }

    /// As it goes out, where the present request has the stream `present`.
    pub(super) fn resolve(&self, present: u32) -> Received {
        let (stream, last) = match self.on {
            On::Present => (present, None),
            On::Id(id) => (id, None),
            On::LastPresent => (0, Some(present)),
            On::LastBefore => (0, Some(present.saturating_sub(2))),
        };
        let mut payload = self.payload.clone();
        if let Some(last) = last {
            payload[..4].copy_from_slice(&last.to_be_bytes());
        }
        Received {
            kind: self.kind,
            flags: self.flags,
            stream,
            payload: payload.into(),
        }
    }
}

/// A frame on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u32,
    /// What follows the header of 9 bytes.
    pub payload: Bytes,
}

impl Received {
    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Four bytes of the payload as a number.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// What is inside the padding and behind the priority (§6.1, §6.2); `None` if the padding is longer than the frame.
    pub(super) fn content(&self) -> Option<Bytes> {
        let mut content = self.payload.clone();
        if self.has(flag::PADDED) {
            let padding = usize::from(*content.first()?);
            content = content.slice(1..content.len().checked_sub(padding).filter(|&end| end > 0)?);
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            content = content.get(5..).map(|_| content.slice(5..))?;
        }
        Some(content)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        [
            &length[1..],
            &[self.kind, self.flags],
            &self.stream.to_be_bytes(),
            &self.payload,
        ]
        .concat()
    }

    /// One line.
    pub(super) fn describe(&self) -> String {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        let name = NAMES
            .get(usize::from(self.kind))
            .map_or_else(|| format!("type {}", self.kind), |&name| name.to_owned());
        let shown = &self.payload[..self.payload.len().min(64)];
        let length = self.payload.len();
        format!("{name} stream {} flags {:#04x} length {length}: {}", self.stream, self.flags, shown.escape_ascii())
    }
}

/// The first frame in `bytes`, and its length there.
pub(super) fn parse(bytes: &[u8]) -> Option<(Received, usize)> {
    let header: &[u8; 9] = bytes.first_chunk()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    let payload = bytes.get(9..9 + length)?;
    let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
    let frame = Received {
        kind: header[3],
        flags: header[4],
        stream,
        payload: Bytes::copy_from_slice(payload),
    };
    Some((frame, 9 + length))
}
