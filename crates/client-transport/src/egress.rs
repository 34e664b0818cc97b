//! What connections may be made at all: one filter that sees every place that is about to be connected to, after names are resolved, and
//! nothing else is connected to. So a name cannot be one thing when it is checked and another when it is used ("DNS rebinding").

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::network::Network;

/// Where a connection is about to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination<'a> {
    /// An address: a literal, an answer of the resolver, a proxy's, or one that a proxy is asked to connect to.
    Ip(SocketAddr),
    /// A Unix domain socket.
    Unix(&'a Path),
    /// A name that a proxy on the way will resolve: what it means there, nobody here can know.
    Remote(&'a str, u16),
    /// Whatever a [`Connect`](crate::connector::Connect) of the application's own makes of this host.
    Custom(&'a str, u16),
}

impl fmt::Display for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
            Self::Remote(host, port) | Self::Custom(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Decides which destinations are allowed. Any function of the same shape is one.
///
/// ```
/// use client_transport::dial::Dialer;
/// use client_transport::egress::{Destination, deny_private_networks};
///
/// // Of the private ranges, only the proxy.
/// let dialer = Dialer::new().egress(deny_private_networks().except("10.0.0.5".parse()?).trust_proxies());
///
/// let dialer = Dialer::new().egress(|destination: &Destination<'_>| match destination {
///     Destination::Ip(address) if address.port() == 443 => Ok(()),
///     _ => Err("only port 443".into()),
/// });
/// # Ok::<(), client_core::Error>(())
/// ```
pub trait Egress: Send + Sync + 'static {
    /// Whether a connection may be made, and if not, why not.
    ///
    /// # Errors
    /// The reason, as a phrase that completes "the egress policy forbids 10.0.0.1:80: …".
    fn check(&self, destination: &Destination<'_>) -> Result<(), Cow<'static, str>>;
}

impl<F> Egress for F
where
    F: Fn(&Destination<'_>) -> Result<(), Cow<'static, str>> + Send + Sync + 'static,
{
    fn check(&self, destination: &Destination<'_>) -> Result<(), Cow<'static, str>> {
        self(destination)
    }
}

/// Forbids whatever is not on the public internet: for applications that fetch URLs which others chose.
///
/// Forbidden are the addresses that the IANA registries of special-purpose addresses do not call globally reachable (this machine, private, link-local,
/// shared, documentation, multicast, reserved), also where they are wrapped in IPv6 (mapped, compatible, 6to4, NAT64); Unix sockets; and names
/// that a proxy would resolve, unless [trusted](PublicOnly::trust_proxies). A [`Connect`](crate::connector::Connect) of the application's own is
/// its own responsibility.
pub fn deny_private_networks() -> PublicOnly {
    PublicOnly {
        except: Vec::new(),
        trust_proxies: false,
    }
}

/// See [`deny_private_networks`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PublicOnly {
    except: Vec<Network>,
    trust_proxies: bool,
}

impl PublicOnly {
    /// Allows these addresses all the same.
    pub fn except(mut self, network: Network) -> Self {
        self.except.push(network);
        self
    }

    /// Allows names that a proxy will resolve: it has to keep to the policy then. Addresses are still checked here.
    pub fn trust_proxies(mut self) -> Self {
        self.trust_proxies = true;
        self
    }
}

impl Egress for PublicOnly {
    fn check(&self, destination: &Destination<'_>) -> Result<(), Cow<'static, str>> {
        match destination {
            Destination::Ip(address) if self.except.iter().any(|network| network.contains(address.ip())) => Ok(()),
            Destination::Ip(address) => match special(address.ip()) {
                None => Ok(()),
                Some(what) => Err(what.into()),
            },
            Destination::Unix(_) => Err("a Unix socket is on this machine".into()),
            Destination::Remote(..) if self.trust_proxies => Ok(()),
            Destination::Remote(..) => Err("a proxy would resolve this name out of sight; see PublicOnly::trust_proxies".into()),
            Destination::Custom(..) => Ok(()),
        }
    }
}

/// What an address is, if it is not a public one.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// IANA IPv4 Special-Purpose Address Registry, and multicast.
fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    const RANGES: [(Network, &str); 15] = [
        (Network::v4(0, 0, 0, 8), "an address of this machine"),
        (Network::v4(10, 0, 0, 8), "a private address"),
        (Network::v4(100, 64, 0, 10), "a shared address (RFC 6598)"),
        (Network::v4(127, 0, 0, 8), "a loopback address"),
        (Network::v4(169, 254, 0, 16), "a link-local address"),
        (Network::v4(172, 16, 0, 12), "a private address"),
        (Network::v4(192, 0, 0, 24), "a reserved address"),
        (Network::v4(192, 0, 2, 24), "a documentation address"),
        (Network::v4(192, 88, 99, 24), "a reserved address"),
        (Network::v4(192, 168, 0, 16), "a private address"),
        (Network::v4(198, 18, 0, 15), "a benchmarking address"),
        (Network::v4(198, 51, 100, 24), "a documentation address"),
        (Network::v4(203, 0, 113, 24), "a documentation address"),
        (Network::v4(224, 0, 0, 4), "a multicast address"),
        // 255.255.255.255 is within.
        (Network::v4(240, 0, 0, 4), "a reserved address"),
    ];
    named(&RANGES, address.into())
}

/// IANA IPv6 Special-Purpose Address Registry, the other way round: only what has been assigned as global unicast is public at all.
fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    const GLOBAL_UNICAST: Network = Network::v6(0x2000, 0, 0, 3);
    const RANGES: [(Network, &str); 6] = [
        (Network::v6(0xfc00, 0, 0, 7), "a private address"),
        (Network::v6(0xfe80, 0, 0, 10), "a link-local address"),
        (Network::v6(0xff00, 0, 0, 8), "a multicast address"),
        // Teredo among them, which wraps IPv4 in a way of its own.
        (Network::v6(0x2001, 0, 0, 23), "a reserved address"),
        (Network::v6(0x2001, 0xdb8, 0, 32), "a documentation address"),
        (Network::v6(0x3fff, 0, 0, 20), "a documentation address"),
    ];
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if let Some(wrapped) = wrapped_v4(address) {
        return special_v4(wrapped);
    }
    let reserved = || (!GLOBAL_UNICAST.contains(address.into())).then_some("a reserved address");
    named(&RANGES, address.into()).or_else(reserved)
}

fn named(ranges: &[(Network, &'static str)], address: IpAddr) -> Option<&'static str> {
    ranges.iter().find(|(network, _)| network.contains(address)).map(|(_, name)| *name)
}

/// The IPv4 address at the end of a way that begins with this IPv6 address.
fn wrapped_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // Mapped (RFC 4291 §2.5.5.2), "translated" (RFC 2765 §2.1), and compatible (§2.5.5.1, the unspecified address among them).
        (0, 0) if (c, d) == (0, 0) && matches!((e, f), (0, 0 | 0xffff) | (0xffff, 0)) => Some(join(g, h)),
        // NAT64 (RFC 6052 §2.1).
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => Some(join(g, h)),
        // 6to4 (RFC 3056 §2).
        (0x2002, high) => Some(join(high, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &impl Egress, address: &str) -> bool {
        policy.check(&Destination::Ip((address.parse::<IpAddr>().unwrap(), 80).into())).is_ok()
    }

    #[test]
    fn public_and_not() {
        let policy = deny_private_networks();
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(allows(&policy, public), "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fdab::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "5f00::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
        ] {
            assert!(!allows(&policy, private), "{private}");
        }
    }

    #[test]
    fn other_destinations() {
        let policy = deny_private_networks();
        assert!(policy.check(&Destination::Unix(Path::new("/run/s"))).is_err());
        assert!(policy.check(&Destination::Remote("h.example", 80)).is_err());
        assert!(policy.check(&Destination::Custom("h.example", 80)).is_ok());
        let lenient = policy.trust_proxies().except("10.0.0.0/30".parse().unwrap());
        assert!(lenient.check(&Destination::Remote("h.example", 80)).is_ok());
        assert!(allows(&lenient, "10.0.0.3"));
        assert!(!allows(&lenient, "10.0.0.4"));
    }
}
