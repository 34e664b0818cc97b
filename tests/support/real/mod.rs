//! Servers and proxies that are not ours, as they are installed on this machine: what the conformance suite cannot show, since it wrote
//! its own. One small file each. One that is missing is reported by name; where `CI` is set, the ones that `.ci/run` installs have to
//! be there.
//!
//! What must never enter: an engine. The cases are told which to use, as those of the suite are.

mod apache;
mod caddy;
mod cases;
mod dante;
mod haproxy;
mod microsocks;
mod nghttpd;
mod nginx;
mod place;
mod process;
mod run;
mod squid;
mod tinyproxy;

use std::net::SocketAddr;
use std::sync::Arc;

use client_core::{Capabilities, Capability};

pub use self::cases::{RealCase, cases};
use self::place::Place;
use self::process::{Ports, Process};
pub use self::run::{RealResult, judge};

/// A server or a proxy that may be installed here.
pub struct Program {
    /// As in the tables.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// Whether `.ci/run` installs it.
    pub is_in_ci: bool,
    binary: &'static str,
    tells_version: &'static [&'static str],
    start: fn(&std::path::Path, &Place) -> Result<Started, String>,
}

/// Every program that we know how to run: servers first, then proxies.
pub const PROGRAMS: &[Program] = &[
    nginx::PROGRAM,
    nghttpd::PROGRAM,
    apache::PROGRAM,
    haproxy::PROGRAM,
    caddy::PROGRAM,
    squid::PROGRAM,
    tinyproxy::PROGRAM,
    microsocks::PROGRAM,
    dante::PROGRAM,
];

/// A program at work, in all the ways in which it can be reached. Dropping it stops it.
pub struct RealServer {
    /// The program's name.
    pub name: &'static str,
    /// Its version, empty where it tells none.
    pub version: String,
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
    _processes: Vec<Process>,
    place: Arc<Place>,
}

/// What a program's own file returns.
struct Started {
    processes: Vec<Process>,
    endpoints: Vec<Endpoint>,
}

/// One way to reach a server.
pub struct Endpoint {
    /// As in the tables: `https`, say.
    pub name: &'static str,
    kind: Kind,
    lacks: &'static [Feature],
    addr: SocketAddr,
}

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// HTTP/1.1.
    Plain,
    /// HTTP/2 or HTTP/1.1, by ALPN.
    Tls,
    /// HTTP/2 by ALPN, and nothing else.
    TlsHttp2,
    /// HTTP/2 by prior knowledge.
    PriorKnowledge,
    /// HTTP/1.1; idle connections are closed after a moment.
    Hasty,
    /// The same over TLS, HTTP/2 or HTTP/1.1.
    HastyTls,
    /// An HTTP proxy.
    HttpProxy {
        /// Whether it asks for [`place::USER`] and [`place::PASSWORD`].
        asks: bool,
    },
    /// An HTTP proxy that is reached by TLS, and asks for credentials.
    HttpsProxy,
    /// A SOCKS proxy of version 5.
    Socks5 {
        /// As above.
        asks: bool,
    },
    /// A SOCKS proxy of version 4.
    Socks4,
}

/// What not every server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    /// `/redirect` leads to `/hello`.
    Redirect,
    /// `/gzip` is `hello` as gzip.
    Gzip,
    /// Ranges of `/large`.
    Range,
    /// `/app/` leads to the suite's own server, which is asked in HTTP/1.1.
    App,
    /// What is posted may be answered before all of it is there.
    Duplex,
    /// `/trailers` has a trailer.
    Trailers,
    /// A proxy uses its connections again when it forwards.
    KeepAlive,
}

impl Program {
    /// Starts it; `None` if it is not installed.
    ///
    /// # Errors
    /// If it is installed, and does not work.
    pub fn start(&self) -> Result<Option<RealServer>, String> {
        let Some(binary) = process::find(self.binary) else {
            return Ok(None);
        };
        let place = Place::new().map_err(|error| format!("{}: {error}", self.name))?;
        let started = (self.start)(&binary, &place)?;
        Ok(Some(RealServer {
            name: self.name,
            version: process::version(&binary, self.tells_version),
            endpoints: started.endpoints,
            _processes: started.processes,
            place: Arc::new(place),
        }))
    }

    /// Says what it means that the program is not here.
    ///
    /// # Errors
    /// Under `CI`, if `.ci/run` should have installed it.
    pub fn missing(&self) -> Result<String, String> {
        let says = format!("skipped: {} is not installed (Debian: {})", self.name, self.package);
        if self.is_in_ci && std::env::var_os("CI").is_some() {
            Err(says)
        } else {
            Ok(says)
        }
    }
}

impl Endpoint {
    /// At the port of the same name.
    fn new(name: &'static str, kind: Kind, ports: &Ports) -> Self {
        Self {
            name,
            kind,
            lacks: &[],
            addr: ports.addr(name),
        }
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn lacking(mut self, features: &'static [Feature]) -> Self {
        self.lacks = features;
        self
    }

    fn has(&self, feature: Feature) -> bool {
        !self.lacks.contains(&feature)
    }

    /// What an engine has to promise to be able to use it at all.
    fn needs(&self) -> Capabilities {
        let tls = Capabilities::from(Capability::Tls).with(Capability::CustomRoots);
        match self.kind {
            Kind::Plain | Kind::Hasty => Capability::Http1.into(),
            Kind::Tls | Kind::HastyTls => tls,
            Kind::TlsHttp2 => tls.with(Capability::Http2),
            Kind::PriorKnowledge => Capability::Http2PriorKnowledge.into(),
            Kind::HttpProxy { .. } => Capability::HttpProxy.into(),
            Kind::HttpsProxy => Capability::HttpsProxy.into(),
            Kind::Socks5 { .. } | Kind::Socks4 => Capability::SocksProxy.into(),
        }
    }
}
