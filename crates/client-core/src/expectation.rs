//! `417 Expectation Failed`: the server knows no `Expect: 100-continue`, and is asked once more without (RFC 9110 §10.1.1, §15.5.18).
//!
//! Part of every client, so that it is the same on every engine; an engine returns the 417 as it is.

use http::header::EXPECT;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::engine::BoxFuture;
use crate::error::Result;
use crate::exchange::Exchange;
use crate::plugin::{Next, Plugin, Stage};

/// Repeats what failed for its expectation alone; the body was not sent. A body that can be sent only once may have been begun by now,
/// so that its 417 is returned.
pub(crate) struct Expectation;

impl Plugin for Expectation {
    fn stage(&self) -> Stage {
        Stage::Exchange
    }

    fn applies(&self, exchange: &Exchange) -> bool {
        !exchange.request.headers().is_empty() && exchange.request.headers().contains_key(EXPECT)
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(async move {
            let body = exchange.request.body().try_clone();
            let response = next.run(exchange).await?;
            match body {
                Some(body) if response.status() == StatusCode::EXPECTATION_FAILED => {
                    drop(response);
                    *exchange.request.body_mut() = body;
                    exchange.request.headers_mut().remove(EXPECT);
                    next.run(exchange).await
                }
                _ => Ok(response),
            }
        })
    }
}
