//! What goes onto the wire, byte for byte, and what is refused.

use bytes::BytesMut;
use client_cio::h1::{
    BodyEncoder, ChunkEvent, ChunkedDecoder, HeadLimits, InvalidRequest, RequestFraming, RequestHead, Target, encode_head,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

/// A request as a table row; the rest of it is `GET / HTTP/1.1` to `example.org`.
#[derive(Clone)]
struct Row {
    method: Method,
    form: Form,
    version: Version,
    host: &'static [u8],
    fields: &'static [(&'static str, &'static str)],
    framing: RequestFraming,
}

#[derive(Clone, Copy)]
enum Form {
    Origin(&'static str),
    Absolute(&'static str),
    Authority(&'static str),
    Asterisk,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            method: Method::GET,
            form: Form::Origin("/"),
            version: Version::HTTP_11,
            host: b"example.org",
            fields: &[],
            framing: RequestFraming::None,
        }
    }
}

impl Row {
    fn encode(&self) -> Result<String, InvalidRequest> {
        let (path, uri, authority): (PathAndQuery, Uri, Authority);
        let target = match self.form {
            Form::Origin(text) => {
                path = text.parse().unwrap();
                Target::Origin(&path)
            }
            Form::Absolute(text) => {
                uri = text.parse().unwrap();
                Target::Absolute(&uri)
            }
            Form::Authority(text) => {
                authority = text.parse().unwrap();
                Target::Authority(&authority)
            }
            Form::Asterisk => Target::Asterisk,
        };
        let headers = map(self.fields);
        let mut out = b"before".to_vec();
        let written = encode_head(
            &mut out,
            &RequestHead {
                method: &self.method,
                target,
                version: self.version,
                host: self.host,
                headers: &headers,
                framing: self.framing,
                proxy_authorization: None,
            },
        );
        let text = String::from_utf8_lossy(&out).into_owned();
        let text = text.strip_prefix("before").expect("what was there stays");
        assert!(written.is_ok() || text.is_empty(), "an error writes nothing");
        written.map(|()| text.to_owned())
    }
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .collect()
}

#[test]
fn targets() {
    for (method, form, expected) in [
        (Method::GET, Form::Origin("/"), "GET / HTTP/1.1"),
        (Method::GET, Form::Origin("/a%20b?c=d&e"), "GET /a%20b?c=d&e HTTP/1.1"),
        (Method::GET, Form::Origin("/a?"), "GET /a? HTTP/1.1"),
        (Method::GET, Form::Origin("//a//b"), "GET //a//b HTTP/1.1"),
        (Method::GET, Form::Origin("?a"), "GET /?a HTTP/1.1"),
        (Method::OPTIONS, Form::Asterisk, "OPTIONS * HTTP/1.1"),
        (Method::GET, Form::Absolute("http://h"), "GET http://h/ HTTP/1.1"),
        (Method::GET, Form::Absolute("http://h:81/p?q#fragment"), "GET http://h:81/p?q HTTP/1.1"),
        (Method::GET, Form::Absolute("http://user:secret@h/p"), "GET http://h/p HTTP/1.1"),
        (Method::GET, Form::Absolute("http://[::1]:81/p"), "GET http://[::1]:81/p HTTP/1.1"),
        (Method::CONNECT, Form::Authority("h:443"), "CONNECT h:443 HTTP/1.1"),
        (Method::CONNECT, Form::Authority("user:secret@h:443"), "CONNECT h:443 HTTP/1.1"),
        (Method::CONNECT, Form::Authority("[::1]:443"), "CONNECT [::1]:443 HTTP/1.1"),
        (Method::from_bytes(b"M-SEARCH").unwrap(), Form::Origin("/"), "M-SEARCH / HTTP/1.1"),
    ] {
        let row = Row {
            method,
            form,
            ..Row::default()
        };
        let expected = format!("{expected}\r\nhost: example.org\r\n\r\n");
        assert_eq!(row.encode().unwrap(), expected);
    }
}

#[test]
fn targets_refused() {
    for (method, form, expected) in [
        (Method::GET, Form::Origin("/\u{e9}"), "byte 0xc3 at offset 1"),
        (Method::GET, Form::Origin("/a?\u{e9}"), "byte 0xc3 at offset 3"),
        (Method::GET, Form::Origin("*"), "does not begin with `/`"),
        (Method::GET, Form::Asterisk, "`*` is for OPTIONS"),
        (Method::GET, Form::Absolute("/p"), "absolute form needs scheme and host"),
        (Method::GET, Form::Authority("h:80"), "are for CONNECT"),
        (Method::CONNECT, Form::Authority("h"), "CONNECT needs a port"),
        (Method::CONNECT, Form::Origin("/"), "CONNECT takes host and port"),
    ] {
        let row = Row {
            method,
            form,
            ..Row::default()
        };
        let message = row.encode().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn fields_in_their_order_after_host() {
    for (fields, expected) in [
        (&[][..], "host: example.org\r\n"),
        (&[("accept", "*/*"), ("x-empty", "")], "host: example.org\r\naccept: */*\r\nx-empty: \r\n"),
        (&[("a", "1"), ("b", "2"), ("a", "3")], "host: example.org\r\na: 1\r\na: 3\r\nb: 2\r\n"),
        (&[("accept", "*/*"), ("host", "other:81")], "host: other:81\r\naccept: */*\r\n"),
        (&[("host", "")], "host: \r\n"),
        (&[("x", "tab\there")], "host: example.org\r\nx: tab\there\r\n"),
    ] {
        let row = Row {
            fields,
            ..Row::default()
        };
        assert_eq!(row.encode().unwrap(), format!("GET / HTTP/1.1\r\n{expected}\r\n"));
    }
}

#[test]
fn hosts() {
    let empty = Row {
        host: b"",
        ..Row::default()
    };
    assert_eq!(empty.encode().unwrap(), "GET / HTTP/1.1\r\nhost: \r\n\r\n");

    let hosts: [&[u8]; 5] = [b"a b", b"a\r\nx: y", b"a\xe9", b"user@h", b"a\0"];
    for host in hosts {
        let row = Row { host, ..Row::default() };
        assert!(matches!(row.encode(), Err(InvalidRequest::Host(_))), "{host:?}");
    }
    for fields in [
        &[("host", "a"), ("host", "a")][..],
        &[("host", "a b")],
        &[("host", "user@a")],
        &[("host", "\u{e9}")],
    ] {
        let row = Row {
            fields,
            ..Row::default()
        };
        assert!(matches!(row.encode(), Err(InvalidRequest::Host(_))), "{fields:?}");
    }
}

#[test]
fn framing() {
    use RequestFraming::{Chunked, Length, None};

    let delete = Method::DELETE;
    for (method, framing, fields, expected) in [
        (Method::GET, None, &[][..], ""),
        (Method::GET, Length(0), &[], ""),
        (Method::GET, None, &[("content-length", "0")], "content-length: 0\r\n"),
        (Method::GET, Length(3), &[], "content-length: 3\r\n"),
        (Method::HEAD, None, &[], ""),
        (delete.clone(), None, &[], ""),
        (delete, Length(3), &[], "content-length: 3\r\n"),
        (Method::POST, None, &[], "content-length: 0\r\n"),
        (Method::PUT, Length(0), &[], "content-length: 0\r\n"),
        (Method::PATCH, None, &[], "content-length: 0\r\n"),
        (Method::POST, Length(u64::MAX), &[], "content-length: 18446744073709551615\r\n"),
        (Method::POST, Length(3), &[("content-length", "3")], "content-length: 3\r\n"),
        (
            Method::POST,
            Length(3),
            &[("content-length", "3"), ("content-length", "3")],
            "content-length: 3\r\n",
        ),
        (Method::POST, Chunked, &[], "transfer-encoding: chunked\r\n"),
        (Method::GET, Chunked, &[], "transfer-encoding: chunked\r\n"),
    ] {
        let line = format!("{method} / HTTP/1.1\r\nhost: example.org\r\n{expected}\r\n");
        let row = Row {
            method,
            framing,
            fields,
            ..Row::default()
        };
        assert_eq!(row.encode().unwrap(), line);
    }
}

#[test]
fn framing_refused() {
    use RequestFraming::{Chunked, Length, None};

    for (method, framing, fields, expected) in [
        (Method::POST, Length(3), &[("content-length", "4")][..], "the body has another length"),
        (Method::POST, Length(3), &[("content-length", "03")], "the body has another length"),
        (Method::POST, Length(3), &[("content-length", "3, 3")], "the body has another length"),
        (
            Method::POST,
            Length(3),
            &[("content-length", "3"), ("content-length", "4")],
            "the body has another length",
        ),
        (Method::GET, None, &[("content-length", "3")], "the body has another length"),
        (Method::POST, Chunked, &[("content-length", "3")], "the length of this body is not known"),
        (Method::POST, Chunked, &[("transfer-encoding", "chunked")], "Transfer-Encoding was set"),
        (Method::POST, Length(3), &[("transfer-encoding", "gzip")], "Transfer-Encoding was set"),
        (Method::TRACE, Length(3), &[], "TRACE request must not have a body"),
    ] {
        let row = Row {
            method,
            framing,
            fields,
            ..Row::default()
        };
        let message = row.encode().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let connect = Row {
        method: Method::CONNECT,
        form: Form::Authority("h:443"),
        framing: Chunked,
        ..Row::default()
    };
    assert_eq!(connect.encode(), Err(InvalidRequest::BodyNotAllowed("CONNECT")));
}

#[test]
fn versions() {
    let old = Row {
        version: Version::HTTP_10,
        ..Row::default()
    };
    assert_eq!(old.encode().unwrap(), "GET / HTTP/1.0\r\nhost: example.org\r\n\r\n");

    let chunked = Row {
        framing: RequestFraming::Chunked,
        ..old
    };
    assert_eq!(chunked.encode(), Err(InvalidRequest::ChunkedHttp10));

    for version in [Version::HTTP_09, Version::HTTP_2, Version::HTTP_3] {
        let row = Row {
            version,
            ..Row::default()
        };
        assert_eq!(row.encode(), Err(InvalidRequest::Version(version)));
    }
}

/// The body on the wire, as a driver would write it.
fn send(framing: RequestFraming, pieces: &[&str], trailers: Option<&HeaderMap>) -> Result<Vec<u8>, InvalidRequest> {
    let mut encoder = BodyEncoder::new(framing);
    let mut wire = Vec::new();
    for piece in pieces {
        let frame = encoder.chunk(piece.as_bytes())?;
        wire.extend_from_slice(frame.prefix());
        wire.extend_from_slice(piece.as_bytes());
        wire.extend_from_slice(frame.suffix());
    }
    wire.extend_from_slice(&encoder.finish(trailers)?);
    Ok(wire)
}

#[test]
fn bodies_of_declared_length() {
    use RequestFraming::{Length, None};

    for (framing, pieces, expected) in [
        (None, &[][..], Ok("")),
        (None, &[""], Ok("")),
        (Length(5), &["he", "", "llo"], Ok("hello")),
        (None, &["x"], Err(InvalidRequest::BodyTooLong { declared: 0 })),
        (Length(2), &["hi", "!"], Err(InvalidRequest::BodyTooLong { declared: 2 })),
        (Length(2), &["hi!"], Err(InvalidRequest::BodyTooLong { declared: 2 })),
        (Length(3), &["hi"], Err(InvalidRequest::BodyTooShort { declared: 3, sent: 2 })),
        (Length(3), &[], Err(InvalidRequest::BodyTooShort { declared: 3, sent: 0 })),
    ] {
        assert_eq!(send(framing, pieces, Option::None), expected.map(Vec::from));
    }
    let trailers = map(&[("a", "b")]);
    let refused = send(Length(2), &["hi"], Some(&trailers));
    assert_eq!(refused, Err(InvalidRequest::TrailersNotAllowed));
    assert_eq!(send(Length(2), &["hi"], Some(&HeaderMap::new())), Ok(b"hi".to_vec()));
}

#[test]
fn chunked_bodies() {
    let trailers = map(&[("digest", "x"), ("grpc-status", "0"), ("digest", "y")]);
    let hundred = "x".repeat(0x1a2);
    let long = format!("1a2\r\n{hundred}\r\n0\r\n\r\n");
    for (pieces, trailers, expected) in [
        (&[][..], None, "0\r\n\r\n"),
        (&["", ""], None, "0\r\n\r\n"),
        (&["hello", "", "!"], None, "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        (&[hundred.as_str()], Some(&HeaderMap::new()), &long),
        (&["hi"], Some(&trailers), "2\r\nhi\r\n0\r\ndigest: x\r\ndigest: y\r\ngrpc-status: 0\r\n\r\n"),
    ] {
        let wire = send(RequestFraming::Chunked, pieces, trailers).unwrap();
        assert_eq!(wire, expected.as_bytes(), "{}", wire.escape_ascii());
    }
    for name in ["content-length", "transfer-encoding", "host", "authorization", "trailer"] {
        let trailers = map(&[("a", "b"), (name, "x")]);
        let refused = send(RequestFraming::Chunked, &[], Some(&trailers));
        assert_eq!(refused, Err(InvalidRequest::TrailerField(HeaderName::from_static(name))));
    }
}

#[test]
fn what_is_encoded_can_be_decoded() {
    let trailers = map(&[("a", "b")]);
    let pieces: Vec<String> = (0..300).map(|len| "\n".repeat(len)).collect();
    let slices: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let wire = send(RequestFraming::Chunked, &slices, Some(&trailers)).unwrap();

    let mut decoder = ChunkedDecoder::new(HeadLimits::default());
    let mut buf = BytesMut::from(&wire[..]);
    let mut body = Vec::new();
    let end = loop {
        match decoder.next(&mut buf).unwrap() {
            ChunkEvent::Data(data) => body.extend_from_slice(&data),
            ChunkEvent::End(trailers) => break trailers,
            ChunkEvent::NeedMore => panic!("the body is complete"),
        }
    };
    assert_eq!(body, pieces.concat().as_bytes());
    assert_eq!(end, Some(trailers));
    assert!(buf.is_empty());
}
