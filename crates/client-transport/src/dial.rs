//! From a route to a connected stream: a fold over hops, each of which takes the stream below and returns the one above.
//!
//! Whatever shapes a connection comes from the [`Route`]; the dialer itself holds only what all connections of an engine share.
//! Timeouts must never enter: the caller bounds the future, and dropping it closes every attempt.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client_core::{BoxError, ConnectionInfo, Error, ErrorKind, Phase, Result, Sent, TlsInfo, Trace};
use tokio::net::TcpStream;

use crate::connector::Connector;
use crate::dns::{self, Resolve, System};
use crate::egress::{Destination, Egress};
use crate::happy::{self, Failure};
use crate::proxy::socks::Target;
use crate::proxy::{Proxy, Scheme, connect, socks};
use crate::route::{Alpn, First, Route, Versions};
use crate::stream::Stream;
use crate::tcp;
use crate::tls::TlsConnector;
use crate::unix;

pub(crate) use crate::tcp::Setup;

/// A connection that is ready to carry a protocol.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dialed {
    /// The bytes.
    pub stream: Stream,
    /// Its addresses, and what TLS agreed upon.
    pub info: ConnectionInfo,
    /// The protocol chosen by ALPN; `None` without TLS, and where the server chose none.
    pub alpn: Option<Alpn>,
}

/// Makes connections. One per engine: it holds the resolver, and the TLS configurations built so far.
#[must_use]
pub struct Dialer {
    resolver: Arc<dyn Resolve>,
    egress: Option<Arc<dyn Egress>>,
    attempt_delay: Duration,
    tls: TlsConnector,
}

impl Default for Dialer {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialer {
    /// With the system's resolver. Opens and loads nothing.
    pub fn new() -> Self {
        Self {
            resolver: Arc::new(System),
            egress: None,
            attempt_delay: happy::ATTEMPT_DELAY,
            tls: TlsConnector::default(),
        }
    }

    /// Who resolves names. Default: [`System`].
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// What connections may be made at all. Default: any.
    pub fn egress(mut self, egress: impl Egress) -> Self {
        self.egress = Some(Arc::new(egress));
        self
    }

    /// How long one address may keep the next one waiting. Default: 250 ms (RFC 8305 §5).
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay;
        self
    }

    /// Connects along the route. Reports each phase as it begins.
    ///
    /// # Errors
    /// [`ErrorKind::Resolve`], [`ErrorKind::Connect`], [`ErrorKind::Proxy`] or [`ErrorKind::Tls`]; nothing of a request was sent.
    pub async fn dial(&self, route: &Route, trace: &Trace) -> Result<Dialed> {
        let (begin, hops) = hops(route);
        let mut link = Link::from(self.begin(begin, route, trace).await?);
        let mut info = ConnectionInfo::new();
        (info.remote_addr, info.local_addr) = (link.stream.remote_addr(), link.stream.local_addr());
        for hop in hops {
            link = self.pass(hop, link.stream, route, trace).await?;
        }
        info.tls = link.tls;
        Ok(Dialed {
            stream: link.stream,
            info,
            alpn: link.alpn,
        })
    }

    /// The stream at the bottom.
    async fn begin(&self, begin: Begin<'_>, route: &Route, trace: &Trace) -> Result<Stream> {
        match begin {
            Begin::Tcp(host, port) => self.connect_tcp(host, port, route, trace).await.map(Stream::from),
            Begin::Unix(path) => {
                self.check(&Destination::Unix(path))?;
                trace.enter(Phase::Connect);
                let connected = unix::connect(path).await.map(Stream::from);
                connected.map_err(|error| failed(describe_unix(path, &error), error))
            }
            Begin::Custom(connector, host, port) => {
                self.check(&Destination::Custom(host, port))?;
                trace.enter(Phase::Connect);
                let connected = connector.connect(host, port).await;
                connected.map_err(|error| failed(format!("the connector failed for {host}:{port}: {error}"), error))
            }
        }
    }

    async fn connect_tcp(&self, host: &str, port: u16, route: &Route, trace: &Trace) -> Result<TcpStream> {
        trace.enter(Phase::Resolve);
        let addresses = self.lookup(host, port).await?;
        let setup = route.options().socket();
        let addresses = of_family(addresses, setup, host)?;
        trace.enter(Phase::Connect);
        happy::race(&happy::interleave(addresses), self.attempt_delay, |address| tcp::connect(address, setup))
            .await
            .map_err(|failures| unreachable(host, route.options().get_via().first(), failures))
    }

    /// One hop further.
    async fn pass(&self, hop: Hop<'_>, below: Stream, route: &Route, trace: &Trace) -> Result<Link> {
        match hop {
            Hop::Tls(name) => {
                trace.enter(Phase::Tls);
                self.tls.handshake(route.options().get_tls(), name, route.versions().alpn(), below).await
            }
            Hop::ProxyTls(proxy) => {
                trace.enter(Phase::Tls);
                let alpn = Versions::Http1.alpn();
                let secured = self.tls.handshake(proxy.get_tls(), proxy.host(), alpn, below).await?;
                // What was agreed upon with a proxy says nothing of the server.
                Ok(Link::from(secured.stream))
            }
            Hop::Forward(host, port) => self.check_remote(host, port).map(|()| Link::from(below)),
            Hop::Tunnel(proxy, host, port) => self.tunnel(proxy, host, port, below, trace).await.map(Link::from),
        }
    }

    /// Has `proxy`, at the other end of `below`, connect to the next host.
    async fn tunnel(&self, proxy: &Proxy, host: &str, port: u16, mut below: Stream, trace: &Trace) -> Result<Stream> {
        let target = if proxy.scheme().resolves() {
            self.check_remote(host, port)?;
            dns::literal(host).map_or(Target::Name(host, port), |ip| Target::Address((ip, port).into()))
        } else {
            trace.enter(Phase::Resolve);
            Target::Address(first_for(proxy, self.lookup(host, port).await?, host)?)
        };
        trace.enter(Phase::Proxy);
        let refused = |error: BoxError| {
            let message = format!("{proxy} did not connect to {host}:{port}: {error}");
            Error::new(ErrorKind::Proxy, message)
                .with_phase(Phase::Proxy)
                .with_sent(Sent::Nothing)
                .with_source(error)
        };
        match proxy.scheme() {
            Scheme::Http | Scheme::Https => connect::tunnel(below, host, port, proxy.authorization())
                .await
                .map_err(|failure| refused(failure.into_cause())),
            Scheme::Socks4 | Scheme::Socks4a => {
                let connected = socks::version4(&mut below, target, proxy.get_credentials()).await;
                connected.map(|()| below).map_err(|failure| refused(failure.into()))
            }
            Scheme::Socks5 | Scheme::Socks5h => {
                let connected = socks::version5(&mut below, target, proxy.get_credentials()).await;
                connected.map(|()| below).map_err(|failure| refused(failure.into()))
            }
        }
    }

    /// The addresses of a host that may be connected to. Nothing is connected to that was not seen here.
    async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let found = dns::lookup(&*self.resolver, host, port).await?;
        let (mut allowed, mut forbidden) = (Vec::with_capacity(found.len()), None);
        for address in found {
            match self.check(&Destination::Ip(address)) {
                Ok(()) => allowed.push(address),
                Err(error) => forbidden = forbidden.or(Some(error)),
            }
        }
        match forbidden {
            Some(error) if allowed.is_empty() => Err(error),
            _ => Ok(allowed),
        }
    }

    /// Asks the policy about what a proxy will connect to.
    fn check_remote(&self, host: &str, port: u16) -> Result<()> {
        let named = Destination::Remote(host, port);
        self.check(&dns::literal(host).map_or(named, |ip| Destination::Ip((ip, port).into())))
    }

    fn check(&self, destination: &Destination<'_>) -> Result<()> {
        let verdict = self.egress.as_ref().map_or(Ok(()), |egress| egress.check(destination));
        verdict.map_err(|reason| {
            let message = format!("the egress policy forbids {destination}: {reason}");
            Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect)
        })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("attempt_delay", &self.attempt_delay).finish_non_exhaustive()
    }
}

/// A stream on its way up, with what the topmost TLS said.
pub(crate) struct Link {
    pub(crate) stream: Stream,
    pub(crate) alpn: Option<Alpn>,
    pub(crate) tls: Option<Arc<TlsInfo>>,
}

impl From<Stream> for Link {
    fn from(stream: Stream) -> Self {
        Self {
            stream,
            alpn: None,
            tls: None,
        }
    }
}

/// How a connection begins.
#[derive(Debug, PartialEq)]
enum Begin<'a> {
    Tcp(&'a str, u16),
    Unix(&'a Path),
    Custom(&'a Connector, &'a str, u16),
}

/// What is passed after that, in order.
#[derive(Debug, PartialEq)]
enum Hop<'a> {
    /// TLS with the proxy.
    ProxyTls(&'a Proxy),
    /// The proxy connects to this host and port.
    Tunnel(&'a Proxy, &'a str, u16),
    /// The proxy will forward requests to this host and port: nothing to be done, but it is a place to connect to.
    Forward(&'a str, u16),
    /// TLS with the origin, by this name.
    Tls(&'a str),
}

/// The hops of a route.
fn hops(route: &Route) -> (Begin<'_>, Vec<Hop<'_>>) {
    let (origin, options) = (route.origin(), route.options());
    let via = options.get_via();
    let (host, port) = via.first().map_or((origin.host(), origin.port()), |proxy| (proxy.host(), proxy.port()));
    let begin = match options.first() {
        First::Tcp => Begin::Tcp(host, port),
        First::Unix(path) => Begin::Unix(path),
        First::Custom(connector) => Begin::Custom(connector, host, port),
    };
    let mut hops = Vec::new();
    for (index, proxy) in via.iter().enumerate() {
        if proxy.scheme() == Scheme::Https {
            hops.push(Hop::ProxyTls(proxy));
        }
        hops.push(match via.get(index + 1) {
            Some(next) => Hop::Tunnel(proxy, next.host(), next.port()),
            None if route.absolute_form() => Hop::Forward(origin.host(), origin.port()),
            None => Hop::Tunnel(proxy, origin.host(), origin.port()),
        });
    }
    if origin.is_secure() {
        hops.push(Hop::Tls(options.get_server_name().unwrap_or(origin.host())));
    }
    (begin, hops)
}

/// The address to ask of a proxy that is given addresses: the resolver's first, of those the proxy's protocol can carry.
fn first_for(proxy: &Proxy, addresses: Vec<SocketAddr>, host: &str) -> Result<SocketAddr> {
    let carries = |address: &SocketAddr| proxy.scheme() != Scheme::Socks4 || address.ip().to_canonical().is_ipv4();
    addresses.into_iter().find(carries).ok_or_else(|| {
        let message = format!("{host:?} has no IPv4 address, and SOCKS4 carries no other; use socks5");
        Error::new(ErrorKind::Proxy, message).with_phase(Phase::Proxy).with_sent(Sent::Nothing)
    })
}

/// A socket bound to an address connects only within that address's family.
fn of_family(mut addresses: Vec<SocketAddr>, setup: Setup<'_>, host: &str) -> Result<Vec<SocketAddr>> {
    let Some(local) = setup.local_address else {
        return Ok(addresses);
    };
    addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
    if addresses.is_empty() {
        let message = format!("no address of {host:?} is of the family of the local address {local}");
        return Err(Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect));
    }
    Ok(addresses)
}

fn failed(message: String, cause: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect).with_source(cause)
}

fn describe_unix(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by the socket {}", path.display()),
        io::ErrorKind::NotFound => format!("no socket {}", path.display()),
        _ => format!("cannot connect to the socket {}: {error}", path.display()),
    }
}

/// How many failures an error tells in full; a name may have hundreds of addresses.
const TOLD: usize = 8;

/// One line for all attempts, each with its own reason.
fn unreachable(host: &str, proxy: Option<&Proxy>, mut failures: Vec<Failure>) -> Error {
    let mut told: Vec<_> = failures.iter().take(TOLD).map(|(address, error)| tcp::describe(*address, error)).collect();
    let untold = failures.len() - told.len();
    if untold > 0 {
        told.push(format!("and {untold} more"));
    }
    let mut message = match failures.len() {
        1 => told.concat(),
        all => format!("none of the {all} addresses of {host:?} could be connected to: {}", told.join(", ")),
    };
    if let Some(proxy) = proxy {
        message += &format!(" (the proxy {proxy})");
    }
    match failures.pop() {
        Some((_, last)) => failed(message, last),
        None => Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Origin, RouteOptions};

    #[test]
    fn the_hops_of_a_route() {
        for (url, versions, proxies, expected) in [
            ("http://h/", Versions::Any, &[][..], "Tcp(h, 80)"),
            ("https://h/", Versions::Any, &[], "Tcp(h, 443) Tls(h)"),
            ("http://h/", Versions::Http1, &["http://p"], "Tcp(p, 80) Forward(h, 80)"),
            ("http://h/", Versions::Http2, &["http://p"], "Tcp(p, 80) Tunnel(Proxy(http://p:80), h, 80)"),
            ("https://h/", Versions::Any, &["http://p"], "Tcp(p, 80) Tunnel(Proxy(http://p:80), h, 443) Tls(h)"),
            (
                "https://h/",
                Versions::Any,
                &["socks5h://s", "https://p"],
                "Tcp(s, 1080) Tunnel(Proxy(socks5h://s:1080), p, 443) ProxyTls(Proxy(https://p:443)) \
                 Tunnel(Proxy(https://p:443), h, 443) Tls(h)",
            ),
            (
                "http://h/",
                Versions::Http1,
                &["https://p", "socks4://s"],
                "Tcp(p, 443) ProxyTls(Proxy(https://p:443)) Tunnel(Proxy(https://p:443), s, 1080) \
                 Tunnel(Proxy(socks4://s:1080), h, 80)",
            ),
        ] {
            let origin = Origin::of(&url.parse().unwrap()).unwrap();
            let options = RouteOptions::new().proxy_chain(proxies.iter().map(|url| Proxy::new(url).unwrap()));
            let route = Route::new(origin, versions).with_options(options.into());
            let (begin, hops) = hops(&route);
            let words: Vec<_> = std::iter::once(format!("{begin:?}")).chain(hops.iter().map(|hop| format!("{hop:?}"))).collect();
            assert_eq!(words.join(" ").replace('"', ""), expected, "{url} {proxies:?}");
        }
    }
}
