//! One connection as its server sees it: requests, windows, streams; and every rule of RFC 9113 that the client has broken. Pure: frames
//! in, frames out. No socket may enter.

use std::collections::{HashMap, VecDeque};

use super::frame::{Frame, Received, code, flag, kind, setting};
use super::hpack::Decoder;
use super::request::{Request, mistake_in_head, mistake_in_trailers};

/// What a client must not exceed unless we allow more (RFC 9113 §6.5.2).
const MAX_FRAME: usize = 16_384;
const INITIAL_WINDOW: i64 = 65_535;

/// A connection.
pub(super) struct State {
    /// In the order in which they came, but those that were refused because there were too many at a time.
    pub(super) requests: Vec<Request>,
    pub(super) refused: usize,
    /// All frames but DATA in full, DATA without its payload.
    pub(super) frames: Vec<Received>,
    /// Both directions as text, for whoever looks for a mistake.
    pub(super) log: Vec<String>,
    /// What the client did that it must not do.
    pub(super) violations: Vec<String>,
    /// How many of our SETTINGS are not acknowledged.
    pub(super) unacknowledged: usize,
    /// The code of the client's GOAWAY.
    pub(super) went_away: Option<u32>,
    /// The most requests that were open at a time.
    pub(super) peak: usize,
    /// The largest frame that we may send.
    pub(super) max_frame: usize,
    /// What we may send, on the connection and on new streams.
    pub(super) send_window: i64,
    initial_send_window: i64,
    grants: bool,
    receive_window: i64,
    initial_receive_window: i64,
    streams: HashMap<u32, Stream>,
    last_stream: u32,
    decoder: Decoder,
    block: Option<Block>,
    /// Our SETTINGS that the client has not acknowledged.
    pending: VecDeque<Vec<(u16, u32)>>,
    /// As announced, and as acknowledged.
    allowed: (usize, usize),
    /// The largest frame that the client may send.
    max_received: usize,
}

struct Stream {
    /// Where its request is; `None` if it was refused.
    request: Option<usize>,
    client_ended: bool,
    server_ended: bool,
    was_reset: bool,
    send_window: i64,
    receive_window: i64,
}

/// A header block that has begun.
struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
}

impl State {
    /// Before anything has come. `grants`: what was received may be sent again.
    pub(super) fn new(grants: bool) -> Self {
        Self {
            requests: Vec::new(),
            refused: 0,
            frames: Vec::new(),
            log: Vec::new(),
            violations: Vec::new(),
            unacknowledged: 0,
            went_away: None,
            peak: 0,
            max_frame: MAX_FRAME,
            send_window: INITIAL_WINDOW,
            initial_send_window: INITIAL_WINDOW,
            grants,
            receive_window: INITIAL_WINDOW,
            initial_receive_window: INITIAL_WINDOW,
            streams: HashMap::new(),
            last_stream: 0,
            decoder: Decoder::default(),
            block: None,
            pending: VecDeque::new(),
            allowed: (usize::MAX, usize::MAX),
            max_received: MAX_FRAME,
        }
    }

    /// How many bytes of DATA may be sent on a stream now.
    pub(super) fn room(&self, id: u32) -> i64 {
        self.send_window.min(self.streams.get(&id).map_or(0, |stream| stream.send_window))
    }

    /// Whether nothing more can be sent on a stream.
    pub(super) fn is_over(&self, id: u32) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.was_reset || stream.server_ended)
    }

    pub(super) fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    fn log(&mut self, arrow: &str, frame: &Received) {
        // A flood need not be kept.
        if self.log.len() < 200 {
            self.log.push(format!("{arrow} {}", frame.describe()));
        }
    }

    /// Takes note of a frame of ours.
    pub(super) fn sent(&mut self, frame: &Received) {
        self.log("<-", frame);
        let stream = self.streams.get_mut(&frame.stream);
        match (frame.kind, stream) {
            (kind::DATA | kind::HEADERS, Some(stream)) => {
                stream.server_ended |= frame.has(flag::END_STREAM);
                if frame.kind == kind::DATA {
                    let length = frame.payload.len() as i64;
                    stream.send_window -= length;
                    self.send_window -= length;
                }
            }
            (kind::RST_STREAM, Some(stream)) => stream.was_reset = true,
            (kind::WINDOW_UPDATE, stream) => {
                let more = i64::from(frame.number(0).unwrap_or(0));
                match (frame.stream, stream) {
                    (0, _) => self.receive_window += more,
                    (_, Some(stream)) => stream.receive_window += more,
                    _ => {}
                }
            }
            (kind::SETTINGS, None) if !frame.has(flag::ACK) => {
                let settings: Vec<_> = settings(frame).collect();
                self.announce(&settings);
                self.pending.push_back(settings);
                self.unacknowledged = self.pending.len();
            }
            _ => {}
        }
    }

    /// What allows more holds at once: a client may act on it before its acknowledgement is here.
    fn announce(&mut self, settings: &[(u16, u32)]) {
        for &(name, value) in settings {
            match name {
                setting::MAX_CONCURRENT_STREAMS => {
                    self.allowed.0 = value as usize;
                    self.allowed.1 = self.allowed.1.max(value as usize);
                }
                setting::INITIAL_WINDOW_SIZE => self.change_receive_window(i64::from(value).max(self.initial_receive_window)),
                setting::MAX_FRAME_SIZE => self.max_received = self.max_received.max(value as usize),
                _ => {}
            }
        }
    }

    /// What allows less holds once it is acknowledged (RFC 9113 §6.5.3).
    fn acknowledged(&mut self) {
        let Some(settings) = self.pending.pop_front() else {
            return self.violation("an acknowledgement of SETTINGS that were not sent");
        };
        self.unacknowledged = self.pending.len();
        for (name, value) in settings {
            match name {
                setting::MAX_CONCURRENT_STREAMS => self.allowed.1 = value as usize,
                setting::INITIAL_WINDOW_SIZE => self.change_receive_window(value.into()),
                setting::MAX_FRAME_SIZE => self.max_received = value as usize,
                _ => {}
            }
        }
    }

    fn change_receive_window(&mut self, value: i64) {
        let change = value - self.initial_receive_window;
        self.initial_receive_window = value;
        self.streams.values_mut().for_each(|stream| stream.receive_window += change);
    }

    /// Takes note of a frame of the client's; returns what has to be answered, whatever the script says.
    pub(super) fn received(&mut self, frame: Received) -> Vec<Frame> {
        self.log("->", &frame);
        let mut kept = frame.clone();
        if frame.kind == kind::DATA {
            kept.payload.clear();
        }
        if self.frames.is_empty() && frame.kind != kind::SETTINGS {
            self.violation("the first frame is not SETTINGS (RFC 9113 §3.4)");
        }
        self.frames.push(kept);
        if frame.payload.len() > self.max_received {
            self.violation(format!("a frame of {} bytes (RFC 9113 §4.2)", frame.payload.len()));
        }
        if self.block.is_some() && frame.kind != kind::CONTINUATION {
            self.violation("a header block is interrupted (RFC 9113 §4.3)");
        }
        match frame.kind {
            kind::DATA => self.data(&frame),
            kind::HEADERS => self.headers(&frame),
            kind::CONTINUATION => self.continuation(&frame),
            kind::RST_STREAM => self.reset(&frame),
            kind::SETTINGS if frame.has(flag::ACK) => {
                self.acknowledged();
                Vec::new()
            }
            kind::SETTINGS => self.settings(&frame),
            kind::PUSH_PROMISE => {
                self.violation("a client pushes (RFC 9113 §8.4)");
                Vec::new()
            }
            kind::PING if !frame.has(flag::ACK) => {
                vec![Frame::new(kind::PING, flag::ACK, frame.payload.to_vec()).on_connection()]
            }
            kind::GOAWAY => {
                self.went_away = self.went_away.or(frame.number(4));
                Vec::new()
            }
            kind::WINDOW_UPDATE => self.window_update(&frame),
            _ => Vec::new(),
        }
    }

    fn settings(&mut self, frame: &Received) -> Vec<Frame> {
        for (name, value) in settings(frame) {
            match name {
                setting::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.initial_send_window;
                    self.initial_send_window += change;
                    self.streams.values_mut().for_each(|stream| stream.send_window += change);
                }
                setting::MAX_FRAME_SIZE => self.max_frame = value as usize,
                _ => {}
            }
        }
        vec![Frame::new(kind::SETTINGS, flag::ACK, []).on_connection()]
    }

    fn window_update(&mut self, frame: &Received) -> Vec<Frame> {
        let more = frame.number(0).unwrap_or(0);
        if more == 0 {
            self.violation("a WINDOW_UPDATE of 0 (RFC 9113 §6.9)");
        }
        match self.streams.get_mut(&frame.stream) {
            Some(stream) => stream.send_window += i64::from(more),
            None if frame.stream == 0 => self.send_window += i64::from(more),
            None => self.violation(format!("a WINDOW_UPDATE on stream {}, which is idle (RFC 9113 §5.1)", frame.stream)),
        }
        Vec::new()
    }

    fn reset(&mut self, frame: &Received) -> Vec<Frame> {
        let (id, code) = (frame.stream, frame.number(0).unwrap_or(u32::MAX));
        match self.streams.get_mut(&id) {
            None => self.violation(format!("stream {id} is reset, which is idle (RFC 9113 §6.4)")),
            Some(stream) => {
                stream.was_reset = true;
                if let Some(request) = stream.request {
                    self.requests[request].reset.get_or_insert(code);
                }
            }
        }
        Vec::new()
    }

    fn headers(&mut self, frame: &Received) -> Vec<Frame> {
        let Some(content) = frame.content() else {
            self.violation("padding longer than the frame (RFC 9113 §6.2)");
            return Vec::new();
        };
        self.block = Some(Block {
            stream: frame.stream,
            ends: frame.has(flag::END_STREAM),
            bytes: content.to_vec(),
        });
        self.block_goes_on(frame)
    }

    fn continuation(&mut self, frame: &Received) -> Vec<Frame> {
        match &mut self.block {
            Some(block) if block.stream == frame.stream => block.bytes.extend_from_slice(&frame.payload),
            _ => self.violation("CONTINUATION without HEADERS (RFC 9113 §6.10)"),
        }
        self.block_goes_on(frame)
    }

    fn block_goes_on(&mut self, frame: &Received) -> Vec<Frame> {
        match self.block.take_if(|_| frame.has(flag::END_HEADERS)) {
            Some(block) => self.block_is_complete(block),
            None => Vec::new(),
        }
    }

    fn block_is_complete(&mut self, block: Block) -> Vec<Frame> {
        let id = block.stream;
        let fields = match self.decoder.decode(&block.bytes) {
            Ok(fields) => fields,
            Err(why) => {
                self.violation(why);
                return Vec::new();
            }
        };
        if let Some(request) = self.streams.get(&id).map(|stream| stream.request) {
            if let Some(why) = mistake_in_trailers(&fields, block.ends) {
                self.violation(format!("trailers: {why}"));
            }
            if let Some(request) = request {
                self.requests[request].trailers = fields;
            }
            self.client_ends(id, block.ends);
            return Vec::new();
        }
        if id.is_multiple_of(2) || id <= self.last_stream {
            self.violation(format!("stream {id} is opened after stream {} (RFC 9113 §5.1.1)", self.last_stream));
        }
        self.last_stream = id;
        if let Some(why) = mistake_in_head(&fields) {
            self.violation(why);
        }
        let open = self.open();
        let is_refused = open >= self.allowed.0;
        if open >= self.allowed.1 {
            self.violation(format!("a stream is opened where {open} are open and {} allowed (RFC 9113 §5.1.2)", self.allowed.1));
        }
        self.streams.insert(
            id,
            Stream {
                request: (!is_refused).then_some(self.requests.len()),
                client_ended: false,
                server_ended: false,
                was_reset: is_refused,
                send_window: self.initial_send_window,
                receive_window: self.initial_receive_window,
            },
        );
        if is_refused {
            self.refused += 1;
            return vec![Frame::reset(code::REFUSED_STREAM).on_stream(id)];
        }
        self.peak = self.peak.max(open + 1);
        self.requests.push(Request::new(id, fields));
        self.client_ends(id, block.ends);
        Vec::new()
    }

    /// Streams that count against the limit (RFC 9113 §5.1.2).
    fn open(&self) -> usize {
        self.streams
            .values()
            .filter(|stream| !(stream.was_reset || stream.client_ended && stream.server_ended))
            .count()
    }

    fn data(&mut self, frame: &Received) -> Vec<Frame> {
        let (id, length) = (frame.stream, frame.payload.len() as i64);
        let Some(content) = frame.content() else {
            self.violation("padding longer than the frame (RFC 9113 §6.1)");
            return Vec::new();
        };
        self.receive_window -= length;
        if self.receive_window < 0 {
            self.violation("more DATA than the connection's window (RFC 9113 §6.9.1)");
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            self.violation(format!("DATA on stream {id}, which is idle (RFC 9113 §5.1)"));
            return Vec::new();
        };
        stream.receive_window -= length;
        let is_beyond = stream.receive_window < 0 && !stream.was_reset;
        let is_after_end = stream.client_ended;
        if let Some(request) = stream.request {
            self.requests[request].body.extend_from_slice(&content);
        }
        if is_beyond {
            self.violation(format!("more DATA than the window of stream {id} (RFC 9113 §6.9.1)"));
        }
        if is_after_end {
            self.violation(format!("DATA on stream {id} after its end (RFC 9113 §5.1)"));
        }
        let ends = frame.has(flag::END_STREAM);
        self.client_ends(id, ends);
        if !self.grants || length == 0 {
            return Vec::new();
        }
        let update = Frame::window_update(length as u32);
        let of_stream = (!ends && !self.is_over(id)).then(|| update.clone().on_stream(id));
        [update.on_connection()].into_iter().chain(of_stream).collect()
    }

    fn client_ends(&mut self, id: u32, ends: bool) {
        let Some(stream) = self.streams.get_mut(&id).filter(|_| ends) else {
            return;
        };
        stream.client_ended = true;
        let Some(request) = stream.request.map(|request| &mut self.requests[request]) else {
            return;
        };
        request.ended = true;
        let (told, length) = (request.field("content-length"), request.body.len());
        if told.is_some_and(|told| told != length.to_string()) {
            self.violation("content-length is not that of the DATA (RFC 9113 §8.1.1)");
        }
    }
}

fn settings(frame: &Received) -> impl Iterator<Item = (u16, u32)> + '_ {
    frame.payload.chunks_exact(6).map(|pair| {
        let (name, value) = (u16::from_be_bytes([pair[0], pair[1]]), [pair[2], pair[3], pair[4], pair[5]]);
        (name, u32::from_be_bytes(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::h2::hpack;

    const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];

    fn get(stream: u32) -> Frame {
        Frame::headers(&GET).on_stream(stream)
    }

    fn acknowledged() -> Frame {
        Frame::settings(&[]).flags(flag::ACK)
    }

    /// A connection on which we announced `ours`, and the client sent SETTINGS, then `frames`.
    fn after(ours: &[(u16, u32)], frames: &[Frame]) -> State {
        let mut state = State::new(false);
        state.sent(&Frame::settings(ours).resolve(0));
        for frame in [Frame::settings(&[])].iter().chain(frames) {
            state.received(frame.resolve(0));
        }
        state
    }

    #[track_caller]
    fn check(ours: &[(u16, u32)], frames: &[Frame], expected: &[&str]) {
        let found = after(ours, frames).violations;
        let is_expected = found.len() == expected.len() && found.iter().zip(expected).all(|(found, part)| found.contains(part));
        assert!(is_expected, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn streams() {
        check(&[], &[get(1).end_stream(), get(3), Frame::data("a").on_stream(3).end_stream()], &[]);
        check(&[], &[get(3).end_stream(), get(1).end_stream()], &["stream 1 is opened after stream 3"]);
        check(&[], &[get(2).end_stream()], &["stream 2 is opened"]);
        check(&[], &[get(1).end_stream(), Frame::data("a").on_stream(1)], &["after its end"]);
        check(&[], &[Frame::data("a").on_stream(1)], &["idle"]);
        check(&[], &[Frame::reset(code::CANCEL).on_stream(1)], &["idle"]);
        check(
            &[],
            &[get(1).to_be_continued(), Frame::ping(), Frame::continuation(&[]).on_stream(1)],
            &["interrupted"],
        );
        check(&[], &[get(1), Frame::headers(&[("x-sum", "1")]).on_stream(1)], &["trailers: they do not end"]);
        check(&[], &[Frame::block(hpack::indexed(200)).on_stream(1)], &["beyond the tables"]);
        let mut early = State::new(true);
        early.received(Frame::ping().resolve(0));
        assert!(early.violations[0].contains("first frame"));
    }

    #[test]
    fn windows() {
        let full = [b'.'; MAX_FRAME];
        let data = |length: usize| Frame::data(&full[..length]).on_stream(1);
        let window = [get(1), data(MAX_FRAME), data(MAX_FRAME), data(MAX_FRAME), data(MAX_FRAME - 1)];
        check(&[], &window, &[]);
        check(&[], &[&window[..], &[data(1)]].concat(), &["connection's window", "window of stream 1"]);
        check(&[(setting::INITIAL_WINDOW_SIZE, 10)], &[get(1), data(11)], &[]);
        check(&[(setting::INITIAL_WINDOW_SIZE, 10)], &[acknowledged(), get(1), data(11)], &["window of stream 1"]);
        check(&[], &[get(1), Frame::data([&full[..], b"."].concat()).on_stream(1)], &["a frame of 16385 bytes"]);
        let length = Frame::headers(&[&GET[..], &[("content-length", "3")]].concat()).on_stream(1);
        check(&[], &[length, Frame::data("hi").on_stream(1).end_stream()], &["content-length"]);
    }

    #[test]
    fn the_limit_of_streams_holds_once_it_is_acknowledged() {
        let limit = [(setting::MAX_CONCURRENT_STREAMS, 1)];
        let early = after(&limit, &[get(1), get(3)]);
        assert_eq!((early.refused, early.requests.len(), early.violations.len()), (1, 1, 0));
        check(&limit, &[acknowledged(), get(1), get(3)], &["1 are open and 1 allowed"]);
        check(&limit, &[acknowledged(), get(1), Frame::reset(code::CANCEL).on_stream(1), get(3)], &[]);
        let mut higher = after(&limit, &[acknowledged(), get(1)]);
        higher.sent(&Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 2)]).resolve(0));
        higher.received(get(3).resolve(0));
        assert_eq!((higher.peak, higher.violations.len()), (2, 0));
    }
}
