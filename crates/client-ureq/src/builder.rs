//! What the user can set, what it is by default, and what of it is wrong.
//!
//! What must never enter this file: an exchange.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use client_core::{Mistake, Result, Timeout, Timeouts, TlsConfig};
use ureq::Agent;

use crate::connections::Connections;
use crate::dial::{Dial, Later, misconfigured};
use crate::names::Names;
use crate::socket::BUFFER_SIZE;
use crate::tls::Tls;
use crate::wire::Way;
use crate::workers::{Size, Workers};
use crate::{Ureq, timer};

/// Configures the engine; see [`Ureq::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct UreqBuilder {
    timeouts: Timeouts,
    threads: Size,
    max_idle: usize,
    max_idle_per_host: usize,
    keep_alive: Duration,
    hosts: HashMap<String, Vec<IpAddr>>,
    tls: TlsConfig,
}

impl Default for UreqBuilder {
    fn default() -> Self {
        Self {
            // Ktor's Android engine.
            timeouts: Timeouts::new().connect(Duration::from_secs(100)).socket(Duration::from_secs(100)),
            // tokio's pool for blocking calls.
            threads: Size {
                max_threads: 512,
                max_places: None,
                keep_alive: Duration::from_secs(10),
            },
            // ureq's own.
            max_idle: 10,
            max_idle_per_host: 3,
            keep_alive: Duration::from_secs(15),
            hosts: HashMap::new(),
            tls: TlsConfig::default(),
        }
    }
}

impl UreqBuilder {
    /// Until the connection can carry the request: name, TCP, TLS. Default: 100 s, as in Ktor's Android engine. A request's own limit
    /// comes first.
    pub fn connect_timeout(mut self, limit: impl Into<Timeout>) -> Self {
        self.timeouts = self.timeouts.connect(limit);
        self
    }

    /// The longest silence between two packets, reading or writing. Default: 100 s, as in Ktor's Android engine. A request's own limit
    /// comes first.
    pub fn socket_timeout(mut self, limit: impl Into<Timeout>) -> Self {
        self.timeouts = self.timeouts.socket(limit);
        self
    }

    /// The most threads that perform exchanges; at least 2. Others wait in a fair queue. This is the engine's dispatcher. Default: 512,
    /// as in tokio's pool for blocking calls.
    ///
    /// One in eight, at least one, is kept for reading responses.
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.threads.max_threads = threads;
        self
    }

    /// How long a thread waits for more to do before it ends. Default: 10 s, as in tokio's pool for blocking calls.
    pub fn thread_keep_alive(mut self, wait: Duration) -> Self {
        self.threads.keep_alive = wait;
        self
    }

    /// The most connections that may be open at a time, over all hosts, those that wait for use included: one of these is closed where it
    /// is in the way. Further exchanges wait, in the queue of those that wait for a thread; a response that has not been read to its end
    /// has a connection. Default: no limit.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.threads.max_places = Some(connections);
        self
    }

    /// How many connections may wait for use. Default: 10, as ureq's. Zero: no connection is used twice.
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// How many connections to one host may wait for use. Default: 3, as ureq's.
    pub fn max_idle_connections_per_host(mut self, connections: usize) -> Self {
        self.max_idle_per_host = connections;
        self
    }

    /// How long a connection may wait for use. Default: 15 s, as ureq's.
    pub fn keep_alive(mut self, wait: Duration) -> Self {
        self.keep_alive = wait;
        self
    }

    /// A host with this address and no other; it is looked up nowhere. Once more for one more address; they are tried in order.
    pub fn resolve(mut self, host: impl Into<String>, address: IpAddr) -> Self {
        self.hosts.entry(host.into().to_ascii_lowercase()).or_default().push(address);
        self
    }

    /// How servers are verified, and how we identify ourselves. Default: the platform's trusted roots.
    ///
    /// What cannot be used (unreadable PEM, a key that does not fit) is refused when a client is built.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// The engine. What is wrong with its configuration is told when a client is built of it, and by every exchange.
    pub fn build(self) -> Ureq {
        Ureq {
            agent: self.agent().map_err(Mistake::from),
            timeouts: self.timeouts,
            workers: Workers::new(self.threads),
            timer: timer::ThreadTimer::default(),
        }
    }

    fn check(&self) -> Result<()> {
        self.timeouts.check()?;
        match (self.threads.max_threads, self.threads.max_places) {
            (0 | 1, _) => {
                Err(misconfigured("max_threads: at least 2 are needed, one for exchanges and one for reading responses"))
            }
            (_, Some(0)) => Err(misconfigured("max_connections: no connection at all; at least 1 is needed")),
            _ => Ok(()),
        }
    }

    /// ureq without any policy of its own: it redirects, keeps, decodes, adds and limits nothing.
    fn agent(&self) -> Result<Agent> {
        self.check()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            // The limits are each exchange's, and kept before ureq sees the head.
            .max_response_header_size(usize::MAX)
            .input_buffer_size(BUFFER_SIZE)
            .output_buffer_size(BUFFER_SIZE)
            .max_idle_connections(self.max_idle)
            .max_idle_connections_per_host(self.max_idle_per_host)
            .max_idle_age(self.keep_alive);
        let names = Names::new(self.hosts.clone(), self.threads.max_threads);
        let connections = self.threads.max_places.map(Connections::new);
        let way = Way {
            dial: Dial::new(names, connections),
            tls: Tls::new(&self.tls)?,
        };
        Ok(Agent::with_parts(config.build(), way, Later))
    }
}
