//! Proxies: where they are, how they are spoken to, and which secrets they get to see. How each kind is asked for a tunnel has a file
//! of its own; which proxy a request takes is decided in `env.rs` and in the router.

pub(crate) mod connect;
mod env;
pub(crate) mod socks;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use client_core::{Error, ErrorKind, Result};
use http::{HeaderValue, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::tls::{self, TlsSettings};

pub use env::Environment;

/// A proxy, with the credentials it asks for.
///
/// The scheme says how it is spoken to: `http` and `https` (the request itself for `http` URLs, CONNECT for `https`), `socks4` and `socks5` (names are resolved
/// here), `socks4a` and `socks5h` (names are resolved by the proxy). Without a scheme it is `http`; without a port, 80, 443 or 1080. Its credentials
/// are sent to itself alone, and shown nowhere.
///
/// ```
/// use client_transport::proxy::Proxy;
///
/// let proxy = Proxy::new("socks5h://user:secret@proxy.example:1080")?;
/// assert_eq!(proxy.to_string(), "socks5h://proxy.example:1080");
/// assert!(!format!("{proxy:?}").contains("secret"));
///
/// assert!(Proxy::new("ftp://proxy.example").is_err());
/// # Ok::<(), client_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
    credentials: Option<Credentials>,
    tls: Option<TlsSettings>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
    Socks4,
    Socks4a,
    Socks5,
    Socks5h,
}

impl Scheme {
    const ALL: [(&'static str, Self, u16); 6] = [
        ("http", Self::Http, 80),
        ("https", Self::Https, 443),
        ("socks4", Self::Socks4, 1080),
        ("socks4a", Self::Socks4a, 1080),
        ("socks5", Self::Socks5, 1080),
        ("socks5h", Self::Socks5h, 1080),
    ];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether the proxy is given names, or addresses that were resolved here. Never changed silently: who resolves a name learns of it.
    pub(crate) fn resolves(self) -> bool {
        !matches!(self, Self::Socks4 | Self::Socks5)
    }
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Credentials {
    pub(crate) user: Box<[u8]>,
    pub(crate) password: Box<[u8]>,
    /// Made once, as it goes into each request of a plain connection.
    basic: HeaderValue,
}

impl Credentials {
    fn new(user: &[u8], password: &[u8]) -> Self {
        let token = BASE64.encode([user, b":", password].concat());
        // Base64 consists of characters that a header may have.
        let mut basic = HeaderValue::try_from(format!("Basic {token}")).unwrap_or(HeaderValue::from_static(""));
        basic.set_sensitive(true);
        Self {
            user: user.into(),
            password: password.into(),
            basic,
        }
    }
}

impl Proxy {
    /// A proxy by its URL, which may hold credentials, percent-encoded.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming what is wrong, without the credentials.
    pub fn new(url: &str) -> Result<Self> {
        Self::parse(url).map_err(invalid)
    }

    /// Its errors are phrases, to be put into a sentence.
    fn parse(url: &str) -> Result<Self, String> {
        let url = url.trim();
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let parsed = Url::parse(&with_scheme).map_err(|error| format!("the proxy's URL is invalid: {error}"))?;
        let Some(&(_, scheme, port)) = Scheme::ALL.iter().find(|(name, ..)| *name == parsed.scheme()) else {
            let known = Scheme::ALL.map(|(name, ..)| name).join(", ");
            return Err(format!("a proxy's scheme is one of {known}, not {:?}", parsed.scheme()));
        };
        let host = match parsed.host() {
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            // Of a scheme that the URL standard does not know, the host comes as it was written.
            Some(Host::Domain(name)) => match Host::parse(name) {
                Ok(Host::Domain(name)) => name,
                Ok(Host::Ipv4(address)) => address.to_string(),
                _ => return Err("the proxy's URL has no valid host".into()),
            },
            None => return Err("the proxy's URL has no host".into()),
        };
        let proxy = Self {
            scheme,
            host: host.into(),
            port: parsed.port().unwrap_or(port),
            credentials: None,
            tls: None,
        };
        match (parsed.username(), parsed.password()) {
            ("", None) => Ok(proxy),
            (user, password) => {
                let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
                proxy.authenticated(&decode(user), &decode(password.unwrap_or("")))
            }
        }
    }

    /// Sets the credentials. SOCKS4 knows a user only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for what the kind of proxy has no way to send.
    pub fn credentials(self, user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Result<Self> {
        self.authenticated(user.as_ref(), password.as_ref()).map_err(invalid)
    }

    fn authenticated(mut self, user: &[u8], password: &[u8]) -> Result<Self, String> {
        let mistake = match self.scheme {
            Scheme::Http | Scheme::Https if user.contains(&b':') => {
                "the user of an HTTP proxy has no colon in its name (RFC 7617 §2)"
            }
            Scheme::Socks4 | Scheme::Socks4a if !password.is_empty() => "SOCKS4 has no passwords; use socks5",
            Scheme::Socks4 | Scheme::Socks4a if user.contains(&0) => "the user of a SOCKS4 proxy has no NUL in its name",
            Scheme::Socks5 | Scheme::Socks5h if !(1..=255).contains(&user.len()) || !(1..=255).contains(&password.len()) => {
                "user and password of a SOCKS5 proxy have 1 to 255 bytes (RFC 1929 §2)"
            }
            _ => {
                self.credentials = Some(Credentials::new(user, password));
                return Ok(self);
            }
        };
        Err(mistake.into())
    }

    /// How an `https` proxy is verified. Default: as TLS servers are by default, whatever is set for the origin.
    #[must_use]
    pub fn tls(mut self, tls: impl Into<TlsSettings>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.scheme {
            Scheme::Https => {
                self.tls.as_ref().map_or(Ok(()), tls::check)?;
                tls::check_name(&self.host)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn get_credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// What `Proxy-Authorization` says to it (RFC 9110 §11.7.2).
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.credentials.as_ref().filter(|_| self.scheme.is_http()).map(|credentials| &credentials.basic)
    }

    pub(crate) fn get_tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }
}

impl FromStr for Proxy {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Self::new(url)
    }
}

/// Without its credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.scheme.name(), self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self}{})", if self.credentials.is_some() { ", ***" } else { "" })
    }
}

/// A proxy's answer to CONNECT other than a tunnel: the [source](std::error::Error::source) of an error of kind [`ErrorKind::Proxy`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyRefusal {
    /// Its status: 407, 403, 502.
    pub status: StatusCode,
    /// The beginning of its body, as text.
    pub body: String,
}

/// One line: the status, and what the body says to people, without its markup.
impl fmt::Display for ProxyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = self.body.split('<').enumerate();
        let plain = pieces.map(|(index, piece)| {
            if index == 0 {
                piece
            } else {
                piece.split_once('>').map_or("", |(_, text)| text)
            }
        });
        let words: Vec<_> = plain.flat_map(str::split_whitespace).collect();
        let said: String = words.join(" ").chars().take(Self::TOLD).collect();
        write!(f, "{}", self.status)?;
        if said.is_empty() { Ok(()) } else { write!(f, ": {}", said.escape_debug()) }
    }
}

impl ProxyRefusal {
    /// Characters of the body that are shown.
    const TOLD: usize = 160;
}

impl std::error::Error for ProxyRefusal {}

/// Which proxy a request takes, where its route does not say it.
///
/// ```
/// use client_transport::proxy::{Proxies, Proxy};
///
/// let intern = Proxy::new("http://proxy.example:3128")?;
/// let proxies = Proxies::by(move |url| url.host().is_some_and(|host| host.ends_with(".intern.example")).then(|| intern.clone()));
/// # Ok::<(), client_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Proxies(pub(crate) Rule);

#[derive(Clone, Default)]
pub(crate) enum Rule {
    #[default]
    None,
    Environment(Arc<Environment>),
    Function(Arc<Choose>),
}

type Choose = dyn Fn(&Uri) -> Option<Proxy> + Send + Sync;

impl Proxies {
    /// None: every way is direct.
    pub fn none() -> Self {
        Self::default()
    }

    /// As a function says, for each URL anew.
    pub fn by(choose: impl Fn(&Uri) -> Option<Proxy> + Send + Sync + 'static) -> Self {
        Self(Rule::Function(Arc::new(choose)))
    }

    /// As the environment says, read now; see [`Environment`].
    pub fn environment() -> Self {
        Environment::read(|name| std::env::var(name).ok()).into()
    }
}

impl From<Environment> for Proxies {
    fn from(environment: Environment) -> Self {
        Self(Rule::Environment(Arc::new(environment)))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::None => f.write_str("Proxies::None"),
            Rule::Environment(environment) => environment.fmt(f),
            Rule::Function(_) => f.write_str("Proxies::Function(..)"),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, expected) in [
            ("proxy.example", "http://proxy.example:80"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("http://u:secret@proxy.example:3128/path", "http://proxy.example:3128"),
            ("u:secret@proxy.example:3128", "http://proxy.example:3128"),
            ("https://proxy.example", "https://proxy.example:443"),
            ("SOCKS5H://Proxy.Example", "socks5h://proxy.example:1080"),
            ("socks4a://10.0.0.1:99", "socks4a://10.0.0.1:99"),
            ("socks5://[::1]", "socks5://[::1]:1080"),
            ("http://[fe80::1]:8080", "http://[fe80::1]:8080"),
            ("socks5://bücher.example", "socks5://xn--bcher-kva.example:1080"),
        ] {
            assert_eq!(Proxy::new(url).unwrap().to_string(), expected, "{url}");
        }
    }

    #[test]
    fn mistakes_keep_secrets() {
        for (url, expected) in [
            (
                "foo://u:secret@host",
                "a proxy's scheme is one of http, https, socks4, socks4a, socks5, socks5h, not \"foo\"",
            ),
            ("http://u:secret@", "the proxy's URL is invalid"),
            ("http://u:secret@h:99999", "the proxy's URL is invalid"),
            ("", "the proxy's URL is invalid"),
            ("socks4://u:secret@h", "SOCKS4 has no passwords"),
            ("socks4://u%00v@h", "no NUL"),
            ("http://u%3av:secret@h", "no colon"),
            ("socks5://u@h", "1 to 255 bytes"),
            ("socks5://:secret@h", "1 to 255 bytes"),
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        let long = Proxy::new("socks5://h").unwrap().credentials("u", vec![b'x'; 256]);
        assert!(long.is_err());
    }

    #[test]
    fn a_refusal_is_one_line() {
        for (body, expected) in [
            ("", "407 Proxy Authentication Required"),
            ("who are\n  you?\x1b", "407 Proxy Authentication Required: who are you?\\u{1b}"),
            (
                "<html>\n<h1>No <b>access</b></h1>\n<p>Ask the",
                "407 Proxy Authentication Required: No access Ask the",
            ),
            ("<html>only a ta<g", "407 Proxy Authentication Required: only a ta"),
            (&"x".repeat(500), &format!("407 Proxy Authentication Required: {}", "x".repeat(160))),
        ] {
            let refusal = ProxyRefusal {
                status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                body: body.to_owned(),
            };
            assert_eq!(refusal.to_string(), expected);
        }
    }

    #[test]
    fn credentials_are_decoded_and_hidden() {
        let proxy = Proxy::new("http://us%65r:p%40ss@h").unwrap();
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(proxy.authorization().unwrap().is_sensitive());
        let shown = format!("{proxy} {proxy:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("user") && !shown.contains("dXNlcjpw"), "{shown}");
        assert_eq!(Proxy::new("socks5://u:p@h").unwrap().authorization(), None);
    }
}
