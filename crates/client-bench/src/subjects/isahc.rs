//! isahc, on its own: libcurl on a thread of its own.

use std::time::Duration;

use futures_util::AsyncReadExt;
use isahc::config::{Configurable, RedirectPolicy, VersionNegotiation};
use isahc::tls::{TlsConfig, TrustStore};
use isahc::{AsyncBody, HttpClient, Request, Response};

use super::{Answer, BLOCK, Setup, Subject, Url, Version, Worker, blocks};
use crate::Result;

#[derive(Clone)]
pub(crate) struct Isahc(HttpClient);

impl Subject for Isahc {
    type Worker = Self;

    fn new(setup: &Setup) -> Result<Self> {
        let roots = TrustStore::builder().certificate_from_pem(&setup.root_pem).build();
        let mut builder = HttpClient::builder()
            .tls_config(TlsConfig::builder().trust_store(roots).build())
            .tcp_nodelay()
            .redirect_policy(RedirectPolicy::Limit(10))
            .connection_cache_size(setup.connections)
            .version_negotiation(match setup.version {
                Version::Http1 => VersionNegotiation::http11(),
                Version::Http2 => VersionNegotiation::http2(),
            });
        if setup.version == Version::Http2 {
            builder = builder.max_connections_per_host(1);
        }
        if setup.timeouts {
            let limit = Duration::from_secs(60);
            builder = builder.timeout(limit).connect_timeout(limit).low_speed_timeout(1, limit);
        }
        Ok(Self(builder.build()?))
    }

    async fn worker(&self, _: &Url) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Worker for Isahc {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        read(self.0.get_async(&url.text).await?).await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let body = AsyncBody::from_reader_sized(blocks::Reader(len), len);
        read(self.0.send_async(Request::put(&url.text).body(body)?).await?).await
    }
}

async fn read(response: Response<AsyncBody>) -> Result<Answer> {
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let most = body.len().and_then(|len| usize::try_from(len).ok()).unwrap_or(BLOCK).min(BLOCK);
    let (mut buffer, mut bytes) = (vec![0; most.max(1)], 0);
    loop {
        match body.read(&mut buffer).await? {
            0 => return Ok(Answer { status, bytes }),
            n => bytes += n as u64,
        }
    }
}
