//! From a head to the core's response.
//!
//! What must never enter this file: libcurl.

use std::sync::Arc;

use client_core::{Body, Event, Exchange};
use http::Response;

use crate::call::{Answer, Call};
use crate::download::Download;
use crate::upload::Feed;

/// The response; its body is still to come.
pub(crate) fn receive(answer: Answer, exchange: &mut Exchange, call: &Arc<Call>, feed: Option<Feed>) -> Response<Body> {
    let head = answer.head;
    exchange.trace.emit(&Event::ResponseHead {
        status: head.status,
        version: head.version,
    });
    let is_bodiless = call.terms.is_head || head.is_bodiless();
    // Where nothing is to come, the transfer ends by itself, unless it is still sending.
    let length = if is_bodiless { Some(0) } else { head.content_length() };
    let body = match feed {
        None if is_bodiless => Body::empty(),
        feed => Body::wrap(Download::new(Arc::clone(call), feed, length, head.version)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    *response.headers_mut() = head.fields;
    exchange.connection = Some(Arc::new(answer.connection));
    response
}
