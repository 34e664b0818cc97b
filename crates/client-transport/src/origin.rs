//! Where a request wants to go. How to get there must never enter: that is the route's.

use std::fmt;
use std::hash::{Hash, Hasher};

use client_core::{Error, ErrorKind, Result};
use http::Uri;
use http::uri::Authority;

/// Scheme, host and port: where a request wants to go (RFC 6454 §4).
#[derive(Clone, Debug)]
pub struct Origin {
    secure: bool,
    /// In lower case, without userinfo, without the scheme's default port: so that equal origins are equal bytes.
    authority: Authority,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URI. Allocates nothing for a URI that has passed the client's door.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for any other.
    pub fn of(uri: &Uri) -> Result<Self> {
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(Error::new(ErrorKind::InvalidRequest, "an absolute http or https URI is needed")),
        };
        let authority = match uri.authority() {
            Some(authority) if is_normal(authority.as_str().as_bytes(), secure) => authority.clone(),
            Some(authority) if !authority.host().is_empty() => normalize(authority, secure)?,
            _ => return Err(Error::new(ErrorKind::InvalidRequest, "the URI has no host")),
        };
        Ok(Self { secure, authority })
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host and port as a request carries them: without the scheme's default port, an IPv6 address in brackets.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host: a name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, that of the scheme if none is given.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(default_port(self.secure))
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Asked for every exchange, so told by the bytes alone, and on the safe side: whatever might be an empty host, an empty port, a port with leading
/// zeros or the scheme's own is looked at more closely, and so are some IPv6 addresses.
fn is_normal(authority: &[u8], secure: bool) -> bool {
    // "@" comes right before "A". Without a way out of the loop, so that many bytes are looked at together.
    let has_odd = authority.iter().fold(false, |odd, byte| odd | matches!(byte, b'@'..=b'Z'));
    let (host, port) = match authority.iter().rposition(|&byte| byte == b':') {
        None => (authority, None),
        Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
    };
    let is_normal_port = match port {
        Some([] | [b'0', ..]) => false,
        Some(b"443") => !secure,
        Some(b"80") => secure,
        _ => true,
    };
    !has_odd && !host.is_empty() && is_normal_port
}

fn normalize(authority: &Authority, secure: bool) -> Result<Authority> {
    let host = authority.host().to_ascii_lowercase();
    let text = match authority.port_u16() {
        Some(port) if port != default_port(secure) => format!("{host}:{port}"),
        _ => host,
    };
    Authority::try_from(text).map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("host: {error}")).with_source(error))
}

// By hand, as `Authority` folds case at each comparison, byte by byte; ours has none.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let Self { secure, authority } = self;
        *secure == other.secure && authority.as_str() == other.authority.as_str()
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { secure, authority } = self;
        secure.hash(state);
        authority.as_str().hash(state);
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn origins() {
        for (url, text, host, port) in [
            ("http://h.example/x?y", "http://h.example", "h.example", 80),
            ("https://h.example", "https://h.example", "h.example", 443),
            ("http://h.example:80", "http://h.example", "h.example", 80),
            ("https://h.example:80", "https://h.example:80", "h.example", 80),
            ("http://u:secret@H.Example:8080/", "http://h.example:8080", "h.example", 8080),
            ("http://h.example:/", "http://h.example", "h.example", 80),
            ("https://[::1]:443/", "https://[::1]", "::1", 443),
            ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443", "2001:db8::1", 8443),
        ] {
            let origin = origin(url);
            assert_eq!((origin.to_string().as_str(), origin.host(), origin.port()), (text, host, port), "{url}");
        }
        for wrong in ["/path", "h.example:80", "ftp://h.example/"] {
            assert_eq!(Origin::of(&wrong.parse().unwrap()).unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong}");
        }
    }
}
