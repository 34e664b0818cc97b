//! One exchange from both ends: the future on the caller's task, and the job on a worker.
//!
//! What must never enter this file: sockets, the syntax of HTTP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use client_core::{Body, Error, ErrorKind, Exchange, Instant, Method, Phase, Result, Sleep, TimeoutKind, Timeouts, Timer, Trace};
use http::Response;
use ureq::Agent;

use crate::call::{self, Call, Terms};
use crate::error;
use crate::request::{self, Plan};
use crate::response::{Answer, answer};
use crate::upload::Feed;
use crate::workers::{Lane, Ticket, Worker, Workers};

/// Performs an exchange.
///
/// # Errors
/// All there are.
pub(crate) async fn perform(
    exchange: &mut Exchange,
    defaults: Timeouts,
    agent: &Agent,
    workers: &Workers,
    timer: &dyn Timer,
) -> Result<Response<Body>> {
    let timeouts = exchange.timeouts.or(defaults);
    let (plan, feed) = request::plan(exchange)?;
    let trace = exchange.trace.clone();
    let call = Call::new(Terms {
        connect_limit: timeouts.connect_limit(),
        socket_limit: timeouts.socket_limit(),
        limits: exchange.limits,
        longest_line: plan.longest_line(),
        upload: plan.upload(),
        is_head: plan.method() == Method::HEAD,
        is_observed: trace.is_enabled(),
    });
    trace.enter(Phase::Pool);
    let job = {
        let (call, agent, workers) = (Arc::clone(&call), agent.clone(), workers.clone());
        move |worker: &mut Worker<'_>| run(worker, &call, &plan, &agent, &workers)
    };
    let ticket = workers
        .submit(Lane::Exchange, job)
        .map_err(|error| call.error(ErrorKind::Engine, "no thread to perform the exchange on").with_source(error))?;
    let pending = Pending {
        feed,
        ticket,
        patience: timeouts.connection_request_limit().and_then(|limit| Patience::new(limit, timer)),
        trace,
        call,
        is_over: false,
    };
    Ok(pending.await?.into_response(exchange))
}

/// The caller's end. Dropping it cancels.
struct Pending {
    call: Arc<Call>,
    ticket: Ticket,
    feed: Option<Feed>,
    patience: Option<Patience>,
    trace: Trace,
    is_over: bool,
}

impl Future for Pending {
    type Output = Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let this = &mut *self;
        if let Poll::Ready(outcome) = this.call.poll_outcome(&this.trace, cx) {
            this.is_over = true;
            return Poll::Ready(outcome);
        }
        if let Some(feed) = &mut this.feed {
            feed.poll(cx);
        }
        if let Some(patience) = &mut this.patience
            && patience.sleep.as_mut().poll(cx).is_ready()
        {
            // Whoever has a worker by now has waited long enough.
            if this.ticket.withdraw() {
                return Poll::Ready(Err(patience.error()));
            }
            this.patience = None;
        }
        Poll::Pending
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_over && !self.ticket.withdraw() {
            self.call.cancel();
        }
    }
}

/// How long the exchange may wait for a worker.
struct Patience {
    sleep: Sleep,
    since: Instant,
    limit: std::time::Duration,
}

impl Patience {
    /// A limit beyond the clock's range is none.
    fn new(limit: std::time::Duration, timer: &dyn Timer) -> Option<Self> {
        let since = timer.now();
        let deadline = since.checked_add(limit)?;
        Some(Self {
            sleep: timer.sleep_until(deadline),
            since,
            limit,
        })
    }

    fn error(&self) -> Error {
        Error::timeout(TimeoutKind::ConnectionRequest, self.limit, self.since.elapsed(), Phase::Pool)
    }
}

/// The worker's end.
fn run(worker: &mut Worker<'_>, call: &Arc<Call>, plan: &Plan, agent: &Agent, workers: &Workers) {
    let _current = call::enter(call);
    let _failure = Failure(call);
    call.keep(worker.take_place());
    let outcome = send(call, plan, agent).and_then(|response| answer(response, call, workers));
    if outcome.is_err() {
        call.leave();
    }
    worker.ends();
    call.finish(outcome);
}

/// Sends the request, and once more on a connection of its own if the pooled one turns out to have been closed by the server at the
/// same moment: not one byte of an answer came, and the same again is harmless (RFC 9112 §9.3.1). ureq itself repeats nothing.
fn send(call: &Arc<Call>, plan: &Plan, agent: &Agent) -> Result<Response<ureq::Body>> {
    let error = match attempt(call, plan, agent) {
        Ok(response) => return Ok(response),
        Err(error) => error,
    };
    let progress = call.progress();
    let is_stale = error.kind() == ErrorKind::Closed && progress.is_reused && !progress.has_answer && !call.is_cancelled();
    if !is_stale || !plan.is_repeatable() {
        return Err(error);
    }
    call.start_over(error);
    attempt(call, plan, agent)
}

fn attempt(call: &Arc<Call>, plan: &Plan, agent: &Agent) -> Result<Response<ureq::Body>> {
    if call.is_cancelled() {
        return Err(call::cancelled());
    }
    agent.run(plan.request(call)).map_err(|error| error::of(error, call))
}

/// Should ureq panic, whoever waits is told.
struct Failure<'a>(&'a Call);

impl Drop for Failure<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.finish(Err(self.0.error(ErrorKind::Engine, "ureq panicked")));
        }
    }
}
