//! The suite, proven: engines with one flaw each, and the cases that have to fail for it.

mod reference;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use client_conformance::{Settings, Verdict, on_tokio, run_within};
use client_core::http::Response;
use client_core::http::header::{CONTENT_ENCODING, COOKIE, HOST, LOCATION, SET_COOKIE, USER_AGENT};
use client_core::{
    AnyEngine, Body, Capabilities, Capability, Engine, Error, ErrorKind, Exchange, HeaderValue, Phase, Result, Sent, TimeoutKind,
    Timer, TlsConfig, Trace, Uri,
};
use http_body::Frame;
use tokio::sync::Semaphore;

use reference::Reference;

/// One test per flaw: its cases must all fail.
macro_rules! caught {
    ($($flaw:ident by $($id:literal)+;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[expect(non_camel_case_types, reason = "a flaw is named like its test")]
        enum Flaw {
            $($flaw),+
        }

        $(#[test]
        fn $flaw() {
            is_caught(Flaw::$flaw, &[$($id),+]);
        })+
    };
}

caught! {
    drops_a_header by "request_headers.values_as_set" "request_headers.obs_text";
    adds_a_header by "request_headers.get_sends_host_only" "request_headers.post_with_body";
    ignores_the_users_host by "request_headers.host_of_user";
    upper_cases_methods by "methods.case_sensitive";
    decodes_the_path by "methods.path_untouched";
    follows_redirects by "redirects.not_by_the_engine" "redirects.see_other";
    keeps_cookies by "redirects.no_cookies";
    decodes_gzip by "bodies.not_decoded";
    buffers_the_body by "bodies.as_it_comes" "cancellation.before_body";
    reads_ahead_without_bound by "bodies.back_pressure";
    loses_trailers by "bodies.trailers" "bodies.trailers_raw";
    loses_repeated_fields by "response_heads.repeated";
    swallows_truncation by "framing.short_length" "framing.cut_between_chunks" "errors.closed_in_body";
    hides_informational by "response_heads.early_hints";
    ignores_limits by "response_heads.too_many_fields" "response_heads.too_many_bytes";
    ignores_connect_timeout by "timeout_grid.connect_in_tls_handshake.of_request" "timeout_grid.connect_in_black_hole.over_client";
    ignores_socket_timeout by "timeout_grid.socket_before_head.of_client" "timeout_grid.socket_in_chunk.of_request";
    times_out_early by "timeout_grid.socket_before_head.of_request" "timeout_grid.connect_in_tls_handshake.of_client";
    bakes_in_the_first_timeout by "timeouts.not_baked_in";
    calls_refused_a_timeout by "errors.refused" "errors.refused_is_no_timeout";
    says_nothing_was_sent by "errors.closed_before_head" "reuse.dead_on_use_post";
    has_one_kind_of_error by "errors.refused" "tls.expired" "framing.cl_plus";
    tells_secrets by "errors.keeps_secrets";
    repeats_everything by "reuse.dead_on_use_post" "reuse.dead_when_fresh" "errors.closed_before_head";
    never_reuses by "reuse.one_after_the_other" "tls.reuse";
    uses_dirty_connections by "reuse.not_after_half_a_body" "bodies.partly_read";
    leaks_connections by "cancellation.in_body" "timeout_grid.request_in_body.of_request";
    leaks_permits by "concurrency.slot_after_refused" "timeouts.permits_return";
    ignores_max_connections by "concurrency.max_connections_waits" "timeouts.request_in_pool";
    ignores_close by "lifecycle.close_idle";
    ignores_pins by "tls.pin";
    ignores_the_tls_version by "tls.min_version";
    promises_expect_continue by "expect_continue.rejected" "expect_continue.answered_at_once";
    promises_pool_statistics by "lifecycle.pool_is_told";
    promises_request_trailers by "request_bodies.trailers";
    reads_answers_after_the_upload by "request_bodies.answer_before_end" "request_bodies.sent_as_produced";
    leaks_tasks by "methods.get" "bodies.not_decoded";
    hangs_on_head by "framing.head_with_length" "reuse.after_head";
}

fn is_caught(flaw: Flaw, ids: &[&str]) {
    let subject = on_tokio(move |settings: &Settings| Some(AnyEngine::new(Flawed::new(flaw, settings))));
    // Hanging is how many flaws show.
    let results = run_within(subject, |case| ids.contains(&case.id), Duration::from_secs(4));
    assert_eq!(results.len(), ids.len(), "every case exists");
    let missed: Vec<_> = results.iter().filter(|result| !matches!(result.verdict, Verdict::Failed(_))).collect();
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// The reference engine with a flaw.
struct Flawed {
    flaw: Flaw,
    engine: Reference,
    settings: Settings,
    permits: Arc<Semaphore>,
    first_timeout: Mutex<Option<Duration>>,
    cookie: Mutex<Option<HeaderValue>>,
    leftover: Arc<AtomicBool>,
}

impl Flawed {
    fn new(flaw: Flaw, settings: &Settings) -> Self {
        let mut settings = settings.clone();
        if flaw == Flaw::ignores_max_connections {
            settings.max_connections = None;
        }
        if matches!(flaw, Flaw::ignores_pins | Flaw::ignores_the_tls_version) {
            settings.tls = TlsConfig::new().roots(settings.tls.get_roots().clone());
        }
        Self {
            flaw,
            engine: Reference::new(&settings),
            permits: Arc::new(Semaphore::new(settings.max_connections.unwrap_or(Semaphore::MAX_PERMITS))),
            settings,
            first_timeout: Mutex::default(),
            cookie: Mutex::default(),
            leftover: Arc::default(),
        }
    }

    /// What the flaw does to the request.
    fn before(&self, exchange: &mut Exchange) {
        let request = &mut exchange.request;
        match self.flaw {
            Flaw::drops_a_header => drop(request.headers_mut().remove("x-value")),
            Flaw::adds_a_header => drop(request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("flawed/1"))),
            Flaw::ignores_the_users_host => drop(request.headers_mut().remove(HOST)),
            Flaw::upper_cases_methods => {
                let upper = request.method().as_str().to_ascii_uppercase();
                *request.method_mut() = upper.parse().expect("a method");
            }
            Flaw::decodes_the_path => {
                let decoded = request.uri().to_string().replace("%2F", "/").replace("%2f", "/");
                *request.uri_mut() = decoded.parse().expect("a URI");
            }
            Flaw::keeps_cookies => {
                if let Some(cookie) = self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                    request.headers_mut().insert(COOKIE, cookie);
                }
            }
            Flaw::hides_informational => exchange.trace = Trace::default(),
            Flaw::ignores_limits => exchange.limits = client_core::Limits::default(),
            Flaw::ignores_connect_timeout => exchange.timeouts = exchange.timeouts.connect(client_core::Timeout::INFINITE),
            Flaw::ignores_socket_timeout => exchange.timeouts = exchange.timeouts.socket(client_core::Timeout::INFINITE),
            Flaw::times_out_early => {
                if let Some(limit) = exchange.timeouts.socket_limit() {
                    exchange.timeouts = exchange.timeouts.socket(limit * 9 / 10);
                }
                if let Some(limit) = exchange.timeouts.connect_limit() {
                    exchange.timeouts = exchange.timeouts.connect(limit * 9 / 10);
                }
            }
            Flaw::bakes_in_the_first_timeout => {
                let mut first = self.first_timeout.lock().unwrap_or_else(PoisonError::into_inner);
                *first = first.or(exchange.timeouts.socket_limit());
                if let Some(limit) = *first {
                    exchange.timeouts = exchange.timeouts.socket(limit);
                }
            }
            Flaw::promises_request_trailers => {
                if let Some(bytes) = exchange.request.body().as_bytes().cloned() {
                    *exchange.request.body_mut() = Body::from(bytes);
                }
            }
            _ => {}
        }
    }

    /// What the flaw does to an error.
    fn told(&self, error: Error, uri: &Uri) -> Error {
        let phase = error.phase().unwrap_or(Phase::Send);
        match self.flaw {
            Flaw::calls_refused_a_timeout if error.kind() == ErrorKind::Connect => {
                Error::timeout(TimeoutKind::Connect, Duration::from_secs(60), Duration::from_secs(60), Phase::Connect)
            }
            Flaw::says_nothing_was_sent => error.with_sent(Sent::Nothing),
            Flaw::has_one_kind_of_error => Error::new(ErrorKind::Engine, "something failed").with_phase(phase),
            Flaw::tells_secrets => Error::new(error.kind(), format!("{uri} failed")).with_phase(phase).with_sent(error.sent()),
            _ => error,
        }
    }

    async fn perform(&self, mut exchange: Exchange) -> Result<Response<Body>> {
        let (head, copy) = (exchange.clone_head(), exchange.try_clone());
        if self.flaw == Flaw::leaks_tasks {
            tokio::spawn(std::future::pending::<()>());
        }
        match self.flaw {
            Flaw::never_reuses => Reference::new(&self.settings).execute(&mut exchange).await,
            Flaw::repeats_everything => match (self.engine.execute(&mut exchange).await, copy) {
                (Err(error), Some(mut copy)) if error.kind() == ErrorKind::Closed => self.engine.execute(&mut copy).await,
                (answer, _) => answer,
            },
            Flaw::follows_redirects => {
                let mut response = self.engine.execute(&mut exchange).await?;
                while let Some(location) = response.headers().get(LOCATION) {
                    let mut next = head.clone_head();
                    let authority = next.request.uri().authority().expect("an absolute URI").clone();
                    let to = format!("http://{authority}{}", location.to_str().expect("a path"));
                    *next.request.uri_mut() = to.parse().expect("a URI");
                    drop(response);
                    response = self.engine.execute(&mut next).await?;
                }
                Ok(response)
            }
            Flaw::leaks_permits => {
                let permit = self.permits.acquire().await.expect("open");
                // What `?` would do here to a permit that is given back by hand.
                permit.forget();
                let answer = self.engine.execute(&mut exchange).await?;
                let permits = Arc::clone(&self.permits);
                Ok(answer.map(|body| Body::wrap(Spoiled::new(body, Spoil::ReturnsPermit(permits)))))
            }
            Flaw::reads_answers_after_the_upload => {
                let mut exchange = exchange;
                let mut all = Vec::new();
                while let Some(frame) = exchange.request.body_mut().frame().await {
                    all.extend(frame?.into_data().unwrap_or_default());
                }
                *exchange.request.body_mut() = Body::from(all);
                self.engine.execute(&mut exchange).await
            }
            Flaw::hangs_on_head if head.request.method() == client_core::Method::HEAD => {
                self.engine.execute(&mut exchange).await?;
                std::future::pending().await
            }
            _ => self.engine.execute(&mut exchange).await,
        }
    }

    /// What the flaw does to the response.
    async fn after(&self, mut response: Response<Body>) -> Result<Response<Body>> {
        let headers = response.headers_mut();
        match self.flaw {
            Flaw::keeps_cookies => {
                *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = headers.get(SET_COOKIE).cloned();
            }
            Flaw::decodes_gzip => drop(headers.remove(CONTENT_ENCODING)),
            Flaw::loses_repeated_fields => {
                let names: Vec<_> = headers.keys().cloned().collect();
                for name in names {
                    let last = headers.get_all(&name).iter().next_back().cloned().expect("a value");
                    headers.insert(name, last);
                }
            }
            Flaw::buffers_the_body => {
                let mut all = Vec::new();
                while let Some(frame) = response.body_mut().frame().await {
                    all.extend(frame?.into_data().unwrap_or_default());
                }
                return Ok(response.map(|_| Body::from(all)));
            }
            _ => {}
        }
        let spoil = match self.flaw {
            Flaw::loses_trailers => Spoil::LosesTrailers,
            Flaw::swallows_truncation => Spoil::SwallowsErrors,
            Flaw::leaks_connections => Spoil::Leaks,
            Flaw::uses_dirty_connections => {
                let is_dirty = self.leftover.swap(false, Ordering::AcqRel);
                Spoil::Dirty(is_dirty, Arc::clone(&self.leftover))
            }
            Flaw::reads_ahead_without_bound => return Ok(response.map(read_ahead)),
            _ => return Ok(response),
        };
        Ok(response.map(|body| Body::wrap(Spoiled::new(body, spoil))))
    }
}

impl Engine for Flawed {
    fn name(&self) -> &'static str {
        "flawed"
    }

    fn capabilities(&self) -> Capabilities {
        let honest = self.engine.capabilities();
        match self.flaw {
            Flaw::promises_expect_continue => honest.with(Capability::ExpectContinue),
            Flaw::promises_pool_statistics => honest.with(Capability::PoolStats),
            Flaw::promises_request_trailers => honest.with(Capability::RequestTrailers),
            Flaw::ignores_pins => honest.with(Capability::SpkiPins),
            _ => honest,
        }
    }

    fn timer(&self) -> &dyn Timer {
        self.engine.timer()
    }

    fn check(&self) -> Result<()> {
        self.engine.check()
    }

    fn close(&self) {
        if self.flaw != Flaw::ignores_close {
            self.engine.close();
        }
    }

    async fn execute(&self, exchange: &mut Exchange) -> Result<Response<Body>> {
        let (uri, mut exchange) = (exchange.request.uri().clone(), exchange.take());
        self.before(&mut exchange);
        let response = self.perform(exchange).await.map_err(|error| self.told(error, &uri))?;
        self.after(response).await
    }
}

/// Takes whatever comes, whether or not anybody reads it.
fn read_ahead(mut body: Body) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            if sender.send(frame).is_err() {
                return;
            }
        }
    });
    Body::wrap(Ahead(receiver))
}

struct Ahead(tokio::sync::mpsc::UnboundedReceiver<Result<Frame<Bytes>>>);

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx)
    }
}

/// A body with a flaw.
struct Spoiled {
    body: Body,
    spoil: Spoil,
    is_over: bool,
}

enum Spoil {
    LosesTrailers,
    SwallowsErrors,
    Leaks,
    Dirty(bool, Arc<AtomicBool>),
    ReturnsPermit(Arc<Semaphore>),
}

impl Spoiled {
    fn new(body: Body, spoil: Spoil) -> Self {
        Self {
            body,
            spoil,
            is_over: false,
        }
    }
}

impl http_body::Body for Spoiled {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_over |= !matches!(frame, Some(Ok(_)));
        Poll::Ready(match (&mut self.spoil, frame) {
            (Spoil::LosesTrailers, Some(Ok(frame))) if frame.is_trailers() => None,
            (Spoil::SwallowsErrors, Some(Err(_))) => None,
            (Spoil::Dirty(is_dirty @ true, _), Some(Ok(_))) => {
                *is_dirty = false;
                Some(Ok(Frame::data(Bytes::from_static(b"left over"))))
            }
            (_, frame) => frame,
        })
    }
}

impl Drop for Spoiled {
    fn drop(&mut self) {
        match &self.spoil {
            Spoil::Leaks if !self.is_over => std::mem::forget(std::mem::take(&mut self.body)),
            Spoil::Dirty(_, leftover) if !self.is_over => leftover.store(true, Ordering::Release),
            Spoil::ReturnsPermit(permits) => permits.add_permits(1),
            _ => {}
        }
    }
}
