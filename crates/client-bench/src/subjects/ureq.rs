//! ureq, on its own: one thread per worker.

use std::io::Read;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use super::{Answer, BLOCK, Setup, Subject, Url, Worker, blocks};
use crate::Result;

#[derive(Clone)]
pub(crate) struct Ureq(Agent);

impl Subject for Ureq {
    type Worker = Self;

    const BLOCKS: bool = true;

    fn new(setup: &Setup) -> Result<Self> {
        let root = Certificate::from_pem(setup.root_pem.as_bytes())?;
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        let mut builder = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            // Its defaults, 3 per host among them, would make new connections where all others reuse theirs.
            .max_idle_connections(setup.connections)
            .max_idle_connections_per_host(setup.connections);
        if setup.timeouts {
            let limit = Some(Duration::from_secs(60));
            builder = builder.timeout_global(limit).timeout_connect(limit).timeout_per_read(limit);
        }
        Ok(Self(builder.build().new_agent()))
    }

    async fn worker(&self, _: &Url) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Worker for Ureq {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        read(self.0.get(&url.text).call()?)
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let body = SendBody::from_owned_reader(blocks::Reader(len));
        read(self.0.put(&url.text).header("content-length", len.to_string()).send(body)?)
    }
}

fn read(response: http::Response<ureq::Body>) -> Result<Answer> {
    let status = response.status().as_u16();
    // As much as the answer has, but not more than a block at a time.
    let most = response
        .body()
        .content_length()
        .and_then(|len| usize::try_from(len).ok())
        .unwrap_or(BLOCK)
        .min(BLOCK);
    let (mut body, mut buffer, mut bytes) = (response.into_body(), vec![0; most.max(1)], 0);
    let mut reader = body.as_reader();
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(Answer { status, bytes }),
            n => bytes += n as u64,
        }
    }
}
