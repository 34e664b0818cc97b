//! What a browser has to be told before a page may read an answer from another origin (Fetch standard, CORS). What must never enter:
//! the routes.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

/// Whether this is a question that a browser asks on its own, before the request itself.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    let asks = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && asks(ORIGIN) && asks(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Every method and every field are allowed. A wildcard covers no `Authorization`, so what is asked for is named.
pub(super) fn allow<B>(asking: &HeaderMap, mut answer: Response<B>) -> Response<B> {
    *answer.status_mut() = StatusCode::NO_CONTENT;
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (http::header::ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        if let Some(value) = asking.get(asked) {
            answer.headers_mut().insert(allowed, value.clone());
        }
    }
    answer
}

/// Any page may read this, and all of its fields.
pub(super) fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}
