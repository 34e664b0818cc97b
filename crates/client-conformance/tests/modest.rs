//! The other side of every capability: an honest engine that promises HTTP/1.1 and nothing else has no failed case.

mod reference;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use client_conformance::{Settings, Verdict, adding, on_tokio, run};
use client_core::http::Response;
use client_core::http::header::{ACCEPT, HeaderValue};
use client_core::{
    AnyEngine, Body, Capabilities, Capability, ConnectionInfo, Engine, Error, Event, Exchange, Result, Timer, Trace,
};
use http_body::Frame;

use reference::Reference;

#[test]
fn promising_little_is_no_failure() {
    let subject = on_tokio(|settings: &Settings| settings.to_string().is_empty().then(|| AnyEngine::new(Modest::new())));
    let results = run(adding(subject, ADDITIONS), |_| true);
    let failed: Vec<_> = results.iter().filter(|result| matches!(result.verdict, Verdict::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let refused = |capability| results.iter().any(|result| result.verdict == Verdict::Refused(capability));
    let never: Vec<_> = Capability::ALL.iter().filter(|&&one| !PROMISES.contains(one) && !refused(one)).collect();
    println!("without a case on this side: {never:?}");
}

const PROMISES: Capabilities = Capabilities::NONE.with(Capability::Http1);

/// What it adds to requests, as it does not promise to add nothing.
const ADDITIONS: &[(&str, &str)] = &[("accept", "*/*")];

/// The reference engine, with everything taken away that it does not promise. A connection serves one call.
struct Modest {
    /// Its clock.
    timer: Reference,
}

impl Modest {
    fn new() -> Self {
        Self {
            timer: Reference::new(&Settings::default()),
        }
    }
}

impl Engine for Modest {
    fn name(&self) -> &'static str {
        "modest"
    }

    fn capabilities(&self) -> Capabilities {
        PROMISES
    }

    fn timer(&self) -> &dyn Timer {
        self.timer.timer()
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        let mut exchange = exchange.take();
        // The phases are told, as every engine does; informational responses are not.
        let told = std::mem::take(&mut exchange.trace);
        exchange.trace = Trace::new(vec![Arc::new(move |event: &Event<'_>| {
            if let Event::PhaseStarted(phase) = event {
                told.enter(*phase);
            }
        })]);
        exchange.request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let one_call = Reference::new(&Settings::default());
        let mut response = one_call.execute(&mut exchange).await?;
        response.extensions_mut().remove::<ConnectionInfo>();
        Ok(response.map(|body| Body::wrap(WithoutTrailers(body))))
    }
}

struct WithoutTrailers(Body);

impl http_body::Body for WithoutTrailers {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}
