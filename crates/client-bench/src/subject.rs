//! The names of the clients, and what is said of each.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SubjectName {
    /// A hand-written loop over httparse
    Floor,
    /// The h2 crate's own client
    RawH2,
    /// wrk, in C
    Wrk,
    /// h2load, in C
    H2load,
    /// hyper's bare connection
    HyperConn,
    /// hyper-util's pooled client
    HyperUtil,
    /// reqwest
    Reqwest,
    /// ureq
    Ureq,
    /// isahc: libcurl
    Isahc,
    /// Ours: cio
    Cio,
    /// Ours: hyper
    Hyper,
    /// Ours: h2
    H2,
    /// Ours: reqwest
    ClientReqwest,
    /// Ours: libcurl
    ClientCurl,
    /// Ours: ureq
    ClientUreq,
}

impl SubjectName {
    /// As it is called in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::RawH2 => "h2 crate",
            Self::Wrk => "wrk (C)",
            Self::H2load => "h2load (C)",
            Self::HyperConn => "hyper connection",
            Self::HyperUtil => "hyper-util",
            Self::Reqwest => "reqwest",
            Self::Ureq => "ureq",
            Self::Isahc => "isahc",
            Self::Cio => "client-cio",
            Self::Hyper => "client-hyper",
            Self::H2 => "client-h2",
            Self::ClientReqwest => "client-reqwest",
            Self::ClientCurl => "client-curl",
            Self::ClientUreq => "client-ureq",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        self.title().starts_with("client-")
    }

    /// The library that an engine of ours is made of.
    pub(crate) fn bare(self) -> Option<Self> {
        match self {
            Self::Hyper => Some(Self::HyperConn),
            Self::H2 => Some(Self::RawH2),
            Self::ClientReqwest => Some(Self::Reqwest),
            // The other client that is made of libcurl.
            Self::ClientCurl => Some(Self::Isahc),
            Self::ClientUreq => Some(Self::Ureq),
            _ => None,
        }
    }

    /// The program that has to be installed.
    pub(crate) fn program(self) -> Option<&'static str> {
        match self {
            Self::Wrk => Some("wrk"),
            Self::H2load => Some("h2load"),
            _ => None,
        }
    }
}
