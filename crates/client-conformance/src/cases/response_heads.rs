//! The head of a response (RFC 9112 §4, §5; RFC 9110 §15): odd but legal ones are understood, illegal ones refused, endless ones
//! cut off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use client_core::{Capability, Error, ErrorKind, Event, Method, StatusCode, TimeoutKind, Version};

use super::framing::flooded;
use super::probe::{OK, Whole, accepts, accepts_or_refuses, brings, cut_short, exchange, get, next, refuses, server};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::Script;

cases! {
    response_heads(ctx): "The head of a response";

    no_reason [Http1] "RFC 9112 §4: the reason may be empty", "A status line may have no reason" =>
        accepts(ctx, "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok");
    no_space_before_no_reason [Http1] "RFC 9112 §4", "A status line that ends after the status is understood or refused" =>
        accepts_or_refuses(ctx, "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok");
    odd_reason [Http1] "RFC 9112 §4", "A reason may have tabs, spaces and bytes beyond ASCII" =>
        accepts(ctx, &b"HTTP/1.1 200 \t All  right: \xe9\xff \r\nContent-Length: 2\r\n\r\nok"[..], "ok");
    any_status [Http1] "RFC 9110 §15", "An unknown status is passed on" => status(ctx, 299);
    status_418 [Http1] "RFC 9110 §15.5.19", "4xx is no error" => status(ctx, 418);
    status_599 [Http1] "RFC 9110 §15", "5xx is no error" => status(ctx, 599);
    status_300 [Http1] "RFC 9110 §15.4.1", "A 3xx that is not to be followed is passed on" => status(ctx, 300);
    http10 [Http1] "RFC 9110 §2.5", "The version that was spoken is told: HTTP/1.0" => http10(ctx);
    http10_keep_alive [Http1] "RFC 9112 §C.2.2", "HTTP/1.0 with keep-alive stays in step" =>
        accepts(ctx, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "ok");
    no_space_after_colon [Http1] "RFC 9112 §5.1", "A value needs no space before it" => value(ctx, &b"X:1"[..], b"1");
    whitespace_around [Http1] "RFC 9112 §5.1", "Spaces and tabs around a value are no part of it" =>
        value(ctx, &b"X: \t 1 2 \t "[..], b"1 2");
    empty_value [Http1] "RFC 9110 §5.5", "A value may be empty" => value(ctx, &b"X:"[..], b"");
    obs_text [Http1] "RFC 9110 §5.5", "Bytes beyond ASCII in a value are passed on" =>
        value(ctx, &b"X: caf\xc3\xa9 \xe9\xff"[..], b"caf\xc3\xa9 \xe9\xff");
    name_any_case [Http1] "RFC 9110 §5.1", "Names are case-insensitive" => value(ctx, &b"x: 1"[..], b"1");
    long_value [Http1] "RFC 9110 §5.4; Ktor: longHeadersTest", "A value of 16 KiB is passed on" => long_value(ctx);
    repeated [Http1] "RFC 9110 §5.3; Ktor: CookieHeaderCaseTest", "Repeated fields are all there, in order" => repeated(ctx);
    a_hundred_fields [Http1] "RFC 9110 §5.4", "Ninety fields are passed on" => many(ctx, 90);
    bytewise [Http1] "RFC 9112 §2.2", "A head may arrive byte by byte" => bytewise(ctx);
    bare_lf [Http1] "RFC 9112 §2.2: MAY", "Lines that end in a bare LF are understood or refused" =>
        accepts_or_refuses(ctx, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok");
    empty_line_first [Http1] "RFC 9112 §2.2", "An empty line before the status line is skipped or refused" =>
        accepts_or_refuses(ctx, "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok");
    obs_fold [Http1] "RFC 9112 §5.2: MUST", "A folded value is joined by spaces" =>
        folded(ctx, "X: 1 \r\n\t2\r\n  3", "1 2 3");
    obs_fold_at_start [Http1] "RFC 9112 §5.2: MUST", "A value may begin with a fold" => folded(ctx, "X:\r\n 1\r\n 2", "1 2");
    obs_fold_of_field [Http1] "RFC 9112 §5.2: MUST", "What a fold joins is part of the value, and no field" =>
        folded(ctx, "X: 1\r\n Content-Length: 1000", "1 Content-Length: 1000");
    obs_fold_of_coding [Http1] "RFC 9112 §5.2: MUST", "A folded Transfer-Encoding counts" =>
        accepts(ctx, "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok");
    space_before_colon [Http1] "RFC 9112 §5.1", "A space before the colon is dropped, or the response refused" =>
        odd_value(ctx, &b"X : 1"[..], b"1");
    nul_in_value [Http1] "RFC 9110 §5.5", "A NUL in a value becomes a space, or the response is refused" =>
        odd_value(ctx, &b"X: 1\x002"[..], b"1 2");
    cr_in_value [Http1] "RFC 9110 §5.5", "A bare CR in a value becomes a space, or the response is refused" =>
        odd_value(ctx, &b"X: 1\r2"[..], b"1 2");
    space_before_first_field [Http1] "RFC 9112 §2.2",
        "A line with a space before the first field is skipped, or the response refused" =>
            accepts_or_refuses(ctx, "HTTP/1.1 200 OK\r\n X: 1\r\nContent-Length: 2\r\n\r\nok", "ok");

    garbage [Http1] "RFC 9112 §4", "What is no status line is refused" => refuses(ctx, "hello, world\r\n\r\n");
    http09 [Http1] "RFC 9112 §A: HTTP/0.9", "A body without a head is refused" =>
        refuses(ctx, "<html>\r\n<p>hello</p>\r\n</html>\r\n\r\n");
    http09_open [Http1] "RFC 9112 §A: HTTP/0.9", "It is refused by its first bytes, while the connection stays open" =>
        refused_at_once(ctx, "<html>\r\n<p>hello</p>\r\n");
    other_protocol [Http1] "RFC 9112 §2.3", "Another protocol's name is refused" =>
        refuses(ctx, "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok");
    version_2 [Http1] "RFC 9112 §2.3", "HTTP/2.0 in a status line is refused" =>
        refuses(ctx, "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    version_lower_case [Http1] "RFC 9112 §2.3: case-sensitive", "http/1.1 in a status line is refused" =>
        refuses(ctx, "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    status_two_digits [Http1] "RFC 9112 §4", "A status of two digits is refused" =>
        refuses(ctx, "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok");
    status_four_digits [Http1] "RFC 9112 §4", "A status of four digits is refused" =>
        refuses(ctx, "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok");
    status_no_number [Http1] "RFC 9112 §4", "A status that is no number is refused" =>
        refuses(ctx, "HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok");
    status_negative [Http1] "RFC 9112 §4", "A negative status is refused" =>
        refuses(ctx, "HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok");
    status_zero [Http1] "RFC 9110 §15", "A status of 000 is refused" =>
        refuses(ctx, "HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok");
    no_colon [Http1] "RFC 9112 §5", "A field line without a colon is refused" => bad_field(ctx, "broken");
    empty_name [Http1] "RFC 9112 §5", "A field line without a name is refused" => bad_field(ctx, ": 1");
    space_in_name [Http1] "RFC 9112 §5", "A name with a space inside is refused" => bad_field(ctx, "X Y: 1");
    control_in_name [Http1] "RFC 9110 §5.6.2", "A name with a control character is refused" => bad_field(ctx, "X\u{1}: 1");
    delimiter_in_name [Http1] "RFC 9110 §5.6.2", "A name with a delimiter is refused" => bad_field(ctx, "X(Y): 1");

    cut_in_status_line [Http1] "RFC 9112 §8", "A head cut in its status line is an error" => cut_short(ctx, "HTTP/1.1 2");
    cut_in_fields [Http1] "RFC 9112 §8", "A head cut in its fields is an error" =>
        cut_short(ctx, "HTTP/1.1 200 OK\r\nContent-Le");
    cut_before_empty_line [Http1] "RFC 9112 §8", "A head without its empty line is an error" =>
        cut_short(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");

    too_many_bytes [Http1] "Limits::head_bytes", "A head larger than the limit is refused" => over_bytes(ctx);
    too_many_fields [Http1] "Limits::head_fields", "More fields than the limit are refused" => over_fields(ctx);
    as_many_as_allowed [Http1] "Limits::head_fields", "As many fields as the limit are accepted" => at_limit(ctx);
    endless_fields [Http1] "CVE-2023-38039", "Fields without end are cut off" =>
        endless(ctx, "HTTP/1.1 200 OK\r\n", "X-Field: abcdefghijklmnopqrstuvwxyz\r\n");
    endless_value [Http1] "CVE-2023-38039", "A value without end is cut off" =>
        endless(ctx, "HTTP/1.1 200 OK\r\nX: ", "abcdefghijklmnopqrstuvwxyz");
    endless_reason [Http1] "CVE-2023-38039", "A reason without end is cut off" =>
        endless(ctx, "HTTP/1.1 200 ", "abcdefghijklmnopqrstuvwxyz");
    endless_informational [Http1, HeadProgress] "CVE-2026-22815; Limits::informational", "Informational responses without end are cut off" =>
        endless(ctx, "HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n");

    continue_unasked [Http1] "RFC 9110 §15.2.1", "100 that nobody asked for is skipped" =>
        accepts(ctx, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok");
    early_hints [Http1, Informational] "RFC 8297; RFC 9110 §15.2",
        "103 is an event, and its fields are not those of the response" => early_hints(ctx);
    several_informational [Http1] "RFC 9110 §15.2", "Several informational responses are skipped" =>
        accepts(ctx, format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: 1\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n{OK}"), "ok");
    informational_with_length [Http1] "RFC 9112 §6.3 rule 1",
        "An informational response has no body, whatever its Content-Length" =>
            accepts(ctx, format!("HTTP/1.1 103 Early Hints\r\nContent-Length: 10\r\n\r\n{OK}"), "ok");
    informational_to_head [Http1] "RFC 9110 §15.2", "An informational response to HEAD is skipped" => informational_to_head(ctx);
    switching_unasked [Http1] "RFC 9110 §15.2.2", "101 that nobody asked for is refused" =>
        refuses(ctx, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n");
    only_informational [Http1] "RFC 9112 §8", "A close after 100 is an error" => cut_short(ctx, "HTTP/1.1 100 Continue\r\n\r\n");
}

/// What an engine does that sees no head before it is whole: what never ends is ended by a time limit, and a request under which a kept
/// connection dies is sent once more only where that is harmless (RFC 9110 §9.2.2).
pub(crate) async fn are_unwatched(ctx: &Ctx) -> Outcome {
    const HINTS: &str = "HTTP/1.1 102 Processing\r\n\r\n";
    let (client, limit) = (ctx.client()?, Duration::from_millis(300));
    let server = ctx.raw(Script::reply(HINTS).trickle(HINTS.repeat(1 << 16), HINTS.len(), Duration::from_millis(1)));
    let sent = client.get(server.url("/")).timeout(|t| t.request(limit)).send();
    let error = ctx.wait("the call is over", sent).await.err();
    let is_ended = matches!(
        error.as_ref().map(Error::kind),
        Some(ErrorKind::Timeout(TimeoutKind::Request) | ErrorKind::TooLarge | ErrorKind::Protocol)
    );
    ensure!(is_ended, "informational responses without end, and the call ends as {error:?}");
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;

    let slow = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 2").trickle("\r\nX: 1\r\n\r\nok", 1, Duration::from_millis(1));
    let server = ctx.raw(slow);
    brings(ctx, &server.url("/"), "ok").await?;

    for method in [Method::GET, Method::POST] {
        let dies = Script::reply(OK).request().send("HTTP/1.1 200 O").close();
        let server = ctx.raws([dies, Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")]);
        brings(ctx, &server.url("/first"), "ok").await?;
        let may_answer = method == Method::GET || !ctx.has(Capability::ConnectionReuse)?;
        match ctx.wait("the call is over", client.request(method, server.url("/second")).send()).await {
            Ok(response) if may_answer => Ok(response).expect_body("again").await?,
            Ok(response) => return Err(Stop::failed(format!("a POST was sent again, and answered as {}", response.status()))),
            Err(error) => ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error:?}"),
        }
    }
    Ok(())
}

async fn first(ctx: &Ctx, reply: impl Into<Bytes>) -> Result<Whole, Stop> {
    let server = server(ctx, Script::reply(reply));
    let got = get(ctx, &server).await??;
    next(ctx, &server).await?;
    Ok(got)
}

async fn status(ctx: Ctx, status: u16) -> Outcome {
    let got = first(&ctx, format!("HTTP/1.1 {status} Odd\r\nContent-Length: 2\r\n\r\nok")).await?;
    ensure_eq!(got.status.as_u16(), status, "status");
    ensure_eq!(got.body, "ok", "body");
    Ok(())
}

async fn http10(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").close());
    let response = ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    ensure_eq!(response.version(), Version::HTTP_10, "version");
    ensure_eq!(response.bytes().await?, "ok", "body");
    Ok(())
}

async fn value(ctx: Ctx, line: &'static [u8], expected: &'static [u8]) -> Outcome {
    let reply = [b"HTTP/1.1 200 OK\r\n", line, b"\r\nContent-Length: 2\r\n\r\nok"].concat();
    let got = first(&ctx, reply).await?;
    let values: Vec<_> = got.headers.get_all("x").iter().map(|value| value.as_bytes().escape_ascii().to_string()).collect();
    ensure_eq!(values, [expected.escape_ascii().to_string()], "values of X");
    Ok(())
}

/// What the server sends is no response, and will not become one, whatever it sends next.
async fn refused_at_once(ctx: Ctx, sent: &'static str) -> Outcome {
    let server = ctx.raw(Script::new().head().send(sent));
    let outcome = get(&ctx, &server).await?;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Protocol), "outcome");
    Ok(())
}

/// Lines that are one value of X, whose parts any number of spaces joins.
async fn folded(ctx: Ctx, lines: &'static str, expected: &'static str) -> Outcome {
    let got = first(&ctx, format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 2\r\n\r\nok")).await?;
    ensure_eq!(got.body, "ok", "body");
    let value = got.headers.get("x").map_or(String::new(), |value| value.as_bytes().escape_ascii().to_string());
    let parts: Vec<_> = value.split(' ').filter(|part| !part.is_empty()).collect();
    ensure_eq!(parts.join(" "), expected, "value of X, {value:?},");
    ensure!(
        !value.starts_with(' ') && !value.ends_with(' '),
        "whitespace around the value {value:?} is part of it"
    );
    Ok(())
}

/// A line that may be repaired in one way only, or refused.
async fn odd_value(ctx: Ctx, line: &'static [u8], repaired: &'static [u8]) -> Outcome {
    let reply = [b"HTTP/1.1 200 OK\r\n", line, b"\r\nContent-Length: 2\r\n\r\nok"].concat();
    let server = server(&ctx, Script::reply(reply));
    match get(&ctx, &server).await? {
        Ok(got) => {
            ensure_eq!(got.body, "ok", "body");
            let value = got.headers.get("x").map(|value| value.as_bytes().escape_ascii().to_string());
            ensure_eq!(value, Some(repaired.escape_ascii().to_string()), "value of X");
        }
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}"),
    }
    next(&ctx, &server).await.map(drop)
}

async fn long_value(ctx: Ctx) -> Outcome {
    let long = "x".repeat(16 << 10);
    let got = first(&ctx, format!("HTTP/1.1 200 OK\r\nX: {long}\r\nContent-Length: 2\r\n\r\nok")).await?;
    ensure!(got.headers.get("x").is_some_and(|value| value == long.as_str()), "the value differs");
    Ok(())
}

async fn repeated(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\nX: 1\r\nset-cookie: b=2\r\nX: 2\r\n\
        Content-Length: 2\r\n\r\nok";
    let got = first(&ctx, reply).await?;
    // Never joined: a cookie's date has a comma.
    let cookies: Vec<_> = got.headers.get_all("set-cookie").iter().collect();
    ensure_eq!(cookies, ["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2"], "cookies");
    ensure_eq!(got.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"], "values of X");
    Ok(())
}

fn fields(count: usize) -> String {
    (0..count).map(|index| format!("X-{index}: {index}\r\n")).collect()
}

async fn many(ctx: Ctx, count: usize) -> Outcome {
    let got = first(&ctx, format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", fields(count))).await?;
    for index in 0..count {
        let value = got.headers.get(format!("x-{index}"));
        ensure!(value.is_some_and(|value| *value == index.to_string().as_str()), "X-{index}: {value:?}");
    }
    Ok(())
}

async fn bytewise(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nok";
    let server = server(&ctx, Script::new().request().trickle(reply, 1, Duration::from_millis(1)));
    let got = get(&ctx, &server).await??;
    ensure_eq!((got.status, &got.body[..]), (StatusCode::OK, &b"ok"[..]), "status and body");
    ensure_eq!(got.headers.get("x").map(|value| value.as_bytes()), Some(&b"1"[..]), "X");
    next(&ctx, &server).await.map(drop)
}

async fn bad_field(ctx: Ctx, line: &'static str) -> Outcome {
    refuses(ctx, format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\n\r\nok")).await
}

async fn limited(ctx: Ctx, reply: String, fields: usize, bytes: usize) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    let request = ctx.client()?.get(server.url("/")).limits(|limits| limits.head_fields(fields).head_bytes(bytes));
    let Err(error) = ctx.wait("the answer is refused", request.send()).await else {
        return Err(Stop::failed("accepted"));
    };
    ensure_eq!(error.kind(), ErrorKind::TooLarge, "kind of {error:?}");
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

async fn over_bytes(ctx: Ctx) -> Outcome {
    let reply = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(5000));
    limited(ctx, reply, 100, 4096).await
}

async fn over_fields(ctx: Ctx) -> Outcome {
    let reply = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", fields(20));
    limited(ctx, reply, 20, 100_000).await
}

async fn at_limit(ctx: Ctx) -> Outcome {
    let reply = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", fields(19));
    let server = server(&ctx, Script::reply(reply));
    let request = ctx.client()?.get(server.url("/")).limits(|limits| limits.head_fields(20));
    let response = ctx.wait("the answer has arrived", request.send()).await?;
    ensure_eq!(response.headers().len(), 20, "number of fields");
    response.bytes().await?;
    next(&ctx, &server).await.map(drop)
}

async fn endless(ctx: Ctx, begin: &'static str, more: &'static str) -> Outcome {
    flooded(ctx, Script::reply(begin).flood(more.repeat(500))).await
}

async fn early_hints(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nok";
    let server = server(&ctx, Script::reply(reply));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let request = ctx.client()?.get(server.url("/")).observer(move |event: &Event<'_>| {
        if let Event::Informational { status, headers } = event {
            let link = headers.get("link").cloned();
            log.lock().unwrap_or_else(PoisonError::into_inner).push((status.as_u16(), link));
        }
    });
    let response = ctx.wait("the answer has arrived", request.send()).await?;
    ensure!(!response.headers().contains_key("link"), "a field of the 103 became one of the 200");
    ensure_eq!(response.bytes().await?, "ok", "body");
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure_eq!(seen, [(103, Some(client_core::HeaderValue::from_static("</a.css>")))], "events");
    next(&ctx, &server).await.map(drop)
}

async fn informational_to_head(ctx: Ctx) -> Outcome {
    let server = server(&ctx, Script::reply("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"));
    let got = exchange(&ctx, Method::HEAD, &server.url("/first")).await??;
    ensure_eq!((got.status, &got.body[..]), (StatusCode::OK, &b""[..]), "status and body");
    next(&ctx, &server).await.map(drop)
}
