//! A client and a server of HTTP/2 frames: by prior knowledge where the engine can, else over TLS; and the ways in which most cases on
//! HTTP/2 are told.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use client_core::{Capability, Error, ErrorKind, HttpClient, Method, RequestBuilder, Response, Result, Sent, Version};
use futures_util::future::{self, Either};

use super::probe::Whole;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::h2::{Connection, Script, Server};
use crate::servers::{Certificate, Tls};

/// What the connection of the first exchange answers afterwards.
const SAME: &str = "same";
/// What every other connection answers.
const FRESH: &str = "fresh";

/// A client, and the server that it speaks HTTP/2 with.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) ctx: Ctx,
    pub(super) server: Arc<Server>,
    pub(super) client: HttpClient,
}

impl Peer {
    /// A server that follows a script per connection, and the last one on all further ones.
    pub(super) fn start(ctx: &Ctx, scripts: impl IntoIterator<Item = Script>) -> Result<Self, Stop> {
        if ctx.has(Capability::Http2PriorKnowledge)? {
            return Ok(Self {
                ctx: ctx.clone(),
                server: ctx.h2(Server::start(scripts)),
                client: ctx.client()?,
            });
        }
        // An engine without HTTP/2 gets no further than the refusal of it.
        if ctx.has(Capability::Http2)? && !ctx.has(Capability::CustomRoots)? {
            return Err(Stop::skipped(
                "the engine speaks HTTP/2 over TLS only, and cannot be told to trust the suite's authority",
            ));
        }
        Self::start_tls(ctx, scripts)
    }

    /// The same over TLS.
    pub(super) fn start_tls(ctx: &Ctx, scripts: impl IntoIterator<Item = Script>) -> Result<Self, Stop> {
        Ok(Self {
            ctx: ctx.clone(),
            server: ctx.h2(Server::start_tls(&Tls::new(Certificate::Good).alpn(&["h2"]), scripts)),
            client: ctx.client_with(&ctx.trusting())?,
        })
    }

    /// A server whose first connection follows `first`, then answers whatever comes with `same`; all others answer `fresh`.
    pub(super) fn after(ctx: &Ctx, first: Script) -> Result<Self, Stop> {
        Self::start(ctx, [first.followed_by(Script::reply(SAME).repeat()), Script::reply(FRESH).repeat()])
    }

    /// A request by HTTP/2.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.server.url(path)).version(Version::HTTP_2)
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// The first connection.
    pub(super) fn connection(&self) -> Connection {
        self.server.connection(0)
    }

    /// The response, as soon as its head is there.
    pub(super) async fn head(&self, request: RequestBuilder) -> Result<Response, Stop> {
        Ok(self.ctx.wait("the head has arrived", request.send()).await?)
    }

    /// One exchange, to the end of its body.
    pub(super) async fn whole(&self, request: RequestBuilder) -> Result<Whole> {
        self.ctx
            .wait("the whole answer has arrived", async {
                let response = request.send().await?;
                let (status, headers) = (response.status(), response.headers().clone());
                let body = response.bytes().await?;
                Ok(Whole { status, headers, body })
            })
            .await
    }

    /// A GET brings exactly this body.
    pub(super) async fn brings(&self, path: &str, body: impl AsRef<[u8]>) -> Outcome {
        self.answers(self.get(path), body).await
    }

    /// A request brings exactly this body.
    pub(super) async fn answers(&self, request: RequestBuilder, body: impl AsRef<[u8]>) -> Outcome {
        let answer = self.ctx.wait("the answer has arrived", request.send()).await;
        self.ctx.wait("the body has arrived", answer.expect_body(body)).await
    }

    /// A request fails, in its head or its body, as one of these kinds.
    pub(super) async fn fails(&self, request: RequestBuilder, kinds: &[ErrorKind]) -> Result<Error, Stop> {
        let error = match self.whole(request).await {
            Ok(got) => return Err(Stop::failed(format!("it is answered, as {} with {} bytes", got.status, got.body.len()))),
            Err(error) => error,
        };
        ensure!(kinds.contains(&error.kind()), "kind {:?}, expected one of {kinds:?}: {error:?}", error.kind());
        ensure!(
            error.sent() != Sent::Nothing,
            "the server has seen the request, but the error says that nothing was sent: {error:?}"
        );
        Ok(error)
    }

    /// The next exchange is answered, by the connection of the first one or by another: which one.
    pub(super) async fn next(&self) -> Result<&'static str, Stop> {
        let next = self.whole(self.get("/next")).await?;
        [SAME, FRESH].into_iter().find(|answer| next.body == *answer).ok_or_else(|| {
            Stop::failed(format!("the next exchange got {} {:?}", next.status, next.body.escape_ascii().to_string()))
        })
    }

    /// The next exchange is answered by the connection of the first one.
    pub(super) async fn next_is_same(&self) -> Outcome {
        ensure_eq!(self.next().await?, SAME, "the connection of the next exchange");
        Ok(())
    }

    /// The next exchange is answered by another connection.
    pub(super) async fn next_is_fresh(&self) -> Outcome {
        ensure_eq!(self.next().await?, FRESH, "the connection of the next exchange");
        Ok(())
    }

    /// Drives a call until an event, then drops it.
    pub(super) async fn cut(&self, call: impl Future, event: impl Future) -> Outcome {
        let event = self.ctx.wait("the call has come to where it is dropped", event);
        match future::select(Box::pin(call), Box::pin(event)).await {
            Either::Left(_) => Err(Stop::failed("the call is over before it could be dropped")),
            Either::Right(_) => Ok(()),
        }
    }
}

/// After the request, these frames of the server: the response arrives with this body, and the next one on the same connection.
pub(super) async fn accepts(ctx: Ctx, script: Script, body: impl Into<Bytes>) -> Outcome {
    let peer = Peer::after(&ctx, script)?;
    peer.brings("/first", body.into()).await?;
    peer.next_is_same().await
}

/// The response is refused as malformed; its connection may serve on (RFC 9113 §8.1.1: a stream error) or not.
pub(super) async fn refuses(ctx: Ctx, script: Script) -> Outcome {
    let peer = Peer::after(&ctx, script)?;
    peer.fails(peer.get("/first"), &[ErrorKind::Protocol]).await?;
    peer.next().await.map(drop)
}

/// The connection ends with an error of the server's (RFC 9113 §5.4.1), and another one serves on.
pub(super) async fn ends_connection(ctx: Ctx, script: Script) -> Outcome {
    let peer = Peer::after(&ctx, script)?;
    peer.fails(peer.get("/first"), &[ErrorKind::Protocol]).await?;
    ctx.wait("the engine closes the connection", peer.connection().closed_by_client()).await;
    peer.next_is_fresh().await
}

/// What never ends is cut off, before it has cost much.
pub(super) async fn flooded(ctx: Ctx, script: Script, kinds: &[ErrorKind]) -> Outcome {
    let peer = Peer::after(&ctx, script)?;
    peer.fails(peer.get("/first"), kinds).await?;
    took_little(&peer)
}

/// What a hostile server could send was bounded.
pub(super) fn took_little(peer: &Peer) -> Outcome {
    /// More than any window or limit that a peer has, and than the buffers of two sockets, which a kernel may let grow to 32 MiB each.
    const FLOOD: usize = 128 << 20;
    let sent = peer.connection().sent();
    ensure!(sent <= FLOOD, "the engine took {sent} bytes");
    Ok(())
}
