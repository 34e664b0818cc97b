//! From a URI to a connection: name, TCP, TLS, hyper.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use client_core::{ConnectionInfo, Error, ErrorKind, Instant, Phase, Result, RootCerts, Sent, TlsConfig, TlsVersion, Trace, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::Lease;

/// The engine's TLS settings, or what is wrong with them.
pub(super) fn tls_config(tls: &TlsConfig) -> Result<Arc<ClientConfig>, &'static str> {
    if !tls.pins().is_empty() {
        return Err("spki-pins");
    }
    if tls.accepts_invalid_certs() || tls.accepts_invalid_hostnames() {
        return Err("danger");
    }
    let mut roots = RootCertStore::empty();
    // The platform's roots would be the default; nothing in the suite is signed by one of those.
    if let RootCerts::OnlyPem(pem) = tls.get_roots() {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|_| "roots: not PEM")?).map_err(|_| "roots: not a certificate")?;
        }
        if roots.is_empty() {
            return Err("roots: none");
        }
    }
    let versions: &[_] = match tls.get_min_version() {
        TlsVersion::Tls13 => &[&version::TLS13],
        _ => &[&version::TLS12, &version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(|_| "versions")?
        .with_root_certificates(roots);
    let config = match tls.get_identity() {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.chain_pem()).collect();
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem()).map_err(|_| "identity: no key")?;
            builder
                .with_client_auth_cert(chain.map_err(|_| "identity: not PEM")?, key)
                .map_err(|_| "identity: no pair")?
        }
    };
    Ok(Arc::new(config))
}

/// A new connection to the origin of `uri`.
pub(super) async fn connect(
    uri: &Uri,
    hosts: &HashMap<String, IpAddr>,
    tls: Option<&Arc<ClientConfig>>,
    trace: &Trace,
) -> Result<Lease> {
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    trace.enter(Phase::Resolve);
    let addresses: Vec<SocketAddr> = match hosts.get(host) {
        Some(&address) => vec![(address, port).into()],
        None => {
            let found = tokio::net::lookup_host((host, port)).await;
            found.map_err(|error| failed(ErrorKind::Resolve, Phase::Resolve, error))?.collect()
        }
    };
    trace.enter(Phase::Connect);
    let tcp = TcpStream::connect(&*addresses)
        .await
        .map_err(|error| failed(ErrorKind::Connect, Phase::Connect, error))?;
    let mut info = ConnectionInfo::new();
    info.remote_addr = tcp.peer_addr().ok();
    info.local_addr = tcp.local_addr().ok();
    let silence = Arc::new(Silence::default());
    if !is_tls {
        return handshake(Quiet::new(tcp, &silence), silence, info).await;
    }
    trace.enter(Phase::Tls);
    let config = tls.ok_or_else(|| Error::new(ErrorKind::Tls, "no TLS").with_phase(Phase::Tls).with_sent(Sent::Nothing))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(ErrorKind::Tls, Phase::Tls, error))?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
    let stream = stream.map_err(|error| failed(ErrorKind::Tls, Phase::Tls, error))?;
    handshake(Quiet::new(stream, &silence), silence, info).await
}

async fn handshake<S>(stream: S, silence: Arc<Silence>, info: ConnectionInfo) -> Result<Lease>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_headers(1000).max_buf_size(512 << 10);
    // RFC 9112 §5.2: a user agent joins folded fields.
    builder.allow_obsolete_multiline_headers_in_responses(true);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| Error::new(ErrorKind::Engine, error.to_string()))?;
    let driver = Driver(tokio::spawn(async { drop(connection.with_upgrades().await) }));
    Ok(Lease {
        sender,
        _driver: driver,
        upload: Arc::default(),
        silence,
        info,
    })
}

/// The task that drives a connection. hyper would go on with an upload that nobody waits for.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn failed(kind: ErrorKind, phase: Phase, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(kind, error.to_string()).with_phase(phase).with_sent(phase.sent()).with_source(error)
}

/// How long a connection has been silent, and how long it may be.
#[derive(Default)]
pub(super) struct Silence(Mutex<State>);

#[derive(Default)]
struct State {
    limit: Option<Duration>,
    since: Option<Instant>,
    /// Whether anything came since the exchange began.
    has_read: bool,
}

impl Silence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new exchange begins.
    pub(super) fn set(&self, limit: Option<Duration>) {
        *self.state() = State {
            limit,
            since: Some(Instant::now()),
            has_read: false,
        };
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        self.state().limit
    }

    pub(super) fn has_read(&self) -> bool {
        self.state().has_read
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.state().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn broken(&self) {
        self.state().since = Some(Instant::now());
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        Some(state.since? + state.limit?)
    }
}

/// A stream on which silence is an error once it lasts too long.
struct Quiet<S> {
    stream: S,
    silence: Arc<Silence>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl<S> Quiet<S> {
    fn new(stream: S, silence: &Arc<Silence>) -> Self {
        Self {
            stream,
            silence: Arc::clone(silence),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.silence.broken();
            return polled;
        }
        let Some(deadline) = self.silence.deadline() else {
            return Poll::Pending;
        };
        self.sleep.as_mut().reset(deadline.into());
        self.sleep.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Quiet<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) && !buf.filled().is_empty() {
            self.silence.state().has_read = true;
        }
        self.watch(cx, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Quiet<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
