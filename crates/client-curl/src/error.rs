//! What libcurl's errors mean, in the core's words.
//!
//! What must never enter: libcurl's own text where it may quote what a stranger sent.

use client_core::{Error, ErrorKind, Phase, Result, Sent};
use curl::easy::Easy2;

use crate::call::Call;
use crate::transfer::Transfer;

/// How a transfer ended.
pub(crate) fn outcome(result: Result<(), curl::Error>, easy: &Easy2<Transfer>, call: &Call) -> Result<()> {
    // Whatever libcurl made of it: this is what failed first.
    if let Some(failure) = call.take_failure() {
        return Err(failure);
    }
    let Err(mut error) = result else {
        return Ok(());
    };
    let text = easy.take_error_buf().unwrap_or_default();
    let (kind, phase, message) = meaning(&error, &text, easy, call);
    if !text.is_empty() {
        error.set_extra(text);
    }
    let here = call.error(kind, message).with_phase(phase);
    let sent = if phase < Phase::Send { Sent::Nothing } else { here.sent() };
    Err(here.with_sent(sent).with_source(error))
}

/// libcurl does not even begin.
pub(crate) fn of_setup(error: curl::Error) -> Error {
    let kind = match error.code() {
        curl_sys::CURLE_OUT_OF_MEMORY | curl_sys::CURLE_FAILED_INIT => ErrorKind::Engine,
        _ => ErrorKind::InvalidRequest,
    };
    Error::new(kind, format!("libcurl refuses the request: {}", error.description()))
        .with_phase(Phase::Pool)
        .with_source(error)
}

fn meaning(error: &curl::Error, text: &str, easy: &Easy2<Transfer>, call: &Call) -> (ErrorKind, Phase, String) {
    if matches!(error.code(), curl_sys::CURLE_RECV_ERROR | curl_sys::CURLE_SEND_ERROR | curl_sys::CURLE_GOT_NOTHING) {
        // There was a socket to say so.
        call.beyond_tcp(true);
    }
    let phase = call.phase();
    let is_ready = call.is_ready();
    let said = if text.is_empty() { error.description() } else { text };
    let refusal = easy.http_connectcode().ok().filter(|status| *status != 0 && !(200..300).contains(status));
    match error.code() {
        _ if !is_ready && refusal.is_some() => {
            let status = refusal.unwrap_or_default();
            (ErrorKind::Proxy, Phase::Proxy, format!("the proxy answered CONNECT with {status}"))
        }
        curl_sys::CURLE_COULDNT_RESOLVE_HOST => (ErrorKind::Resolve, Phase::Resolve, format!("the host is unknown: {said}")),
        curl_sys::CURLE_COULDNT_RESOLVE_PROXY => (ErrorKind::Resolve, Phase::Resolve, format!("the proxy is unknown: {said}")),
        curl_sys::CURLE_URL_MALFORMAT => (ErrorKind::InvalidRequest, Phase::Pool, format!("libcurl refuses the URL: {said}")),
        // Whatever it is, it is the proxy's answer.
        _ if !is_ready && text.contains("CONNECT") => (ErrorKind::Proxy, Phase::Proxy, said.to_owned()),
        CURLE_TOO_LARGE if !is_ready => (ErrorKind::Proxy, Phase::Proxy, said.to_owned()),
        CURLE_PROXY => (ErrorKind::Proxy, Phase::Proxy, said.to_owned()),
        curl_sys::CURLE_SSL_CONNECT_ERROR
            if text.contains("NoApplicationProtocol") || text.contains("no application protocol") =>
        {
            (ErrorKind::Protocol, Phase::Tls, "the server did not agree to HTTP/2 (ALPN)".to_owned())
        }
        curl_sys::CURLE_SSL_CONNECT_ERROR
        | curl_sys::CURLE_PEER_FAILED_VERIFICATION
        | curl_sys::CURLE_SSL_CERTPROBLEM
        | curl_sys::CURLE_SSL_CIPHER
        | curl_sys::CURLE_SSL_CACERT_BADFILE
        | curl_sys::CURLE_SSL_ISSUER_ERROR
        | curl_sys::CURLE_SSL_PINNEDPUBKEYNOTMATCH
        | curl_sys::CURLE_USE_SSL_FAILED => (ErrorKind::Tls, if is_ready { phase } else { Phase::Tls }, said.to_owned()),
        _ if !is_ready && phase == Phase::Tls => (ErrorKind::Tls, phase, format!("the handshake failed: {said}")),
        _ if !is_ready && phase == Phase::Proxy => (ErrorKind::Proxy, phase, said.to_owned()),
        _ if !is_ready => (ErrorKind::Connect, phase.max(Phase::Connect), format!("no connection: {said}")),
        // nghttp2's own bound, far beyond any sensible limit.
        curl_sys::CURLE_HTTP2 if text.contains("CONTINUATION") => (ErrorKind::TooLarge, phase, said.to_owned()),
        // nghttp2 counts what still arrives of streams that were cancelled, among other things, and ends the session when it is much. The call
        // that comes next has nothing to do with it.
        curl_sys::CURLE_HTTP2 if text.starts_with(GIVEN_UP) && call.is_bystander() => {
            (ErrorKind::Closed, phase, "libcurl gave the connection up".to_owned())
        }
        // The session is over, and nothing was wrong with it.
        curl_sys::CURLE_HTTP2 if text.is_empty() || text.starts_with("Send failure") || text.starts_with("Recv failure") => {
            (ErrorKind::Closed, phase, "the server closed the connection".to_owned())
        }
        curl_sys::CURLE_FTP_WEIRD_SERVER_REPLY
        | curl_sys::CURLE_UNSUPPORTED_PROTOCOL
        | curl_sys::CURLE_BAD_CONTENT_ENCODING
        | curl_sys::CURLE_HTTP2 => (ErrorKind::Protocol, phase, said.to_owned()),
        CURLE_TOO_LARGE => (ErrorKind::TooLarge, phase, format!("the response's head exceeds what libcurl reads: {said}")),
        // One code for what the server said and for what it did wrong.
        curl_sys::CURLE_HTTP2_STREAM if text.contains("invalid") => (ErrorKind::Protocol, phase, said.to_owned()),
        curl_sys::CURLE_HTTP2_STREAM => (ErrorKind::Closed, phase, format!("the server gave the stream up: {said}")),
        curl_sys::CURLE_GOT_NOTHING
        | curl_sys::CURLE_PARTIAL_FILE
        | curl_sys::CURLE_SEND_ERROR
        | curl_sys::CURLE_SEND_FAIL_REWIND => (ErrorKind::Closed, phase, format!("the server closed the connection: {said}")),
        // What the server has to say after the handshake, of TLS: a certificate of ours that it misses, for one.
        _ if text.starts_with("rustls_connection") => (ErrorKind::Tls, phase, said.to_owned()),
        // One code for what the socket says and for what the chunked coding lacks.
        curl_sys::CURLE_RECV_ERROR if is_about_coding(text) => (ErrorKind::Protocol, phase, said.to_owned()),
        curl_sys::CURLE_RECV_ERROR => (ErrorKind::Closed, phase, format!("the connection was lost: {said}")),
        _ => (ErrorKind::Engine, phase, format!("libcurl failed: {said}")),
    }
}

/// Whether a connection of HTTP/2 is of no use any more after this: what was wrong was not one stream's alone.
pub(crate) fn ends_session(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<curl::Error>());
    error.kind() == ErrorKind::Protocol || cause.is_some_and(curl::Error::is_http2_error)
}

fn is_about_coding(text: &str) -> bool {
    ["chunk", "hunk", "header", "Header", "Nul byte"].iter().any(|word| text.contains(word))
}

/// ENHANCE_YOUR_CALM, said by ourselves.
const GIVEN_UP: &str = "nghttp2 shuts down connection with error 11";

// curl-sys 0.4 lacks these.
const CURLE_PROXY: curl_sys::CURLcode = 97;
const CURLE_TOO_LARGE: curl_sys::CURLcode = 100;
