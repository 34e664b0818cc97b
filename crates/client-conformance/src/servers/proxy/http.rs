//! HTTP proxying, by hand: requests are forwarded whole, one at a time, each on a connection of its own; CONNECT makes a tunnel.

use std::io;
use std::pin::pin;

use futures_util::future::{Either, select};
use http::Uri;
use http::uri::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Client, ProxyPlan, connect};
use crate::servers::received::{ReceivedRequest, head_len, parse, request_len};

pub(super) async fn serve(mut client: Client, plan: &ProxyPlan) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let Some(length) = read_request(&mut client, &mut received).await? else {
            return Ok(());
        };
        let bytes: Vec<u8> = received.drain(..length).collect();
        let request = parse(&bytes).remove(0);
        if !is_admitted(&request, plan) {
            client
                .say(&refusal("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"suite\"\r\n"))
                .await?;
            continue;
        }
        let is_tunnel = request.method == "CONNECT";
        let Some((port, path)) = destination(&request) else {
            client.say(&refusal("400 Bad Request", "")).await?;
            continue;
        };
        let Ok(mut origin) = connect(port).await else {
            client.say(&refusal("502 Bad Gateway", "")).await?;
            continue;
        };
        if is_tunnel {
            client.say(plan.grant.as_deref().unwrap_or(b"HTTP/1.1 200 Connection established\r\n\r\n")).await?;
            return client.tunnel(origin, &received).await;
        }
        let answer = {
            let mut answer = Vec::new();
            let forwarded = rewritten(&bytes, &format!("{} {path} HTTP/1.1\r\nConnection: close\r\n", request.method));
            let exchange = pin!(async {
                origin.write_all(&forwarded).await?;
                origin.read_to_end(&mut answer).await
            });
            // A client that leaves has to be noticed while the origin takes its time.
            match select(exchange, pin!(until_gone(&mut client, &mut received))).await {
                Either::Left((outcome, _)) => outcome?,
                Either::Right(_) => return Ok(()),
            };
            answer
        };
        let status_line = answer.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        client.say(&rewritten(&answer, &String::from_utf8_lossy(status_line))).await?;
    }
}

/// Reads until there is a whole request; its length, or `None` when the client is gone.
async fn read_request(client: &mut Client, received: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(length) = request_len(received) {
            return Ok(Some(length));
        }
        if client.stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

async fn until_gone(client: &mut Client, received: &mut Vec<u8>) {
    while let Ok(1..) = client.stream.read_buf(received).await {}
}

fn is_admitted(request: &ReceivedRequest, plan: &ProxyPlan) -> bool {
    let Some((user, password)) = &plan.credentials else {
        return true;
    };
    request.field("proxy-authorization") == Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
}

/// The port, and the target that the origin is to be asked for.
fn destination(request: &ReceivedRequest) -> Option<(u16, String)> {
    if request.method == "CONNECT" {
        let authority: Authority = request.target.parse().ok()?;
        return Some((authority.port_u16()?, String::new()));
    }
    let uri: Uri = request.target.parse().ok()?;
    let path = uri.path_and_query()?.as_str().to_owned();
    (uri.scheme_str() == Some("http")).then_some((uri.port_u16().unwrap_or(80), path))
}

/// A message with other first lines, and without the fields that are for one connection only (RFC 9110 §7.6.1).
fn rewritten(message: &[u8], first: &str) -> Vec<u8> {
    let Some(head) = head_len(message) else {
        return message.to_vec();
    };
    let is_ours = |line: &&[u8]| {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"connection") || name.to_ascii_lowercase().starts_with(b"proxy-")
    };
    let fields = message[..head].split_inclusive(|&byte| byte == b'\n').skip(1).filter(|line| !is_ours(line));
    [first.as_bytes()].into_iter().chain(fields).chain([&message[head..]]).collect::<Vec<_>>().concat()
}

fn refusal(status: &str, field: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{field}Content-Length: 0\r\n\r\n").into_bytes()
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let quad = |chunk: &[u8]| {
        let bits = chunk.iter().chain([&0; 2]).take(3).fold(0, |bits, &byte| bits << 8 | usize::from(byte));
        let digit = move |at: usize| {
            if at <= chunk.len() {
                ALPHABET[bits >> (18 - 6 * at) & 63].into()
            } else {
                '='
            }
        };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(quad).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_each_length() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[test]
    fn what_is_for_one_connection_is_not_forwarded() {
        let request = b"POST http://h/a HTTP/1.1\r\nHost: h\r\nProxy-Authorization: x\r\nConnection: y\r\nA: b\r\n\r\nbody\r\n";
        assert_eq!(rewritten(request, "POST /a HTTP/1.1\r\n"), b"POST /a HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nbody\r\n");
    }
}
