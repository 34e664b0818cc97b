//! The chunked transfer coding (RFC 9112 §7.1) on its way to ureq: checked, and freed of extensions and trailers. Pure.
//!
//! ureq-proto reads the coding itself, but takes a sign before a size and a line feed within an extension, waits for ever at a bare CR,
//! knows no bound for trailers, fails at extensions of a few bytes, and calls complete what was cut after the last chunk. What it gets
//! here is none of that. The trailers are kept.

use std::borrow::Cow;

use client_core::{Error, ErrorKind, HeaderMap, Limits};

use crate::head;

/// Of all extensions of a body together: Go's bound (CVE-2023-39326).
const MAX_EXTENSION_BYTES: usize = 16 << 10;

/// One body.
#[derive(Debug)]
pub(crate) struct Chunked {
    limits: Limits,
    state: State,
    extension_bytes: usize,
    trailer_bytes: usize,
    /// The trailer line so far.
    line: Vec<u8>,
    trailers: HeaderMap,
}

/// Where in the grammar the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    Size {
        size: u64,
        digits: u8,
    },
    /// Whitespace after the size, which some servers pad to a fixed width.
    Padding {
        size: u64,
    },
    /// Its quotes are followed: a line end within them is read in two ways.
    Extension {
        size: u64,
        is_quoted: bool,
        is_escaped: bool,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    Done,
}

const START: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: START,
            extension_bytes: 0,
            trailer_bytes: 0,
            line: Vec::new(),
            trailers: HeaderMap::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(crate) fn into_trailers(self) -> HeaderMap {
        self.trailers
    }

    /// Takes the next bytes that arrived, and moves to their front what ureq shall see of them: so many, and what is wrong after those.
    pub(crate) fn take(&mut self, bytes: &mut [u8]) -> (usize, Option<Error>) {
        let (mut read, mut kept) = (0, 0);
        while read < bytes.len() {
            let n = match self.state {
                State::Data { left } => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - read);
                    let left = left - n as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    n
                }
                // What follows the end is not ours; ureq sees it, and does not use the connection again.
                State::Done => bytes.len() - read,
                state => {
                    match self.after(state, bytes[read]) {
                        Ok(next) => self.state = next,
                        Err(error) => return (kept, Some(error)),
                    }
                    if !self.is_shown(state) {
                        read += 1;
                        continue;
                    }
                    1
                }
            };
            bytes.copy_within(read..read + n, kept);
            (read, kept) = (read + n, kept + n);
        }
        (kept, None)
    }

    fn after(&mut self, state: State, byte: u8) -> Result<State, Error> {
        Ok(match (state, byte) {
            (
                State::Size {
                    size,
                    digits: digits @ ..16,
                },
                byte,
            ) if byte.is_ascii_hexdigit() => State::Size {
                size: size << 4 | u64::from((byte as char).to_digit(16).unwrap_or(0)),
                digits: digits + 1,
            },
            (State::Size { size, digits: 1.. } | State::Padding { size }, b'\r') => State::SizeLf { size },
            (State::Size { size, digits: 1.. } | State::Padding { size }, b' ' | b'\t') => {
                self.extended(State::Padding { size })?
            }
            (State::Size { size, digits: 1.. } | State::Padding { size }, b';') => self.extended(State::Extension {
                size,
                is_quoted: false,
                is_escaped: false,
            })?,
            (
                State::Extension {
                    size, is_quoted: false, ..
                },
                b'\r',
            ) => State::SizeLf { size },
            (
                State::Extension {
                    size,
                    is_quoted,
                    is_escaped,
                },
                byte,
            ) if !matches!(byte, b'\r' | b'\n') => self.extended(State::Extension {
                size,
                is_quoted: is_quoted != (byte == b'"' && !is_escaped),
                is_escaped: is_quoted && !is_escaped && byte == b'\\',
            })?,
            (State::SizeLf { size: 0 }, b'\n') => State::Trailer,
            (State::SizeLf { size }, b'\n') => State::Data { left: size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => START,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::Trailer, byte) if byte != b'\n' => self.trailer_byte(byte)?,
            (State::TrailerLf, b'\n') => self.trailer_line()?,
            (_, byte) => {
                return Err(violation(format!("a malformed chunk: \"{}\" where it cannot be", byte.escape_ascii())));
            }
        })
    }

    /// Whether ureq sees the byte that led here.
    fn is_shown(&self, before: State) -> bool {
        match self.state {
            State::Padding { .. } | State::Extension { .. } => false,
            State::Trailer => matches!(before, State::SizeLf { .. }),
            // Of an empty line it is the end of the body, of any other a trailer's.
            State::TrailerLf => self.line.is_empty(),
            _ => true,
        }
    }

    fn extended(&mut self, next: State) -> Result<State, Error> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(too_large(format!("chunk extensions of more than {MAX_EXTENSION_BYTES} bytes")));
        }
        Ok(next)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, Error> {
        self.trailer_bytes += 1;
        let max = self.limits.max_head_bytes();
        if self.trailer_bytes > max {
            return Err(too_large(format!("trailers of more than the limit of {max} bytes; raise Limits::head_bytes")));
        }
        self.line.push(byte);
        Ok(State::Trailer)
    }

    fn trailer_line(&mut self) -> Result<State, Error> {
        if self.line.is_empty() {
            return Ok(State::Done);
        }
        let max = self.limits.max_head_fields();
        if self.trailers.len() >= max {
            return Err(too_large(format!("more trailers than the limit of {max}; raise Limits::head_fields")));
        }
        let (name, value) = head::field(&self.line).ok_or_else(|| violation("a malformed trailer field"))?;
        self.trailers.append(name, value);
        self.line.clear();
        Ok(State::Trailer)
    }
}

fn violation(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ureq sees, whole and fed in pieces of `step` bytes; how it ended; the trailers.
    fn taken(input: &str, step: usize) -> String {
        let mut body = Chunked::new(Limits::default().head_bytes(40).head_fields(2));
        let mut seen = String::new();
        for piece in input.as_bytes().chunks(step) {
            let mut bytes = piece.to_vec();
            let (kept, error) = body.take(&mut bytes);
            seen.push_str(std::str::from_utf8(&bytes[..kept]).unwrap());
            if let Some(error) = error {
                return format!("{seen} {:?}", error.kind());
            }
        }
        let end = if body.is_done() { "done" } else { "open" };
        format!("{seen} {end} {}", body.into_trailers().len())
    }

    #[test]
    fn what_ureq_sees() {
        let flood = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "x".repeat(MAX_EXTENSION_BYTES));
        let long = format!("0\r\nA: {}\r\n\r\n", "x".repeat(40));
        let table = [
            ("5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n done 0"),
            ("0\r\n\r\nmore", "0\r\n\r\nmore done 0"),
            ("5 ;a=\"b;\\\"c\"\r\nhello\r\n0;x\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n done 0"),
            ("05 \r\nhello\r\n000\r\n\r\n", "05\r\nhello\r\n000\r\n\r\n done 0"),
            ("0\r\nA: b\r\nC: d\r\n\r\n", "0\r\n\r\n done 2"),
            ("0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", "0\r\n TooLarge"),
            ("0\r\nno colon\r\n\r\n", "0\r\n Protocol"),
            ("0\r\nA: b\n\r\n", "0\r\n Protocol"),
            (&long, "0\r\n TooLarge"),
            (&flood, "5 TooLarge"),
            ("5\r\nhello\r\n+5\r\n", "5\r\nhello\r\n Protocol"),
            ("\r\n", " Protocol"),
            (";a\r\n", " Protocol"),
            ("5\rhello", "5\r Protocol"),
            ("5\nhello", "5 Protocol"),
            ("5;a=\nb\r\n", "5 Protocol"),
            ("5;a=\"\r\n", "5 Protocol"),
            ("5\r\nhello!", "5\r\nhello Protocol"),
            ("10000000000000000\r\n", "1000000000000000 Protocol"),
            ("5\r\nhello\r\n1", "5\r\nhello\r\n1 open 0"),
            ("5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n open 0"),
            ("0\r\nA: b\r\n", "0\r\n open 1"),
            ("0\r\nA: b\r\n\rx", "0\r\n\r Protocol"),
        ];
        for (input, expected) in table {
            for step in [1, 2, 3, 7, input.len()] {
                assert_eq!(taken(input, step), expected, "{input:?} in pieces of {step}");
            }
        }
    }
}
