//! Transcripts: what a server sends, and what the decoder must make of it, as text files in `tests/transcripts`.
//!
//! ```text
//! == a name                     begins a case
//! # RFC 9112 §6.3               a comment
//! method HEAD                   the method of the request; GET if left out
//! limits bytes=64 fields=2      limits other than the default
//! < HTTP/1.1 200 OK\r\n         bytes of the response, pieces are joined
//! eof                           the peer closes after them
//! = head HTTP/1.1 200           what must come out, line by line
//! = | server: x                 … a field of the head or the trailers
//! = error Malformed: no colon   … an error, its kind and a part of its message
//! ```
//!
//! Escapes in bytes: `\r \n \t \s \\ \xHH`, and `\{text*1000}` for repetition.

use std::fs;
use std::path::{Path, PathBuf};

use client_cio::h1::HeadLimits;
use http::Method;

use super::replay::Exchange;

/// One case.
pub(crate) struct Transcript {
    /// File and name, for messages.
    pub(crate) name: String,
    pub(crate) exchange: Exchange,
    pub(crate) response: Vec<u8>,
    /// The lines that must come out, the error's message part cut off.
    pub(crate) expected: Vec<String>,
    /// A part of the error's message.
    pub(crate) message: Option<String>,
}

/// All transcripts of the crate.
pub(crate) fn all() -> Vec<Transcript> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of transcripts is there")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Transcript> {
    let text = fs::read_to_string(file).expect("a transcript is UTF-8");
    let topic = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut cases: Vec<Transcript> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "==" {
            cases.push(Transcript::new(format!("{topic}: {rest}")));
            continue;
        }
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        let place = format!("{topic}.txt line {}", index + 1);
        let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: no case yet"));
        case.add(word, rest).unwrap_or_else(|| panic!("{place}: cannot read `{line}`"));
    }
    cases
}

impl Transcript {
    fn new(name: String) -> Self {
        Self {
            name,
            exchange: Exchange {
                method: Method::GET,
                limits: HeadLimits::default(),
                eof: false,
            },
            response: Vec::new(),
            expected: Vec::new(),
            message: None,
        }
    }

    fn add(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "method" => self.exchange.method = rest.parse().ok()?,
            "limits" => {
                for setting in rest.split(' ') {
                    let (name, value) = setting.split_once('=')?;
                    let limits = &mut self.exchange.limits;
                    let limit = match name {
                        "bytes" => &mut limits.bytes,
                        "fields" => &mut limits.fields,
                        "chunk_extension_bytes" => &mut limits.chunk_extension_bytes,
                        "informational" => &mut limits.informational,
                        _ => return None,
                    };
                    *limit = value.parse().ok()?;
                }
            }
            "<" => self.response.extend(unescape(rest)?),
            "eof" => self.exchange.eof = true,
            "=" => match rest.strip_prefix("error ").and_then(|error| error.split_once(": ")) {
                Some((kind, message)) => {
                    self.expected.push(format!("error {kind}"));
                    self.message = Some(message.to_owned());
                }
                None => self.expected.push(rest.to_owned()),
            },
            _ => return None,
        }
        Some(())
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let code = escape.chars().next()?;
        rest = &escape[code.len_utf8()..];
        match code {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            's' => bytes.push(b' '),
            '\\' => bytes.push(b'\\'),
            'x' => {
                bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            }
            '{' => {
                let (repeated, after) = rest.split_once('}')?;
                let (unit, count) = repeated.rsplit_once('*')?;
                bytes.extend(unescape(unit)?.repeat(count.parse().ok()?));
                rest = after;
            }
            _ => return None,
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}
