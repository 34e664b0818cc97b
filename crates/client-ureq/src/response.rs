//! ureq's response as the core's.
//!
//! What must never enter this file: the request, sockets.

use std::sync::Arc;

use client_core::{Body, Bytes, ConnectionInfo, ErrorKind, Event, Exchange, Phase, Result, StatusCode};
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Response};

use crate::call::Call;
use crate::download::{Bridge, Download, Source};
use crate::head;
use crate::workers::Workers;

/// What a worker hands to its task.
pub(crate) struct Answer {
    parts: Parts,
    connection: ConnectionInfo,
    /// All of it, or where it will be.
    body: Result<Bytes, (Arc<Bridge>, Option<u64>)>,
}

/// A worker's part: takes ureq's response, and what has arrived of its body.
///
/// # Errors
/// [`ErrorKind::Protocol`] for a 101 that nobody asked for.
pub(crate) fn answer(response: Response<ureq::Body>, call: &Arc<Call>, workers: &Workers) -> Result<Answer> {
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(call.error(ErrorKind::Protocol, "it switches protocols without being asked to (RFC 9110 §15.2.2)"));
    }
    parts.headers = head::unmask(std::mem::take(&mut parts.headers));
    // What ureq leaves there: the agent, the URI. None of it is ours to hand on.
    parts.extensions.clear();
    call.enter(Phase::Body);
    // For a response to HEAD there is no body, whatever the fields say.
    let length = content_length(&parts.headers);
    let connection = call.connection();
    let bridge = Bridge::new(Arc::clone(call), workers.clone());
    bridge.fill(Source::new(body.into_reader(), length));
    let body = bridge.take_whole(length.is_some()).ok_or((bridge, length));
    Ok(Answer { parts, connection, body })
}

impl Answer {
    /// The task's part.
    pub(crate) fn into_response(self, exchange: &mut Exchange) -> Response<Body> {
        exchange.trace.emit(&Event::ResponseHead {
            status: self.parts.status,
            version: self.parts.version,
        });
        let body = self.body.map_or_else(|(bridge, length)| Body::wrap(Download::new(bridge, length)), Body::from);
        exchange.connection = Some(Arc::new(self.connection));
        Response::from_parts(self.parts, body)
    }
}

/// The announced length: only ever alone, since a transfer coding beside it is refused.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // A list of one length repeated is that length (RFC 9110 §8.6); ureq has seen to it that they agree.
    value.split(',').next()?.trim().parse().ok()
}
