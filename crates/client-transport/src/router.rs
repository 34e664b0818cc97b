//! Which route an exchange takes: its origin, the settings of the request over those of the engine, and the proxy that a rule chooses.

use client_core::{Exchange, Result, UnixSocket};
use http::Uri;

use crate::proxy::{Proxies, Proxy, Rule};
use crate::route::{Origin, Route, RouteOptions, SharedOptions, Versions};
use crate::runtime::Dispatcher;

/// Finds routes. One per engine.
#[derive(Clone, Debug, Default)]
pub struct Router {
    defaults: SharedOptions,
    proxies: Proxies,
    /// The defaults with each proxy that the environment may name: made once, so that a route costs no allocation.
    prepared: Vec<(Proxy, SharedOptions)>,
    dispatcher: Dispatcher,
}

impl Router {
    /// A router with the settings of an engine, and no proxies but theirs.
    pub fn new(options: RouteOptions, dispatcher: Dispatcher) -> Self {
        Self {
            defaults: options.into(),
            dispatcher,
            ..Self::default()
        }
    }

    /// The rule by which a proxy is chosen, where neither the request nor the engine names one. Default: none.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        let with = |proxy: &Proxy| (proxy.clone(), self.defaults.get().clone().proxy(proxy.clone()).into());
        self.prepared = match &proxies.0 {
            Rule::Environment(environment) => environment.proxies().map(with).collect(),
            Rule::None | Rule::Function(_) => Vec::new(),
        };
        self.proxies = proxies;
        self
    }

    /// The way to the origin of an exchange. A [`RouteOptions`] among the request's extensions goes before the engine's settings, field by field; a
    /// proxy set in either goes before the rule. Once a redirect has left the user's origin, what was said of that origin alone counts no more:
    /// [`RouteOptions::for_another_origin`].
    ///
    /// # Errors
    /// [`InvalidRequest`](client_core::ErrorKind::InvalidRequest) for a URI or a setting of the request that makes no sense;
    /// [`Engine`](client_core::ErrorKind::Engine) outside of a runtime.
    #[inline]
    pub fn route(&self, exchange: &Exchange, versions: Versions) -> Result<Route> {
        let uri = exchange.request.uri();
        let route = Route::new(Origin::of(uri)?, versions).on_runtime(self.dispatcher.id()?);
        let options = match of_request(exchange)? {
            None => self.by_rule(self.defaults.clone(), uri, route.origin())?,
            Some(options) => self.by_rule(options.or(self.defaults.get()).into(), uri, route.origin())?,
        };
        Ok(route.with_options(options))
    }

    /// Whether the engine's settings make sense.
    ///
    /// # Errors
    /// As [`RouteOptions::check`].
    pub fn check(&self) -> Result<()> {
        self.defaults.get().check()?;
        self.prepared.iter().try_for_each(|(proxy, _)| proxy.check())
    }

    /// The settings, with the proxy of the rule where they say none.
    fn by_rule(&self, options: SharedOptions, uri: &Uri, origin: &Origin) -> Result<SharedOptions> {
        let chosen = match &self.proxies.0 {
            _ if options.get().says_proxy() => None,
            Rule::None => None,
            Rule::Function(choose) => choose(uri),
            Rule::Environment(environment) => match environment.proxy(origin)? {
                Some(proxy) if options == self.defaults => return Ok(self.prepared(proxy)),
                proxy => proxy.cloned(),
            },
        };
        match chosen {
            None => Ok(options),
            Some(proxy) => {
                proxy.check()?;
                Ok(options.get().clone().proxy(proxy).into())
            }
        }
    }

    fn prepared(&self, proxy: &Proxy) -> SharedOptions {
        let known = self.prepared.iter().find(|(known, _)| known == proxy);
        known.map_or_else(|| self.defaults.get().clone().proxy(proxy.clone()).into(), |(_, options)| options.clone())
    }
}

/// What the request itself says, if it says anything.
#[inline]
fn of_request(exchange: &Exchange) -> Result<Option<RouteOptions>> {
    let extensions = exchange.request.extensions();
    let (options, socket) = (extensions.get::<RouteOptions>(), extensions.get::<UnixSocket>());
    if options.is_none() && socket.is_none() {
        return Ok(None);
    }
    let mut options = options.cloned().unwrap_or_default();
    if let Some(socket) = socket {
        options = options.unix_socket(socket.path());
    }
    options.check()?;
    Ok(Some(if exchange.left_origin { options.for_another_origin() } else { options }))
}

#[cfg(test)]
mod tests {
    use client_core::{Body, ErrorKind, Identity, TlsConfig};
    use http::Request;

    use super::*;
    use crate::proxy::Environment;

    async fn route(router: &Router, url: &str, options: Option<RouteOptions>) -> Result<Route> {
        router.route(&exchange(url, options), Versions::Http1)
    }

    fn exchange(url: &str, options: Option<RouteOptions>) -> Exchange {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = url.parse().unwrap();
        options.map(|options| request.extensions_mut().insert(options));
        Exchange::new(request)
    }

    fn via(route: &Route) -> Vec<String> {
        route.options().get_via().iter().map(ToString::to_string).collect()
    }

    fn proxy(url: &str) -> Proxy {
        Proxy::new(url).unwrap()
    }

    #[tokio::test]
    async fn the_request_goes_before_the_engine_and_both_before_the_rule() {
        let rule = Proxies::by(|url| (url.host() == Some("ruled.example")).then(|| proxy("http://rule:1")));
        let engine = RouteOptions::new().local_address([127, 0, 0, 1]);
        let router = Router::new(engine, Dispatcher::default()).proxies(rule.clone());

        let plain = route(&router, "http://h.example/", None).await.unwrap();
        assert_eq!(via(&plain), [""; 0]);
        assert_eq!(plain, route(&router, "http://H.example:80/x?y", None).await.unwrap());

        let ruled = route(&router, "http://ruled.example/", None).await.unwrap();
        assert_eq!(via(&ruled), ["http://rule:1"]);
        assert_eq!(ruled.options().socket().local_address, Some([127, 0, 0, 1].into()));

        let of_request = RouteOptions::new().proxy(proxy("http://mine:2"));
        let mine = route(&router, "http://ruled.example/", Some(of_request.clone())).await.unwrap();
        assert_eq!(via(&mine), ["http://mine:2"]);
        assert_eq!(mine.options().socket().local_address, Some([127, 0, 0, 1].into()));
        let direct = route(&router, "http://ruled.example/", Some(RouteOptions::new().direct())).await.unwrap();
        assert_eq!(via(&direct), [""; 0]);

        let router = Router::new(of_request, Dispatcher::default()).proxies(rule);
        assert_eq!(via(&route(&router, "http://ruled.example/", None).await.unwrap()), ["http://mine:2"]);
    }

    #[tokio::test]
    async fn the_environment_as_a_rule() {
        let environment = Environment::read(|name| (name == "https_proxy").then(|| "http://env:1".into()));
        let router = Router::default().proxies(environment.into());
        assert!(router.check().is_ok());
        assert_eq!(via(&route(&router, "http://h.example/", None).await.unwrap()), [""; 0]);
        assert_eq!(via(&route(&router, "https://h.example/", None).await.unwrap()), ["http://env:1"]);
        let options = RouteOptions::new().local_address([127, 0, 0, 1]);
        let changed = route(&router, "https://h.example/", Some(options)).await.unwrap();
        assert_eq!(via(&changed), ["http://env:1"]);
        assert!(changed.options().socket().local_address.is_some());
    }

    #[tokio::test]
    async fn mistakes_of_a_request_are_refused() {
        let router = Router::default();
        let never = RouteOptions::new().keepalive(std::time::Duration::ZERO);
        let error = route(&router, "http://h.example/", Some(never)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }

    #[tokio::test]
    async fn a_socket_of_the_request() {
        let router = Router::new(RouteOptions::new().unix_socket("/engine"), Dispatcher::default());
        let mut exchange = exchange("http://h/", None);
        exchange.request.extensions_mut().insert(UnixSocket::new("/request"));
        let route = router.route(&exchange, Versions::Any).unwrap();
        assert_eq!(*route.options(), RouteOptions::new().unix_socket("/request"));
    }

    /// What belongs to the user's origin does not follow a redirect to another one; how to get there does.
    #[tokio::test]
    async fn elsewhere_nothing_is_said_of_the_first_origin() {
        let tls = || TlsConfig::new().min_version(client_core::TlsVersion::Tls13);
        let ours = tls().identity(Identity::from_pem("chain", "key")).danger_accept_invalid_certs(true);
        let way = || RouteOptions::new().proxy(proxy("http://u:p@p:1")).local_address([127, 0, 0, 1]);
        let engine = RouteOptions::new().server_name("of-engine").tls(TlsConfig::new().danger_accept_invalid_certs(true));
        let router = Router::new(engine.clone(), Dispatcher::default());
        let mut exchange = exchange("https://other.example/", None);
        exchange.request.extensions_mut().insert(way().server_name("first").tls(ours));
        exchange.left_origin = true;
        #[cfg(feature = "tls")]
        {
            // The key is nonsense, and refused as such where it would be used.
            assert!(router.route(&exchange, Versions::Any).is_err());
        }
        let options = exchange.request.extensions().get::<RouteOptions>().unwrap().clone();
        assert_eq!(options.for_another_origin(), way().tls(tls()));
        exchange.request.extensions_mut().insert(way().server_name("first"));
        let route = router.route(&exchange, Versions::Any).unwrap();
        assert_eq!(*route.options(), way().or(&engine));
    }

    #[test]
    fn outside_of_a_runtime() {
        let error = Router::default().route(&exchange("http://h/", None), Versions::Any).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
    }
}
