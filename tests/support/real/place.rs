//! What surrounds one real server: a directory with its files, certificates of the suite's authority, and the suite's own server, which
//! stands behind it where it forwards. What must never enter: the configuration of a particular server.

use std::path::{Path, PathBuf};
use std::{fs, io};

use client_conformance::servers::{App, Authority, Certificate, Tls, pattern};
use tempfile::TempDir;

use super::process::{self, Ports};

/// Who a proxy serves, where it asks.
pub(super) const USER: &str = "proxy-user";
/// What they prove it by.
pub(super) const PASSWORD: &str = "s3cret-of-the-proxy";
/// The host that proxies refuse to serve.
pub(super) const FORBIDDEN: &str = "forbidden.test";
/// How much `/large` is: more than any buffer on the way.
pub(super) const LARGE: usize = 3_000_017;
/// `hello` as gzip: a member (RFC 1952) with one stored block.
pub(super) const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x05\x00\xfa\xffhello\x86\xa6\x10\x36\x05\x00\x00\x00";

/// The surroundings of one server.
pub(super) struct Place {
    directory: TempDir,
    /// The suite's server behind it.
    pub(super) app: App,
    /// The same over TLS, in HTTP/2 or HTTP/1.1; its certificate is for an address, which every proxy resolves alike.
    pub(super) secure_app: App,
}

impl Place {
    pub(super) fn new() -> io::Result<Self> {
        let place = Self {
            directory: process::directory()?,
            app: App::start(),
            secure_app: App::start_tls(&Tls::new(Certificate::IpAddress).alpn(&["h2", "http/1.1"])),
        };
        let (chain, key) = Authority::get().issue_pem(Certificate::Good);
        place.write("chain.pem", &chain)?;
        place.write("key.pem", &key)?;
        place.write("both.pem", chain + &key)?;
        fs::create_dir(place.path("htdocs"))?;
        place.write("htdocs/hello", "hello")?;
        place.write("htdocs/trailers", "hello")?;
        place.write("htdocs/gzip", GZIP)?;
        place.write("htdocs/large", pattern(LARGE))?;
        Ok(place)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Writes a file; where it is.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Writes a file of configuration, in which `@DIR` is the directory, `@APP` the suite's server, and the rest its ports.
    pub(super) fn configuration(&self, name: &str, text: &str, ports: &Ports) -> Result<PathBuf, String> {
        let directory = self.directory().display().to_string();
        let text = text.replace("@DIR", &directory).replace("@APP", &self.app.addr().to_string());
        self.write(name, ports.fill(&text)).map_err(|error| format!("{name}: {error}"))
    }
}
