//! reqwest, on its own.

use std::time::Duration;

use super::{Answer, Setup, Subject, Url, Version, Worker, blocks};
use crate::Result;

#[derive(Clone)]
pub(crate) struct Reqwest(reqwest::Client);

impl Subject for Reqwest {
    type Worker = Self;

    fn new(setup: &Setup) -> Result<Self> {
        let root = reqwest::Certificate::from_pem(setup.root_pem.as_bytes())?;
        let mut builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        builder = match setup.version {
            Version::Http1 => builder.http1_only(),
            Version::Http2 => builder.http2_prior_knowledge(),
        };
        if setup.timeouts {
            let limit = Duration::from_secs(60);
            builder = builder.timeout(limit).connect_timeout(limit).read_timeout(limit);
        }
        Ok(Self(builder.build()?))
    }

    async fn worker(&self, _: &Url) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Worker for Reqwest {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        read(self.0.get(&url.text).send().await?).await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let body = reqwest::Body::wrap_stream(blocks::stream(len));
        read(self.0.put(&url.text).header("content-length", len).body(body).send().await?).await
    }
}

async fn read(mut response: reqwest::Response) -> Result<Answer> {
    let (status, mut bytes) = (response.status().as_u16(), 0);
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len() as u64;
    }
    Ok(Answer { status, bytes })
}
