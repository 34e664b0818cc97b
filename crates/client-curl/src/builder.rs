//! What the user can set, what it is by default, and what of it is wrong.
//!
//! What must never enter this file: an exchange.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client_core::{Capability, Error, ErrorKind, Mistake, Result, Timeout, Timeouts, TlsConfig};

use crate::driver::Driver;
use crate::progress::Via;
use crate::tls::Tls;
use crate::{Curl, capabilities};

/// Configures the engine; see [`Curl::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CurlBuilder {
    timeouts: Timeouts,
    max_connections: Option<usize>,
    max_idle: usize,
    keep_alive: Duration,
    hosts: HashMap<String, Vec<IpAddr>>,
    unix_socket: Option<PathBuf>,
    proxy: Option<CurlProxy>,
    tls: TlsConfig,
}

impl Default for CurlBuilder {
    fn default() -> Self {
        Self {
            // libcurl's own.
            timeouts: Timeouts::new().connect(Duration::from_secs(300)),
            max_connections: None,
            max_idle: 100,
            // libcurl's own: less than the two minutes after which common middleboxes forget a connection.
            keep_alive: Duration::from_secs(118),
            hosts: HashMap::new(),
            unix_socket: None,
            proxy: None,
            tls: TlsConfig::default(),
        }
    }
}

impl CurlBuilder {
    /// Until the connection can carry the request: name, TCP, proxy, TLS. Default: 300 s, as libcurl's. A request's own limit comes first.
    pub fn connect_timeout(mut self, limit: impl Into<Timeout>) -> Self {
        self.timeouts = self.timeouts.connect(limit);
        self
    }

    /// The longest silence on the connection while an exchange waits for the server. Default: none. A request's own limit comes first.
    pub fn socket_timeout(mut self, limit: impl Into<Timeout>) -> Self {
        self.timeouts = self.timeouts.socket(limit);
        self
    }

    /// The most connections that may be open at a time, over all hosts. Further exchanges wait. Default: no limit.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = Some(connections);
        self
    }

    /// How many connections may wait for use. Default: 100.
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// How long a connection may wait for use; whole seconds. Default: 118 s, as libcurl's.
    pub fn keep_alive(mut self, wait: Duration) -> Self {
        self.keep_alive = wait;
        self
    }

    /// A host with this address; it is looked up nowhere. Once more for one more address.
    pub fn resolve(mut self, host: impl Into<String>, address: IpAddr) -> Self {
        self.hosts.entry(host.into().to_ascii_lowercase()).or_default().push(address);
        self
    }

    /// All connections go to this Unix socket, whatever the URL's host; it only names the server.
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix_socket = Some(path.into());
        self
    }

    /// All connections go through this proxy. Default: none, whatever the environment says.
    pub fn proxy(mut self, proxy: CurlProxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// How servers are verified, and how we identify ourselves. Default: the platform's trusted roots.
    ///
    /// What the TLS library behind the linked libcurl cannot do is refused when a client is built.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// The engine. What is wrong with its configuration is told when a client is built of it, and by every exchange.
    pub fn build(self) -> Curl {
        let timeouts = self.timeouts;
        Curl {
            driver: self.config().map(|config| Driver::new(Arc::new(config))).map_err(Mistake::from),
            timeouts,
        }
    }

    fn config(self) -> Result<Config> {
        self.timeouts.check()?;
        if self.max_connections == Some(0) {
            return Err(Error::new(ErrorKind::InvalidRequest, "max_connections: no connection at all; at least 1 is needed"));
        }
        let asked = [
            (self.unix_socket.is_some(), Capability::UnixSocket),
            (self.proxy.as_ref().is_some_and(CurlProxy::is_https), Capability::HttpsProxy),
        ];
        if let Some((_, missing)) = asked.into_iter().find(|(asked, one)| *asked && !capabilities().contains(*one)) {
            return Err(Error::unsupported(missing));
        }
        Ok(Config {
            max_connections: self.max_connections,
            max_idle: self.max_idle,
            keep_alive: self.keep_alive,
            hosts: self.hosts,
            unix_socket: self.unix_socket,
            proxy: self.proxy.map(CurlProxy::route).transpose()?,
            tls: Tls::new(self.tls)?,
        })
    }
}

/// A proxy of any kind that libcurl knows.
///
/// ```
/// use client_curl::{Curl, CurlProxy};
///
/// let proxy = CurlProxy::new("socks5h://proxy.example:1080").credentials("user", "secret");
/// let engine = Curl::builder().proxy(proxy).build();
/// # let _ = engine;
/// ```
#[derive(Clone)]
#[must_use]
pub struct CurlProxy {
    url: String,
    credentials: Option<(String, String)>,
    tls: TlsConfig,
}

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

impl CurlProxy {
    /// A proxy by its URL: scheme, host and port. `http` and `https`: absolute-form for `http` URLs, CONNECT for `https`. `socks4` and
    /// `socks5`: names are looked up here; `socks4a` and `socks5h`: by the proxy.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: None,
            tls: TlsConfig::default(),
        }
    }

    /// User and password, for the proxy alone. SOCKS4 sends the user only.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// How an `https` proxy is verified. Default: by the platform's trusted roots, whatever is set for servers.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    fn is_https(&self) -> bool {
        self.scheme().is_some_and(|scheme| scheme == "https")
    }

    fn scheme(&self) -> Option<String> {
        self.url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())
    }

    fn route(self) -> Result<ProxyRoute> {
        let mistake = |message: &str| Err(Error::new(ErrorKind::InvalidRequest, format!("CurlProxy: {message}")));
        let Some(_) = self.scheme().filter(|scheme| SCHEMES.contains(&scheme.as_str())) else {
            return mistake("its URL begins with none of http://, https://, socks4://, socks4a://, socks5://, socks5h://");
        };
        if self.url.contains('@') {
            return mistake("credentials in its URL; use CurlProxy::credentials");
        }
        if self
            .credentials
            .as_ref()
            .is_some_and(|(user, password)| user.contains('\0') || password.contains('\0'))
        {
            return mistake("a NUL in its credentials");
        }
        Ok(ProxyRoute {
            url: self.url,
            credentials: self.credentials,
            tls: Tls::new(self.tls)?,
        })
    }
}

impl std::fmt::Debug for CurlProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = if self.url.contains('@') { "***" } else { &self.url };
        let credentials = self.credentials.as_ref().map(|_| "***");
        f.debug_struct("CurlProxy")
            .field("url", &url)
            .field("credentials", &credentials)
            .field("tls", &self.tls)
            .finish()
    }
}

/// The engine's settings, once looked at.
pub(crate) struct Config {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_idle: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) hosts: HashMap<String, Vec<IpAddr>>,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) proxy: Option<ProxyRoute>,
    pub(crate) tls: Tls,
}

impl Config {
    pub(crate) fn via(&self) -> Via {
        let Some(proxy) = &self.proxy else {
            return Via::Nothing;
        };
        match proxy.url.as_bytes() {
            [b's' | b'S', ..] => Via::Socks,
            [_, _, _, _, b's' | b'S', ..] => Via::HttpsProxy,
            _ => Via::HttpProxy,
        }
    }
}

pub(crate) struct ProxyRoute {
    pub(crate) url: String,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Tls,
}

#[cfg(test)]
mod tests {
    use client_core::{Engine as _, SpkiPin};

    use super::*;

    #[test]
    fn mistakes_are_told_when_a_client_is_built() {
        let proxy = |url: &str| Curl::builder().proxy(CurlProxy::new(url));
        let table = [
            (Curl::builder().connect_timeout(Duration::ZERO), "a connect timeout of zero"),
            (Curl::builder().max_connections(0), "at least 1 is needed"),
            (proxy("proxy.example:80"), "its URL begins with none of"),
            (proxy("ftp://proxy.example"), "its URL begins with none of"),
            (proxy("http://user:secret@proxy.example"), "use CurlProxy::credentials"),
            (Curl::builder().tls(TlsConfig::new().pin(SpkiPin::sha256([0; 32]))), "public keys"),
            (
                Curl::builder().tls(TlsConfig::new().roots(client_core::RootCerts::only_pem("none"))),
                "no certificate",
            ),
        ];
        for (builder, expected) in table {
            let shown = format!("{builder:?}");
            assert!(!shown.contains("secret"), "{shown}");
            let told = builder.build().check().unwrap_err().to_string();
            assert!(told.contains(expected), "{shown}: {told}");
            assert!(!told.contains("secret"), "{told}");
        }
        assert!(proxy("SOCKS5H://proxy.example:1080").build().check().is_ok());
    }
}
