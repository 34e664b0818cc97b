//! Requests as they were on the wire: parsed strictly and by hand, so that no engine's mistake is smoothed over by a library that
//! an engine may share.

/// One complete HTTP/1.x request, byte by byte as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The method.
    pub method: String,
    /// The request target (RFC 9112 §3.2).
    pub target: String,
    /// `HTTP/1.1`, say.
    pub version: String,
    /// Names as written, values without the surrounding whitespace, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The content, without its framing.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl ReceivedRequest {
    /// A request that came in another version, in the words of this one; its fields and its body are to follow.
    pub(crate) fn of_http2(method: String, target: String) -> Self {
        Self {
            method,
            target,
            version: "HTTP/2".to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// Every value of a field, in order.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let same = |field: &&(String, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_slice()).collect()
    }

    /// Every value of a field as one, as RFC 9110 §5.3 allows them to be joined.
    pub fn field(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        let joined = values.iter().map(|value| String::from_utf8_lossy(value)).collect::<Vec<_>>().join(", ");
        (!values.is_empty()).then_some(joined)
    }

    /// The names of all fields, in lower case, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    }
}

/// All complete requests at the beginning of `bytes`.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<ReceivedRequest> {
    let mut requests = Vec::new();
    while let Some((request, rest)) = request(bytes) {
        requests.push(request);
        bytes = rest;
    }
    requests
}

/// The length of the first complete request in `bytes`.
pub(crate) fn request_len(bytes: &[u8]) -> Option<usize> {
    request(bytes).map(|(_, rest)| bytes.len() - rest.len())
}

/// The length of the first complete head in `bytes`.
pub(crate) fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn request(bytes: &[u8]) -> Option<(ReceivedRequest, &[u8])> {
    let head = head_len(bytes)?;
    let (line, fields) = line(&bytes[..head])?;
    let mut line = line.splitn(3, |&byte| byte == b' ').map(text);
    let mut request = ReceivedRequest {
        method: line.next()?,
        target: line.next()?,
        version: line.next()?,
        fields: self::fields(fields)?.0,
        body: Vec::new(),
        trailers: Vec::new(),
    };
    let rest = &bytes[head..];
    let rest = match (request.field("transfer-encoding"), request.field("content-length")) {
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => chunked(&mut request, rest)?,
        (None, Some(length)) => {
            let length: usize = length.parse().ok()?;
            request.body = rest.get(..length)?.to_vec();
            &rest[length..]
        }
        (None, None) => rest,
        // Framing that a client must not send is no request: whoever waits for one will say so.
        _ => return None,
    };
    Some((request, rest))
}

fn chunked<'a>(request: &mut ReceivedRequest, mut rest: &'a [u8]) -> Option<&'a [u8]> {
    loop {
        let (size, after) = line(rest)?;
        let size = usize::from_str_radix(&text(size), 16).ok()?;
        if size == 0 {
            let (trailers, after) = fields(after)?;
            request.trailers = trailers;
            return Some(after);
        }
        request.body.extend_from_slice(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Field lines up to and including the empty one.
#[expect(clippy::type_complexity, reason = "a pair of what was parsed and what is left")]
fn fields(mut bytes: &[u8]) -> Option<(Vec<(String, Vec<u8>)>, &[u8])> {
    let mut fields = Vec::new();
    loop {
        let (field, rest) = line(bytes)?;
        if field.is_empty() {
            return Some((fields, rest));
        }
        let colon = field.iter().position(|&byte| byte == b':')?;
        fields.push((text(&field[..colon]), field[colon + 1..].trim_ascii().to_vec()));
        bytes = rest;
    }
}

/// A line that ends in CRLF, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_requests_only() {
        let wire = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
            PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n\
            GET /c HTTP/1.1\r\nHost";
        let requests = parse(wire);
        let [first, second] = &requests[..] else {
            panic!("{requests:?}");
        };
        assert_eq!((first.method.as_str(), first.target.as_str(), first.body.as_slice()), ("POST", "/a", &b"abc"[..]));
        assert_eq!(second.body, b"de");
        assert_eq!(second.trailers, [("X-Sum".to_owned(), b"1".to_vec())]);
        assert_eq!(first.names(), ["content-length", "host"]);
    }

    #[test]
    fn contradicting_framing_is_no_request() {
        assert!(parse(b"POST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").is_empty());
    }
}
