//! What must hold for any bytes whatever. The fuzz targets call these with a fuzzer's bytes, `fuzz_smoke` with its own.
//!
//! The first bytes of the input choose method, limits and cuts, the rest is the response.

use bytes::BytesMut;
use client_cio::h1::{ChunkEvent, ChunkedDecoder, Event, HeadLimits, HeadParser, Verdict};
use http::Method;

use super::replay::{Exchange, Outcome, replay};

/// A whole exchange gives the same events whole, byte by byte and cut anywhere, and stays within its limits.
pub(crate) fn exchange(input: &[u8]) {
    let Some(([selector, cut_seed], response)) = input.split_first_chunk() else {
        return;
    };
    let exchange = Exchange {
        method: [Method::GET, Method::HEAD, Method::CONNECT, Method::POST][usize::from(selector & 3)].clone(),
        limits: if selector & 4 == 0 { HeadLimits::default() } else { SMALL },
        eof: selector & 8 == 0,
    };
    let whole = replay(&exchange, [response]);
    assert_eq!(whole, replay(&exchange, response.chunks(1)), "byte by byte");
    assert_eq!(whole, replay(&exchange, cut(response, *cut_seed)), "cut");

    let mut data_bytes = 0;
    let mut interim = 0;
    for event in &whole.events {
        match event {
            Event::Informational(head) | Event::Head(head) => {
                interim += usize::from(matches!(event, Event::Informational(_)));
                assert!(head.headers.len() <= exchange.limits.fields);
            }
            Event::Data(data) => data_bytes += data.len(),
            Event::Trailers(fields) => assert!(fields.len() <= exchange.limits.fields),
            Event::End(_) | Event::NeedMore => unreachable!("not kept as events"),
        }
    }
    assert!(interim <= exchange.limits.informational);
    match &whole.outcome {
        Outcome::Ended(verdict, leftover) => {
            assert!(data_bytes + leftover.len() <= response.len());
            assert!(*verdict != Verdict::Reuse || leftover.is_empty());
        }
        Outcome::Pending => assert!(!exchange.eof, "a closed connection is a decision"),
        Outcome::Failed(_, message) => assert!(message.len() < 400, "{message}"),
    }
}

/// A head is the same however it arrives, and takes from the buffer its own bytes only.
pub(crate) fn response_head(input: &[u8]) {
    let parse = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut parser, mut buf) = (HeadParser::new(), BytesMut::new());
        let mut found = None;
        for piece in pieces {
            buf.extend_from_slice(piece);
            if found.is_none() {
                found = parser.parse(&mut buf, &SMALL).transpose();
            }
            if found.is_none() {
                assert!(buf.len() < SMALL.bytes);
            }
        }
        (found.map(|result| result.map_err(|error| error.kind())), buf)
    };
    let (whole, rest) = parse(&mut [input].into_iter());
    let (split, split_rest) = parse(&mut input.chunks(1));
    assert_eq!(whole, split);
    if let Some(Ok(head)) = whole {
        assert_eq!(rest, split_rest);
        assert!(head.headers.len() <= SMALL.fields);
        for (_, value) in &head.headers {
            let forbidden = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
            assert!(!value.as_bytes().iter().any(forbidden));
        }
    }
}

/// A chunked body is the same however it arrives, and never longer than its bytes.
pub(crate) fn chunked_body(input: &[u8]) {
    let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut decoder, mut buf) = (ChunkedDecoder::new(SMALL), BytesMut::new());
        let mut body = Vec::new();
        let outcome = loop {
            match decoder.next(&mut buf) {
                Ok(ChunkEvent::Data(data)) => body.extend_from_slice(&data),
                Ok(ChunkEvent::NeedMore) => match pieces.next() {
                    Some(piece) => buf.extend_from_slice(piece),
                    None => break Ok(None),
                },
                Ok(ChunkEvent::End(trailers)) => break Ok(Some(trailers)),
                Err(error) => break Err(error.kind()),
            }
        };
        pieces.for_each(|piece| buf.extend_from_slice(piece));
        (body, outcome, buf)
    };
    let whole = decode(&mut [input].into_iter());
    let split = decode(&mut input.chunks(1));
    assert_eq!((&whole.0, &whole.1), (&split.0, &split.1));
    if whole.1.is_ok() {
        assert_eq!(whole.2, split.2, "what follows the body stays");
    }
    assert!(whole.0.len() <= input.len());
}

/// Limits that short inputs can reach.
const SMALL: HeadLimits = HeadLimits {
    bytes: 128,
    fields: 4,
    chunk_extension_bytes: 16,
    informational: 2,
};

/// Cuts `bytes` into pieces of 0 to 15 bytes, a different way for every seed.
fn cut(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut random = u32::from(seed) + 1;
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, after) = rest.split_at(rest.len().min((random >> 28) as usize));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
