//! From a host's name to its addresses. Connecting must never enter.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client_core::{BoxError, BoxFuture, Error, ErrorKind, Instant, Phase, Result, Timer};

/// Resolves names. Resolvers wrap each other: [`Cached`] around [`Overrides`] around [`System`].
///
/// Never asked about IP addresses and `localhost`: these never leave the machine.
///
/// ```
/// use client_core::{BoxError, BoxFuture};
/// use client_transport::dns::{Answer, Resolve};
///
/// /// Every name is this machine.
/// struct Here;
///
/// impl Resolve for Here {
///     fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
///         Box::pin(async { Ok(Answer::from(vec![([127, 0, 0, 1], 0).into()])) })
///     }
/// }
/// ```
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, the preferred first. Dropping the future gives up waiting.
    ///
    /// # Errors
    /// Any; it becomes the source of an error of kind [`ErrorKind::Resolve`]. An answer without addresses is one, too.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>>;
}

/// What a resolver found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The addresses. Port 0 stands for the port that was asked for, as it is in all but special cases.
    pub addresses: Vec<SocketAddr>,
    /// How long that stays true, where the resolver knows.
    pub ttl: Option<Duration>,
}

impl From<Vec<SocketAddr>> for Answer {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, ttl: None }
    }
}

/// The addresses of `host`, an IP address without brackets or a name, with `port`.
pub(crate) async fn lookup(resolver: &dyn Resolve, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let fail =
        |cause: String| Error::new(ErrorKind::Resolve, format!("cannot resolve {host:?}: {cause}")).with_phase(Phase::Resolve);
    let mut addresses = match local(host) {
        Some(addresses) => addresses,
        None => match resolver.resolve(host).await {
            Ok(answer) => answer.addresses,
            Err(error) => return Err(fail(cause(&*error)).with_source(error)),
        },
    };
    if addresses.is_empty() {
        return Err(fail("it has no addresses".into()));
    }
    for address in &mut addresses {
        if address.port() == 0 {
            address.set_port(port);
        }
    }
    Ok(addresses)
}

/// What is known without asking anybody: IP addresses, and the loopback names of RFC 6761 §6.3.
fn local(host: &str) -> Option<Vec<SocketAddr>> {
    if let Some(ip) = literal(host) {
        return Some(vec![(ip, 0).into()]);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    // IPv4 first: most servers for development listen there only.
    last.eq_ignore_ascii_case("localhost")
        .then(|| vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()])
}

/// An IP address in place of a name.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// The system's words for a failure, without its preamble.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// The system's own resolver, `getaddrinfo`: it knows the hosts file, mDNS, and what the administrator has set up. It blocks, and is therefore called
/// on the runtime's blocking threads. The feature `hickory` brings one that does not block.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
            Ok(Answer::from(addresses))
        })
    }
}

/// Fixed addresses for some names; the others are asked of the resolver within. SNI and `Host` stay those of the name.
///
/// ```
/// use client_transport::dns::{Overrides, System};
///
/// let resolver = Overrides::new(System).with("api.example.org", [([127, 0, 0, 1], 8443)]);
/// ```
pub struct Overrides {
    names: HashMap<Box<str>, Vec<SocketAddr>>,
    inner: Arc<dyn Resolve>,
}

impl Overrides {
    /// None yet.
    pub fn new(inner: impl Resolve) -> Self {
        Self {
            names: HashMap::new(),
            inner: Arc::new(inner),
        }
    }

    /// Adds addresses for `name`. A port other than 0 replaces that of the URL.
    #[must_use]
    pub fn with<A: Into<SocketAddr>>(mut self, name: &str, addresses: impl IntoIterator<Item = A>) -> Self {
        let known = self.names.entry(normal(name)).or_default();
        known.extend(addresses.into_iter().map(Into::into));
        self
    }
}

impl Resolve for Overrides {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        match self.names.get(&normal(name)) {
            Some(addresses) => Box::pin(async { Ok(Answer::from(addresses.clone())) }),
            None => self.inner.resolve(name),
        }
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides").field("names", &self.names).finish_non_exhaustive()
    }
}

/// A name as a key: without case and without the dot of the root (RFC 1034 §3.1).
fn normal(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}

/// Remembers answers for as long as they are good, failures not at all.
pub struct Cached {
    inner: Arc<dyn Resolve>,
    timer: Arc<dyn Timer>,
    ttl: Duration,
    capacity: usize,
    entries: Mutex<HashMap<Box<str>, Entry>>,
}

struct Entry {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

impl Cached {
    /// How long an answer is good that does not say it itself: curl's default.
    pub const TTL: Duration = Duration::from_secs(60);
    /// How many names are remembered.
    pub const CAPACITY: usize = 1024;

    /// An empty cache with the default bounds, on the engine's clock.
    pub fn new(inner: impl Resolve, timer: impl Timer + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            timer: Arc::new(timer),
            ttl: Self::TTL,
            capacity: Self::CAPACITY,
            entries: Mutex::default(),
        }
    }

    /// How long an answer is good that does not say it itself. Default: 60 s.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many names are remembered; beyond, the one that would expire first is forgotten. Default: 1024.
    #[must_use]
    pub fn capacity(mut self, names: usize) -> Self {
        self.capacity = names;
        self
    }

    fn recall(&self, name: &str) -> Option<Vec<SocketAddr>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(name).filter(|entry| self.timer.now() < entry.until)?;
        Some(entry.addresses.clone())
    }

    fn remember(&self, name: Box<str>, answer: &Answer) {
        let now = self.timer.now();
        let Some(until) = now.checked_add(answer.ttl.unwrap_or(self.ttl)) else {
            return;
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&name) {
            entries.retain(|_, entry| now < entry.until);
            let excess = (entries.len() + 1).saturating_sub(self.capacity);
            for _ in 0..excess {
                let first = entries.iter().min_by_key(|(_, entry)| entry.until).map(|(name, _)| name.clone());
                first.and_then(|name| entries.remove(&name));
            }
        }
        if self.capacity > 0 {
            let addresses = answer.addresses.clone();
            entries.insert(name, Entry { addresses, until });
        }
    }
}

impl Resolve for Cached {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        Box::pin(async move {
            let key = normal(name);
            if let Some(addresses) = self.recall(&key) {
                return Ok(Answer::from(addresses));
            }
            let answer = self.inner.resolve(name).await?;
            if !answer.addresses.is_empty() {
                self.remember(key, &answer);
            }
            Ok(answer)
        })
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("ttl", &self.ttl)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl<R: Resolve + ?Sized> Resolve for Arc<R> {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        (**self).resolve(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::timer::TokioTimer;

    /// Answers with fixed addresses, and counts.
    #[derive(Clone, Default)]
    struct Fake {
        asked: Arc<AtomicUsize>,
        ttl: Option<Duration>,
    }

    impl Resolve for Fake {
        fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match name {
                    "none.example" => Ok(Answer::from(vec![])),
                    "bad.example" => Err("failed to lookup address information: Name or service not known".into()),
                    _ => Ok(Answer {
                        addresses: vec![([192, 0, 2, 1], 0).into(), ([192, 0, 2, 2], 99).into()],
                        ttl: self.ttl,
                    }),
                }
            })
        }
    }

    async fn text(resolver: &dyn Resolve, host: &str) -> String {
        match lookup(resolver, host, 8080).await {
            Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Resolve);
                error.to_string()
            }
        }
    }

    #[tokio::test]
    async fn what_stays_on_this_machine() {
        let fake = Fake::default();
        for (host, expected) in [
            ("192.0.2.7", "192.0.2.7:8080"),
            ("2001:db8::7", "[2001:db8::7]:8080"),
            ("localhost", "127.0.0.1:8080 [::1]:8080"),
            ("LocalHost.", "127.0.0.1:8080 [::1]:8080"),
            ("a.b.localhost", "127.0.0.1:8080 [::1]:8080"),
        ] {
            assert_eq!(text(&fake, host).await, expected, "{host}");
        }
        assert_eq!(fake.asked.load(Ordering::Relaxed), 0);
        assert_eq!(text(&fake, "notlocalhost").await, "192.0.2.1:8080 192.0.2.2:99");
    }

    #[tokio::test]
    async fn failures() {
        let fake = Fake::default();
        assert_eq!(text(&fake, "none.example").await, "cannot resolve \"none.example\": it has no addresses");
        assert_eq!(text(&fake, "bad.example").await, "cannot resolve \"bad.example\": Name or service not known");
    }

    #[tokio::test]
    async fn the_system_knows_its_hosts_file() {
        let answer = System.resolve("localhost").await.unwrap();
        assert!(answer.addresses.iter().any(|address| address.ip().is_loopback()));
        assert!(answer.addresses.iter().all(|address| address.port() == 0));
    }

    #[tokio::test]
    async fn overrides() {
        let fake = Fake::default();
        let resolver = Overrides::new(fake.clone()).with("H.example", [([127, 0, 0, 1], 0), ([127, 0, 0, 2], 7)]);
        for name in ["h.example", "H.EXAMPLE."] {
            assert_eq!(text(&resolver, name).await, "127.0.0.1:8080 127.0.0.2:7", "{name}");
        }
        assert_eq!(fake.asked.load(Ordering::Relaxed), 0);
        assert_eq!(text(&resolver, "other.example").await, "192.0.2.1:8080 192.0.2.2:99");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_remembers_for_a_time() {
        let fake = Fake::default();
        let asked = || fake.asked.load(Ordering::Relaxed);
        let resolver = Cached::new(fake.clone(), TokioTimer::default()).ttl(Duration::from_secs(10));
        let answer = text(&resolver, "a.example").await;
        assert_eq!(text(&resolver, "A.example.").await, answer);
        assert_eq!(asked(), 1);
        tokio::time::advance(Duration::from_millis(9_999)).await;
        text(&resolver, "a.example").await;
        assert_eq!(asked(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        text(&resolver, "a.example").await;
        assert_eq!(asked(), 2);
        // Failures are asked again.
        for _ in 0..2 {
            text(&resolver, "bad.example").await;
            text(&resolver, "none.example").await;
        }
        assert_eq!(asked(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answers_own_time_counts() {
        let fake = Fake {
            ttl: Some(Duration::from_secs(1)),
            ..Fake::default()
        };
        let resolver = Cached::new(fake.clone(), TokioTimer::default());
        text(&resolver, "a.example").await;
        tokio::time::advance(Duration::from_secs(1)).await;
        text(&resolver, "a.example").await;
        assert_eq!(fake.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_is_bounded() {
        let fake = Fake::default();
        let asked = || fake.asked.load(Ordering::Relaxed);
        let resolver = Cached::new(fake.clone(), TokioTimer::default()).capacity(2);
        for name in ["a", "b", "c"] {
            text(&resolver, name).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(resolver.entries.lock().unwrap().len(), 2);
        text(&resolver, "b").await;
        text(&resolver, "c").await;
        assert_eq!(asked(), 3, "the one that expires first is forgotten");
        text(&resolver, "a").await;
        assert_eq!(asked(), 4);
        let none = Cached::new(fake.clone(), TokioTimer::default()).capacity(0);
        text(&none, "a").await;
        text(&none, "a").await;
        assert_eq!(asked(), 6);
    }
}
