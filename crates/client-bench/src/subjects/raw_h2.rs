//! The h2 crate's own client: HTTP/2 and nothing around it.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, Response};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::{Answer, BLOCK, Setup, Subject, Url, Worker};
use crate::{Error, Result};

/// As `client-h2` sets them: bulk is compared under the same windows.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;

pub(crate) struct RawH2 {
    tls: TlsConnector,
    shared: OnceCell<SendRequest<Bytes>>,
}

pub(crate) struct Handle(SendRequest<Bytes>);

impl Subject for RawH2 {
    type Worker = Handle;

    fn new(setup: &Setup) -> Result<Self> {
        Ok(Self {
            tls: setup.connector(),
            shared: OnceCell::new(),
        })
    }

    async fn worker(&self, url: &Url) -> Result<Handle> {
        let connect = async {
            let stream = Stream::connect(url, &self.tls).await?;
            let mut builder = Builder::new();
            builder
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .enable_push(false);
            let (send, connection) = builder.handshake(stream).await?;
            tokio::spawn(connection);
            Ok::<_, Error>(send)
        };
        Ok(Handle(self.shared.get_or_try_init(|| connect).await?.clone()))
    }
}

impl Worker for Handle {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        let request = Request::get(url.uri.clone()).version(http::Version::HTTP_2).body(())?;
        poll_fn(|cx| self.0.poll_ready(cx)).await?;
        let (response, _) = self.0.send_request(request, true)?;
        read(response.await?).await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let request = Request::put(url.uri.clone())
            .version(http::Version::HTTP_2)
            .header("content-length", len)
            .body(())?;
        poll_fn(|cx| self.0.poll_ready(cx)).await?;
        let (response, mut stream) = self.0.send_request(request, false)?;
        let (block, mut left) = (Bytes::from(vec![b'x'; BLOCK]), len);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            stream.reserve_capacity(wanted);
            while stream.capacity() == 0 {
                poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or("the stream ended")??;
            }
            let part = stream.capacity().min(wanted);
            left -= part as u64;
            stream.send_data(block.slice(..part), left == 0)?;
        }
        read(response.await?).await
    }
}

async fn read(response: Response<h2::RecvStream>) -> Result<Answer> {
    let (status, mut body, mut bytes) = (response.status().as_u16(), response.into_body(), 0);
    while let Some(data) = body.data().await {
        let len = data?.len();
        bytes += len as u64;
        body.flow_control().release_capacity(len)?;
    }
    Ok(Answer { status, bytes })
}
