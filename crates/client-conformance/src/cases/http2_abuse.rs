//! HTTP/2 that is wrong: malformed responses (RFC 9113 §8.1.1), which are errors of a stream or of the connection, as the client likes; broken
//! framing (§4 to §6), which ends the connection; and what a hostile server never stops sending.

use std::time::Duration;

use client_core::{ErrorKind, Method, TimeoutKind};

use super::peer::{Peer, ends_connection, flooded, refuses, took_little};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::h2::{Frame, Script, code, flag, incremental, indexed, kind, literal, setting, table_size};
use crate::servers::{Gate, pattern};

const OK: (&str, &str) = (":status", "200");
const TOO_MUCH: &[ErrorKind] = &[ErrorKind::TooLarge, ErrorKind::Protocol];

cases! {
    http2_abuse(ctx): "HTTP/2 that is malformed or hostile";

    upper_case_name [Http2] "RFC 9113 §8.2.1", "A field name in upper case is refused" => bad_head(ctx, &[OK, ("X-Upper", "1")]);
    empty_name [Http2, StrictHttp2] "RFC 9113 §8.2.1", "An empty field name is refused" => bad_head(ctx, &[OK, ("", "1")]);
    name_with_space [Http2, StrictHttp2] "RFC 9113 §8.2.1", "A field name with a space is refused" => bad_head(ctx, &[OK, ("x y", "1")]);
    name_with_colon [Http2, StrictHttp2] "RFC 9113 §8.2.1", "A field name with a colon is refused" => bad_head(ctx, &[OK, ("x:y", "1")]);
    value_with_cr [Http2, StrictHttp2] "RFC 9113 §8.2.1: response splitting", "A carriage return in a value is refused" => bad_head(ctx, &[OK, ("x-a", "b\rc")]);
    value_with_lf [Http2, StrictHttp2] "RFC 9113 §8.2.1: response splitting", "A line feed in a value is refused" => bad_head(ctx, &[OK, ("x-a", "b\nc")]);
    value_with_nul [Http2, StrictHttp2] "RFC 9113 §8.2.1", "A NUL in a value is refused" => bad_head(ctx, &[OK, ("x-a", "b\0c")]);
    no_status [Http2] "RFC 9113 §8.3.2", "A head without :status is refused" => bad_head(ctx, &[("x-a", "b")]);
    empty_head [Http2] "RFC 9113 §8.3.2", "An empty head is refused" => bad_head(ctx, &[]);
    two_statuses [Http2] "RFC 9113 §8.3", "Two :status are refused" => bad_head(ctx, &[OK, (":status", "404")]);
    status_not_a_number [Http2] "RFC 9110 §15", "A :status that is no number is refused" => bad_head(ctx, &[(":status", "abc")]);
    status_too_long [Http2] "RFC 9110 §15", "A :status of four digits is refused" => bad_head(ctx, &[(":status", "2000")]);
    status_switching [Http2] "RFC 9113 §8.6", "101 does not exist in HTTP/2" => bad_head(ctx, &[(":status", "101")]);
    unknown_pseudo_header [Http2] "RFC 9113 §8.3", "An unknown pseudo-header field is refused" => bad_head(ctx, &[OK, (":color", "red")]);
    pseudo_header_of_requests [Http2] "RFC 9113 §8.3", "A pseudo-header field of requests is refused, or no field of the response" => ignores(ctx,
        Script::new().request().headers(&[OK, (":path", "/")]).last_data("hello"));
    pseudo_header_last [Http2] "RFC 9113 §8.3", "A pseudo-header field after others is refused" => bad_head(ctx, &[("x-a", "b"), OK]);
    connection_field [Http2] "RFC 9113 §8.2.2", "Connection is refused" => bad_head(ctx, &[OK, ("connection", "close")]);
    keep_alive_field [Http2] "RFC 9113 §8.2.2", "Keep-Alive is refused" => bad_head(ctx, &[OK, ("keep-alive", "timeout=5")]);
    transfer_encoding_field [Http2] "RFC 9113 §8.2.2", "Transfer-Encoding is refused" => bad_head(ctx, &[OK, ("transfer-encoding", "chunked")]);
    upgrade_field [Http2] "RFC 9113 §8.2.2", "Upgrade is refused" => bad_head(ctx, &[OK, ("upgrade", "h2c")]);
    informational_ends [Http2] "RFC 9113 §8.1", "An informational response that ends the stream is refused" =>
        refuses(ctx, Script::new().request().send(Frame::headers(&[(":status", "103")]).end_stream()));
    body_short [Http2] "RFC 9113 §8.1.1", "A body shorter than its Content-Length is refused" => bad_length(ctx, &["10"], "hello");
    body_missing [Http2] "RFC 9113 §8.1.1", "A body that never comes, though its Content-Length says so, is refused" => bad_length(ctx, &["10"], "");
    body_long [Http2] "RFC 9113 §8.1.1", "A body longer than its Content-Length is refused" => bad_length(ctx, &["3"], "hello");
    lengths_differ [Http2] "RFC 9110 §8.6; h2 0.4.20", "Two Content-Length that differ are refused" => bad_length(ctx, &["5", "6"], "hello");
    length_not_a_number [Http2] "RFC 9110 §8.6", "A Content-Length that is no number is refused" => bad_length(ctx, &["5x"], "hello");
    length_missed_in_two_frames [Http2] "RFC 9113 §8.1.1", "A body too long by its last frame is refused" => refuses(ctx,
        Script::new().request().headers(&[OK, ("content-length", "5")]).data("hello").last_data("!"));
    pseudo_header_in_trailers [Http2] "RFC 9113 §8.1", "A pseudo-header field in trailers is refused, or no field of them" => ignores(ctx,
        Script::new().request().headers(&[OK]).data("hello").send(Frame::headers(&[(":status", "404")]).end_stream()));
    upper_case_in_trailers [Http2] "RFC 9113 §8.2.1", "A trailer's name in upper case is refused" => bad_trailers(ctx, Frame::headers(&[("X-Sum", "1")]).end_stream());
    trailers_without_end [Http2] "RFC 9113 §8.1", "Trailers that do not end the stream are refused" => bad_trailers(ctx, Frame::headers(&[("x-sum", "1")]));
    body_before_head [Http2] "RFC 9113 §8.1", "A body before its head is refused" => refuses(ctx, Script::new().request().send(Frame::data("hello")));
    window_update_zero [Http2] "RFC 9113 §6.9", "A WINDOW_UPDATE of 0 on a stream is an error of it" =>
        refuses(ctx, Script::new().request().headers(&[OK]).send(Frame::window_update(0)));
    stream_window_overflow [Http2] "RFC 9113 §6.9.1", "A stream's window beyond 2^31-1 is an error of it" =>
        stream_window(ctx);
    window_overrun [Http2, StrictHttp2] "RFC 9113 §6.9.1", "More DATA than the window allows is refused" => overrun(ctx);

    no_settings [Http2] "RFC 9113 §3.4", "A server that does not begin with SETTINGS is refused, or answers all the same" => ignores(ctx,
        Script::new().mute().send(Frame::ping()).request().answer("hello"));
    frame_too_large [Http2] "RFC 9113 §4.2", "A frame larger than allowed ends the connection" =>
        ends_connection(ctx, Script::new().request().headers(&[OK]).oversized());
    headers_on_connection [Http2] "RFC 9113 §6.2", "HEADERS on stream 0 end the connection" => bad_frame(ctx, Frame::headers(&[OK]).on_connection());
    data_on_connection [Http2] "RFC 9113 §6.1", "DATA on stream 0 ends the connection" => bad_frame(ctx, Frame::data("hello").on_connection());
    reset_on_connection [Http2] "RFC 9113 §6.4", "RST_STREAM on stream 0 ends the connection" => bad_frame(ctx, Frame::reset(code::CANCEL).on_connection());
    settings_on_stream [Http2] "RFC 9113 §6.5", "SETTINGS on a stream end the connection" => bad_frame(ctx, Frame::settings(&[]).on_stream(1));
    ping_on_stream [Http2] "RFC 9113 §6.7", "PING on a stream ends the connection" => bad_frame(ctx, Frame::ping().on_stream(1));
    go_away_on_stream [Http2] "RFC 9113 §6.8; h2 0.4.20", "GOAWAY on a stream ends the connection" => bad_frame(ctx, Frame::go_away(1, code::NO_ERROR).on_stream(1));
    headers_on_idle_stream [Http2] "RFC 9113 §5.1", "HEADERS on a stream that nobody opened end the connection" => bad_frame(ctx, Frame::headers(&[OK]).on_stream(1001));
    headers_on_servers_stream [Http2] "RFC 9113 §5.1.1", "HEADERS on a stream of the server's end the connection" => bad_frame(ctx, Frame::headers(&[OK]).on_stream(2));
    data_on_idle_stream [Http2] "RFC 9113 §5.1", "DATA on a stream that nobody opened ends the connection" => bad_frame(ctx, Frame::data("hello").on_stream(1001));
    reset_of_idle_stream [Http2] "RFC 9113 §6.4", "RST_STREAM of a stream that nobody opened ends the connection" => bad_frame(ctx, Frame::reset(code::CANCEL).on_stream(1001));
    window_of_idle_stream [Http2] "RFC 9113 §5.1", "WINDOW_UPDATE of a stream that nobody opened ends the connection" => bad_frame(ctx, Frame::window_update(1).on_stream(1001));
    settings_length [Http2] "RFC 9113 §6.5", "SETTINGS of a wrong length end the connection" => bad_frame(ctx, Frame::new(kind::SETTINGS, 0, [0; 5]).on_connection());
    settings_ack_length [Http2] "RFC 9113 §6.5", "An acknowledgement with content ends the connection" =>
        bad_frame(ctx, Frame::new(kind::SETTINGS, flag::ACK, [0; 6]).on_connection());
    settings_window_too_large [Http2] "RFC 9113 §6.5.2", "A window beyond 2^31-1 in SETTINGS ends the connection" =>
        bad_frame(ctx, Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0x8000_0000)]));
    settings_frame_too_small [Http2] "RFC 9113 §6.5.2", "A frame size below 16,384 in SETTINGS ends the connection" =>
        bad_frame(ctx, Frame::settings(&[(setting::MAX_FRAME_SIZE, 16_383)]));
    settings_push [Http2] "RFC 9113 §6.5.2", "ENABLE_PUSH neither 0 nor 1 ends the connection" => bad_frame(ctx, Frame::settings(&[(setting::ENABLE_PUSH, 2)]));
    ping_length [Http2] "RFC 9113 §6.7", "A PING of a wrong length ends the connection" => bad_frame(ctx, Frame::new(kind::PING, 0, [0; 7]).on_connection());
    reset_length [Http2] "RFC 9113 §6.4", "A RST_STREAM of a wrong length ends the connection" => bad_frame(ctx, Frame::new(kind::RST_STREAM, 0, [0; 3]));
    window_update_length [Http2] "RFC 9113 §6.9", "A WINDOW_UPDATE of a wrong length ends the connection" => bad_frame(ctx, Frame::new(kind::WINDOW_UPDATE, 0, [1; 3]));
    connection_window_zero [Http2] "RFC 9113 §6.9", "A WINDOW_UPDATE of 0 on the connection ends it" => bad_frame(ctx, Frame::window_update(0).on_connection());
    connection_window_overflow [Http2] "RFC 9113 §6.9.1", "A connection's window beyond 2^31-1 ends it" => bad_frame(ctx, Frame::window_update(0x7fff_ffff).on_connection());
    push_promise [Http2] "RFC 9113 §8.4", "A PUSH_PROMISE, though push is off, ends the connection" => bad_frame(ctx,
        Frame::push_promise(2, &[(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/pushed")]));
    padding_too_long [Http2] "RFC 9113 §6.1", "Padding longer than its frame ends the connection" =>
        ends_connection(ctx, Script::new().request().headers(&[OK]).send(Frame::new(kind::DATA, flag::PADDED, [9, 0, 0])));
    continuation_alone [Http2] "RFC 9113 §6.10", "CONTINUATION without a head before it ends the connection" => bad_frame(ctx, Frame::continuation(&[OK]));
    head_interrupted [Http2] "RFC 9113 §4.3", "A head interrupted by another frame ends the connection" =>
        ends_connection(ctx, Script::new().request().send(Frame::headers(&[OK]).to_be_continued()).send(Frame::ping()));
    head_continued_elsewhere [Http2] "RFC 9113 §6.10", "A head that goes on on another stream ends the connection" =>
        ends_connection(ctx, Script::new().request().send(Frame::headers(&[OK]).to_be_continued()).send(Frame::continuation(&[]).on_stream(3)));
    hpack_index [Http2] "RFC 7541 §2.3.3", "An index beyond the tables ends the connection" => bad_block(ctx, &indexed(200));
    hpack_index_zero [Http2] "RFC 7541 §6.1", "The index 0 ends the connection" => bad_block(ctx, &[0x80]);
    hpack_cut [Http2] "RFC 7541 §5.2", "A string that is cut short ends the connection" => bad_block(ctx, &literal("x-a", "long")[..7]);
    hpack_huffman [Http2] "RFC 7541 §5.2", "A Huffman string with EOS in it ends the connection" =>
        bad_block(ctx, &[0x88, 0x00, 0x01, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]);
    hpack_table_size [Http2] "RFC 7541 §6.3", "A table larger than allowed ends the connection" => bad_block(ctx, &[&table_size(1 << 30)[..], &indexed(8)].concat());

    head_too_large [Http2] "Limits::head_bytes", "A head beyond the limit is refused as too large" => large_head(ctx, Script::new(), ":status");
    trailers_too_large [Http2] "Limits::head_bytes", "Trailers beyond the limit are refused as too large" => large_head(ctx, Script::new().headers(&[OK]).data("hello"), "x-sum");
    head_with_many_fields [Http2] "Limits::head_fields", "A head of too many fields is refused as too large" => many_fields(ctx);
    others_survive_large_head [Http2] "Limits::head_bytes", "A head that is too large leaves the other calls alone, or ends the connection" => beside_large_head(ctx);
    hpack_bomb [Http2] "RFC 7541 §7.3; CVE-2016-1544", "A small block of a huge head is refused" => bomb(ctx);
    continuation_flood [Http2] "CVE-2024-27316, RUSTSEC-2024-0332", "A head without end is cut off" =>
        flooded(ctx, endless_head().flood(vec![Frame::continuation(&[("x-a", &"b".repeat(4000))]).to_be_continued()]), TOO_MUCH);
    empty_continuation_flood [Http2] "CVE-2023-45288", "A head of empty frames without end is cut off" =>
        flooded(ctx, endless_head().flood(vec![Frame::continuation(&[]).to_be_continued()]), TOO_MUCH);
    empty_data_flood [Http2] "RUSTSEC-2026-0258; CVE-2019-9518", "A body of empty frames without end is cut off" =>
        flooded(ctx, Script::new().request().headers(&[OK]).flood(vec![Frame::data("")]), TOO_MUCH);
    informational_flood [Http2, HeadProgress] "Limits::informational", "Informational responses without end are cut off" =>
        flooded(ctx, Script::new().request().flood(vec![Frame::headers(&[(":status", "103")])]), TOO_MUCH);
    settings_flood [Http2] "CVE-2019-9515", "SETTINGS without end, whose acknowledgements nobody reads, cost no memory" => acknowledgements(ctx, Frame::settings(&[(0xabcd, 1)]));
    ping_flood [Http2] "CVE-2019-9512", "PINGs without end, whose answers nobody reads, cost no memory" => acknowledgements(ctx, Frame::ping());
    reset_flood [Http2] "CVE-2023-44487", "RST_STREAM without end fails the call, and costs no memory" =>
        flooded(ctx, Script::new().request().send(Frame::headers(&[OK])).flood(vec![Frame::reset(code::CANCEL)]), &[ErrorKind::Closed, ErrorKind::Protocol]);
    last_stream_grows [Http2] "RFC 9113 §6.8: MUST NOT", "A second GOAWAY that takes back the first one does no harm" => accepts_go_aways(ctx);
}

async fn bad_head(ctx: Ctx, fields: &'static [(&'static str, &'static str)]) -> Outcome {
    refuses(ctx, Script::new().request().sends(vec![Frame::headers(fields), Frame::data("hello").end_stream()])).await
}

async fn bad_length(ctx: Ctx, lengths: &'static [&'static str], body: &'static str) -> Outcome {
    let fields: Vec<_> = [OK].into_iter().chain(lengths.iter().map(|length| ("content-length", *length))).collect();
    let head = Frame::headers(&fields);
    let frames = match body {
        "" => vec![head.end_stream()],
        body => vec![head, Frame::data(body).end_stream()],
    };
    refuses(ctx, Script::new().request().sends(frames)).await
}

async fn bad_trailers(ctx: Ctx, trailers: Frame) -> Outcome {
    refuses(ctx, Script::new().request().headers(&[OK]).data("hello").send(trailers)).await
}

/// RFC 9113 says that it is to be refused. Libraries that engines are made of overlook it, and as it means nothing to a client, nothing can
/// be smuggled by it: then it must have no effect at all.
async fn ignores(ctx: Ctx, script: Script) -> Outcome {
    let peer = Peer::after(&ctx, script)?;
    match peer.whole(peer.get("/first")).await {
        Ok(got) => {
            ensure_eq!((got.status.as_u16(), &got.body[..]), (200, &b"hello"[..]), "status and body");
            ensure!(got.headers.keys().all(|name| name == "content-length"), "fields {:?}", got.headers);
        }
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}"),
    }
    peer.next().await.map(drop)
}

/// What an engine that is not strict does instead: a field that is malformed has no effect; a body whose length is known is not taken for whole
/// before its end; what nobody reads is not taken in without end.
pub(crate) async fn is_lenient(ctx: &Ctx) -> Outcome {
    for field in [
        ("", "1"),
        ("x y", "1"),
        ("x:y", "1"),
        ("x-a", "b\rc"),
        ("x-a", "b\nc"),
        ("x-a", "b\0c"),
    ] {
        let head = Frame::headers(&[OK, field]);
        ignores(ctx.clone(), Script::new().request().send(head).last_data("hello")).await?;
    }
    let cut = Script::new()
        .request()
        .headers(&[OK, ("content-length", "10")])
        .data("hello")
        .send(Frame::reset(code::NO_ERROR));
    let peer = Peer::after(ctx, cut)?;
    peer.fails(peer.get("/cut"), &[ErrorKind::Closed]).await?;
    peer.next().await?;
    let flood = Script::new().request().headers(&[OK]).flood(vec![Frame::data([b'.'; 16_384])]);
    let peer = Peer::after(ctx, flood)?;
    let response = peer.head(peer.get("/flood")).await?;
    ctx.wait("the server has sent more than it may", peer.connection().until_sent(1 << 17)).await;
    let beside = ctx.client()?.get(ctx.app().url("/")).send();
    ctx.wait("another server's answer has arrived", beside).await.expect_body("hello").await?;
    drop(response);
    took_little(&peer)
}

/// The upload is held back by the connection's window, so that of its stream only grows.
async fn stream_window(ctx: Ctx) -> Outcome {
    let most = Frame::window_update(0x7fff_ffff);
    let peer = Peer::after(&ctx, Script::new().stingy().head().headers(&[OK]).sends(vec![most.clone(), most]))?;
    peer.fails(peer.post("/first").body(pattern(100_000)), &[ErrorKind::Protocol]).await?;
    peer.next().await.map(drop)
}

/// In the place of a response, a frame that must not be.
async fn bad_frame(ctx: Ctx, frame: Frame) -> Outcome {
    ends_connection(ctx, Script::new().request().send(frame)).await
}

async fn bad_block(ctx: Ctx, block: &[u8]) -> Outcome {
    bad_frame(ctx, Frame::block(block).end_stream()).await
}

async fn overrun(ctx: Ctx) -> Outcome {
    let flood = Script::new().request().headers(&[OK]).flood(vec![Frame::data([b'.'; 16_384])]);
    let peer = Peer::after(&ctx, flood)?;
    let response = peer.head(peer.get("/first")).await?;
    // Nobody reads it: there is no more to grant.
    let connection = peer.connection();
    let is_over = futures_util::future::select(Box::pin(connection.reset(0)), Box::pin(connection.closed_by_client()));
    ctx.wait("the stream is reset, or the connection closed", is_over).await;
    match ctx.wait("the body is over", response.bytes()).await {
        Ok(body) => return Err(Stop::failed(format!("taken for complete, with {} bytes", body.len()))),
        Err(error) => ensure!(TOO_MUCH.contains(&error.kind()), "kind {:?}: {error:?}", error.kind()),
    }
    peer.next().await.map(drop)
}

/// Fields of 300 KiB, where the limit is 256 KiB, in as many frames as that takes.
fn large_block(first: &str) -> Vec<Frame> {
    let value = if first == ":status" { "200" } else { "1" };
    let large = "b".repeat(15_000);
    let more = (0..20).map(|_| Frame::continuation(&[("x-a", &large)]).to_be_continued());
    [Frame::headers(&[(first, value)]).to_be_continued().end_stream()]
        .into_iter()
        .chain(more)
        .chain([Frame::continuation(&[])])
        .collect()
}

async fn large_head(ctx: Ctx, before: Script, first: &'static str) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().followed_by(before).sends(large_block(first)))?;
    peer.fails(peer.get("/first"), &[ErrorKind::TooLarge]).await?;
    peer.next().await.map(drop)
}

async fn many_fields(ctx: Ctx) -> Outcome {
    let fields: Vec<_> = [OK].into_iter().chain((0..300).map(|_| ("x-a", "b"))).collect();
    let peer = Peer::after(&ctx, Script::new().request().send(Frame::headers(&fields).end_stream()))?;
    peer.fails(peer.get("/first"), &[ErrorKind::TooLarge]).await?;
    peer.next().await.map(drop)
}

async fn beside_large_head(ctx: Ctx) -> Outcome {
    let script = Script::new().nth(0).headers(&[OK]).data("half").nth(1).sends(large_block(":status"));
    let peer = Peer::start(&ctx, [script.nth(0).last_data(" a body")])?;
    let response = peer.head(peer.get("/beside")).await?;
    peer.fails(peer.get("/large"), &[ErrorKind::TooLarge]).await?;
    match ctx.wait("the other body is over", response.bytes()).await {
        Ok(body) => ensure_eq!(body, "half a body", "body"),
        Err(error) => {
            ensure!(
                TOO_MUCH.contains(&error.kind()) || error.kind() == ErrorKind::Closed,
                "kind {:?}: {error:?}",
                error.kind()
            );
        }
    }
    Ok(())
}

/// An entry of the dynamic table, named again and again: 4 KiB for each byte.
async fn bomb(ctx: Ctx) -> Outcome {
    let entry = [&indexed(8)[..], &incremental("x-a", &"b".repeat(4000))].concat();
    let again = Frame::new(kind::CONTINUATION, 0, indexed(62).repeat(16_000)).to_be_continued();
    let frames = vec![
        Frame::block(entry).to_be_continued().end_stream(),
        again.clone(),
        again,
        Frame::continuation(&[]),
    ];
    let peer = Peer::after(&ctx, Script::new().request().sends(frames))?;
    peer.fails(peer.get("/first"), TOO_MUCH).await?;
    peer.next().await.map(drop)
}

fn endless_head() -> Script {
    Script::new().request().send(Frame::headers(&[OK]).to_be_continued())
}

/// What has to be answered, without end, by a server that reads no answers: the client stops reading as well, or closes; it does not
/// pile them up.
async fn acknowledgements(ctx: Ctx, frame: Frame) -> Outcome {
    let gate = Gate::new();
    let peer = Peer::after(&ctx, Script::new().request().stop_reading().flood_until(&gate, vec![frame]).abort())?;
    let limited = peer.get("/first").timeout(|t| t.request(Duration::from_secs(1)));
    let endings = [
        ErrorKind::Protocol,
        ErrorKind::TooLarge,
        ErrorKind::Closed,
        ErrorKind::Timeout(TimeoutKind::Request),
    ];
    peer.fails(limited, &endings).await?;
    took_little(&peer)?;
    // A client may wait for ever to say goodbye to a peer that reads nothing.
    gate.open();
    Ok(())
}

async fn accepts_go_aways(ctx: Ctx) -> Outcome {
    let script = Script::new()
        .request()
        .send(Frame::go_away_after(code::NO_ERROR))
        .send(Frame::go_away(1001, code::NO_ERROR))
        .answer("ok");
    let peer = Peer::after(&ctx, script)?;
    match peer.whole(peer.request(Method::GET, "/first")).await {
        Ok(got) => ensure_eq!(got.body, "ok", "body"),
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}"),
    }
    peer.next_is_fresh().await
}
