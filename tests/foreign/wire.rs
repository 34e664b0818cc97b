//! Requests as a server sees them: read off a stream, byte by byte, by the rules of RFC 9112 and no more.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt};

/// One request, with nothing interpreted but its framing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// `HTTP/1.1`, say.
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    #[default]
    None,
    Length,
    Chunked,
}

impl Request {
    /// Takes one request off the front of `buffer`; `None` while it is not complete.
    pub(crate) fn take(buffer: &mut Vec<u8>) -> Result<Option<Self>, String> {
        let Some((head, start)) = section(buffer, 0) else {
            return Ok(None);
        };
        let (line, fields) = head.split_first().ok_or("an empty line instead of a request")?;
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let mut part = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let mut request = Self {
            method: part(),
            target: part(),
            version: part(),
            headers: fields.iter().map(|line| field(line)).collect::<Result<_, _>>()?,
            ..Self::default()
        };
        let chunked = request.value("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"));
        let end = if chunked {
            request.framing = Framing::Chunked;
            let Some((body, trailers, end)) = chunks(buffer, start)? else {
                return Ok(None);
            };
            request.body = body;
            request.trailers = trailers.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
            end
        } else if let Some(length) = request.value("content-length") {
            request.framing = Framing::Length;
            let length: usize = length.parse().map_err(|_| format!("Content-Length: {length}"))?;
            let Some(body) = buffer.get(start..start + length) else {
                return Ok(None);
            };
            request.body = body.to_vec();
            start + length
        } else {
            start
        };
        buffer.drain(..end);
        Ok(Some(request))
    }

    /// Reads one request; `None` if the stream ends before its first byte.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<Option<Self>, String> {
        loop {
            if let Some(request) = Self::take(buffer)? {
                return Ok(Some(request));
            }
            match stream.read_buf(buffer).await {
                Ok(0) if buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(format!("the stream ended in a request: {}", buffer.escape_ascii())),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The value of a header field, as text; several are joined.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let values = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let values: Vec<_> = values.map(|(_, value)| String::from_utf8_lossy(value)).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} {}", self.method, self.target, self.version)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        writeln!(f, "({:?}, {} bytes) {}", self.framing, self.body.len(), super::corpora::shown(&self.body))
    }
}

/// The lines up to an empty one, from `start`, and where they end. Lines end in CRLF: that is what a client has to send.
fn section(buffer: &[u8], start: usize) -> Option<(Vec<&[u8]>, usize)> {
    let mut lines = Vec::new();
    let mut at = start;
    loop {
        let length = buffer.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let line = &buffer[at..at + length];
        at += length + 2;
        if line.is_empty() {
            return Some((lines, at));
        }
        lines.push(line);
    }
}

type Chunked<'a> = (Vec<u8>, Vec<&'a [u8]>, usize);

/// The data, the trailer lines and the end of a chunked body.
fn chunks(buffer: &[u8], start: usize) -> Result<Option<Chunked<'_>>, String> {
    let (mut body, mut at) = (Vec::new(), start);
    loop {
        let Some(length) = buffer[at..].windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&buffer[at..at + length]);
        let size = usize::from_str_radix(&line, 16).map_err(|_| format!("a chunk's size is {line:?}"))?;
        at += length + 2;
        if size == 0 {
            return Ok(section(buffer, at).map(|(trailers, end)| (body, trailers, end)));
        }
        let Some(data) = buffer.get(at..at + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(data.strip_suffix(b"\r\n").ok_or("a chunk does not end in CRLF")?);
        at += size + 2;
    }
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(|| format!("no field: {}", line.escape_ascii()))?;
    let name = String::from_utf8_lossy(&line[..colon]).into_owned();
    Ok((name, line[colon + 1..].trim_ascii().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn take(bytes: &[u8]) -> (Request, Vec<u8>) {
        for end in 0..bytes.len() - 4 {
            assert_eq!(Request::take(&mut bytes[..end].to_vec()), Ok(None), "complete after {end} bytes");
        }
        let mut buffer = [bytes, b"next"].concat();
        let request = Request::take(&mut buffer).unwrap().expect("a complete request");
        (request, buffer)
    }

    #[test]
    fn framings() {
        let (request, rest) = take(b"GET /a?b HTTP/1.1\r\nHost: h\r\nA:1\r\na: 2 \r\n\r\n");
        assert_eq!((&*request.method, &*request.target, &*request.version), ("GET", "/a?b", "HTTP/1.1"));
        assert_eq!((request.value("A").as_deref(), request.framing), (Some("1, 2"), Framing::None));
        assert_eq!(rest, b"next");

        let (request, _) = take(b"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!((&*request.body, request.framing), (&b"abc"[..], Framing::Length));

        let (request, rest) =
            take(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n");
        assert_eq!((&*request.body, request.framing), (&b"abc0123456789"[..], Framing::Chunked));
        assert_eq!(request.trailers, [("T".to_owned(), b"v".to_vec())]);
        assert_eq!(rest, b"next");
    }

    #[test]
    fn what_is_no_request() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nbroken\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        ] {
            assert!(Request::take(&mut bytes.to_vec()).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
