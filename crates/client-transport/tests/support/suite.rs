//! What the conformance suite asks of an engine, in the words of this transport: for the tests of the engines that stand on it.

use client_conformance::{ProxySetting, Settings};
use client_transport::dial::Dialer;
use client_transport::dns::{Overrides, System};
use client_transport::proxy::Proxy;
use client_transport::route::RouteOptions;

/// The settings of connections.
pub(crate) fn route(settings: &Settings) -> RouteOptions {
    let route = RouteOptions::new().tls(settings.tls.clone());
    let route = match &settings.proxy {
        Some(setting) => route.proxy(proxy(setting)),
        None => route,
    };
    match &settings.unix_socket {
        Some(path) => route.unix_socket(path),
        None => route,
    }
}

/// The names that the suite knows.
pub(crate) fn dialer(settings: &Settings) -> Dialer {
    let hosts = settings
        .hosts
        .iter()
        .fold(Overrides::new(System), |hosts, (name, address)| hosts.with(name, [(*address, 0)]));
    Dialer::new().resolver(hosts)
}

/// The most connections in total: the default of all these engines, unless the suite says it.
pub(crate) fn max_connections(settings: &Settings) -> usize {
    settings.max_connections.unwrap_or(1000)
}

fn proxy(setting: &ProxySetting) -> Proxy {
    let ProxySetting {
        url, credentials, tls, ..
    } = setting;
    let proxy = Proxy::new(url).expect("the suite's URLs are well-formed");
    let proxy = match credentials {
        Some((user, password)) => proxy.credentials(user, password).expect("the suite's credentials can be sent"),
        None => proxy,
    };
    proxy.tls(tls.clone())
}
