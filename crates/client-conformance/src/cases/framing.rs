//! Where a response's body ends (RFC 9112 §6.3), and what must not be taken for one.

use client_core::{Capability, ErrorKind, Method};

use super::probe::{FRESH, accepts, accepts_or_refuses, cut_short, exchange, get, never_reused, next, refuses, server};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Certificate, Script, Tls};

/// `hello`, chunked.
const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

cases! {
    framing(ctx): "Where a response's body ends";

    head_with_length [Http1] "RFC 9112 §6.3 rule 1; Ktor KTOR-5699",
        "A response to HEAD has no body, whatever its Content-Length" =>
            no_body(ctx, Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n");
    head_with_chunked [Http1] "RFC 9112 §6.3 rule 1", "A response to HEAD has no body, though it is said to be chunked" =>
        no_body(ctx, Method::HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    head_without_length [Http1] "RFC 9112 §6.3 rule 1", "A response to HEAD without a length ends with its head" =>
        no_body(ctx, Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n");
    no_content_with_length [Http1] "RFC 9112 §6.3 rule 1", "204 has no body, whatever its Content-Length" =>
        no_body(ctx, Method::GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    no_content_with_chunked [Http1] "RFC 9112 §6.3 rule 1", "204 has no body, though it is said to be chunked" =>
        no_body(ctx, Method::GET, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n");
    not_modified_with_length [Http1] "RFC 9112 §6.3 rule 1", "304 has no body; its Content-Length is that of another response" =>
        no_body(ctx, Method::GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    reset_content [Http1] "RFC 9110 §15.3.6", "205 with Content-Length: 0 ends with its head" =>
        no_body(ctx, Method::GET, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");

    te_with_cl [Http1] "RFC 9112 §6.3 rule 3", "Transfer-Encoding before Content-Length: refused, or chunked and never reused" =>
        never_reused(ctx, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{HELLO}"), "hello");
    cl_with_te [Http1] "RFC 9112 §6.3 rule 3", "Content-Length before Transfer-Encoding: refused, or chunked and never reused" =>
        never_reused(ctx, format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{HELLO}"), "hello");
    chunked [Http1] "RFC 9112 §6.3 rule 4", "A chunked body ends with its last chunk" =>
        accepts(ctx, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{HELLO}"), "hello");
    chunked_any_case [Http1] "RFC 9112 §7", "Transfer codings are case-insensitive" =>
        accepts(ctx, format!("HTTP/1.1 200 OK\r\ntransfer-encoding: \t Chunked \t\r\n\r\n{HELLO}"), "hello");
    te_gzip [Http1] "RFC 9112 §6.3 rule 4", "A last coding other than chunked: refused, or read until the server closes" =>
        until_close_or_refused(ctx, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello");
    te_chunked_not_last [Http1] "RFC 9112 §6.3 rule 4", "Chunked that is not the last coding does not end the body" =>
        until_close_or_refused(ctx, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello");
    te_unknown [Http1] "RUSTSEC-2021-0078: multiple Transfer-Encoding",
        "A coding that only resembles chunked does not end the body" =>
            until_close_or_refused(ctx, "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhello");
    te_in_http10 [Http1] "RFC 9112 §6.1",
        "Transfer-Encoding in HTTP/1.0 is faulty: refused, or never reused" =>
            never_reused(
                ctx,
                format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{HELLO}"),
                "hello",
            );

    cl_two_lines_differ [Http1] "RFC 9112 §6.3 rule 5; CVE-2026-1525", "Two Content-Length fields that differ are refused" =>
        refuses(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
    cl_list_differs [Http1] "RFC 9112 §6.3 rule 5", "A list of lengths that differ is refused" =>
        refuses(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!");
    cl_two_lines_equal [Http1] "RFC 9110 §8.6", "Two equal Content-Length fields count as one, or are refused" =>
        accepts_or_refuses(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello");
    cl_list_equal [Http1] "RFC 9110 §8.6", "A list of equal lengths counts as one, or is refused" =>
        accepts_or_refuses(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "hello");
    cl_plus [Http1] "RFC 9110 §8.6; RUSTSEC-2021-0079", "A length with a sign is refused" => bad_length(ctx, "+5");
    cl_negative [Http1] "RFC 9110 §8.6", "A negative length is refused" => bad_length(ctx, "-5");
    cl_hex [Http1] "RFC 9110 §8.6", "A hexadecimal length is refused" => bad_length(ctx, "0x5");
    cl_spaces_inside [Http1] "RFC 9110 §8.6", "A length with spaces inside is refused" => bad_length(ctx, "5 5");
    cl_empty [Http1] "RFC 9110 §8.6", "An empty length is refused" => bad_length(ctx, "");
    cl_trailing_garbage [Http1] "RFC 9110 §8.6", "A length with something behind it is refused" => bad_length(ctx, "5x");
    cl_overflow [Http1] "RFC 9110 §8.6", "A length beyond 64 bits is refused" => bad_length(ctx, "18446744073709551621");
    cl_decimal_point [Http1] "RFC 9110 §8.6", "A length with a decimal point is refused" => bad_length(ctx, "5.0");
    length [Http1] "RFC 9112 §6.3 rule 6", "Content-Length counts the body" =>
        accepts(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello");
    length_zero [Http1] "RFC 9112 §6.3 rule 6", "Content-Length: 0 is an empty body" =>
        accepts(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "");
    length_leading_zeros [Http1] "RFC 9110 §8.6", "A length may have leading zeros" =>
        accepts_or_refuses(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 0005\r\n\r\nhello", "hello");
    until_close [Http1] "RFC 9112 §6.3 rule 8; Ktor KTOR-5327", "Without a length the body lasts until the server closes" =>
        until_close(ctx, "HTTP/1.1 200 OK\r\n\r\nhello");
    until_close_http10 [Http1] "RFC 9112 §6.3 rule 8", "An HTTP/1.0 body without a length lasts until the server closes" =>
        until_close(ctx, "HTTP/1.0 200 OK\r\n\r\nhello");

    many_chunks [Http1] "RFC 9112 §7.1", "A body may come in any number of chunks" =>
        chunks(ctx, "1\r\nh\r\n1\r\ne\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n");
    chunk_sizes [Http1] "RFC 9112 §7.1", "Chunk sizes are hexadecimal, in either case, with leading zeros" => chunk_sizes(ctx);
    chunked_empty [Http1] "RFC 9112 §7.1", "A chunked body may be empty" =>
        accepts(ctx, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "");
    chunk_extensions [Http1] "RFC 9112 §7.1.1", "Chunk extensions are ignored" =>
        chunks(ctx, "5;a;b=c;d=\"e; f\"\r\nhello\r\n0;last\r\n\r\n");
    chunk_trailers [Http1] "RFC 9112 §7.1.2", "Trailers end a chunked body" =>
        chunks(ctx, "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n");
    chunk_bytewise [Http1] "RFC 9112 §7.1", "Chunked framing may arrive byte by byte" => bytewise(ctx);
    chunk_size_empty [Http1] "RFC 9112 §7.1", "A chunk without a size is refused" => bad_chunks(ctx, "\r\nhello\r\n0\r\n\r\n");
    chunk_size_not_hex [Http1] "RFC 9112 §7.1", "A chunk size that is no number is refused" =>
        bad_chunks(ctx, "g\r\nhello\r\n0\r\n\r\n");
    chunk_size_prefixed [Http1] "RFC 9112 §7.1", "A chunk size with 0x is refused" =>
        bad_chunks(ctx, "0x5\r\nhello\r\n0\r\n\r\n");
    chunk_size_signed [Http1] "RFC 9112 §7.1", "A chunk size with a sign is refused" =>
        bad_chunks(ctx, "+5\r\nhello\r\n0\r\n\r\n");
    chunk_size_negative [Http1] "RFC 9112 §7.1", "A negative chunk size is refused" =>
        bad_chunks(ctx, "-5\r\nhello\r\n0\r\n\r\n");
    chunk_size_overflow [Http1] "RFC 9112 §7.1; RUSTSEC-2021-0079", "A chunk size beyond 64 bits is refused" =>
        bad_chunks(ctx, "10000000000000005\r\nhello\r\n0\r\n\r\n");
    chunk_too_long [Http1] "RFC 9112 §7.1", "A chunk longer than its size is refused" =>
        bad_chunks(ctx, "5\r\nhello!\r\n0\r\n\r\n");
    chunk_bare_lf [Http1] "CVE-2025-22871", "A chunk size line that ends in a bare LF is refused" =>
        bad_chunks(ctx, "5\nhello\r\n0\r\n\r\n");
    chunk_bare_cr [Http1] "RFC 9112 §2.2", "A chunk size line with a bare CR is refused" =>
        bad_chunks(ctx, "5\rhello\r\n0\r\n\r\n");
    chunk_data_bare_lf [Http1] "RFC 9112 §7.1", "Chunk data that ends in a bare LF is refused" =>
        bad_chunks(ctx, "5\r\nhello\n0\r\n\r\n");
    chunk_extension_lf [Http1] "CVE-2024-52304", "A line feed in a chunk extension is refused" =>
        bad_chunks(ctx, "5;a=\nb\r\nhello\r\n0\r\n\r\n");
    chunk_extension_flood [Http1] "CVE-2023-39326", "Chunk extensions without end are cut off" => extension_flood(ctx);
    trailer_without_colon [Http1] "RFC 9112 §5", "A trailer line without a colon is refused" =>
        bad_chunks(ctx, "5\r\nhello\r\n0\r\nbroken\r\n\r\n");
    trailer_flood [Http1] "CVE-2026-22815", "Trailers without end are cut off" => trailer_flood(ctx);
    trailers_stay_trailers [Http1] "RFC 9110 §6.5.1", "Trailers never become header fields" => trailers_stay_trailers(ctx);

    short_length [Http1] "RFC 9112 §8; Ktor KTOR-7828", "A body shorter than its length is an error" =>
        cut_short(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    short_by_all [Http1] "RFC 9112 §8", "A body that never comes is an error" =>
        cut_short(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    short_after_close_option [Http1] "RFC 9112 §8", "Connection: close does not make a short body whole" =>
        cut_short(ctx, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhello");
    cut_in_size [Http1] "RFC 9112 §8", "A chunked body cut in a size is an error" => cut(ctx, "5\r\nhello\r\n1");
    cut_in_data [Http1] "RFC 9112 §8", "A chunked body cut in its data is an error" => cut(ctx, "5\r\nhel");
    cut_between_chunks [Http1] "RFC 9112 §8; Ktor KTOR-7618", "A chunked body cut between chunks is an error" =>
        cut(ctx, "5\r\nhello\r\n");
    cut_before_first_chunk [Http1] "RFC 9112 §8", "A chunked body cut before its first chunk is an error" => cut(ctx, "");
    cut_in_last_chunk [Http1] "RFC 9112 §8", "A chunked body without its final empty line is an error" =>
        cut(ctx, "5\r\nhello\r\n0\r\n");
    cut_in_trailers [Http1] "RFC 9112 §8", "A chunked body cut in its trailers is an error" =>
        cut(ctx, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n");

    extra_after_length [Http1] "RFC 9112 §6.3: response splitting", "Bytes after the body never answer the next request" =>
        extra(ctx, Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    extra_in_its_own_record [Http1, Tls, CustomRoots] "RFC 9112 §6.3: response splitting",
        "Bytes after the body, in a TLS record of their own, never answer the next request" => extra_in_tls(ctx);
    extra_after_chunks [Http1] "RFC 9112 §6.3: response splitting", "Bytes after the last chunk never answer the next request" =>
        extra(ctx, Method::GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    extra_after_head [Http1] "RFC 9112 §6.3: response splitting",
        "A body sent in answer to HEAD never answers the next request" =>
            extra(ctx, Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    extra_after_no_content [Http1] "RFC 9112 §6.3: response splitting", "Bytes after a 204 never answer the next request" =>
        extra(ctx, Method::GET, "HTTP/1.1 204 No Content\r\n\r\n");
    extra_after_not_modified [Http1] "RFC 9112 §6.3: response splitting", "Bytes after a 304 never answer the next request" =>
        extra(ctx, Method::GET, "HTTP/1.1 304 Not Modified\r\n\r\n");
}

async fn no_body(ctx: Ctx, method: Method, reply: &'static str) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    let got = exchange(&ctx, method, &server.url("/first")).await??;
    ensure_eq!(got.body, "", "body");
    // In step: a body that is not there was not waited for, nor the next answer taken for one.
    let connection = next(&ctx, &server).await?;
    if ctx.has(Capability::ConnectionReuse)? {
        ensure_eq!(connection, "same", "the connection of the next exchange");
    }
    Ok(())
}

async fn bad_length(ctx: Ctx, length: &'static str) -> Outcome {
    refuses(ctx, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello")).await
}

async fn chunks(ctx: Ctx, body: &'static str) -> Outcome {
    accepts(ctx, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), "hello").await
}

async fn chunk_sizes(ctx: Ctx) -> Outcome {
    let chunks = "00a\r\n0123456789\r\nB\r\nabcdefghijk\r\n000\r\n\r\n";
    let reply = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    accepts(ctx, reply, "0123456789abcdefghijk").await
}

async fn bad_chunks(ctx: Ctx, body: &'static str) -> Outcome {
    refuses(ctx, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).await
}

async fn cut(ctx: Ctx, body: &'static str) -> Outcome {
    cut_short(ctx, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).await
}

async fn until_close(ctx: Ctx, reply: &'static str) -> Outcome {
    let server = server(&ctx, Script::reply(reply).half_close());
    let got = get(&ctx, &server).await??;
    ensure_eq!(got.body, "hello", "body");
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

async fn until_close_or_refused(ctx: Ctx, reply: &'static str) -> Outcome {
    let server = server(&ctx, Script::reply(reply).half_close());
    match get(&ctx, &server).await? {
        Ok(got) => ensure_eq!(got.body, "hello", "body"),
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}"),
    }
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

async fn bytewise(ctx: Ctx) -> Outcome {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let pieces = "5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    let script = Script::reply(head).trickle(pieces, 1, std::time::Duration::from_millis(1));
    let server = server(&ctx, script);
    ensure_eq!(get(&ctx, &server).await??.body, "hello", "body");
    next(&ctx, &server).await.map(drop)
}

/// Bytes that an engine may take before it gives up; far more than any limit that a peer has.
const FLOOD: usize = 32 << 20;

async fn extension_flood(ctx: Ctx) -> Outcome {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=";
    flooded(ctx, Script::reply(head).flood("x".repeat(16 << 10))).await
}

async fn trailer_flood(ctx: Ctx) -> Outcome {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n";
    flooded(ctx, Script::reply(head).flood("X-Trailer: abcdefghijklmnopqrstuvwxyz\r\n".repeat(400))).await
}

/// What never ends is refused, before it has cost much.
pub(super) async fn flooded(ctx: Ctx, script: Script) -> Outcome {
    let server = ctx.raw(script);
    match get(&ctx, &server).await? {
        Ok(_) => return Err(Stop::failed("taken for complete")),
        Err(error) => {
            let allowed = matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Protocol);
            ensure!(allowed, "kind {:?}: {error:?}", error.kind());
        }
    }
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    let sent = server.connection(0).sent();
    ensure!(sent <= FLOOD, "the engine took {sent} bytes");
    Ok(())
}

async fn trailers_stay_trailers(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Role: header\r\n\r\n\
        5\r\nhello\r\n0\r\nX-Role: trailer\r\nX-New: 1\r\nContent-Length: 99\r\n\r\n";
    let server = server(&ctx, Script::reply(reply));
    match get(&ctx, &server).await? {
        Ok(got) => {
            ensure_eq!(got.body, "hello", "body");
            ensure_eq!(got.headers.get_all("x-role").iter().collect::<Vec<_>>(), ["header"], "X-Role");
            ensure!(!got.headers.contains_key("x-new"), "a trailer became a header field");
        }
        // A Content-Length in trailers may be refused.
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}"),
    }
    next(&ctx, &server).await.map(drop)
}

/// The response is followed, in the same packet, by one that nobody asked for.
async fn extra(ctx: Ctx, method: Method, reply: &'static str) -> Outcome {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let server = server(&ctx, Script::reply(format!("{reply}{smuggled}")));
    // The first exchange is complete as it is; whoever sees the rest may refuse it as well.
    if let Err(error) = exchange(&ctx, method, &server.url("/first")).await? {
        ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}");
    }
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

/// The response fills a record, which is as much as many read at a time; what follows may be decrypted along with it, and seen by nobody.
async fn extra_in_tls(ctx: Ctx) -> Outcome {
    const RECORD: usize = 1 << 14;
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let body = "x".repeat(RECORD - head(RECORD).len());
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let reply = format!("{}{body}{smuggled}", head(body.len()));
    let server = ctx.raws_tls(&Tls::new(Certificate::Good), [Script::reply(reply), Script::reply(FRESH)]);
    let client = ctx.client_with(&ctx.trusting())?;
    // The first exchange is complete as it is; whoever sees the rest may refuse it as well.
    match ctx.wait("the first answer has arrived", client.get(server.url("/first")).send()).await {
        Ok(response) => Ok(response).expect_body(body).await?,
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}"),
    }
    let next = ctx.wait("the next answer has arrived", client.get(server.url("/next")).send()).await;
    next.expect_body("fresh").await
}
