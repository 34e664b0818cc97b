//! A small engine on hyper's connection API, against which the suite itself is proven. It shows what an engine has to do; it has no
//! limits per route, no happy eyeballs, no proxies.

mod body;
mod connect;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client_conformance::Settings;
use client_core::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use client_core::http::{Request, Response};
use client_core::{
    Body, Capabilities, Capability, ConnectionInfo, Engine, Error, ErrorKind, Event, Exchange, HeaderValue, Instant, Method,
    OnUpgrade, Phase, RequestTarget, Result, Sent, Sleep, StatusCode, TimeoutKind, Timer, Upgraded, Uri, Version,
};
use futures_util::future::{Either, select};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::sync::{Notify, Semaphore};

use self::body::{LeasedBody, TokioCompat};

/// What the reference engine promises.
pub(crate) const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::ExactHeaders)
    .with(Capability::Tls)
    .with(Capability::CustomRoots)
    .with(Capability::ClientIdentity)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::Upgrade)
    .with(Capability::Tunnel)
    .with(Capability::AsteriskForm)
    .with(Capability::Informational)
    .with(Capability::HeadProgress)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr)
    .with(Capability::ConnectionReuse);

/// The engine.
pub(crate) struct Reference {
    pool: Arc<Pool>,
    tls: Option<Arc<ClientConfig>>,
    mistake: Option<&'static str>,
    hosts: HashMap<String, IpAddr>,
    permits: Arc<Semaphore>,
    is_limited: bool,
}

/// Connections that wait for use, by scheme and authority; `None` once the engine is closed.
struct Pool(Mutex<Option<HashMap<String, Vec<Lease>>>>);

impl Pool {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Vec<Lease>>) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn checkout(&self, key: &str) -> Option<Lease> {
        self.with(|idle| {
            let idle = idle.get_mut(key)?;
            while let Some(lease) = idle.pop() {
                if lease.sender.is_ready() {
                    return Some(lease);
                }
            }
            None
        })?
    }
}

/// A connection and what is known about it.
struct Lease {
    sender: SendRequest<Body>,
    /// Dropped, it closes the connection at once.
    _driver: connect::Driver,
    /// Whether the request's body is done with.
    upload: Arc<AtomicBool>,
    /// The longest silence that the present exchange allows.
    silence: Arc<connect::Silence>,
    info: ConnectionInfo,
}

impl Reference {
    /// As `settings` say.
    pub(crate) fn new(settings: &Settings) -> Self {
        let (tls, mistake) = match connect::tls_config(&settings.tls) {
            Ok(tls) => (Some(tls), None),
            Err(mistake) => (None, Some(mistake)),
        };
        Self {
            pool: Arc::new(Pool(Mutex::new(Some(HashMap::new())))),
            tls,
            mistake,
            hosts: settings.hosts.iter().cloned().collect(),
            permits: Arc::new(Semaphore::new(settings.max_connections.unwrap_or(Semaphore::MAX_PERMITS))),
            is_limited: settings.max_connections.is_some(),
        }
    }

    async fn dial(&self, key: &str, exchange: &Exchange) -> Result<Lease> {
        if self.is_limited {
            // An idle connection to elsewhere must not stand in the way.
            self.pool.with(|idle| idle.retain(|other, _| other == key));
        }
        let started = Instant::now();
        let connecting = connect::connect(exchange.request.uri(), &self.hosts, self.tls.as_ref(), &exchange.trace);
        match exchange.timeouts.connect_limit() {
            None => connecting.await,
            Some(limit) => tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
                let phase = exchange.trace.phase().unwrap_or(Phase::Connect);
                Err(Error::timeout(TimeoutKind::Connect, limit, started.elapsed(), phase))
            }),
        }
    }
}

impl Timer for Reference {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

impl Engine for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn timer(&self) -> &dyn Timer {
        self
    }

    fn check(&self) -> Result<()> {
        match self.mistake {
            Some("spki-pins") => Err(Error::unsupported(Capability::SpkiPins)),
            Some("danger") => Err(Error::new(ErrorKind::Unsupported, "certificates and host names are always verified")),
            Some(mistake) => Err(Error::new(ErrorKind::InvalidRequest, mistake)),
            None => Ok(()),
        }
    }

    fn close(&self) {
        self.pool.close();
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        let mut exchange = exchange.take();
        let key = format!(
            "{}://{}",
            exchange.request.uri().scheme_str().unwrap_or(""),
            exchange.request.uri().authority().map_or("", |authority| authority.as_str())
        );
        exchange.trace.remember();
        exchange.trace.enter(Phase::Pool);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Error::new(ErrorKind::Closed, "the engine is closed").with_sent(Sent::Nothing))?;
        let mut reused = self.pool.checkout(&key);
        loop {
            let was_reused = reused.is_some();
            let mut lease = match reused.take() {
                Some(lease) => lease,
                None => self.dial(&key, &exchange).await?,
            };
            lease.info.reused = was_reused;
            exchange.trace.emit(&Event::Connected {
                reused: was_reused,
                remote_addr: lease.info.remote_addr,
            });
            lease.silence.set(exchange.timeouts.socket_limit());
            exchange.trace.enter(Phase::Send);
            let spare = exchange.try_clone();
            lease.upload = Arc::new(AtomicBool::new(false));
            let upload = body::Upload::new(std::mem::take(exchange.request.body_mut()), &lease.upload);
            *exchange.request.body_mut() = Body::wrap(upload);
            let (wire, is_idempotent) = wire_request(exchange)?;
            wire.trace.enter(Phase::Head);
            let (asked, limits) = (wire.asked(), wire.limits);
            let sent = pin!(lease.sender.send_request(wire.request));
            let response = match select(sent, pin!(wire.too_many.notified())).await {
                Either::Left((response, _)) => response,
                Either::Right(_) => {
                    let error = Error::new(ErrorKind::TooLarge, "informational responses without end");
                    return Err(error.with_phase(Phase::Head).with_sent(Sent::Maybe));
                }
            };
            match response {
                Ok(response) => {
                    wire.trace.enter(Phase::Body);
                    return finish(response, lease, key, limits, asked, &self.pool, permit).await;
                }
                Err(error) => {
                    let is_dead = error.is_canceled() || (is_idempotent && !lease.silence.has_read());
                    let error = classify(&error, &lease.silence, Phase::Head);
                    match spare {
                        Some(spare) if was_reused && is_dead && error.kind() == ErrorKind::Closed => {
                            spare.trace.emit(&Event::Retried { reason: &error });
                            exchange = spare;
                        }
                        _ => return Err(error),
                    }
                }
            }
        }
    }
}

struct Wire {
    is_upgrade: bool,
    /// More informational responses than allowed have come.
    too_many: Arc<Notify>,
    request: Request<Body>,
    trace: client_core::Trace,
    limits: client_core::Limits,
}

/// What a response may switch to.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Nothing,
    Upgrade,
    Tunnel,
}

impl Wire {
    fn asked(&self) -> Asked {
        match () {
            () if self.request.method() == Method::CONNECT => Asked::Tunnel,
            () if self.is_upgrade => Asked::Upgrade,
            () => Asked::Nothing,
        }
    }
}

/// The request as hyper's connection wants it: its target in the right form, its Host.
fn wire_request(exchange: Exchange) -> Result<(Wire, bool)> {
    let mut request = exchange.request;
    let uri = request.uri().clone();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let default_port = match uri.scheme_str() {
        Some("https") => ":443",
        _ => ":80",
    };
    let host = authority.strip_suffix(default_port).unwrap_or(authority);
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(host).map_err(|error| Error::new(ErrorKind::InvalidRequest, error.to_string()))?;
        request.headers_mut().insert(HOST, host);
    }
    let wants_length = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if wants_length && request.body().is_empty() && !request.body().has_trailers() {
        // hyper says nothing of an empty body (RFC 9110 §8.6).
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let is_connect = request.method() == Method::CONNECT;
    let target = match request.extensions().get::<RequestTarget>() {
        Some(RequestTarget::Asterisk) => Uri::from_static("*"),
        Some(RequestTarget::Authority(authority)) => {
            authority.as_str().parse().map_err(|_| Error::new(ErrorKind::InvalidRequest, "target"))?
        }
        _ if is_connect => authority.parse().map_err(|_| Error::new(ErrorKind::InvalidRequest, "target"))?,
        _ => Uri::from(uri.path_and_query().cloned().unwrap_or_else(|| "/".parse().expect("a path"))),
    };
    *request.uri_mut() = target;
    *request.version_mut() = exchange.version.unwrap_or(Version::HTTP_11);
    let (trace, too_many) = (exchange.trace.clone(), Arc::new(Notify::new()));
    let (left, alarm) = (AtomicUsize::new(exchange.limits.max_informational()), Arc::clone(&too_many));
    hyper::ext::on_informational(&mut request, move |response| {
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            alarm.notify_one();
        }
        trace.emit(&Event::Informational {
            status: response.status(),
            headers: response.headers(),
        });
    });
    let is_idempotent = request.method().is_idempotent();
    let wire = Wire {
        is_upgrade: request.headers().contains_key(UPGRADE),
        request,
        too_many,
        trace: exchange.trace,
        limits: exchange.limits,
    };
    Ok((wire, is_idempotent))
}

/// From hyper's response to ours: what hyper lets pass is refused, and the body takes the connection along.
async fn finish(
    mut response: Response<hyper::body::Incoming>,
    lease: Lease,
    key: String,
    limits: client_core::Limits,
    asked: Asked,
    pool: &Arc<Pool>,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> Result<Response<Body>> {
    let headers = response.headers();
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        // hyper reads it as chunked (RFC 9112 §6.3 rule 3) and would use the connection again.
        let error = Error::new(ErrorKind::Protocol, "both Transfer-Encoding and Content-Length");
        return Err(error.with_phase(Phase::Head).with_sent(Sent::Answered));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > limits.max_head_fields() || bytes > limits.max_head_bytes() {
        let error = Error::new(ErrorKind::TooLarge, "the response's head");
        return Err(error.with_phase(Phase::Head).with_sent(Sent::Answered));
    }
    response.extensions_mut().insert(lease.info.clone());
    let is_101 = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_101 && asked != Asked::Upgrade {
        let error = Error::new(ErrorKind::Protocol, "101 that nobody asked for");
        return Err(error.with_phase(Phase::Head).with_sent(Sent::Answered));
    }
    if is_101 || (asked == Asked::Tunnel && response.status().is_success()) {
        let upgraded = hyper::upgrade::on(&mut response).await;
        let upgraded = upgraded.map_err(|error| Error::new(ErrorKind::Protocol, error.to_string()))?;
        let stream = Upgraded::new(TokioCompat::new(TokioIo::new(upgraded)));
        let mut response = response.map(|_| Body::empty());
        response.extensions_mut().insert(OnUpgrade::new(stream));
        return Ok(response);
    }
    Ok(response.map(|incoming| Body::wrap(LeasedBody::new(incoming, lease, key, Arc::clone(pool), permit))))
}

/// hyper's error in the words of the contract.
fn classify(error: &hyper::Error, silence: &connect::Silence, phase: Phase) -> Error {
    let sent = if phase == Phase::Body { Sent::Answered } else { Sent::Maybe };
    let mut source: Option<&dyn StdError> = error.source();
    while let Some(inner) = source {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Error::new(ours.kind(), ours.to_string()).with_sent(Sent::Maybe).with_phase(Phase::Send);
        }
        if inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            let limit = silence.limit().unwrap_or(Duration::ZERO);
            return Error::timeout(TimeoutKind::Socket, limit, silence.elapsed().max(limit), phase).with_sent(sent);
        }
        source = inner.source();
    }
    let kind = if error.is_parse_too_large() {
        ErrorKind::TooLarge
    } else if error.is_parse() {
        ErrorKind::Protocol
    } else if phase == Phase::Body && !is_closed(error) {
        // What hyper says of a malformed chunk.
        ErrorKind::Protocol
    } else {
        ErrorKind::Closed
    };
    Error::new(kind, error.to_string()).with_phase(phase).with_sent(sent)
}

/// Whether the peer closed or reset, rather than said something wrong.
fn is_closed(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || io.is_some_and(|io| !matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}
