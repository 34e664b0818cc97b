//! URLs that the WHATWG parser would return unchanged, told at a glance: most of those that programs ask for. Parsing them costs more than the
//! rest of a request on a warm connection.
//!
//! Owns a sufficient condition, on the safe side of the rules. What they do to a URL that is not plain must never enter: that is the parser's.

use bytes::Bytes;

/// Whether the parser is certain to leave `text` as it is. `false` says nothing.
pub(super) fn is_plain(text: &str) -> bool {
    let (rest, default_port) = match text.as_bytes() {
        [b'h', b't', b't', b'p', b':', b'/', b'/', rest @ ..] => (rest, 80),
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', rest @ ..] => (rest, 443),
        _ => return false,
    };
    let Some(host) = plain_host(rest) else {
        return false;
    };
    match rest.get(host..) {
        Some([b':', rest @ ..]) => plain_port(rest, default_port).is_some_and(|port| is_plain_tail(&rest[port..])),
        Some(tail) => is_plain_tail(tail),
        None => false,
    }
}

/// The bytes of a URL, in one allocation where it is short: `Bytes` of a vector makes a second one as soon as it is shared, and a `Uri` shares it.
pub(super) fn copy(text: &str) -> Bytes {
    let mut bytes = [0; SHORT];
    match bytes.get_mut(..text.len()) {
        None => Bytes::copy_from_slice(text.as_bytes()),
        Some(part) => {
            part.copy_from_slice(text.as_bytes());
            Bytes::from_owner(Short { bytes, len: text.len() })
        }
    }
}

/// Few URLs of APIs are longer.
const SHORT: usize = 120;

struct Short {
    bytes: [u8; SHORT],
    len: usize,
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The length of a port at the beginning: digits as they would be printed, and not the scheme's own port, which is left out.
fn plain_port(text: &[u8], default: u32) -> Option<usize> {
    let (mut port, mut len) = (0, 0);
    // One digit more than a port has.
    while let Some(digit @ b'0'..=b'9') = text.get(len)
        && len < 6
    {
        port = 10 * port + u32::from(digit - b'0');
        len += 1;
    }
    let is_printed = text.first().is_some_and(|&first| first != b'0') && (1..=u32::from(u16::MAX)).contains(&port);
    (is_printed && port != default).then_some(len)
}

/// The length of a host at the beginning: labels of lower-case letters, digits and hyphens that no rule of IDNA looks at twice; or an IPv4 address
/// as it would be printed.
fn plain_host(text: &[u8]) -> Option<usize> {
    let is_plain_label = |label: &[u8]| !matches!(label, [] | [b'-', ..] | [.., b'-'] | [_, _, b'-', b'-', ..]);
    if let Some(len) = printed_address(text) {
        return Some(len);
    }
    let (mut label, mut len) = (0, 0);
    while let Some(&byte) = text.get(len) {
        if CLASSES[usize::from(byte)] & HOST == 0 {
            if byte != b'.' {
                break;
            }
            if !is_plain_label(&text[label..len]) {
                return None;
            }
            label = len + 1;
        }
        len += 1;
    }
    // A last label that begins with a digit may make it an address, in any of its other forms.
    let last = &text[label..len];
    (is_plain_label(last) && !last[0].is_ascii_digit()).then_some(len)
}

/// The length of an IPv4 address at the beginning, where nothing else of a host follows it: four numbers as they would be printed.
fn printed_address(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for separator in [b'.', b'.', b'.', b':'] {
        let (start, mut number) = (at, 0);
        while let Some(digit @ b'0'..=b'9') = text.get(at)
            && at < start + 3
        {
            number = 10 * number + u32::from(digit - b'0');
            at += 1;
        }
        let is_printed = at > start && number <= 255 && (text[start] != b'0' || at == start + 1);
        match text.get(at) {
            Some(&byte) if is_printed && byte == separator => {}
            None | Some(b'/') if is_printed && separator == b':' => {}
            _ => return None,
        }
        at += 1;
    }
    Some(at - 1)
}

/// A path (which begins with a slash) and perhaps a query of bytes that are in no percent-encode set, without a segment that may be a dot segment, and without a fragment.
fn is_plain_tail(tail: &[u8]) -> bool {
    if tail.first() != Some(&b'/') {
        return false;
    }
    // What some byte has, of what it should have and of what is to be looked at: in one go, as most have nothing.
    let found = tail.iter().fold(0, |found, &byte| found | (CLASSES[usize::from(byte)] ^ TAIL));
    found & TAIL == 0 && (found & DOT == 0 || !has_dot_first(tail))
}

/// Whether a segment of the path begins with "." or "%2e", or something that begins like it.
fn has_dot_first(tail: &[u8]) -> bool {
    let path = tail.split(|&byte| byte == b'?').next().unwrap_or_default();
    path.windows(2).any(|pair| matches!(pair, [b'/', b'.' | b'%']))
}

const HOST: u8 = 1;
const TAIL: u8 = 2;
const DOT: u8 = 4;

/// Where each byte may stand.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let it = byte as u8;
        if it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-' {
            classes[byte] |= HOST;
        }
        if matches!(it, b'.' | b'%') {
            classes[byte] |= DOT;
        }
        if it.is_ascii_alphanumeric()
            || matches!(
                it,
                b'-' | b'_'
                    | b'~'
                    | b'.'
                    | b'/'
                    | b'?'
                    | b'='
                    | b'&'
                    | b'%'
                    | b':'
                    | b'@'
                    | b','
                    | b';'
                    | b'+'
                    | b'*'
                    | b'!'
                    | b'$'
                    | b'('
                    | b')'
            )
        {
            classes[byte] |= TAIL;
        }
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use ::url::Url;

    use super::*;

    /// What is plain is left as it is by the parser: over all combinations of parts, odd ones included.
    #[test]
    fn the_parser_agrees() {
        let hosts = [
            "h.example",
            "a-b.c",
            "a",
            "localhost",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "a.1",
            "a.0x",
            "1.a",
            "xn--bcher-kva.example",
            "xn--a",
            "ab--c.d",
            "-a.b",
            "a-.b",
            "a..b",
            "a.",
            ".a",
            "A.b",
            "a_b",
            "a%41",
            "a b",
            "",
            "[::1]",
            "u@h",
            "u:p@h",
            "b\u{fc}cher",
            "a\u{ad}b",
            "h\u{3002}x",
        ];
        let ports = [
            "",
            ":",
            ":80",
            ":443",
            ":1",
            ":0",
            ":080",
            ":65535",
            ":65536",
            ":8080",
            ":8x",
            ":99999999",
        ];
        let tails = [
            "",
            "/",
            "/a/b?c=d&e",
            "/.",
            "/..",
            "/a/../b",
            "/./",
            "/%2e/",
            "/a/%2E%2e",
            "/a.b/c%20d",
            "/a..",
            "/...",
            "//",
            "/a//b",
            "/?",
            "/?.",
            "/?/.",
            "/a'b",
            "/?a'b",
            "/a\"b",
            "/a b",
            "/a|b",
            "/^",
            "/`",
            "/{}",
            "/?{}",
            "/#f",
            "/?#f",
            "/\\a",
            "/?\\",
            "/<",
            "/?<>",
            "/\u{e4}",
            "/a\tb",
            "/a\u{7f}",
            "/a;b=c,d:e@f!$&()*+/%2F%2f/x",
            "/%",
            "/%zz",
            "?q",
            "\\a",
            "/[]",
            "/?[]",
            "/~_-",
        ];
        let mut plain = 0;
        for scheme in ["http://", "https://", "HTTP://", "http:/", "http:", "ftp://", "", " http://"] {
            for host in hosts {
                for port in ports {
                    for tail in tails {
                        let text = format!("{scheme}{host}{port}{tail}");
                        if is_plain(&text) {
                            plain += 1;
                            assert_eq!(Url::parse(&text).map(String::from).as_deref(), Ok(&*text));
                        }
                    }
                }
            }
        }
        assert!(plain > 500, "only {plain}");
    }

    /// The same over texts put together byte by byte, from bytes that mean something to some rule.
    #[test]
    fn the_parser_agrees_about_noise() {
        let alphabet = b"aabz019..--//:%2eEx?&='#@ \\";
        let mut state = 1_u64;
        let mut plain = 0;
        for _ in 0..200_000 {
            let mut text = String::from("http://");
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bits = state;
            for _ in 0..(3 + (state >> 60)) {
                text.push(char::from(alphabet[(bits >> 33) as usize % alphabet.len()]));
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            }
            if is_plain(&text) {
                plain += 1;
                assert_eq!(Url::parse(&text).map(String::from).as_deref(), Ok(&*text));
            }
        }
        assert!(plain > 100, "only {plain}");
    }

    #[test]
    fn what_programs_ask_for_is_plain() {
        for text in [
            "http://127.0.0.1:8080/",
            "https://api.example.org/v1/orders/17?dry-run=yes&page=2",
            "http://localhost/a.b/c%20d",
        ] {
            assert!(is_plain(text), "{text}");
            assert_eq!(copy(text), text);
        }
        let long = format!("http://h.example/{}", "x".repeat(SHORT));
        assert_eq!(copy(&long), long);
    }
}
