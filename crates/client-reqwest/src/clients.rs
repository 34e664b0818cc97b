//! The reqwest clients inside: made when they are needed, one per protocol and runtime, and the contract imposed on each.
//!
//! A connection of reqwest is driven by a task on the runtime that made it. Used from another runtime, it hangs until the first one
//! runs again, or fails with "dispatch task is gone". So each runtime has clients of its own; those of the latest few are kept.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use client_core::{Error, ErrorKind, Result, Sent};
use reqwest::{ClientBuilder, redirect, retry};
use tokio::runtime::Id;

use crate::connector::ConnectLayer;
use crate::error::innermost;
use crate::http2;
use crate::tls::Tls;

/// How many runtimes are remembered. A program has one; a test suite one at a time. What is forgotten loses its idle connections only.
const RUNTIMES: usize = 4;

/// Fields in a response head that hyper may read; the limits of a request hold it to fewer. More cost a buffer per response.
const MAX_FIELDS: usize = 512;

/// reqwest chooses a protocol per client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, or over TLS whatever ALPN says.
    Negotiated,
    /// HTTP/1.1 and nothing else.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// The user's own say about reqwest.
pub(crate) type Configure = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// Where clients come from.
pub(crate) enum Source {
    /// They are made, as often as needed.
    Recipe(Box<Recipe>),
    /// There is one, and it cannot be changed any more.
    Given(reqwest::Client),
}

#[derive(Default)]
pub(crate) struct Recipe {
    pub(crate) configure: Vec<Configure>,
    pub(crate) system_proxy: bool,
    pub(crate) tls: Tls,
}

impl Recipe {
    pub(crate) fn check(&self) -> Result<()> {
        self.make(Protocol::Negotiated).map(drop)
    }

    fn make(&self, protocol: Protocol) -> Result<reqwest::Client> {
        let mut builder = ClientBuilder::new()
            .http1_max_headers(MAX_FIELDS)
            // Folds are replaced by spaces (RFC 9112 §5.2), where hyper is allowed to see one.
            .http1_allow_obsolete_multiline_headers_in_responses(true);
        if !self.system_proxy {
            builder = builder.no_proxy();
        }
        builder = http2::prepare(self.tls.prepare(builder, protocol)?);
        builder = self.configure.iter().fold(builder, |builder, configure| configure(builder));
        builder = match protocol {
            Protocol::Negotiated => builder,
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => http2::only(builder),
        };
        impose(builder).build().map_err(|error| {
            let message = format!("reqwest refuses its configuration: {}", innermost(&error));
            Error::new(ErrorKind::InvalidRequest, message).with_source(error)
        })
    }
}

/// What no configuration may change: policy is the core's. The codings are off even if another crate of the program enables reqwest's
/// features for them, which switches them on.
fn impose(builder: ClientBuilder) -> ClientBuilder {
    builder
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connector_layer(ConnectLayer)
}

/// The clients of an engine.
pub(crate) struct Clients {
    source: Source,
    /// The runtime that a given client belongs to: that of its first call.
    home: OnceLock<Id>,
    /// Latest first.
    latest: Mutex<Vec<OfRuntime>>,
}

struct OfRuntime {
    runtime: Id,
    by_protocol: [Option<reqwest::Client>; 3],
}

impl Clients {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            home: OnceLock::new(),
            latest: Mutex::default(),
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The client for a protocol on a runtime.
    pub(crate) fn get(&self, runtime: Id, protocol: Protocol) -> Result<reqwest::Client> {
        let recipe = match &self.source {
            Source::Recipe(recipe) => recipe,
            Source::Given(client) => return self.at_home(runtime).map(|()| client.clone()),
        };
        let mut latest = self.lock();
        match latest.iter().position(|known| known.runtime == runtime) {
            Some(0) => {}
            Some(index) => latest[..=index].rotate_right(1),
            None => {
                latest.truncate(RUNTIMES - 1);
                let by_protocol = [const { None }; 3];
                latest.insert(0, OfRuntime { runtime, by_protocol });
            }
        }
        // Making one takes milliseconds, once; others of this engine have to wait for it anyway.
        let slot = &mut latest[0].by_protocol[protocol as usize];
        match slot {
            Some(client) => Ok(client.clone()),
            None => Ok(slot.insert(recipe.make(protocol)?).clone()),
        }
    }

    /// Never uses this runtime's idle connections of this protocol again. reqwest cannot be told to close one connection, so that one which
    /// must not be trusted any more takes its idle neighbours with it; those that carry an exchange go on to its end.
    pub(crate) fn retire(&self, runtime: Id, protocol: Protocol) {
        let mut latest = self.lock();
        if let Some(known) = latest.iter_mut().find(|known| known.runtime == runtime) {
            known.by_protocol[protocol as usize] = None;
        }
    }

    /// Closes what is idle; what is in use is closed after its exchange, as its pool is gone.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn at_home(&self, runtime: Id) -> Result<()> {
        match *self.home.get_or_init(|| runtime) == runtime {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Engine,
                "a given reqwest::Client belongs to the runtime of its first call; set a dispatcher, or use config() instead",
            )
            .with_sent(Sent::Nothing)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OfRuntime>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clients(of {} runtimes)", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_runtimes_are_remembered() {
        let runtimes: Vec<_> = (0..=RUNTIMES).map(|_| tokio::runtime::Builder::new_current_thread().build().unwrap()).collect();
        let ids: Vec<_> = runtimes.iter().map(|runtime| runtime.handle().id()).collect();
        let clients = Clients::new(Source::Recipe(Box::default()));
        for id in &ids {
            clients.get(*id, Protocol::Http1).unwrap();
        }
        clients.get(ids[2], Protocol::Negotiated).unwrap();
        let known = clients.lock().iter().map(|known| known.runtime).collect::<Vec<_>>();
        assert_eq!(known, [ids[2], ids[4], ids[3], ids[1]]);
    }

    #[test]
    fn a_given_client_stays_at_home() {
        let runtimes = [(); 2].map(|()| tokio::runtime::Builder::new_current_thread().build().unwrap());
        let [a, b] = runtimes.each_ref().map(|runtime| runtime.handle().id());
        let client = Recipe::default().make(Protocol::Negotiated).unwrap();
        let clients = Clients::new(Source::Given(client));
        assert!(clients.get(a, Protocol::Negotiated).is_ok());
        let error = clients.get(b, Protocol::Negotiated).unwrap_err();
        assert!(error.to_string().contains("belongs to the runtime of its first call"), "{error}");
        assert!(clients.get(a, Protocol::Negotiated).is_ok());
    }
}
