//! TLS settings as data, the same for every engine, which maps or refuses each.

use std::fmt;
use std::sync::Arc;

/// How `https` servers are verified and how we identify ourselves.
///
/// The default is what a browser does: the platform's trusted roots, the host's name checked, TLS 1.2 or later. Whatever weakens that
/// has `danger` in its name. Two configurations that are equal share connections and sessions; any difference separates them.
///
/// ```
/// use client_core::{Identity, RootCerts, SpkiPin, TlsConfig, TlsVersion};
///
/// # let (ca_pem, chain_pem, key_pem) = ("", "", "");
/// let tls = TlsConfig::new()
///     .roots(RootCerts::only_pem(ca_pem))
///     .identity(Identity::from_pem(chain_pem, key_pem))
///     .min_version(TlsVersion::Tls13)
///     .pin(SpkiPin::sha256([7; 32]));
/// assert!(!format!("{tls:?}").contains("PRIVATE KEY"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct TlsConfig {
    roots: RootCerts,
    identity: Option<Identity>,
    min_version: TlsVersion,
    pins: Vec<SpkiPin>,
    key_log: bool,
    danger_accept_invalid_certs: bool,
    danger_accept_invalid_hostnames: bool,
}

/// Which certificate authorities are trusted.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RootCerts {
    /// Those of the operating system, by its own verifier where it has one.
    #[default]
    Platform,
    /// Those in this PEM text, and no others.
    OnlyPem(Arc<[u8]>),
}

impl RootCerts {
    /// Trusts the certificates in `pem` and no others. A text without any is refused when the client is built.
    pub fn only_pem(pem: impl AsRef<[u8]>) -> Self {
        Self::OnlyPem(pem.as_ref().into())
    }
}

impl fmt::Debug for RootCerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("Platform"),
            Self::OnlyPem(pem) => write!(f, "OnlyPem({} bytes)", pem.len()),
        }
    }
}

/// A client certificate with its private key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    chain_pem: Arc<[u8]>,
    key_pem: Arc<[u8]>,
}

impl Identity {
    /// A certificate chain, the client's own first, and its private key (PKCS #8, PKCS #1 or SEC 1), both as PEM. What cannot be read is
    /// refused when the client is built.
    pub fn from_pem(chain_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        Self {
            chain_pem: chain_pem.as_ref().into(),
            key_pem: key_pem.as_ref().into(),
        }
    }

    /// The chain, as PEM.
    pub fn chain_pem(&self) -> &[u8] {
        &self.chain_pem
    }

    /// The private key, as PEM. A secret.
    pub fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// The SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 §2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpkiPin([u8; 32]);

impl SpkiPin {
    /// A pin by its hash.
    pub const fn sha256(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpkiPin(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl TlsConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which authorities are trusted. Default: [`RootCerts::Platform`].
    pub fn roots(mut self, roots: RootCerts) -> Self {
        self.roots = roots;
        self
    }

    /// A client certificate, for servers that ask for one. Default: none.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The oldest version that is accepted. Default: TLS 1.2.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// One more pin: with any set, a key in the verified chain must match one of them. Default: none.
    pub fn pin(mut self, pin: SpkiPin) -> Self {
        self.pins.push(pin);
        self
    }

    /// Writes session keys to the file that the environment variable `SSLKEYLOGFILE` names, so that a capture can be read. Whoever
    /// has that file can read the traffic. Default: off; the variable alone does nothing.
    pub fn key_log(mut self, on: bool) -> Self {
        self.key_log = on;
        self
    }

    /// Accepts any certificate: expired, self-signed, of an unknown authority. Whoever is between us and the server can then read and
    /// change everything. Default: off.
    pub fn danger_accept_invalid_certs(mut self, on: bool) -> Self {
        self.danger_accept_invalid_certs = on;
        self
    }

    /// Accepts a valid certificate of any host. Default: off.
    pub fn danger_accept_invalid_hostnames(mut self, on: bool) -> Self {
        self.danger_accept_invalid_hostnames = on;
        self
    }

    /// The same for another origin than the one it was given for: without client certificate, and with nothing invalid accepted. What it demands
    /// (roots, pins, version) stays.
    pub fn for_another_origin(self) -> Self {
        Self {
            identity: None,
            danger_accept_invalid_certs: false,
            danger_accept_invalid_hostnames: false,
            ..self
        }
    }

    /// See [`roots`](Self::roots).
    pub fn get_roots(&self) -> &RootCerts {
        &self.roots
    }

    /// See [`identity`](Self::identity).
    pub fn get_identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// See [`min_version`](Self::min_version).
    pub fn get_min_version(&self) -> TlsVersion {
        self.min_version
    }

    /// See [`pin`](Self::pin).
    pub fn pins(&self) -> &[SpkiPin] {
        &self.pins
    }

    /// See [`key_log`](Self::key_log).
    pub fn logs_keys(&self) -> bool {
        self.key_log
    }

    /// See [`danger_accept_invalid_certs`](Self::danger_accept_invalid_certs).
    pub fn accepts_invalid_certs(&self) -> bool {
        self.danger_accept_invalid_certs
    }

    /// See [`danger_accept_invalid_hostnames`](Self::danger_accept_invalid_hostnames).
    pub fn accepts_invalid_hostnames(&self) -> bool {
        self.danger_accept_invalid_hostnames
    }
}
