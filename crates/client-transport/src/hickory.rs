//! Names asked of DNS servers directly, by hickory, in place of the system's own resolver: without blocking threads, and with the answers' own time to
//! live. What is not DNS (mDNS, the administrator's other sources) it does not know, but for the hosts file.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use client_core::{BoxError, BoxFuture};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::dns::{Answer, Resolve};
use crate::runtime;

/// The library itself, for the types of its configuration.
pub use hickory_resolver;

/// A resolver that asks DNS servers itself, by UDP, and by TCP where an answer is too long for that. It works on the tokio runtime of the call. It has a cache
/// of its own, which keeps each answer for its time to live: a [`Cached`](crate::dns::Cached) around it adds nothing.
///
/// It is never asked about IP addresses and `localhost`, as no resolver is.
///
/// ```
/// use client_transport::dial::Dialer;
/// use client_transport::hickory::Hickory;
///
/// let dialer = Dialer::new().resolver(Hickory::system());
/// ```
///
/// With a server of your choice, and less patience than the default of 5 s for each attempt:
///
/// ```
/// use std::time::Duration;
///
/// use client_transport::hickory::Hickory;
/// use client_transport::hickory::hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
///
/// let server = NameServerConfig::udp_and_tcp([192, 0, 2, 53].into());
/// let mut options = ResolverOpts::default();
/// options.timeout = Duration::from_secs(2);
/// let resolver = Hickory::new(ResolverConfig::from_parts(None, Vec::new(), vec![server]), options);
/// ```
pub struct Hickory {
    source: Source,
    /// Its sockets live and die with a runtime: one resolver for each, the latest last.
    built: Mutex<Vec<(runtime::Id, TokioResolver)>>,
}

enum Source {
    System,
    Given(Box<(ResolverConfig, ResolverOpts)>),
}

/// For how many runtimes resolvers are remembered. Clients are rarely shared by more; of one more, the oldest is made anew.
const REMEMBERED: usize = 8;

impl Hickory {
    /// With the servers and options that the system is set up for (`/etc/resolv.conf`; on Windows, the registry), read at the first use on each runtime.
    /// Where they cannot be read, every lookup says so. Both families are asked for at once; IPv6 addresses come first.
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// With these servers and options.
    pub fn new(config: ResolverConfig, options: ResolverOpts) -> Self {
        Self::of(Source::Given(Box::new((config, options))))
    }

    fn of(source: Source) -> Self {
        let built = Mutex::default();
        Self { source, built }
    }

    /// The resolver of the runtime that asks.
    fn resolver(&self) -> Result<TokioResolver, BoxError> {
        let id = runtime::current()?.id();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = built.iter().find(|(known, _)| *known == id) {
            return Ok(known.clone());
        }
        let resolver = match &self.source {
            Source::System => {
                let mut builder = TokioResolver::builder_tokio()?;
                builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
                builder.build()?
            }
            Source::Given(given) => {
                let (config, options) = (**given).clone();
                let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                builder.with_options(options).build()?
            }
        };
        if built.len() == REMEMBERED {
            built.remove(0);
        }
        built.push((id, resolver.clone()));
        Ok(resolver)
    }
}

impl Resolve for Hickory {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        Box::pin(async move {
            let found = self.resolver()?.lookup_ip(name).await.map_err(explained)?;
            Ok(Answer {
                addresses: found.iter().map(|address| (address, 0).into()).collect(),
                ttl: Some(found.valid_until().saturating_duration_since(Instant::now())),
            })
        })
    }
}

/// hickory's words for the most frequent failure are the debug output of its query.
fn explained(error: NetError) -> BoxError {
    if error.is_nx_domain() { Box::new(NoSuchName(error)) } else { Box::new(error) }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no such name")]
struct NoSuchName(#[source] NetError);

impl fmt::Debug for Hickory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::System => "Hickory(system)",
            Source::Given(_) => "Hickory(..)",
        })
    }
}
