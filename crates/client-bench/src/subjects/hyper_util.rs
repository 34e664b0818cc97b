//! hyper-util's pooled client, with hyper-rustls.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::hyper_conn::read;
use super::{Answer, Setup, Subject, Url, Version, Worker, blocks};
use crate::Result;

type Body = BoxBody<Bytes, std::io::Error>;

#[derive(Clone)]
pub(crate) struct HyperUtil(Client<HttpsConnector<HttpConnector>, Body>);

impl Subject for HyperUtil {
    type Worker = Self;

    fn new(setup: &Setup) -> Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        if setup.timeouts {
            tcp.set_connect_timeout(Some(Duration::from_secs(60)));
        }
        let tls = HttpsConnectorBuilder::new().with_tls_config(setup.rustls.clone()).https_or_http();
        let connector = match setup.version {
            Version::Http1 => tls.enable_http1().wrap_connector(tcp),
            Version::Http2 => tls.enable_http2().wrap_connector(tcp),
        };
        let client = Client::builder(TokioExecutor::new()).http2_only(setup.version == Version::Http2).build(connector);
        Ok(Self(client))
    }

    async fn worker(&self, _: &Url) -> Result<Self> {
        Ok(self.clone())
    }
}

impl Worker for HyperUtil {
    async fn get(&mut self, url: &Url) -> Result<Answer> {
        let body = Empty::new().map_err(|never| match never {}).boxed();
        read(self.0.request(Request::get(url.uri.clone()).body(body)?).await?).await
    }

    async fn put(&mut self, url: &Url, len: u64) -> Result<Answer> {
        let request = Request::put(url.uri.clone()).header("content-length", len);
        read(self.0.request(request.body(blocks::body(len).boxed())?).await?).await
    }
}
