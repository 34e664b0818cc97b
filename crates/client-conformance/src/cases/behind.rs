//! Ways to be behind a proxy, and what must be true of errors and of bytes there: what the topics on proxies share.

use std::sync::Arc;
use std::time::Duration;

use client_core::{Error, ErrorKind, HttpClient, Phase, Sent, TimeoutKind};
use futures_util::future::{Either, select};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{App, Certificate, Connection, Counts, Proxy, Tls};
use crate::subject::{ProxySetting, Settings};

/// What proxies ask for, in the clear and as it is sent (RFC 7617).
pub(super) const USER: &str = "suite-user";
pub(super) const PASSWORD: &str = "suite-password";
pub(super) const BASIC: &str = "c3VpdGUtdXNlcjpzdWl0ZS1wYXNzd29yZA==";

/// Of an origin that is asked by HTTP/1.1, so that its bytes can be read.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn app(self, ctx: &Ctx) -> Arc<App> {
        match self {
            Self::Http => ctx.app(),
            Self::Https => ctx.app_tls(&Tls::new(Certificate::Good)),
        }
    }
}

/// An origin over TLS that speaks whatever its client does.
pub(super) fn secure_app(ctx: &Ctx) -> Arc<App> {
    ctx.app_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"]))
}

/// A client that goes through a proxy, for http.
pub(super) fn via(ctx: &Ctx, setting: ProxySetting) -> Result<HttpClient, Stop> {
    ctx.client_with(&Settings {
        proxy: Some(setting),
        ..Settings::default()
    })
}

/// The same for https: it trusts the suite's servers.
pub(super) fn via_trusting(ctx: &Ctx, setting: ProxySetting) -> Result<HttpClient, Stop> {
    ctx.client_with(&Settings {
        proxy: Some(setting),
        ..ctx.trusting()
    })
}

pub(super) async fn brings(ctx: &Ctx, client: &HttpClient, url: impl Into<String>, body: &str) -> Outcome {
    let sent = client.get(url.into()).send();
    let answer = ctx.wait("the answer has arrived", sent).await;
    ctx.wait("the body has arrived", answer.expect_body(body)).await
}

pub(super) async fn fails(ctx: &Ctx, client: &HttpClient, url: impl Into<String>) -> Result<Error, Stop> {
    match ctx.wait("the call has failed", client.get(url.into()).send()).await {
        Ok(response) => Err(Stop::failed(format!("it brings {} instead of failing", response.status()))),
        Err(error) => Ok(error),
    }
}

/// All that a server has received.
pub(super) fn received(counts: Counts, connection: impl Fn(usize) -> Connection) -> Vec<u8> {
    (0..counts.accepted).flat_map(|index| connection(index).received()).collect()
}

pub(super) fn at_app(app: &App) -> Vec<u8> {
    received(app.counts(), |index| app.connection(index))
}

pub(super) fn at_proxy(proxy: &Proxy) -> Vec<u8> {
    received(proxy.counts(), |index| proxy.connection(index))
}

/// None of these is anywhere in `bytes`, in whatever case.
pub(super) fn ensure_without(bytes: &[u8], place: &str, secrets: &[&str]) -> Outcome {
    let bytes = bytes.to_ascii_lowercase();
    for secret in secrets {
        let needle = secret.to_ascii_lowercase();
        let is_there = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        ensure!(!is_there, "{secret:?} has reached {place}");
    }
    Ok(())
}

/// A tunnel was not made: the proxy's fault, and the origin has seen nothing.
pub(super) fn ensure_proxy_error(error: &Error) -> Outcome {
    ensure_eq!(error.kind(), ErrorKind::Proxy, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Proxy), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    Ok(())
}

/// A port that nobody listens on.
pub(super) fn nobody() -> Result<u16, Stop> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(socket.local_addr()?.port())
}

/// A proxy at another place than any of ours.
pub(super) fn at(ctx: &Ctx, url: String) -> ProxySetting {
    ProxySetting {
        url,
        credentials: None,
        tls: ctx.trusting().tls,
    }
}

/// Long enough to get to the step that stalls, on a slow machine.
pub(super) const LIMIT: Duration = Duration::from_millis(500);

pub(super) fn ensure_timed_out(error: &Error, phase: Phase) -> Outcome {
    ensure_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Connect), "kind of {error:?}");
    // An engine whose library does not tell its phases apart says Connect for all of them.
    ensure!(
        [Some(phase), Some(Phase::Connect)].contains(&error.phase()),
        "phase {:?}, expected {phase:?}",
        error.phase()
    );
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ensure!(error.elapsed().is_some_and(|elapsed| elapsed.elapsed >= LIMIT), "elapsed: {:?}", error.elapsed());
    Ok(())
}

pub(super) async fn times_out(ctx: &Ctx, client: &HttpClient, url: String, phase: Phase) -> Outcome {
    let sent = client.get(url).timeout(|timeout| timeout.connect(LIMIT)).send();
    match ctx.wait("the limit has run out", sent).await {
        Ok(response) => Err(Stop::failed(format!("it brings {} instead of failing", response.status()))),
        Err(error) => ensure_timed_out(&error, phase),
    }
}

/// Drops the call once the proxy has been told something; the connection is closed, though the client lives on.
pub(super) async fn give_up(ctx: &Ctx, client: &HttpClient, url: String, connection: &Connection) -> Outcome {
    let call = Box::pin(client.get(url).send());
    let asked = Box::pin(connection.until_received(|bytes| !bytes.is_empty()));
    match ctx.wait("the proxy is asked", select(call, asked)).await {
        Either::Left((answer, _)) => return Err(Stop::failed(format!("a silent proxy, and yet {answer:?}"))),
        Either::Right(((), call)) => drop(call),
    }
    ctx.wait("the engine closes the connection to the proxy", connection.closed_by_client()).await;
    Ok(())
}
