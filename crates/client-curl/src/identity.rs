//! A client's certificate and key for a TLS library that reads nothing but files: in memory, under a name that only this process can use,
//! so that a key never comes to a disk.
//!
//! What must never enter this file: libcurl.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use client_core::{Error, ErrorKind, Identity, Result};
use rustix::fs::{MemfdFlags, memfd_create};

/// See the file's head. They are gone when this is dropped.
pub(crate) struct Files {
    chain: Named,
    key: Named,
}

struct Named {
    path: String,
    _file: File,
}

impl Files {
    pub(crate) const ARE_POSSIBLE: bool = true;

    /// # Errors
    /// [`ErrorKind::Engine`] if the system has no memory or descriptors to spare.
    pub(crate) fn new(identity: &Identity) -> Result<Self> {
        let failed = |error: io::Error| Error::new(ErrorKind::Engine, "no room for the client's certificate").with_source(error);
        Ok(Self {
            chain: Named::new("client-curl-chain", identity.chain_pem()).map_err(failed)?,
            key: Named::new("client-curl-key", identity.key_pem()).map_err(failed)?,
        })
    }

    pub(crate) fn chain(&self) -> &str {
        &self.chain.path
    }

    pub(crate) fn key(&self) -> &str {
        &self.key.path
    }
}

impl Named {
    fn new(name: &str, content: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        file.write_all(content)?;
        Ok(Self {
            path: format!("/proc/self/fd/{}", file.as_raw_fd()),
            _file: file,
        })
    }
}
