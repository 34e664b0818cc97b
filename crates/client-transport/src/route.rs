//! What makes one connection different from another, as one value: the pool's key, and all that the dialer looks at.
//!
//! Whoever adds a setting that shapes a connection adds a field here, and the pool can no longer confuse the two: `Eq` and `Hash` are derived.
//! Connections used for a request with other settings are the most frequent security bug of HTTP clients (curl: CVE-2022-27782,
//! CVE-2023-27535 and more; requests: CVE-2024-35195). Timeouts must never enter: they do not outlive an exchange.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client_core::{Error, ErrorKind, Result};
use http::HeaderValue;

use crate::connector::Connector;
use crate::proxy::Proxy;
use crate::runtime;
use crate::tls::{self, TlsSettings};
use crate::{device, dial};

pub use crate::origin::Origin;

/// Which protocol versions a connection may turn out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Versions {
    /// HTTP/1.1 (and 1.0).
    Http1,
    /// HTTP/2: agreed upon by ALPN over TLS, known beforehand without (RFC 9113 §3.3).
    Http2,
    /// Whichever the server chooses by ALPN; HTTP/1.1 without TLS.
    Any,
}

impl Versions {
    /// What is offered in a TLS handshake, the preferred first.
    pub fn alpn(self) -> &'static [Alpn] {
        match self {
            Self::Http1 => &[Alpn::Http1],
            Self::Http2 => &[Alpn::Http2],
            Self::Any => &[Alpn::Http2, Alpn::Http1],
        }
    }
}

/// A protocol as named in TLS handshakes (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

impl Alpn {
    /// Its registered name.
    pub fn id(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    /// Its name among people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// One way to an origin: everything that shapes a connection. The key of the pool.
///
/// Cheap to make, to clone and to hash: the rarer settings lie behind one shared pointer, with their hash beside them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    origin: Origin,
    versions: Versions,
    pipelined: bool,
    head_fields: Option<u16>,
    /// A connection lives and dies with the runtime it is registered with.
    runtime: Option<runtime::Id>,
    options: SharedOptions,
}

impl Route {
    /// The direct way, with default settings.
    pub fn new(origin: Origin, versions: Versions) -> Self {
        Self {
            origin,
            versions,
            pipelined: false,
            head_fields: None,
            runtime: None,
            options: SharedOptions::default(),
        }
    }

    /// The same, on a runtime.
    #[must_use]
    pub fn on_runtime(mut self, runtime: runtime::Id) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The same, for connections on which HTTP/1.1 requests follow each other without waiting (RFC 9112 §9.3.2).
    #[must_use]
    pub fn pipelined(mut self) -> Self {
        self.pipelined = true;
        self
    }

    /// The same, for connections that read so many header fields of a response: where that is settled when a connection begins.
    #[must_use]
    pub fn reading(mut self, fields: u16) -> Self {
        self.head_fields = Some(fields);
        self
    }

    /// The same, with other settings.
    #[must_use]
    pub fn with_options(mut self, options: SharedOptions) -> Self {
        self.options = options;
        self
    }

    /// Where it leads.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether requests follow each other without waiting.
    pub fn is_pipelined(&self) -> bool {
        self.pipelined
    }

    /// How many header fields of a response are read, if that was said.
    pub fn head_fields(&self) -> Option<u16> {
        self.head_fields
    }

    /// What it may speak.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// The rarer settings.
    pub fn options(&self) -> &RouteOptions {
        self.options.get()
    }

    /// Whether a request names its whole URL to a proxy, which then forwards it (RFC 9112 §3.2.2): for `http` by an HTTP proxy. For anything else the
    /// proxy makes a tunnel, and the request is one to the origin. HTTP/2 without TLS needs a tunnel, as a proxy that speaks HTTP/1.1 cannot forward it.
    pub fn absolute_form(&self) -> bool {
        let by_http = self.options().get_via().last().is_some_and(|proxy| proxy.scheme().is_http());
        by_http && !self.origin.is_secure() && self.versions != Versions::Http2
    }

    /// The `Proxy-Authorization` that goes into a request of [`absolute_form`](Self::absolute_form), and into no other: in a tunnel it would reach the
    /// origin.
    pub fn proxy_authorization(&self) -> Option<&HeaderValue> {
        let proxy = self.options().get_via().last().filter(|_| self.absolute_form());
        proxy.and_then(Proxy::authorization)
    }
}

/// Settings of connections: of an engine, and, in a request's [extensions](http::Extensions), of one request. What a request leaves open is the
/// engine's, field by field.
///
/// ```
/// use std::time::Duration;
/// use client_transport::route::RouteOptions;
///
/// let options = RouteOptions::new().local_address([192, 0, 2, 7]).keepalive(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct RouteOptions {
    via: Option<Vec<Proxy>>,
    first: Option<First>,
    local_address: Option<IpAddr>,
    interface: Option<Box<str>>,
    keepalive: Option<Option<Duration>>,
    tls: Option<TlsSettings>,
    server_name: Option<Box<str>>,
}

/// What the first stream is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum First {
    Tcp,
    Unix(Arc<Path>),
    Custom(Connector),
}

impl RouteOptions {
    /// Nothing set.
    pub const fn new() -> Self {
        Self {
            via: None,
            first: None,
            local_address: None,
            interface: None,
            keepalive: None,
            tls: None,
            server_name: None,
        }
    }

    /// Go through this proxy, whatever the engine's rule says.
    pub fn proxy(self, proxy: Proxy) -> Self {
        self.proxy_chain([proxy])
    }

    /// Go through these proxies, each reached by the one before it.
    pub fn proxy_chain(mut self, proxies: impl IntoIterator<Item = Proxy>) -> Self {
        self.via = Some(proxies.into_iter().collect());
        self
    }

    /// Go through no proxy, whatever the engine's rule says.
    pub fn direct(self) -> Self {
        self.proxy_chain([])
    }

    /// Connect by TCP: for a request of an engine that does not by default.
    pub fn tcp(mut self) -> Self {
        self.first = Some(First::Tcp);
        self
    }

    /// Connect to a Unix domain socket, in place of the host and port of the URL, or of the first proxy: these then only name the server, in `Host`
    /// and in TLS.
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        self.first = Some(First::Unix(path.as_ref().into()));
        self
    }

    /// Connect by a stream of your own.
    pub fn connector(mut self, connector: Connector) -> Self {
        self.first = Some(First::Custom(connector));
        self
    }

    /// The address to connect from. The peer's addresses of the other family are then left out.
    pub fn local_address(mut self, address: impl Into<IpAddr>) -> Self {
        self.local_address = Some(address.into());
        self
    }

    /// The network interface to connect by; refused where the system cannot (elsewhere than on Linux and Android).
    pub fn interface(mut self, name: impl Into<Box<str>>) -> Self {
        self.interface = Some(name.into());
        self
    }

    /// TCP keepalive: how long a connection is silent before the kernel probes the peer, and between probes. `None`: never. Default: 15 s, as Go's.
    pub fn keepalive(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.keepalive = Some(silence.into());
        self
    }

    /// How `https` servers are verified.
    pub fn tls(mut self, tls: impl Into<TlsSettings>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// The name to ask for in TLS (SNI) and to find in the certificate, in place of the URL's host.
    pub fn server_name(mut self, name: impl Into<Box<str>>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// These settings, and what they leave open from `defaults`.
    pub fn or(self, defaults: &Self) -> Self {
        let Self {
            via,
            first,
            local_address,
            interface,
            keepalive,
            tls,
            server_name,
        } = self;
        Self {
            via: via.or_else(|| defaults.via.clone()),
            first: first.or_else(|| defaults.first.clone()),
            local_address: local_address.or(defaults.local_address),
            interface: interface.or_else(|| defaults.interface.clone()),
            keepalive: keepalive.or(defaults.keepalive),
            tls: tls.or_else(|| defaults.tls.clone()),
            server_name: server_name.or_else(|| defaults.server_name.clone()),
        }
    }

    /// What is left of these settings for another origin than the one they were given for: how to get there (proxies, socket, connector, addresses), and
    /// what is demanded of any server (roots, pins, versions). A client certificate, a [`server_name`](Self::server_name) and leave to accept what is
    /// invalid were for that origin alone.
    pub fn for_another_origin(mut self) -> Self {
        self.server_name = None;
        self.tls = self.tls.map(TlsSettings::for_another_origin);
        self
    }

    /// Whether they make sense, without opening anything.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming the setting and what would be right.
    pub fn check(&self) -> Result<()> {
        let invalid = |message: &'static str| Err(Error::new(ErrorKind::InvalidRequest, message));
        if self.interface.is_some() && !device::SUPPORTED {
            return invalid("interface: this system cannot bind a socket to one; use local_address");
        }
        if self.keepalive == Some(Some(Duration::ZERO)) {
            return invalid("keepalive: zero; use a positive duration, or None to switch it off");
        }
        self.get_via().iter().try_for_each(Proxy::check)?;
        self.tls.as_ref().map_or(Ok(()), tls::check)?;
        self.server_name.as_deref().map_or(Ok(()), tls::check_name)
    }

    /// The proxies on the way, in order.
    pub(crate) fn get_via(&self) -> &[Proxy] {
        self.via.as_deref().unwrap_or_default()
    }

    /// Whether it is said which proxy to take, or none.
    pub(crate) fn says_proxy(&self) -> bool {
        self.via.is_some()
    }

    pub(crate) fn first(&self) -> &First {
        self.first.as_ref().unwrap_or(&First::Tcp)
    }

    pub(crate) fn socket(&self) -> dial::Setup<'_> {
        dial::Setup {
            local_address: self.local_address,
            interface: self.interface.as_deref(),
            keepalive: self.keepalive,
        }
    }

    pub(crate) fn get_tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }

    pub(crate) fn get_server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

/// [`RouteOptions`] that routes share. Comparing the same ones, and hashing any, costs next to nothing.
#[derive(Clone, Debug, Default)]
pub struct SharedOptions(Option<Arc<Hashed>>);

#[derive(Debug)]
struct Hashed {
    hash: u64,
    options: RouteOptions,
}

impl From<RouteOptions> for SharedOptions {
    fn from(options: RouteOptions) -> Self {
        if options == NONE {
            return Self(None);
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&options);
        Self(Some(Arc::new(Hashed { hash, options })))
    }
}

static NONE: RouteOptions = RouteOptions::new();

impl SharedOptions {
    /// The settings.
    pub fn get(&self) -> &RouteOptions {
        self.0.as_ref().map_or(&NONE, |shared| &shared.options)
    }
}

impl PartialEq for SharedOptions {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || (a.hash == b.hash && a.options == b.options),
            _ => false,
        }
    }
}

impl Eq for SharedOptions {}

impl Hash for SharedOptions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map_or(0, |shared| shared.hash).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use client_core::{BoxError, BoxFuture};

    use super::*;
    use crate::connector::Connect;
    use crate::stream::Stream;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    fn hash(value: &impl Hash) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
    }

    struct Nowhere;

    impl Connect for Nowhere {
        fn connect<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
            Box::pin(async { Err("nowhere".into()) })
        }
    }

    /// Each field of the key, and each way to set one, with a value of its own.
    fn variants() -> Vec<Route> {
        // A new field stops this from compiling until it is named here, and listed below.
        let Route {
            origin: _,
            versions: _,
            pipelined: _,
            head_fields: _,
            runtime: _,
            options: _,
        } = Route::new(origin("http://h/"), Versions::Http1);
        let RouteOptions {
            via: _,
            first: _,
            local_address: _,
            interface: _,
            keepalive: _,
            tls: _,
            server_name: _,
        } = RouteOptions::new();

        let runtime = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.handle().id()
        };
        let plain = || Route::new(origin("http://h/"), Versions::Http1);
        let mut all = vec![
            plain(),
            Route::new(origin("https://h/"), Versions::Http1),
            Route::new(origin("http://i/"), Versions::Http1),
            Route::new(origin("http://h:81/"), Versions::Http1),
            Route::new(origin("http://h/"), Versions::Http2),
            Route::new(origin("http://h/"), Versions::Any),
            plain().pipelined(),
            plain().reading(256),
            plain().reading(512),
            plain().on_runtime(runtime()),
            plain().on_runtime(runtime()),
        ];
        let proxy = |url: &str| Proxy::new(url).unwrap();
        let tls = |pin| client_core::TlsConfig::new().pin(client_core::SpkiPin::sha256([pin; 32]));
        let new = RouteOptions::new;
        let options = [
            new().direct(),
            new().proxy(proxy("http://p")),
            new().proxy(proxy("https://p")),
            new().proxy(proxy("http://p:81")),
            new().proxy(proxy("http://q")),
            new().proxy(proxy("http://u:a@p")),
            new().proxy(proxy("http://u:b@p")),
            new().proxy(proxy("http://v:a@p")),
            new().proxy(proxy("https://p").tls(tls(1))),
            new().proxy(proxy("https://p").tls(tls(2))),
            new().proxy_chain([proxy("http://p"), proxy("http://q")]),
            new().proxy_chain([proxy("http://q"), proxy("http://p")]),
            new().tcp(),
            new().unix_socket("/a"),
            new().unix_socket("/b"),
            new().connector(Connector::new(Nowhere)),
            new().connector(Connector::new(Nowhere)),
            new().local_address(Ipv4Addr::LOCALHOST),
            new().interface("lo"),
            new().keepalive(None),
            new().keepalive(Duration::from_secs(1)),
            new().tls(tls(1)),
            new().tls(tls(2)),
            new().tls(tls(1).danger_accept_invalid_certs(true)),
            new().server_name("a"),
            new().server_name("b"),
        ];
        all.extend(options.map(|options| plain().with_options(options.into())));
        all
    }

    #[test]
    fn whatever_shapes_a_connection_is_in_the_key() {
        let all = variants();
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(a == b, i == j, "{a:?} {b:?}");
                // A collision of 64 bits by chance would have to be found in the table above: it is fixed.
                let (hash_a, hash_b) = (hash(a), hash(b));
                assert_eq!(hash_a == hash_b, i == j, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn equal_settings_are_one_key() {
        let route = |options: RouteOptions| Route::new(origin("https://h/"), Versions::Any).with_options(options.into());
        let options = || RouteOptions::new().server_name("x").proxy(Proxy::new("http://u:p@h").unwrap());
        assert_eq!(route(options()), route(options()));
        assert_eq!(hash(&route(options())), hash(&route(options())));
        assert_eq!(route(RouteOptions::new()), Route::new(origin("https://h/"), Versions::Any));
    }

    #[test]
    fn options_merge_field_by_field() {
        let all = RouteOptions::new()
            .direct()
            .unix_socket("/a")
            .local_address(Ipv4Addr::LOCALHOST)
            .interface("lo")
            .keepalive(None)
            .tls(client_core::TlsConfig::new())
            .server_name("a");
        assert_eq!(RouteOptions::new().or(&all), all);
        assert_eq!(all.clone().or(&RouteOptions::new()), all);
        let other = RouteOptions::new().tcp().server_name("b");
        assert_eq!(other.clone().or(&all), all.clone().tcp().server_name("b"));
    }

    #[test]
    fn nothing_shows_credentials() {
        let options = RouteOptions::new().proxy(Proxy::new("http://user:secret@p").unwrap());
        let route = Route::new(origin("http://h/"), Versions::Http1).with_options(options.into());
        assert_eq!(route.proxy_authorization().unwrap(), "Basic dXNlcjpzZWNyZXQ=");
        let shown = format!("{route:?}");
        assert!(!shown.contains("secret") && !shown.contains("user") && !shown.contains("dXNl"), "{shown}");
    }

    #[test]
    fn who_is_told_the_whole_url() {
        for (url, versions, proxies, expected) in [
            ("http://h/", Versions::Http1, &[][..], false),
            ("http://h/", Versions::Http1, &["http://u:p@q"], true),
            ("http://h/", Versions::Any, &["https://u:p@q"], true),
            ("http://h/", Versions::Http2, &["http://u:p@q"], false),
            ("https://h/", Versions::Http1, &["http://u:p@q"], false),
            ("http://h/", Versions::Http1, &["socks5://u:p@q"], false),
            ("http://h/", Versions::Http1, &["socks5://u:p@q", "http://u:p@q"], true),
            ("http://h/", Versions::Http1, &["http://u:p@q", "socks5://u:p@q"], false),
        ] {
            let proxies = proxies.iter().map(|url| Proxy::new(url).unwrap());
            let options = RouteOptions::new().proxy_chain(proxies);
            let route = Route::new(origin(url), versions).with_options(options.into());
            assert_eq!(route.absolute_form(), expected, "{route:?}");
            assert_eq!(route.proxy_authorization().is_some(), expected, "{route:?}");
        }
    }
}
