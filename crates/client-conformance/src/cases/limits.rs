//! A time limit, the ways to set it, and what must be true when it strikes and when it does not: what the topics on time share.
//!
//! No case depends on the speed of a machine. A limit never strikes a moment early: that is judged exactly. Whether it struck where the call
//! was stuck can only be told if the call had come so far by then: otherwise it is tried again with a longer limit.

use std::future::Future;
use std::time::{Duration, Instant};

use client_core::{BoxFuture, Error, ErrorKind, HttpClient, HttpTimeout, Phase, RequestBuilder, Timeout, TimeoutKind, Timeouts};
use futures_util::future::{Either, select};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::Ctx;
use crate::servers::Gate;
use crate::subject::Settings;

pub(super) const CONNECT: TimeoutKind = TimeoutKind::Connect;
pub(super) const REQUEST: TimeoutKind = TimeoutKind::Request;
pub(super) const SOCKET: TimeoutKind = TimeoutKind::Socket;

pub(super) const DIALED: &[Phase] = &[Phase::Connect];
pub(super) const TLS: &[Phase] = &[Phase::Tls];
pub(super) const PROXY: &[Phase] = &[Phase::Proxy];
/// The request is on its way, or was sent: engines differ in when they look.
pub(super) const HEAD: &[Phase] = &[Phase::Send, Phase::Head];
pub(super) const BODY: &[Phase] = &[Phase::Body];
/// Anywhere in a chain of exchanges.
pub(super) const ANY: &[Phase] = Phase::ALL;

/// The first is long enough on a machine that has nothing else to do, the last on any.
const TRIES: [Duration; 3] = [Duration::from_millis(40), Duration::from_millis(400), Duration::from_secs(4)];
/// The same where a limit must not strike, though more time passes in all.
const PATIENT_TRIES: [Duration; 3] = [Duration::from_millis(160), Duration::from_millis(800), Duration::from_secs(4)];
/// What nothing here takes.
const LONG: Duration = Duration::from_secs(60);

/// Who sets the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The client.
    OfClient,
    /// The request; the client sets none.
    OfRequest,
    /// Both, and the request's is the shorter one.
    OverClient,
    /// The client; the request switches it off.
    Infinite,
}

/// A limit, and the way in which it is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limited {
    pub(super) way: Way,
    pub(super) kind: TimeoutKind,
    pub(super) limit: Duration,
}

/// Sets the limit of a kind.
pub(super) fn set(timeouts: Timeouts, kind: TimeoutKind, limit: impl Into<Timeout>) -> Timeouts {
    match kind {
        TimeoutKind::Connect => timeouts.connect(limit),
        TimeoutKind::Socket => timeouts.socket(limit),
        TimeoutKind::ConnectionRequest => timeouts.connection_request(limit),
        _ => timeouts.request(limit),
    }
}

impl Limited {
    /// A client with the limit. It has one connection where the engine can be told so: a permit that does not come back is missed at once.
    pub(super) fn client(&self, ctx: &Ctx, settings: &Settings) -> Result<HttpClient, Stop> {
        let one = Settings {
            max_connections: Some(1),
            ..settings.clone()
        };
        let client = match ctx.client_with(&one) {
            Err(Stop::Skipped(_)) => ctx.client_with(settings),
            made => made,
        };
        self.of_client(&client?)
    }

    /// The same engine, with the client's part of the limit.
    pub(super) fn of_client(&self, client: &HttpClient) -> Result<HttpClient, Stop> {
        let timeouts = match self.way {
            Way::OfClient | Way::Infinite => set(Timeouts::new(), self.kind, self.limit),
            Way::OverClient => set(Timeouts::new(), self.kind, LONG),
            Way::OfRequest => Timeouts::new(),
        };
        Ok(HttpClient::builder(client.engine().clone()).install(HttpTimeout::from(timeouts)).build()?)
    }

    /// The request's part of it.
    pub(super) fn of_request(&self, request: RequestBuilder) -> RequestBuilder {
        match self.way {
            Way::OfClient => request,
            Way::OfRequest | Way::OverClient => request.timeout(|t| set(t, self.kind, self.limit)),
            Way::Infinite => self.without(request),
        }
    }

    /// A request that the limit does not concern.
    pub(super) fn without(&self, request: RequestBuilder) -> RequestBuilder {
        request.timeout(|t| set(t, self.kind, Timeout::INFINITE))
    }
}

/// A call that is going to be stuck.
pub(super) struct Scene {
    pub(super) client: HttpClient,
    pub(super) request: RequestBuilder,
    /// What the same client asks afterwards, and is answered.
    pub(super) next: RequestBuilder,
    /// Lets the server go on.
    pub(super) gate: Gate,
    /// The body that then arrives; `None` where the server cannot go on.
    pub(super) answer: Option<&'static str>,
    /// The server has seen that the call was given up.
    pub(super) gone: BoxFuture<'static, Outcome>,
}

/// How an attempt ended that has found nothing wrong.
enum Tried {
    Told,
    /// The machine was too slow to tell.
    Untold(String),
}

/// The limit strikes in one of these phases, and leaves nothing behind; or, where it is switched off, does not.
pub(super) async fn strikes(
    ctx: Ctx,
    way: Way,
    kind: TimeoutKind,
    phases: &'static [Phase],
    scene: impl Fn(&Ctx, Limited) -> Result<Scene, Stop>,
) -> Outcome {
    let mut untold = String::new();
    for limit in TRIES {
        let limited = Limited { way, kind, limit };
        let scene = scene(&ctx, limited)?;
        let tried = match way {
            Way::Infinite => waits(&ctx, limited, scene).await?,
            _ => struck(&ctx, limited, phases, scene).await?,
        };
        match tried {
            Tried::Told => return Ok(()),
            Tried::Untold(why) => untold = why,
        }
    }
    Err(Stop::failed(untold))
}

async fn struck(ctx: &Ctx, limited: Limited, phases: &[Phase], scene: Scene) -> Result<Tried, Stop> {
    let error = by_limit(ctx, limited.kind, limited.limit, whole(scene.request)).await?;
    let phase = error.phase().ok_or_else(|| Stop::failed(format!("no phase: {error:?}")))?;
    let is_there = phases.contains(&phase);
    ensure!(
        is_there || phases.iter().all(|&stuck| phase < stuck),
        "phase of {error:?}, expected one of {phases:?}"
    );
    if phases != ANY {
        ensure_eq!(error.sent(), phase.sent(), "what was sent, by {error:?}");
    }
    if let Some(pool) = scene.client.pool() {
        ensure_eq!((pool.dialing, pool.waiting, pool.in_use), (0, 0, 0), "what the pool holds still: {pool:?}");
    }
    scene.gate.open();
    if is_there {
        ctx.wait("the server sees that the call was given up", scene.gone).await?;
    }
    let next = ctx.wait("the same client is answered", limited.without(scene.next).send()).await?;
    ensure_eq!(next.status(), 200, "status of the next call");
    ctx.wait("the next body has arrived", next.bytes()).await?;
    Ok(match is_there {
        true => Tried::Told,
        false => Tried::Untold(format!("it strikes before it is stuck: {error:?}, expected one of {phases:?}")),
    })
}

/// Nothing strikes: it is stuck for longer than the limit, then goes on, or is given up.
async fn waits(ctx: &Ctx, limited: Limited, scene: Scene) -> Result<Tried, Stop> {
    let call = Box::pin(whole(scene.request));
    match select(call, Box::pin(ctx.sleep(3 * limited.limit))).await {
        Either::Left((ended, _)) => return Err(Stop::failed(format!("it ends, though its limit is switched off: {ended:?}"))),
        Either::Right(((), call)) => {
            scene.gate.open();
            if let Some(body) = scene.answer {
                let answer = ctx.wait("the answer arrives after the limit that is switched off", call).await?;
                ensure_eq!(answer, body, "body");
            } else {
                drop(call);
                ctx.wait("the server sees that the call was given up", scene.gone).await?;
            }
        }
    }
    Ok(Tried::Told)
}

/// The limit does not strike, though more time passes in all: `trickle` is told how long a piece may take.
pub(super) async fn is_no_total(
    ctx: Ctx,
    way: Way,
    kind: TimeoutKind,
    trickle: impl Fn(&Ctx, Limited, Duration) -> Result<Scene, Stop>,
) -> Outcome {
    let mut untold = String::new();
    for limit in PATIENT_TRIES {
        // Switched off, it may be as short as it likes.
        let (set, pause) = (if way == Way::Infinite { limit / 16 } else { limit }, limit / 8);
        let limited = Limited { way, kind, limit: set };
        let Scene {
            request, answer, client, ..
        } = trickle(&ctx, limited, pause)?;
        let started = Instant::now();
        match ctx.wait("the answer has arrived", whole(request)).await {
            Ok(body) => {
                ensure_eq!(Some(&*body), answer.map(str::as_bytes), "body");
                ensure!(started.elapsed() > set, "the server was too fast: it took {:?} only", started.elapsed());
                drop(client);
                return Ok(());
            }
            // A machine that slow is possible, if it is no engine that counts all of the time.
            Err(error) if error.is_timeout() => untold = format!("it strikes, though something came every {pause:?}: {error:?}"),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Stop::failed(untold))
}

/// The call fails by this limit, and not a moment before.
pub(super) async fn by_limit<T>(
    ctx: &Ctx,
    kind: TimeoutKind,
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<Error, Stop> {
    let started = Instant::now();
    let Err(error) = ctx.wait("the limit strikes", call).await else {
        return Err(Stop::failed("the call succeeds"));
    };
    let measured = started.elapsed();
    ensure_eq!(error.kind(), ErrorKind::Timeout(kind), "kind of {error:?}");
    ensure!(measured >= limit, "it struck early, after {measured:?}");
    let told = error.elapsed().ok_or_else(|| Stop::failed("the error does not tell the limit"))?;
    ensure_eq!((told.kind, told.limit), (kind, limit), "the kind and the limit that are told");
    ensure!(
        told.elapsed >= limit && told.elapsed <= measured,
        "{:?} are told, {measured:?} passed",
        told.elapsed
    );
    ensure!(error.uri().is_some(), "no URI in {error:?}");
    Ok(error)
}

/// Sends a request and reads its body.
pub(super) async fn whole(request: RequestBuilder) -> Result<bytes::Bytes, Error> {
    request.send().await?.bytes().await
}
