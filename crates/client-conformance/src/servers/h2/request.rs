//! A request as its frames said it, and what RFC 9113 §8 forbids in one.

use super::hpack::Field;

/// A request on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its stream.
    pub stream: u32,
    /// Pseudo-header fields and others, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Its DATA so far.
    pub body: Vec<u8>,
    /// The fields after its DATA.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Whether it is complete.
    pub ended: bool,
    /// The code with which the client has reset it.
    pub reset: Option<u32>,
}

impl Request {
    pub(super) fn new(stream: u32, fields: Vec<Field>) -> Self {
        Self {
            stream,
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
            ended: false,
            reset: None,
        }
    }

    /// Every value of a field as one, as RFC 9110 §5.3 allows them to be joined; of `cookie` by "; " (RFC 9113 §8.2.3).
    pub fn field(&self, name: &str) -> Option<String> {
        let same = self.fields.iter().filter(|(other, _)| other == name);
        let values: Vec<_> = same.map(|(_, value)| String::from_utf8_lossy(value)).collect();
        (!values.is_empty()).then(|| values.join(if name == "cookie" { "; " } else { ", " }))
    }

    /// `:path`.
    pub fn path(&self) -> String {
        self.field(":path").unwrap_or_default()
    }
}

/// Fields that speak of a connection (RFC 9113 §8.2.2).
const OF_CONNECTION: [&str; 5] = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// What is wrong with the fields of a request.
pub(super) fn mistake_in_head(fields: &[Field]) -> Option<String> {
    let pseudo = fields.iter().take_while(|(name, _)| name.starts_with(':')).count();
    let (pseudo, regular) = fields.split_at(pseudo);
    let values = |wanted: &str| {
        pseudo
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_slice())
            .collect::<Vec<_>>()
    };
    for (name, _) in pseudo {
        if ![":method", ":scheme", ":authority", ":path"].contains(&name.as_str()) {
            return Some(format!("{name} is no pseudo-header field of a request (RFC 9113 §8.3.1)"));
        }
        if values(name).len() > 1 {
            return Some(format!("{name} is there twice (RFC 9113 §8.3)"));
        }
    }
    let is_connect = values(":method") == [b"CONNECT"];
    for name in [":method", ":scheme", ":path"] {
        if values(name).is_empty() != (is_connect && name != ":method") {
            return Some(format!("{name} is there or missing where it must not be (RFC 9113 §8.3.1, §8.5)"));
        }
    }
    if values(":path").concat().is_empty() && !is_connect {
        return Some("an empty :path (RFC 9113 §8.3.1)".into());
    }
    let authority = values(":authority").concat();
    if authority.contains(&b'@') {
        return Some("userinfo in :authority (RFC 9113 §8.3.1)".into());
    }
    if regular.iter().any(|(name, value)| name == "host" && *value != authority) {
        return Some("host differs from :authority (RFC 9113 §8.3.1)".into());
    }
    mistake_in_fields(regular)
}

/// What is wrong with trailers.
pub(super) fn mistake_in_trailers(fields: &[Field], ends: bool) -> Option<String> {
    if !ends {
        return Some("they do not end the stream (RFC 9113 §8.1)".into());
    }
    mistake_in_fields(fields)
}

fn mistake_in_fields(fields: &[Field]) -> Option<String> {
    fields.iter().find_map(|(name, value)| {
        let why = if name.is_empty()
            || name.bytes().any(|byte| !(0x21..0x7f).contains(&byte) || byte == b':' || byte.is_ascii_uppercase())
        {
            "a name that is a pseudo-header field, in upper case, or none at all (RFC 9113 §8.2.1, §8.3)"
        } else if OF_CONNECTION.contains(&name.as_str()) || (name == "te" && value != b"trailers") {
            "a field of connections (RFC 9113 §8.2.2)"
        } else if value.iter().any(|byte| [0, b'\r', b'\n'].contains(byte)) || value.trim_ascii().len() != value.len() {
            "a value with a line end, or with space around it (RFC 9113 §8.2.1)"
        } else {
            return None;
        };
        Some(format!("{name:?}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(&str, &str)], expected: Option<&str>) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let found = mistake_in_head(&fields);
        let is_expected = match (&found, expected) {
            (Some(found), Some(expected)) => found.contains(expected),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(is_expected, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn heads() {
        let get = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
        let with = |name, value| [&get[..], &[(name, value)]].concat();
        check(&get, None);
        check(&with("host", "h"), None);
        check(&with("te", "trailers"), None);
        check(&with("te", "gzip"), Some("of connections"));
        check(&with("connection", "close"), Some("of connections"));
        check(&with("host", "other"), Some("differs"));
        check(&with("X-Upper", "1"), Some("upper case"));
        check(&with("x-space", "1 "), Some("space around"));
        check(&[&[("x", "1")], &get[..]].concat(), Some(":method is there or missing"));
        check(&get[..3], Some(":path is there or missing"));
        check(&with(":status", "200"), Some("no pseudo-header"));
        check(&with(":method", "PUT"), Some("twice"));
        check(&[(":method", "CONNECT"), (":authority", "h:1")], None);
        check(&[(":method", "CONNECT"), (":authority", "h:1"), (":path", "/")], Some(":path is there"));
        check(&[(":method", "GET"), (":scheme", "http"), (":authority", "u@h"), (":path", "/")], Some("userinfo"));
    }
}
