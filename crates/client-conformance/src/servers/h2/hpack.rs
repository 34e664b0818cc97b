//! HPACK (RFC 7541), for tests: an encoder that writes exactly what it is told to, and a decoder that forgives nothing. No engine shares
//! it; nothing of performance may enter.

use std::collections::VecDeque;
use std::sync::LazyLock;

/// A field as it was on the wire.
pub(crate) type Field = (String, Vec<u8>);

/// A literal without indexing, its name spelt out (§6.2.2): what [`Frame::headers`](super::Frame::headers) writes.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    named(0x00, name, value)
}

/// A literal that enters the dynamic table (§6.2.1), as its entry 62.
pub fn incremental(name: &str, value: &str) -> Vec<u8> {
    named(0x40, name, value)
}

/// An entry of the tables: up to 61 the static one, from 62 on the dynamic one (§6.1).
pub fn indexed(index: usize) -> Vec<u8> {
    let mut block = Vec::new();
    integer(&mut block, 0x80, 7, index);
    block
}

/// A new size of the dynamic table (§6.3).
pub fn table_size(size: usize) -> Vec<u8> {
    let mut block = Vec::new();
    integer(&mut block, 0x20, 5, size);
    block
}

/// A block of literals.
pub(super) fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

fn named(kind: u8, name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![kind];
    for text in [name, value] {
        integer(&mut block, 0x00, 7, text.len());
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// §5.1.
fn integer(block: &mut Vec<u8>, flags: u8, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        block.push(flags | value as u8);
        return;
    }
    block.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// The state of one connection's header blocks.
#[derive(Default)]
pub(super) struct Decoder {
    /// Newest first.
    dynamic: VecDeque<(String, Vec<u8>)>,
    /// What the client has set it to; `None` is the initial 4096.
    max: Option<usize>,
}

/// What SETTINGS_HEADER_TABLE_SIZE is unless said otherwise, and the suite never does.
const TABLE: usize = 4096;

impl Decoder {
    /// The fields of a complete block.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, &'static str> {
        let mut fields = Vec::new();
        let mut rest = block;
        while let Some(&first) = rest.first() {
            match first {
                0x80.. => {
                    let index = read_integer(&mut rest, 7)?;
                    fields.push(self.entry(index)?);
                }
                0x40.. => {
                    let field = self.literal(&mut rest, 6)?;
                    self.dynamic.push_front(field.clone());
                    self.evict();
                    fields.push(field);
                }
                0x20.. => {
                    let size = read_integer(&mut rest, 5)?;
                    if !fields.is_empty() {
                        return Err("a table size update behind a field (RFC 7541 §4.2)");
                    }
                    if size > TABLE {
                        return Err("a table size update beyond the limit (RFC 7541 §6.3)");
                    }
                    self.max = Some(size);
                    self.evict();
                }
                _ => fields.push(self.literal(&mut rest, 4)?),
            }
        }
        Ok(fields)
    }

    fn literal(&self, rest: &mut &[u8], prefix: u32) -> Result<Field, &'static str> {
        let name = match read_integer(rest, prefix)? {
            0 => String::from_utf8(read_string(rest)?).map_err(|_| "a field name that is not ASCII")?,
            index => self.entry(index)?.0,
        };
        Ok((name, read_string(rest)?))
    }

    fn entry(&self, index: usize) -> Result<Field, &'static str> {
        let of_static = index.checked_sub(1).and_then(|at| STATIC.get(at));
        match (of_static, index.checked_sub(STATIC.len() + 1)) {
            (Some((name, value)), _) => Ok(((*name).to_owned(), value.as_bytes().to_vec())),
            (None, Some(at)) => self.dynamic.get(at).cloned().ok_or("an index beyond the tables (RFC 7541 §2.3.3)"),
            (None, None) => Err("index 0 (RFC 7541 §6.1)"),
        }
    }

    /// §4.1: an entry counts 32 more than its text.
    fn evict(&mut self) {
        let size = |entries: &VecDeque<Field>| entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
        while size(&self.dynamic) > self.max.unwrap_or(TABLE) {
            self.dynamic.pop_back();
        }
    }
}

fn read_integer(rest: &mut &[u8], prefix: u32) -> Result<usize, &'static str> {
    const CUT: &str = "a header block that is cut short";
    let (&first, mut tail) = rest.split_first().ok_or(CUT)?;
    let most = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        for shift in (0..).step_by(7) {
            let (&byte, after) = tail.split_first().ok_or(CUT)?;
            tail = after;
            if shift > 28 {
                return Err("an integer without end");
            }
            value += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
    }
    *rest = tail;
    Ok(value)
}

fn read_string(rest: &mut &[u8]) -> Result<Vec<u8>, &'static str> {
    let is_huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = read_integer(rest, 7)?;
    let text = rest.get(..length).ok_or("a string that is cut short")?;
    *rest = &rest[length..];
    if is_huffman { unhuffman(text) } else { Ok(text.to_vec()) }
}

/// §5.2. The code is canonical: of the codes of one length, each is the one before plus one, in the order of the symbols; so their
/// lengths say it all.
fn unhuffman(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    /// By length: its first code, and its symbols.
    static CODES: LazyLock<Vec<(u32, Vec<usize>)>> = LazyLock::new(|| {
        let mut code = 0;
        (0..=30)
            .map(|length| {
                let symbols: Vec<_> = (0..LENGTHS.len()).filter(|&symbol| LENGTHS[symbol] == length).collect();
                code <<= 1;
                let first = code;
                code += symbols.len() as u32;
                (first, symbols)
            })
            .collect()
    });
    let mut decoded = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in text.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        let (first, symbols) = CODES.get(length).ok_or("a Huffman code that is none")?;
        if let Some(&symbol) = code.checked_sub(*first).and_then(|at| symbols.get(at as usize)) {
            decoded.push(u8::try_from(symbol).map_err(|_| "EOS in a string")?);
            (code, length) = (0, 0);
        }
    }
    let is_padding = length < 8 && code == (1 << length) - 1;
    is_padding.then_some(decoded).ok_or("padding that is not the beginning of EOS")
}

/// RFC 7541 appendix B: how many bits each symbol has; the last one is EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28,
    28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23,
    24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
    23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
    27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27,
    26, //
    30,
];

/// RFC 7541 appendix A.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"), (":scheme", "http"),
    (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""), ("accept-encoding", "gzip, deflate"), ("accept-language", ""),
    ("accept-ranges", ""), ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""),
    ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
    ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, hex: &str) -> String {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let fields = decoder.decode(&digits.chunks(2).map(byte).collect::<Vec<_>>()).unwrap();
        let text = |(name, value): &Field| format!("{name}={}", String::from_utf8_lossy(value));
        fields.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// RFC 7541 appendix C.4: requests with Huffman coding, one after the other on a connection.
    #[test]
    fn the_examples_of_the_rfc() {
        let mut decoder = Decoder::default();
        let first = decode(&mut decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
        assert_eq!(first, ":method=GET :scheme=http :path=/ :authority=www.example.com");
        let second = decode(&mut decoder, "8286 84be 5886 a8eb 1064 9cbf");
        assert_eq!(second, ":method=GET :scheme=http :path=/ :authority=www.example.com cache-control=no-cache");
        let third = decode(&mut decoder, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
        assert_eq!(
            third,
            ":method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value"
        );
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let long = "v".repeat(5000);
        let block = [
            encode(&[("a", "b"), ("long", &long)]),
            incremental("x", "y"),
            indexed(62),
            indexed(8),
        ]
        .concat();
        let fields = Decoder::default().decode(&block).unwrap();
        let names: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.len())).collect();
        assert_eq!(names, [("a", 1), ("long", 5000), ("x", 1), ("x", 1), (":status", 3)]);
    }

    #[test]
    fn nothing_is_forgiven() {
        let beyond = table_size(4097);
        for (block, why) in [
            (&[0x80][..], "index 0"),
            (&[0xbe], "beyond the tables"),
            (&beyond, "beyond the limit"),
            (&[0x00, 0x85, 0xff], "cut short"),
            (&[0x00, 0x81, 0x00], "padding"),
            (&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff], "EOS"),
        ] {
            let error = Decoder::default().decode(block).unwrap_err();
            assert!(error.contains(why), "{block:?}: {error}");
        }
    }
}
