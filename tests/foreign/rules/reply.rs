//! What a server sent, read leniently: what a rule has to see in it is mostly what no strict reader would accept.

use std::borrow::Cow;

/// The head of a final response, and what follows it.
pub(super) struct Reply<'a> {
    /// Empty lines came before a status line.
    pub(super) blank_before: bool,
    /// Without its end.
    pub(super) status_line: &'a [u8],
    /// Without their ends.
    pub(super) field_lines: Vec<&'a [u8]>,
    /// A line of the head ends in LF alone.
    pub(super) has_bare_lf: bool,
    /// The empty line is there.
    pub(super) is_complete: bool,
    pub(super) body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads the final response: those before it that are informational (RFC 9110 §15.2) are passed over, but for a 101.
    pub(super) fn read(mut bytes: &'a [u8]) -> Self {
        let mut blank_before = false;
        loop {
            let mut reply = Self::head(bytes);
            blank_before |= reply.blank_before;
            reply.blank_before = blank_before;
            let is_informational = reply.status().is_some_and(|status| status / 100 == 1 && status != 101);
            if !is_informational || !reply.is_complete {
                return reply;
            }
            bytes = reply.body;
        }
    }

    fn head(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        let mut blank_before = false;
        while let Some(after) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
            (rest, blank_before) = (after, true);
        }
        let (mut lines, mut has_bare_lf, mut is_complete) = (Vec::new(), false, false);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            has_bare_lf |= !line.ends_with(b"\r");
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                is_complete = true;
                break;
            }
            lines.push(line);
        }
        if !is_complete && !rest.is_empty() {
            lines.push(rest);
            rest = &[];
        }
        let mut lines = lines.into_iter();
        Self {
            blank_before,
            status_line: lines.next().unwrap_or_default(),
            field_lines: lines.collect(),
            has_bare_lf,
            is_complete,
            body: rest,
        }
    }

    /// The status code of a status line as RFC 9112 §4 has it, but that its reason may be missing with its space.
    pub(super) fn status(&self) -> Option<u16> {
        let code = self
            .status_line
            .strip_prefix(b"HTTP/1.0 ")
            .or_else(|| self.status_line.strip_prefix(b"HTTP/1.1 "))?;
        let (code, reason) = code.split_at_checked(3)?;
        let is_code = code[0] != b'0' && code.iter().all(u8::is_ascii_digit);
        let is_reason = reason.is_empty() || reason[0] == b' ' && reason.iter().all(|byte| is_text(*byte));
        if !is_code || !is_reason {
            return None;
        }
        std::str::from_utf8(code).ok()?.parse().ok()
    }

    /// The values of a field, without whitespace around them; a folded one is joined.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let mut values: Vec<(bool, String)> = Vec::new();
        for line in &self.field_lines {
            if is_folded(line) {
                if let Some((true, value)) = values.last_mut() {
                    value.push(' ');
                    value.push_str(&text(line.trim_ascii()));
                }
                continue;
            }
            let (own, value) = split(line).unwrap_or_default();
            values.push((own.trim_ascii().eq_ignore_ascii_case(name.as_bytes()), text(value.trim_ascii()).into_owned()));
        }
        values.into_iter().filter_map(|(is_it, value)| is_it.then_some(value)).collect()
    }

    /// The elements of a list field (RFC 9110 §5.6.1), empty ones too.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let values = self.values(name);
        values
            .iter()
            .flat_map(|value| value.split(','))
            .map(|element| element.trim_matches([' ', '\t']).to_owned())
            .collect()
    }

    /// Whether the head is what RFC 9112 wants, whatever its lines end in.
    pub(super) fn is_plain(&self) -> bool {
        self.is_complete && !self.blank_before && self.status().is_some() && self.field_lines.iter().all(|line| is_field(line))
    }

    /// Whether it has a field.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }
}

/// The name and the value of a field line, both with the whitespace that is there.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// Whether a line goes on with the field before it (obs-fold).
pub(super) fn is_folded(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}

/// A `token` (RFC 9110 §5.6.2).
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_field(line: &[u8]) -> bool {
    split(line).is_some_and(|(name, value)| is_token(name) && value.iter().all(|byte| is_text(*byte)))
}

/// What a field's value and a reason consist of (RFC 9110 §5.5, RFC 9112 §4).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// How lenient a reader of the chunked coding is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leniency {
    /// A line may end in LF alone.
    pub(super) bare_lf: bool,
    /// Whitespace may follow a size.
    pub(super) space: bool,
    /// An extension may be anything.
    pub(super) extensions: bool,
    /// A size may have more than 16 digits, if its value has 64 bits.
    pub(super) long_sizes: bool,
}

/// Whether `body` begins with a complete body in the chunked coding (RFC 9112 §7.1), but for what is allowed.
pub(super) fn is_chunked(body: &[u8], allowed: Leniency) -> bool {
    after_chunks(body, allowed).is_some()
}

/// What follows a body in the chunked coding; `None` if there is no complete one.
pub(super) fn after_chunks(mut rest: &[u8], allowed: Leniency) -> Option<&[u8]> {
    loop {
        let (line, after) = line(rest, allowed)?;
        let size = size(line, allowed)?;
        rest = after;
        if size == 0 {
            break;
        }
        let (end, after) = line_at(rest, size, allowed)?;
        if !end.is_empty() {
            return None;
        }
        rest = after;
    }
    // Trailer fields, and an empty line.
    loop {
        let (field, after) = line(rest, allowed)?;
        if field.is_empty() {
            return Some(after);
        }
        if !is_field(field) {
            return None;
        }
        rest = after;
    }
}

/// The line after `skip` bytes.
fn line_at(bytes: &[u8], skip: usize, allowed: Leniency) -> Option<(&[u8], &[u8])> {
    line(bytes.get(skip..)?, allowed)
}

fn line(bytes: &[u8], allowed: Leniency) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = match bytes[..end].strip_suffix(b"\r") {
        Some(line) => line,
        None if allowed.bare_lf => &bytes[..end],
        None => return None,
    };
    Some((line, &bytes[end + 1..]))
}

fn size(line: &[u8], allowed: Leniency) -> Option<usize> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    if digits > 16 && !allowed.long_sizes {
        return None;
    }
    let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
    let trimmed = rest.trim_ascii();
    let fits = match trimmed.first() {
        None => rest.is_empty() || allowed.space,
        Some(b';') => allowed.extensions || is_extension(trimmed),
        Some(_) => false,
    };
    fits.then_some(size)
}

/// `chunk-ext` (RFC 9112 §7.1.1), with the bad whitespace that it has to be read with.
pub(super) fn is_extension(bytes: &[u8]) -> bool {
    let mut rest = bytes.trim_ascii();
    while let Some(after) = rest.strip_prefix(b";") {
        let after = after.trim_ascii_start();
        let name = token(after);
        if name == 0 {
            return false;
        }
        rest = after[name..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b"=") {
            let value = value.trim_ascii_start();
            let Some(length) = quoted(value).or(Some(token(value)).filter(|length| *length > 0)) else {
                return false;
            };
            rest = value[length..].trim_ascii_start();
        }
    }
    rest.is_empty()
}

fn token(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_token(std::slice::from_ref(byte))).count()
}

/// The length of a quoted string.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    if bytes.first() != Some(&b'"') {
        return None;
    }
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            byte if is_text(*byte) => at += 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_leniently() {
        let reply = Reply::read(b"HTTP/1.1 103 Early\r\n\r\n\nHTTP/1.1 204\nA : 1\r\nB: 2\r\n more\r\nb: 3, ,4\r\n\r\nrest");
        assert!(reply.blank_before && reply.has_bare_lf && reply.is_complete);
        assert_eq!((reply.status(), reply.body), (Some(204), &b"rest"[..]));
        assert_eq!(
            (reply.values("a"), reply.values("B")),
            (vec!["1".into()], vec!["2 more".to_owned(), "3, ,4".into()])
        );
        assert_eq!(reply.list("b"), ["2 more", "3", "", "4"]);
        assert!(!reply.is_plain() && Reply::read(b"HTTP/1.1 200 OK\nA: b\n\n").is_plain());
        let cut = Reply::read(b"HTTP/1.1 200 OK\r\nA: b");
        assert!(!cut.is_complete && cut.has("a"));
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        for (line, status) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.0 999", Some(999)),
            ("HTTP/1.1 200  ", Some(200)),
            ("HTTP/1.1  200 OK", None),
            ("HTTP/1.1 099 OK", None),
            ("HTTP/1.1 2000 OK", None),
            ("HTTP/1.2 200 OK", None),
            ("HTTP/1.1 20", None),
        ] {
            assert_eq!(Reply::read(line.as_bytes()).status(), status, "{line}");
        }
    }

    #[test]
    fn chunks_are_read_as_leniently_as_asked() {
        let strict = Leniency::default();
        assert!(is_chunked(b"3;a=\"x;\\\"\" ; b\r\nabc\r\n0\r\nT: v\r\n\r\nrest", strict));
        for (body, allowed) in [
            (&b"3\nabc\r\n0\r\n\r\n"[..], Leniency { bare_lf: true, ..strict }),
            (b"3 \r\nabc\r\n0\r\n\r\n", Leniency { space: true, ..strict }),
            (
                b"3;=\r\nabc\r\n0\r\n\r\n",
                Leniency {
                    extensions: true,
                    ..strict
                },
            ),
            (
                b"00000000000000003\r\nabc\r\n0\r\n\r\n",
                Leniency {
                    long_sizes: true,
                    ..strict
                },
            ),
        ] {
            assert!(!is_chunked(body, strict) && is_chunked(body, allowed), "{}", body.escape_ascii());
        }
        let all = Leniency {
            bare_lf: true,
            space: true,
            extensions: true,
            long_sizes: true,
        };
        for body in [
            &b"3\r\nabcd\r\n0\r\n\r\n"[..],
            b"x\r\n",
            b"3\r\nabc\r\n0\r\n",
            b"3\rabc\r\n0\r\n\r\n",
            b"0\r\nA\r\n\r\n",
        ] {
            assert!(!is_chunked(body, all), "{}", body.escape_ascii());
        }
    }
}
