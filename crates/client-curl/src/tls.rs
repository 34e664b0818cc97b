//! The core's TLS settings as libcurl's. What the TLS library behind the linked libcurl cannot do is found out at run time, and refused.
//!
//! What must never enter this file: verification of our own.

use client_core::{Capabilities, Capability, Error, ErrorKind, Result, RootCerts, TlsConfig, TlsVersion};
use curl::Version;
use curl::easy::{Easy2, SslOpt, SslVersion};

use crate::identity::Files;
use crate::transfer::Transfer;

/// Which TLS library libcurl was built with, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Library {
    None,
    /// Reads a client's key from files only; has the platform's verifier.
    Rustls,
    /// OpenSSL and its like: take PEM from memory.
    Other,
}

fn library() -> Library {
    let version = Version::get();
    match version.ssl_version() {
        _ if !version.feature_ssl() => Library::None,
        Some(name) if name.to_ascii_lowercase().contains("rustls") => Library::Rustls,
        _ => Library::Other,
    }
}

/// What is promised.
pub(crate) fn capabilities() -> Capabilities {
    let library = library();
    if library == Library::None {
        return Capabilities::NONE;
    }
    let promised = Capabilities::from(Capability::Tls).with(Capability::CustomRoots);
    match library == Library::Other || Files::ARE_POSSIBLE {
        true => promised.with(Capability::ClientIdentity),
        false => promised,
    }
}

/// Settings that were looked at, and can be applied to each transfer.
pub(crate) struct Tls {
    library: Library,
    config: TlsConfig,
    identity: Option<Files>,
}

impl Tls {
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what libcurl cannot do; [`ErrorKind::InvalidRequest`] for PEM without what it should hold.
    pub(crate) fn new(config: TlsConfig) -> Result<Self> {
        let library = library();
        refuse(&config, library)?;
        if let RootCerts::OnlyPem(pem) = config.get_roots() {
            needs(pem, "CERTIFICATE", "TlsConfig::roots: no certificate in the PEM text")?;
        }
        let mut identity = None;
        if let Some(pair) = config.get_identity() {
            needs(pair.chain_pem(), "CERTIFICATE", "Identity::from_pem: no certificate in the PEM text")?;
            needs(pair.key_pem(), "PRIVATE KEY", "Identity::from_pem: no private key can be read in the PEM text")?;
            if library == Library::Rustls {
                identity = Some(Files::new(pair)?);
            }
        }
        Ok(Self {
            library,
            config,
            identity,
        })
    }

    /// For the server.
    pub(crate) fn apply(&self, easy: &mut Easy2<Transfer>) -> Result<(), curl::Error> {
        if self.library == Library::None {
            return Ok(());
        }
        let config = &self.config;
        easy.ssl_min_max_version(oldest(config), SslVersion::Default)?;
        easy.ssl_verify_peer(!config.accepts_invalid_certs())?;
        easy.ssl_verify_host(!config.accepts_invalid_certs() && !config.accepts_invalid_hostnames())?;
        match config.get_roots() {
            RootCerts::OnlyPem(pem) => easy.ssl_cainfo_blob(pem)?,
            _ => easy.ssl_options(SslOpt::new().native_ca(true))?,
        }
        match (&self.identity, config.get_identity()) {
            (Some(files), _) => {
                easy.ssl_cert(files.chain())?;
                easy.ssl_key(files.key())
            }
            (None, Some(pair)) => {
                easy.ssl_cert_blob(pair.chain_pem())?;
                easy.ssl_key_blob(pair.key_pem())
            }
            (None, None) => Ok(()),
        }
    }

    /// For an `https` proxy.
    pub(crate) fn apply_to_proxy(&self, easy: &mut Easy2<Transfer>) -> Result<(), curl::Error> {
        if self.library == Library::None {
            return Ok(());
        }
        let config = &self.config;
        easy.proxy_ssl_min_max_version(oldest(config), SslVersion::Default)?;
        easy.proxy_ssl_verify_peer(!config.accepts_invalid_certs())?;
        easy.proxy_ssl_verify_host(!config.accepts_invalid_certs() && !config.accepts_invalid_hostnames())?;
        match config.get_roots() {
            RootCerts::OnlyPem(pem) => easy.proxy_ssl_cainfo_blob(pem),
            _ => easy.proxy_ssl_options(SslOpt::new().native_ca(true)),
        }?;
        match (&self.identity, config.get_identity()) {
            (Some(files), _) => {
                easy.proxy_sslcert(files.chain())?;
                easy.proxy_sslkey(files.key())
            }
            (None, Some(pair)) => {
                easy.proxy_sslcert_blob(pair.chain_pem())?;
                easy.proxy_sslkey_blob(pair.key_pem())
            }
            (None, None) => Ok(()),
        }
    }
}

fn oldest(config: &TlsConfig) -> SslVersion {
    match config.get_min_version() {
        TlsVersion::Tls13 => SslVersion::Tlsv13,
        _ => SslVersion::Tlsv12,
    }
}

/// Nothing need be done for a key log: libcurl keeps one wherever the environment names its file.
fn refuse(config: &TlsConfig, library: Library) -> Result<()> {
    if *config == TlsConfig::default() {
        return Ok(());
    }
    let asked = [
        (true, Capability::Tls),
        (matches!(config.get_roots(), RootCerts::OnlyPem(_)), Capability::CustomRoots),
        (config.get_identity().is_some(), Capability::ClientIdentity),
        (!config.pins().is_empty(), Capability::SpkiPins),
    ];
    let capabilities = capabilities();
    if let Some((_, missing)) = asked.into_iter().find(|(asked, one)| *asked && !capabilities.contains(*one)) {
        return Err(Error::unsupported(missing));
    }
    if library == Library::Rustls && config.accepts_invalid_hostnames() && !config.accepts_invalid_certs() {
        let message = "TlsConfig::danger_accept_invalid_hostnames on its own: libcurl's rustls always verifies both, or nothing";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

fn needs(pem: &[u8], what: &str, otherwise: &'static str) -> Result<()> {
    let text = String::from_utf8_lossy(pem);
    let begins = text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(what));
    if begins {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidRequest, otherwise))
    }
}

#[cfg(test)]
mod tests {
    use client_core::{Identity, SpkiPin};

    use super::*;

    #[test]
    fn what_the_linked_libcurl_cannot_do_is_refused_by_name() {
        let refused = |config| Tls::new(config).err().expect("refused");
        assert_eq!(refused(TlsConfig::new().pin(SpkiPin::sha256([0; 32]))).capability(), Some(Capability::SpkiPins));
        if library() == Library::Rustls {
            let names = refused(TlsConfig::new().danger_accept_invalid_hostnames(true));
            assert!(names.to_string().contains("hostnames"), "{names}");
        }
    }

    #[test]
    fn what_is_no_pem_is_refused() {
        let refused = |config| Tls::new(config).err().map(|error| error.kind());
        let missing = Some(if library() == Library::None {
            ErrorKind::Unsupported
        } else {
            ErrorKind::InvalidRequest
        });
        for pem in ["", "no pem"] {
            assert_eq!(refused(TlsConfig::new().roots(RootCerts::only_pem(pem))), missing, "{pem:?}");
            assert_eq!(refused(TlsConfig::new().identity(Identity::from_pem(pem, pem))), missing, "{pem:?}");
        }
        assert_eq!(refused(TlsConfig::new()), None);
    }
}
