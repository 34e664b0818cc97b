//! The clients under test, behind one small interface: a worker performs one request after another. Each is used as its own documentation
//! shows, with defaults but for what a workload demands of all.

mod blocks;
mod floor;
mod hyper_conn;
mod hyper_util;
mod isahc;
mod ours;
mod raw_h2;
mod reqwest;
mod stream;
pub(crate) mod tools;
mod ureq;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::Result;

pub(crate) use self::floor::Floor;
pub(crate) use self::hyper_conn::HyperConn;
pub(crate) use self::hyper_util::HyperUtil;
pub(crate) use self::isahc::Isahc;
pub(crate) use self::ours::{Cio, Curl, H2, Hyper, Ours, Reqwest as OurReqwest, Ureq as OurUreq};
pub(crate) use self::raw_h2::RawH2;
pub(crate) use self::reqwest::Reqwest;
pub(crate) use self::ureq::Ureq;

/// The unit in which bodies are sent.
const BLOCK: usize = 64 << 10;

/// One client. All workers share it, as the parts of a program share theirs.
pub(crate) trait Subject: Sized + Send + Sync + 'static {
    type Worker: Worker;

    /// Whether its calls block the thread: each worker then has one.
    const BLOCKS: bool = false;

    fn new(setup: &Setup) -> Result<Self>;

    /// A worker; one that has no pool connects here, to where `url` leads.
    fn worker(&self, url: &Url) -> impl Future<Output = Result<Self::Worker>> + Send;
}

/// One place of a workload's concurrency.
pub(crate) trait Worker: Send + 'static {
    /// A GET, with the whole of its response; the content is looked at and dropped.
    fn get(&mut self, url: &Url) -> impl Future<Output = Result<Answer>> + Send;

    /// A PUT of so many bytes, made in blocks while they are sent.
    fn put(&mut self, url: &Url, len: u64) -> impl Future<Output = Result<Answer>> + Send;
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// What a workload demands of a client.
pub(crate) struct Setup {
    pub(crate) version: Version,
    /// Trust in the server's root, without ALPN.
    pub(crate) rustls: rustls::ClientConfig,
    pub(crate) root_pem: String,
    /// All three time limits, long ones.
    pub(crate) timeouts: bool,
    /// On one connection, so many requests ahead.
    pub(crate) pipeline: Option<usize>,
    pub(crate) connections: usize,
}

impl Setup {
    pub(crate) fn new(version: Version, root_pem: &str, connections: usize) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // For the clients that take the process's own.
        let _ = rustls::crypto::CryptoProvider::install_default((*provider).clone());
        let rustls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            version,
            rustls,
            root_pem: root_pem.to_owned(),
            timeouts: false,
            pipeline: None,
            connections,
        })
    }

    /// For clients that connect by themselves: with ALPN for HTTP/2.
    fn connector(&self) -> tokio_rustls::TlsConnector {
        let mut config = self.rustls.clone();
        if self.version == Version::Http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        tokio_rustls::TlsConnector::from(Arc::new(config))
    }
}

/// Where a request goes, as text for the clients that parse it and as its parts for those that do not.
#[derive(Clone, Debug)]
pub(crate) struct Url {
    pub(crate) text: String,
    pub(crate) uri: Uri,
    pub(crate) address: SocketAddr,
    pub(crate) https: bool,
}

impl Url {
    pub(crate) fn new(https: bool, address: SocketAddr, path: &str) -> Result<Self> {
        let text = format!("{}://{address}{path}", if https { "https" } else { "http" });
        Ok(Self {
            uri: text.parse()?,
            text,
            address,
            https,
        })
    }
}
