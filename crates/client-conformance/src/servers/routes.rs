//! The routes of [`App`](super::App), one function each; its documentation has the table.

use std::fmt::Write as _;
use std::future::pending;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, SET_COOKIE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::app::pattern;
use super::{cors, runtime};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Where requests wait for each other.
#[derive(Clone)]
pub(super) struct Barrier(Arc<watch::Sender<usize>>);

impl Default for Barrier {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

pub(super) async fn answer(request: Request<Incoming>, barrier: Barrier) -> Answer {
    let is_head = request.method() == Method::HEAD;
    let answer = route(request, barrier).await;
    if is_head { without_content(answer) } else { answer }
}

/// The same for a browser's pages.
pub(super) async fn answer_pages(request: Request<Incoming>, barrier: Barrier) -> Answer {
    let mut answer = if cors::is_preflight(&request) {
        cors::allow(request.headers(), full(""))
    } else {
        answer(request, barrier).await
    };
    cors::open(answer.headers_mut());
    answer
}

/// hyper leaves out the content of an answer to HEAD in HTTP/1.1 only.
fn without_content(answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact();
    let mut answer = answer.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync());
    if let Some(length) = length {
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    answer
}

async fn route(request: Request<Incoming>, barrier: Barrier) -> Answer {
    if request.method() == Method::CONNECT {
        return switch(request, StatusCode::OK);
    }
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let mut parts = path.split('/');
    let (route, first, second) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    match (route, first, second) {
        ("", None, None) => full("hello"),
        ("echo", None, None) => echo(request),
        ("inspect", ..) => inspect(request).await,
        ("status" | "early", Some(code), None) => status(number(code)),
        ("redirect", Some(n), None) => redirect(number(n)),
        ("redirect-to", None, None) => redirect_to(request.uri().query().unwrap_or("")),
        ("bytes", Some(n), None) => number(n).map_or_else(bad_request, |n| full(pattern(n))),
        ("chunked", Some(n), None) => pieces(number(n), 1000, Some(0)),
        ("drip", Some(n), Some(ms)) => pieces(number(n), 1, number(ms)),
        ("delay", Some(ms), None) => delay(number(ms)).await,
        ("hang", None, None) => pending().await,
        ("length", None, None) => read(request).await.map_or_else(bad_request, |body| full(body.len().to_string())),
        ("barrier", Some(n), None) => meet(number(n), &barrier).await,
        ("headers", Some(n), None) => headers(number(n)),
        ("trailers", None, None) => trailers(),
        ("gzip", None, None) => field(full(GZIP), CONTENT_ENCODING, "gzip"),
        ("cookies", None, None) => field(field(full("hello"), SET_COOKIE, "a=1; Path=/"), SET_COOKIE, "b=2; HttpOnly"),
        ("upgrade", None, None) if request.headers().get(UPGRADE).is_some_and(|protocol| protocol == "echo") => {
            switch(request, StatusCode::SWITCHING_PROTOCOLS)
        }
        _ => status(Some(StatusCode::NOT_FOUND)),
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn full(content: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(content.into()).map_err(|never| match never {}).boxed_unsync())
}

fn bad_request() -> Answer {
    status(Some(StatusCode::BAD_REQUEST))
}

fn status(code: Option<StatusCode>) -> Answer {
    let Some(code) = code else {
        return bad_request();
    };
    let is_empty = matches!(code, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let mut answer = full(if is_empty { String::new() } else { code.as_str().to_owned() });
    *answer.status_mut() = code;
    answer
}

fn field(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    // What a path or a query can hold, a field value can too.
    answer.headers_mut().append(name, HeaderValue::from_str(value).expect("visible characters"));
    answer
}

fn echo(request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let mut answer = Response::new(body.map_err(io::Error::other).boxed_unsync());
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        if let Some(value) = head.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// The whole body, `None` if the client gave up.
async fn read(request: Request<Incoming>) -> Option<Bytes> {
    Some(request.into_body().collect().await.ok()?.to_bytes())
}

async fn inspect(request: Request<Incoming>) -> Answer {
    let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {}", value.as_bytes().escape_ascii());
    }
    let Some(body) = read(request).await else {
        return bad_request();
    };
    text.push('\n');
    full([text.as_bytes(), &body].concat())
}

fn redirect(n: Option<usize>) -> Answer {
    let Some(n) = n else {
        return bad_request();
    };
    let to = match n {
        0 | 1 => "/".to_owned(),
        n => format!("/redirect/{}", n - 1),
    };
    field(status(Some(StatusCode::FOUND)), LOCATION, &to)
}

fn redirect_to(query: &str) -> Answer {
    match query.split_once('&') {
        Some((code, location)) => field(status(number(code)), LOCATION, location),
        None => bad_request(),
    }
}

/// A body of unknown length, in pieces of `size`, one every `ms` milliseconds.
fn pieces(n: Option<usize>, size: usize, ms: Option<u64>) -> Answer {
    let (Some(n), Some(ms)) = (n, ms) else {
        return bad_request();
    };
    let pieces = stream::unfold(pattern(n), move |mut left| async move {
        if left.is_empty() {
            return None;
        }
        if ms > 0 {
            runtime::sleep(Duration::from_millis(ms)).await;
        }
        let piece = left.split_to(size.min(left.len()));
        Some((Ok(Frame::data(piece)), left))
    });
    Response::new(StreamBody::new(pieces).boxed_unsync())
}

async fn delay(ms: Option<u64>) -> Answer {
    let Some(ms) = ms else {
        return bad_request();
    };
    runtime::sleep(Duration::from_millis(ms)).await;
    full("hello")
}

async fn meet(n: Option<usize>, barrier: &Barrier) -> Answer {
    let Some(n) = n else {
        return bad_request();
    };
    barrier.0.send_modify(|here| *here += 1);
    let all_here = barrier.0.subscribe().wait_for(|here| *here >= n).await.is_ok();
    if all_here { full("hello") } else { bad_request() }
}

fn headers(n: Option<usize>) -> Answer {
    let Some(n) = n else {
        return bad_request();
    };
    (0..n).fold(full("hello"), |answer, index| {
        let name = HeaderName::from_str(&format!("x-{index}")).expect("a token");
        field(answer, name, &index.to_string())
    })
}

fn trailers() -> Answer {
    let mut fields = HeaderMap::new();
    fields.insert("x-checksum", HeaderValue::from_static("5d41402a"));
    let frames = [Frame::data(Bytes::from_static(b"hello")), Frame::trailers(fields)];
    let body = StreamBody::new(stream::iter(frames.map(Ok)));
    // HTTP/1.1 sends the trailers that were announced (RFC 9110 §6.6.2).
    field(Response::new(body.boxed_unsync()), http::header::TRAILER, "x-checksum")
}

/// `hello`: a gzip member (RFC 1952) with one stored block (RFC 1951 §3.2.4), its CRC-32 and its length.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x05\x00\xfa\xffhello\x86\xa6\x10\x36\x05\x00\x00\x00";

/// Answers, then sends back whatever comes.
fn switch(mut request: Request<Incoming>, code: StatusCode) -> Answer {
    let upgrade = hyper::upgrade::on(&mut request);
    runtime::handle().spawn(async move {
        // A client that never switches has closed: there is nobody to tell.
        if let Ok(upgraded) = upgrade.await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        }
    });
    let mut answer = full("");
    *answer.status_mut() = code;
    if code == StatusCode::SWITCHING_PROTOCOLS {
        answer = field(field(answer, UPGRADE, "echo"), CONNECTION, "upgrade");
    }
    answer
}
