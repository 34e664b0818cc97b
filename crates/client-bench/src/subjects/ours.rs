//! The engines of this project, through `HttpClient` with its default plugins: what an application uses.

use std::marker::PhantomData;
use std::time::Duration;

use client_core::{AnyEngine, Body, HttpClient, HttpTimeout, RequestBuilder, Response, RootCerts, TlsConfig};
use client_hyper::VersionPolicy;

use super::{Answer, Setup, Subject, Url, Version, Worker, blocks};
use crate::Result;

/// An engine, and how it is set up.
pub(crate) trait Engine: Send + Sync + 'static {
    fn engine(setup: &Setup) -> AnyEngine;

    /// The version that each request asks for, where that is how this engine is told it.
    fn asks_for(_: &Setup) -> Option<http::Version> {
        None
    }
}

pub(crate) struct Ours<E> {
    caller: Caller,
    engine: PhantomData<E>,
}

#[derive(Clone)]
pub(crate) struct Caller {
    http: HttpClient,
    version: Option<http::Version>,
}

pub(crate) struct Cio;
pub(crate) struct Hyper;
pub(crate) struct H2;
pub(crate) struct Reqwest;
pub(crate) struct Curl;
pub(crate) struct Ureq;

impl Engine for Cio {
    fn engine(setup: &Setup) -> AnyEngine {
        let builder = client_cio::Cio::builder()
            .max_connections(setup.connections)
            .endpoint(|endpoint| endpoint.max_connections_per_route(setup.connections))
            .tls(trust(setup));
        match setup.pipeline {
            None => builder.build().into(),
            Some(ahead) => builder
                .pipelining(true)
                .endpoint(|endpoint| endpoint.max_connections_per_route(1).pipeline_max_size(ahead))
                .build()
                .into(),
        }
    }
}

impl Engine for Hyper {
    fn engine(setup: &Setup) -> AnyEngine {
        let (version, per_route) = match setup.version {
            Version::Http1 => (VersionPolicy::Automatic, setup.connections),
            Version::Http2 => (VersionPolicy::Http2, 1),
        };
        client_hyper::Hyper::builder()
            .version(version)
            .max_connections(setup.connections)
            .max_connections_per_route(per_route)
            .tls(trust(setup))
            .build()
            .into()
    }
}

impl Engine for H2 {
    fn engine(setup: &Setup) -> AnyEngine {
        client_h2::H2::builder().max_connections_per_route(1).tls(trust(setup)).build().into()
    }
}

impl Engine for Reqwest {
    fn engine(setup: &Setup) -> AnyEngine {
        let version = setup.version;
        client_reqwest::Reqwest::builder()
            .config(move |builder| match version {
                Version::Http1 => builder.http1_only(),
                Version::Http2 => builder.http2_prior_knowledge(),
            })
            .tls(trust(setup))
            .build()
            .into()
    }
}

impl Engine for Curl {
    fn engine(setup: &Setup) -> AnyEngine {
        let connections = match setup.version {
            Version::Http1 => setup.connections,
            Version::Http2 => 1,
        };
        client_curl::Curl::builder()
            .max_connections(connections)
            .max_idle_connections(connections)
            .tls(trust(setup))
            .build()
            .into()
    }

    fn asks_for(setup: &Setup) -> Option<http::Version> {
        (setup.version == Version::Http2).then_some(http::Version::HTTP_2)
    }
}

impl Engine for Ureq {
    fn engine(setup: &Setup) -> AnyEngine {
        client_ureq::Ureq::builder()
            // One makes the exchange, another reads its response.
            .max_threads(2 * setup.connections)
            .max_idle_connections(setup.connections)
            .max_idle_connections_per_host(setup.connections)
            .tls(trust(setup))
            .build()
            .into()
    }
}

fn trust(setup: &Setup) -> TlsConfig {
    TlsConfig::new().roots(RootCerts::only_pem(&setup.root_pem))
}

impl<E: Engine> Subject for Ours<E> {
    type Worker = Caller;

    fn new(setup: &Setup) -> Result<Self> {
        let mut builder = HttpClient::builder(E::engine(setup));
        if setup.timeouts {
            let limit = Duration::from_secs(60);
            builder = builder.install(HttpTimeout::new().request(limit).connect(limit).socket(limit));
        }
        Ok(Self {
            caller: Caller {
                http: builder.build()?,
                version: E::asks_for(setup),
            },
            engine: PhantomData,
        })
    }

    async fn worker(&self, _: &Url) -> Result<Caller> {
        Ok(self.caller.clone())
    }
}

impl Worker for Caller {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        read(self.versioned(self.http.get(&url.text)).send().await?).await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let body = Body::sized_stream(len, blocks::stream(len));
        read(self.versioned(self.http.put(&url.text)).body(body).send().await?).await
    }
}

impl Caller {
    fn versioned(&self, request: RequestBuilder) -> RequestBuilder {
        match self.version {
            None => request,
            Some(version) => request.version(version),
        }
    }
}

async fn read(mut response: Response) -> Result<Answer> {
    let (status, mut bytes) = (response.status().as_u16(), 0);
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len() as u64;
    }
    Ok(Answer { status, bytes })
}
