//! Which proxy the environment names for an origin: a pure decision. Reading the process's variables is left to the caller.

use std::fmt;
use std::net::IpAddr;

use client_core::Result;
use url::Host;

use super::{Proxy, invalid};
use crate::network::Network;
use crate::route::Origin;

/// The proxies that environment variables name.
///
/// `http_proxy` serves `http` URLs, `https_proxy` serves `https` URLs, `all_proxy` those that have none of their own. `no_proxy` lists what is reached
/// directly, separated by commas: `example.org` (it and all below), `.example.org` and `*.example.org` (all below), an IP address, a network
/// (`10.0.0.0/8`), each with a `:port` if only that is meant, or `*` for everything. This machine (`localhost`, loopback addresses) is always reached
/// directly. Each variable is looked for in lower case, then in upper case; an empty one counts as none.
///
/// Where `REQUEST_METHOD` is set, `http_proxy` is ignored: a CGI program gets a request's `Proxy` header as `HTTP_PROXY` ("httpoxy", CVE-2016-5385).
///
/// The rules are those of Go's `httpproxy`, with curl's `all_proxy`. A variable whose value is no proxy fails the requests that would take it, and no others:
/// desktops set some that nobody can use.
///
/// ```
/// use client_transport::proxy::Environment;
/// use client_transport::route::Origin;
///
/// let environment = Environment::read(|name| match name {
///     "http_proxy" => Some("proxy.example:3128".into()),
///     "no_proxy" => Some("intern.example".into()),
///     _ => None,
/// });
/// let origin = |url: &str| Origin::of(&url.parse().unwrap());
/// assert!(environment.proxy(&origin("http://example.org/")?)?.is_some());
/// assert!(environment.proxy(&origin("http://www.intern.example/")?)?.is_none());
/// # Ok::<(), client_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Environment {
    http: Option<Setting>,
    https: Option<Setting>,
    direct: Vec<Direct>,
}

/// The value of a variable: a proxy, or what is wrong with it.
type Setting = Result<Proxy, String>;

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Direct {
    whom: Whom,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    Everybody,
    Network(Network),
    Domain {
        /// In lower case and ASCII, without dots at its ends.
        name: String,
        only_below: bool,
    },
}

impl Environment {
    /// Reads variables by name: `|name| std::env::var(name).ok()` for those of this process.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &'static str| {
            let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
            set(name).or_else(|| set(&name.to_ascii_uppercase()))
        };
        let proxy = |name: &'static str| {
            let value = find(name)?;
            Some(Proxy::parse(&value).map_err(|mistake| format!("the variable {name}: {mistake}")))
        };
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = if is_cgi { None } else { proxy("http_proxy") };
        Self {
            http: http.or_else(|| proxy("all_proxy")),
            https: proxy("https_proxy").or_else(|| proxy("all_proxy")),
            direct: find("no_proxy").unwrap_or_default().split(',').filter_map(Direct::parse).collect(),
        }
    }

    /// The proxy for an origin; `None` if it is reached directly.
    ///
    /// # Errors
    /// [`InvalidRequest`](client_core::ErrorKind::InvalidRequest), naming the variable whose value is no proxy.
    pub fn proxy(&self, origin: &Origin) -> Result<Option<&Proxy>> {
        let setting = if origin.is_secure() { &self.https } else { &self.http };
        match setting.as_ref().filter(|_| !self.is_direct(origin.host(), origin.port())) {
            None => Ok(None),
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err(mistake)) => Err(invalid(mistake.clone())),
        }
    }

    /// The proxies it may name.
    pub(crate) fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.http.iter().chain(&self.https).flatten()
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        let address = name.parse::<IpAddr>().ok();
        let is_here = address.map_or(name == "localhost", |address| address.to_canonical().is_loopback());
        is_here || self.direct.iter().any(|direct| direct.matches(name, address, port))
    }
}

impl Direct {
    /// An entry that means nothing is passed over, as everywhere.
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry == "*" {
            let whom = Whom::Everybody;
            return Some(Self { whom, port: None });
        }
        if let Ok(network) = entry.parse() {
            let whom = Whom::Network(network);
            return Some(Self { whom, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let whom = match bare.parse::<IpAddr>() {
            Ok(address) => Whom::Network(address.into()),
            Err(_) => Whom::domain(host)?,
        };
        Some(Self { whom, port })
    }

    /// `name` has no dot at its end; an address is never taken for a name.
    fn matches(&self, name: &str, address: Option<IpAddr>, port: u16) -> bool {
        let is_whom = match (&self.whom, address) {
            (Whom::Everybody, _) => true,
            (Whom::Network(network), Some(address)) => network.contains(address),
            // What has a colon is an address in brackets, even if it is no valid one ("::1%.example.org", CVE-2025-22870).
            (
                Whom::Domain {
                    name: domain,
                    only_below,
                },
                None,
            ) if !name.contains(':') => {
                let rest = name.strip_suffix(domain.as_str());
                rest.is_some_and(|rest| rest.ends_with('.') || (rest.is_empty() && !only_below))
            }
            _ => false,
        };
        is_whom && self.port.is_none_or(|only| only == port)
    }
}

impl Whom {
    fn domain(pattern: &str) -> Option<Self> {
        let below = pattern.strip_prefix("*.").or_else(|| pattern.strip_prefix('.'));
        let name = below.unwrap_or(pattern);
        // As the client's door does with URLs: lower case, and international names in their ASCII form.
        match Host::parse(name.strip_suffix('.').unwrap_or(name)) {
            Ok(Host::Domain(name)) => Some(Self::Domain {
                name,
                only_below: below.is_some(),
            }),
            _ => None,
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("http", &self.http)
            .field("https", &self.https)
            .field("direct", &self.direct)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[track_caller]
    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let origin = Origin::of(&url.parse().unwrap()).unwrap();
        environment(variables).proxy(&origin).unwrap().map(ToString::to_string)
    }

    #[test]
    fn variables() {
        let (plain, secure) = ("http://h.example/", "https://h.example/");
        for (set, url, expected) in [
            (&[][..], plain, None),
            (&[("http_proxy", "p:1")], plain, Some("http://p:1")),
            (&[("http_proxy", "p:1")], secure, None),
            (&[("HTTP_PROXY", "p:1")], plain, Some("http://p:1")),
            (&[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], plain, Some("http://a:1")),
            (&[("http_proxy", ""), ("HTTP_PROXY", "b:1")], plain, Some("http://b:1")),
            (&[("https_proxy", "https://p")], secure, Some("https://p:443")),
            (&[("all_proxy", "socks5h://p")], plain, Some("socks5h://p:1080")),
            (&[("all_proxy", "socks5h://p"), ("https_proxy", "q:1")], secure, Some("http://q:1")),
            (&[("ALL_PROXY", "p:1"), ("NO_PROXY", "h.example")], plain, None),
            // Under CGI, what may have come from a request's header does not count.
            (&[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], plain, None),
            (&[("http_proxy", "p:1"), ("REQUEST_METHOD", "")], plain, None),
            (&[("https_proxy", "p:1"), ("REQUEST_METHOD", "GET")], secure, Some("http://p:1")),
            (&[("all_proxy", "p:1"), ("REQUEST_METHOD", "GET")], plain, Some("http://p:1")),
        ] {
            assert_eq!(chosen(set, url).as_deref(), expected, "{set:?} {url}");
        }
    }

    #[test]
    fn exceptions() {
        for (no_proxy, host, direct) in [
            ("example.org", "example.org", true),
            ("example.org", "www.example.org", true),
            ("example.org", "example.org.", true),
            ("EXAMPLE.org.", "www.Example.ORG", true),
            ("example.org", "badexample.org", false),
            ("example.org", "example.org.evil", false),
            (".example.org", "www.example.org", true),
            (".example.org", "example.org", false),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*", "anything.example", true),
            ("a.example , example.org,,", "example.org", true),
            ("example.org:80", "example.org", true),
            ("example.org:81", "example.org", false),
            ("example.org:81", "example.org:81", true),
            ("example.org:x", "example.org", false),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.10", false),
            ("2.1", "192.0.2.1", false),
            ("192.0.2.0/24", "192.0.2.99", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.0/24", "[::ffff:192.0.2.1]", true),
            ("192.0.2.1:81", "192.0.2.1", false),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("2001:db8::/32", "[2001:db8:9::1]", true),
            ("[2001:db8::1]:80", "[2001:db8::1]", true),
            ("[2001:db8::1]:443", "[2001:db8::1]", false),
            // Always, whatever is listed.
            ("", "localhost", true),
            ("", "127.9.9.9", true),
            ("", "[::1]", true),
            ("", "10.0.0.1", false),
            ("", "localhost.example", false),
        ] {
            let set = [("http_proxy", "p:1"), ("no_proxy", no_proxy)];
            assert_eq!(chosen(&set, &format!("http://{host}/")).is_none(), direct, "{no_proxy:?} {host}");
        }
    }

    #[test]
    fn a_wrong_value_fails_who_takes_it() {
        let environment = environment(&[
            ("https_proxy", "foo://u:secret@h"),
            ("http_proxy", "p:1"),
            ("no_proxy", "direct.example"),
        ]);
        let proxy = |url: &str| environment.proxy(&Origin::of(&url.parse().unwrap()).unwrap());
        let error = proxy("https://h.example/").unwrap_err();
        assert!(error.to_string().contains("the variable https_proxy: a proxy's scheme is one of"), "{error}");
        assert!(!format!("{error:?} {environment:?}").contains("secret"));
        assert!(proxy("http://h.example/").unwrap().is_some());
        assert!(proxy("https://direct.example/").unwrap().is_none());
    }
}
