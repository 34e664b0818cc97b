//! hyper's bare connection, `hyper::client::conn`: HTTP without a pool.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::{Answer, Setup, Subject, Url, Version, Worker, blocks};
use crate::{Error, Result};

type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) struct HyperConn {
    tls: TlsConnector,
    version: Version,
    /// HTTP/2 has one connection for all.
    shared: OnceCell<http2::SendRequest<Body>>,
}

pub(crate) enum Connection {
    Http1 {
        send: Option<http1::SendRequest<Body>>,
        tls: TlsConnector,
    },
    Http2(http2::SendRequest<Body>),
}

impl Subject for HyperConn {
    type Worker = Connection;

    fn new(setup: &Setup) -> Result<Self> {
        Ok(Self {
            tls: setup.connector(),
            version: setup.version,
            shared: OnceCell::new(),
        })
    }

    async fn worker(&self, url: &Url) -> Result<Connection> {
        if self.version == Version::Http1 {
            return Ok(Connection::Http1 {
                send: Some(connect(url, &self.tls).await?),
                tls: self.tls.clone(),
            });
        }
        let connect = async {
            let stream = Stream::connect(url, &self.tls).await?;
            let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok::<_, Error>(send)
        };
        Ok(Connection::Http2(self.shared.get_or_try_init(|| connect).await?.clone()))
    }
}

async fn connect(url: &Url, tls: &TlsConnector) -> Result<http1::SendRequest<Body>> {
    let stream = Stream::connect(url, tls).await?;
    let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(send)
}

impl Worker for Connection {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        let body = Empty::new().map_err(|never| match never {}).boxed();
        self.send(Request::get(url.uri.clone()), url, body).await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let request = Request::put(url.uri.clone()).header("content-length", len);
        self.send(request, url, blocks::body(len).boxed()).await
    }
}

impl Connection {
    async fn send(&mut self, request: http::request::Builder, url: &Url, body: Body) -> Result<Answer> {
        match self {
            Self::Http1 { send, tls } => {
                // Over HTTP/1.1 the target is the path; the caller names the host.
                let path = url.uri.path_and_query().ok_or("no path")?.as_str();
                let host = url.uri.authority().ok_or("no authority")?.as_str();
                let request = request.uri(path).header("host", host).body(body)?;
                if send.as_ref().is_none_or(|send| send.is_closed()) {
                    *send = Some(connect(url, tls).await?);
                }
                let connection = send.as_mut().ok_or("closed")?;
                connection.ready().await?;
                let response = connection.send_request(request).await?;
                let close = response.headers().get("connection").is_some_and(|value| value == "close");
                let answer = read(response).await?;
                if close {
                    *send = None;
                }
                Ok(answer)
            }
            Self::Http2(send) => {
                send.ready().await?;
                read(send.send_request(request.body(body)?).await?).await
            }
        }
    }
}

pub(super) async fn read(response: Response<Incoming>) -> Result<Answer> {
    let (status, mut body, mut bytes) = (response.status().as_u16(), response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(Answer { status, bytes })
}
