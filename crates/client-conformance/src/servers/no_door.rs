//! A system without Unix domain sockets: no engine declares them here, and no case asks for one.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::ledger::{Counts, Ledger};

/// A socket file that leads to a server: there is none.
pub struct Door {
    ledger: Ledger,
}

impl Door {
    /// A door to the server that listens at `server`.
    ///
    /// # Errors
    /// Always.
    pub fn to(_: SocketAddr) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        Path::new("")
    }

    /// How many connections there were and are.
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
