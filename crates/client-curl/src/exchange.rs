//! An exchange as its task sees it.
//!
//! What must never enter this file: libcurl.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use client_core::{Body, Exchange, Phase, Result, Timeouts, Trace};
use http::Response;

use crate::call::{Answer, Call};
use crate::driver::Driver;
use crate::progress::Terms;
use crate::request;
use crate::response;
use crate::upload::Feed;

/// Performs an exchange.
///
/// # Errors
/// All there are.
pub(crate) async fn perform(exchange: &mut Exchange, defaults: Timeouts, driver: &Driver) -> Result<Response<Body>> {
    let plan = request::plan(exchange)?;
    let trace = exchange.trace.clone();
    let call = Call::new(
        Terms {
            timeouts: exchange.timeouts.or(defaults),
            limits: exchange.limits,
            is_head: plan.is_head,
            has_content: plan.has_content(),
            is_idempotent: plan.is_idempotent,
            is_tls: plan.is_tls,
            may_be_http2: plan.may_be_http2,
            server: plan.may_be_http2.then(|| plan.authority.clone()),
            needs_http2: plan.may_be_http2 && exchange.version.is_some(),
            via: driver.config().via(),
            is_observed: trace.is_enabled(),
        },
        driver,
    );
    trace.enter(Phase::Pool);
    let body = std::mem::take(exchange.request.body_mut());
    let feed = plan.is_streamed().then(|| Feed::new(body, &call));
    driver.start(plan, &call)?;
    let mut pending = Pending {
        call,
        feed,
        trace,
        is_over: false,
    };
    let answer = (&mut pending).await?;
    Ok(response::receive(answer, exchange, &pending.call, pending.feed.take()))
}

/// Dropping it before the head is there removes the transfer.
struct Pending {
    call: Arc<Call>,
    feed: Option<Feed>,
    trace: Trace,
    is_over: bool,
}

impl Future for Pending {
    type Output = Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let this = &mut *self;
        if let Some(feed) = &mut this.feed {
            feed.poll(cx);
        }
        let outcome = this.call.poll_answer(&this.trace, cx);
        this.is_over = outcome.is_ready();
        outcome
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_over {
            self.call.cancel();
        }
    }
}
