//! Where a file in memory cannot be had: a client's key is not written to a disk, it is refused.

use client_core::{Capability, Error, Identity, Result};

/// There are none.
pub(crate) enum Files {}

impl Files {
    pub(crate) const ARE_POSSIBLE: bool = false;

    /// # Errors
    /// Always: the capability is not declared.
    pub(crate) fn new(_: &Identity) -> Result<Self> {
        Err(Error::unsupported(Capability::ClientIdentity))
    }

    pub(crate) fn chain(&self) -> &str {
        match *self {}
    }

    pub(crate) fn key(&self) -> &str {
        match *self {}
    }
}
