//! TLS over any stream, by rustls: `client-tls` makes the configuration and explains what fails; here it meets a stream. HTTP must
//! never enter: of the protocols above, only their names are known. Nor must decisions about certificates.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead as _};
use std::sync::{Arc, Mutex, PoisonError};

use client_core::{Error, ErrorKind, Phase, Result, Sent, TlsConfig};
use client_tls::{info, server_name};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use crate::dial::Link;
use crate::route::Alpn;
use crate::stream::Stream;

pub use client_tls::classify;

pub(crate) type TlsStream = tokio_rustls::client::TlsStream<Stream>;

/// How `https` servers are verified: our own [`TlsConfig`], or a configuration of rustls.
///
/// ```
/// use client_core::{TlsConfig, TlsVersion};
/// use client_transport::tls::TlsSettings;
///
/// let ours = TlsSettings::from(TlsConfig::new().min_version(TlsVersion::Tls13));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TlsSettings(Source);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Source {
    Ours(Arc<TlsConfig>),
    Raw(Raw),
    /// The same without a client certificate.
    Anonymous(Raw),
}

/// A configuration of rustls. Two are equal if they are the same object, as what is in them cannot be compared.
#[derive(Clone)]
struct Raw(Arc<ClientConfig>);

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Raw {}

impl Hash for Raw {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl From<TlsConfig> for TlsSettings {
    fn from(config: TlsConfig) -> Self {
        Self(Source::Ours(Arc::new(config)))
    }
}

impl From<Arc<ClientConfig>> for TlsSettings {
    /// Used as it is, but for its ALPN protocols, which are the engine's.
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(Source::Raw(Raw(config)))
    }
}

impl TlsSettings {
    /// See [`TlsConfig::for_another_origin`]. What a configuration of rustls accepts cannot be told; but whom it says we are, it no longer says.
    pub(crate) fn for_another_origin(self) -> Self {
        Self(match self.0 {
            Source::Ours(config) => Source::Ours(Arc::new(TlsConfig::clone(&config).for_another_origin())),
            Source::Raw(raw) | Source::Anonymous(raw) => Source::Anonymous(raw),
        })
    }
}

/// Without a client certificate, and without the sessions that were begun with one.
fn anonymous(raw: &ClientConfig) -> ClientConfig {
    let mut config = raw.clone();
    config.client_auth_cert_resolver = Arc::new(Nobody);
    config.resumption = Resumption::default();
    config
}

#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Ours(config) => config.fmt(f),
            Source::Raw(_) | Source::Anonymous(_) => f.write_str("rustls::ClientConfig(..)"),
        }
    }
}

/// Refuses settings that cannot be used: unreadable certificates, a key that does not fit. Loads no roots of the platform.
pub(crate) fn check(settings: &TlsSettings) -> Result<()> {
    match &settings.0 {
        Source::Ours(config) => client_tls::check(config),
        Source::Raw(_) | Source::Anonymous(_) => Ok(()),
    }
}

/// Refuses what is neither a DNS name nor an IP address.
pub(crate) fn check_name(name: &str) -> Result<()> {
    server_name(name).map(drop)
}

/// Makes TLS streams, and remembers the configurations it has built: roots are loaded once, and sessions are resumed within
/// one configuration only.
#[derive(Default)]
pub(crate) struct TlsConnector(Mutex<Vec<Built>>);

/// How many configurations are remembered; beyond, the oldest is built again when it is needed.
const REMEMBERED: usize = 32;

struct Built {
    settings: Option<TlsSettings>,
    alpn: &'static [Alpn],
    config: Arc<ClientConfig>,
}

impl TlsConnector {
    /// Runs the handshake with `host` on `below`.
    pub(crate) async fn handshake(
        &self,
        settings: Option<&TlsSettings>,
        host: &str,
        alpn: &'static [Alpn],
        below: Stream,
    ) -> Result<Link> {
        let name = server_name(host)?;
        let config = self.config(settings, alpn)?;
        let connected = tokio_rustls::TlsConnector::from(config).connect(name, below).await;
        let tls = connected.map_err(|error| failed(host, alpn, error))?;
        let session = tls.get_ref().1;
        let alpn = alpn.iter().copied().find(|one| session.alpn_protocol() == Some(one.id()));
        let info = Arc::new(info(session));
        Ok(Link {
            stream: Stream::from(Box::new(tls)),
            alpn,
            tls: Some(info),
        })
    }

    fn config(&self, settings: Option<&TlsSettings>, alpn: &'static [Alpn]) -> Result<Arc<ClientConfig>> {
        let mut built = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = built.iter().find(|built| built.settings.as_ref() == settings && built.alpn == alpn) {
            return Ok(Arc::clone(&known.config));
        }
        let mut config = match settings.map(|settings| &settings.0) {
            Some(Source::Ours(ours)) => client_tls::client_config(ours)?,
            Some(Source::Raw(Raw(raw))) => (**raw).clone(),
            Some(Source::Anonymous(Raw(raw))) => anonymous(raw),
            None => client_tls::client_config(&TlsConfig::new())?,
        };
        config.alpn_protocols = alpn.iter().map(|one| one.id().to_vec()).collect();
        let config = Arc::new(config);
        if built.len() == REMEMBERED {
            built.remove(0);
        }
        built.push(Built {
            settings: settings.cloned(),
            alpn,
            config: Arc::clone(&config),
        });
        Ok(config)
    }
}

/// A handshake that failed, in which these protocols were `offered`.
fn failed(host: &str, offered: &[Alpn], error: io::Error) -> Error {
    if !client_tls::is_protocol_refused(&error) {
        return client_tls::handshake(host, error);
    }
    let names: Vec<_> = offered.iter().map(|protocol| protocol.name()).collect();
    Error::new(ErrorKind::Protocol, format!("{host:?} does not speak {} (by ALPN)", names.join(" or ")))
        .with_phase(Phase::Tls)
        .with_sent(Sent::Nothing)
        .with_source(error)
}

/// Whether the session has data for its reader, its end, or an error, without a look at what carries it.
pub(crate) fn holds_input(tls: &mut TlsStream) -> bool {
    let held = tls.get_mut().1.reader().fill_buf().map(drop);
    !held.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// The stream that carries the TLS records.
pub(crate) fn below(tls: &TlsStream) -> &Stream {
    tls.get_ref().0
}
