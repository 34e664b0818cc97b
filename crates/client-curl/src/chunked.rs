//! The chunked transfer coding (RFC 9112 §7.1), more strictly than libcurl reads it. Pure.
//!
//! libcurl follows the coding to its end, and hands over the bytes as they came: a line feed alone ends its lines, whatever stands before
//! it, and its extensions have no bound. Here is decided what is believed of them.
//!
//! What must never enter this file: libcurl.

use client_core::{Error, ErrorKind, Result};

/// Of all size lines of a body together, beyond their digits: Go's bound (CVE-2023-39326).
const MAX_EXTENSION_BYTES: usize = 16 << 10;

/// One body.
pub(crate) struct Chunked {
    state: State,
    /// The line so far.
    line: Vec<u8>,
    extension_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data { left: u64 },
    DataEnd,
    Trailers,
    Done,
}

/// What bytes turn out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Data(&'a [u8]),
    /// With its line end.
    Trailer(Vec<u8>),
    /// The coding is over; nothing that follows belongs to this response.
    End,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size,
            line: Vec::new(),
            extension_bytes: 0,
        }
    }

    /// The next part, taken from the front of `input`; `None` if more is needed, or nothing more is wanted.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`], [`ErrorKind::TooLarge`].
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Part<'a>>> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Data { left } => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    if n == 0 {
                        return Ok(None);
                    }
                    let (data, rest) = input.split_at(n);
                    *input = rest;
                    let left = left - n as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                    return Ok(Some(Part::Data(data)));
                }
                State::Size => {
                    let Some(line) = self.line(input)? else {
                        return Ok(None);
                    };
                    self.state = match self.size(&line)? {
                        0 => State::Trailers,
                        left => State::Data { left },
                    };
                }
                State::DataEnd => {
                    let Some(line) = self.line(input)? else {
                        return Ok(None);
                    };
                    if line != b"\r\n" {
                        return Err(violation("a chunk is longer than its size"));
                    }
                    self.state = State::Size;
                }
                State::Trailers => {
                    let Some(line) = self.line(input)? else {
                        return Ok(None);
                    };
                    if line == b"\r\n" {
                        self.state = State::Done;
                        return Ok(Some(Part::End));
                    }
                    return Ok(Some(Part::Trailer(line)));
                }
            }
        }
    }

    /// A line with its end, once it is whole.
    fn line(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let (part, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        // A carriage return that does not end the line, or an end without one, is read in two ways.
        let after_cr = self.line.last() == Some(&b'\r');
        let text = part.strip_suffix(b"\n").unwrap_or(part);
        let is_odd = (after_cr && !text.is_empty())
            || text.iter().rev().skip(1).any(|byte| *byte == b'\r')
            || (end.is_some() && !after_cr && !text.ends_with(b"\r"));
        self.line.extend_from_slice(part);
        if is_odd || (self.state == State::DataEnd && self.line.len() > 2) {
            return Err(violation("a line of the chunked coding does not end in CR LF"));
        }
        if self.line.len() > MAX_EXTENSION_BYTES && self.state == State::Size {
            return Err(too_long());
        }
        Ok(end.is_some().then(|| std::mem::take(&mut self.line)))
    }

    fn size(&mut self, line: &[u8]) -> Result<u64> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let rest = &line[digits..line.len() - 2];
        let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
        let size = u64::from_str_radix(text, 16).ok().filter(|_| digits <= 16);
        let follows = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        let (Some(size), None | Some(b';')) = (size, follows) else {
            return Err(violation("a chunk's size is no hexadecimal number"));
        };
        self.extension_bytes += rest.len();
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            Err(too_long())
        } else {
            Ok(size)
        }
    }
}

fn violation(message: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

fn too_long() -> Error {
    Error::new(ErrorKind::TooLarge, format!("chunk extensions of more than {MAX_EXTENSION_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed in pieces of so many bytes: the data, the trailer lines, what is left; or the kind of the error.
    fn decoded(input: &str, piece: usize) -> String {
        let (mut chunked, mut data, mut trailers) = (Chunked::new(), String::new(), 0);
        for mut bytes in input.as_bytes().chunks(piece) {
            loop {
                match chunked.next(&mut bytes) {
                    Ok(Some(Part::Data(part))) => data.push_str(std::str::from_utf8(part).unwrap()),
                    Ok(Some(Part::Trailer(_))) => trailers += 1,
                    Ok(Some(Part::End)) => return format!("{data}, {trailers}"),
                    Ok(None) => break,
                    Err(error) => return format!("{:?}", error.kind()),
                }
            }
        }
        format!("{data}…")
    }

    #[test]
    fn whole_and_split() {
        let flood = format!("1;{}\r\na\r\n", "x".repeat(20_000));
        let many = "1;xxxxxxxxxxxxxxxx\r\na\r\n".repeat(1000);
        let table = [
            ("5\r\nhello\r\n0\r\n\r\n", "hello, 0"),
            ("5\r\nhello\r\n00A\r\n, world...\r\n0\r\nT: 1\r\nU: 2\r\n\r\nmore", "hello, world..., 2"),
            ("5 ;a=\"b\"\r\nhello\r\n0;last\r\n\r\n", "hello, 0"),
            ("5\r\nhel", "hel…"),
            ("5\r\nhello\r\n0\r\n", "hello…"),
            ("5\nhello\r\n0\r\n\r\n", "Protocol"),
            ("5\r\nhello\n0\r\n\r\n", "Protocol"),
            ("5\r\nhello!\r\n0\r\n\r\n", "Protocol"),
            ("5;a\rb\r\nhello\r\n", "Protocol"),
            ("5;a\"\n\"\r\nhello\r\n", "Protocol"),
            ("\r\nhello\r\n", "Protocol"),
            ("x\r\nhello\r\n", "Protocol"),
            ("0x5\r\nhello\r\n", "Protocol"),
            ("-5\r\nhello\r\n", "Protocol"),
            ("5 5\r\nhello\r\n", "Protocol"),
            ("10000000000000005\r\nhello\r\n", "Protocol"),
            (&flood, "TooLarge"),
            (&many, "TooLarge"),
        ];
        for (input, expected) in table {
            for piece in [1, 2, 3, 7, 100_000] {
                let shown = if input.len() > 100 { &input[..30] } else { input };
                assert_eq!(decoded(input, piece), expected, "{shown:?} in pieces of {piece}");
            }
        }
    }
}
