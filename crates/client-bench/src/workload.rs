//! The workloads: what all clients are made to do, and which of them take part.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::subject::SubjectName::{self, *};
use crate::subjects::Version;

/// One workload.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What it is, in a sentence.
    pub(crate) about: &'static str,
    pub(crate) version: Version,
    pub(crate) tls: bool,
    pub(crate) kind: Kind,
    pub(crate) server: Server,
    pub(crate) subjects: &'static [SubjectName],
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// Ours, which has its answers ready.
    Canned,
    /// nginx, where it is installed.
    Nginx,
}

/// How it is driven and measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many workers ask for the same small thing, each as soon as it has its answer.
    Closed { workers: usize, path: &'static str, with: With },
    /// One large body.
    Transfer(Direction),
    /// Connections and requests that only wait.
    Memory,
    /// One request after another, counted instead of timed.
    Counts,
    /// A program made of the engine and nothing else, compiled.
    Build { features: Features },
}

/// What a program is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    Default,
    /// As little as there can be: no TLS.
    Fewest,
}

/// What is asked of the clients beyond their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Defaults,
    /// All time limits set.
    Timeouts,
    /// One connection, and so many requests on it ahead of their answers.
    Pipeline(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Direction {
    Fixed,
    Chunked,
    Upload,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Chunked => "chunked",
            Self::Upload => "upload",
        })
    }
}

const HTTP1: &[SubjectName] = &[
    Floor,
    Wrk,
    HyperConn,
    HyperUtil,
    Reqwest,
    Ureq,
    Isahc,
    Cio,
    Hyper,
    ClientReqwest,
    ClientCurl,
    ClientUreq,
];
/// Without the load generators, which can do nothing else.
const HTTP1_LIBRARIES: &[SubjectName] = &[
    Floor,
    HyperConn,
    HyperUtil,
    Reqwest,
    Ureq,
    Isahc,
    Cio,
    Hyper,
    ClientReqwest,
    ClientCurl,
    ClientUreq,
];
/// Those that follow redirects.
const FOLLOWING: &[SubjectName] = &[Reqwest, Ureq, Isahc, Cio, Hyper, ClientReqwest, ClientCurl, ClientUreq];
const PIPELINING: &[SubjectName] = &[Floor, Cio];
const HTTP2: &[SubjectName] = &[
    RawH2,
    H2load,
    HyperConn,
    HyperUtil,
    Reqwest,
    Isahc,
    H2,
    Hyper,
    ClientReqwest,
    ClientCurl,
];
const HTTP2_LIBRARIES: &[SubjectName] = &[
    RawH2,
    HyperConn,
    HyperUtil,
    Reqwest,
    Isahc,
    H2,
    Hyper,
    ClientReqwest,
    ClientCurl,
];
/// Not ureq, for a thread for each waiting request is a different thing; nor those of libcurl, for isahc stops at about a thousand connections.
const WAITING: &[SubjectName] = &[Floor, HyperConn, HyperUtil, Reqwest, Cio, Hyper, ClientReqwest];
const BUILT: &[SubjectName] = &[Reqwest, Ureq, Isahc, Cio, Hyper, H2, ClientReqwest, ClientCurl, ClientUreq];
const BUILT_PLAIN: &[SubjectName] = &[Reqwest, Ureq, Cio, Hyper, ClientReqwest, ClientUreq];

/// HTTP/1.1 without TLS; the rest of a workload is said after it.
const PLAIN: Workload = Workload {
    name: "",
    about: "",
    version: Version::Http1,
    tls: false,
    kind: Kind::Memory,
    server: Server::Canned,
    subjects: HTTP1,
};

const fn small(workers: usize) -> Kind {
    Kind::Closed {
        workers,
        path: "/small",
        with: With::Defaults,
    }
}

/// All of them, in the order in which they run.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "get-1",
        about: "Small GETs on one kept connection",
        kind: small(1),
        ..PLAIN
    },
    Workload {
        name: "get-16",
        about: "Small GETs on 16 kept connections",
        kind: small(16),
        ..PLAIN
    },
    Workload {
        name: "get-64",
        about: "Small GETs on 64 kept connections",
        kind: small(64),
        ..PLAIN
    },
    Workload {
        name: "get-256",
        about: "Small GETs on 256 kept connections",
        kind: small(256),
        ..PLAIN
    },
    Workload {
        name: "tls-1",
        about: "Small GETs on one kept TLS 1.3 connection",
        kind: small(1),
        tls: true,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "tls-16",
        about: "Small GETs on 16 kept TLS 1.3 connections",
        kind: small(16),
        tls: true,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "tls-64",
        about: "Small GETs on 64 kept TLS 1.3 connections",
        kind: small(64),
        tls: true,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "tls-256",
        about: "Small GETs on 256 kept TLS 1.3 connections",
        kind: small(256),
        tls: true,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "connect",
        about: "A new connection for each small GET, 16 at a time; the server closes it",
        kind: Kind::Closed {
            workers: 16,
            path: "/close",
            with: With::Defaults,
        },
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "connect-tls",
        about: "A new TLS 1.3 connection for each small GET, 16 at a time, sessions resumed where the client does",
        kind: Kind::Closed {
            workers: 16,
            path: "/close",
            with: With::Defaults,
        },
        tls: true,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "timeouts",
        about: "Small GETs on 64 kept connections, with all time limits set",
        kind: Kind::Closed {
            workers: 64,
            path: "/small",
            with: With::Timeouts,
        },
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "redirect",
        about: "Small GETs on 64 kept connections, each redirected once",
        kind: Kind::Closed {
            workers: 64,
            path: "/redirect",
            with: With::Defaults,
        },
        subjects: FOLLOWING,
        ..PLAIN
    },
    Workload {
        name: "pipelined",
        about: "Small GETs on one kept connection, 16 ahead of their answers",
        kind: Kind::Closed {
            workers: 16,
            path: "/small",
            with: With::Pipeline(16),
        },
        subjects: PIPELINING,
        ..PLAIN
    },
    Workload {
        name: "h2c-1",
        about: "Small GETs on one HTTP/2 connection without TLS, one at a time",
        kind: small(1),
        version: Version::Http2,
        subjects: HTTP2,
        ..PLAIN
    },
    Workload {
        name: "h2c-100",
        about: "Small GETs on one HTTP/2 connection without TLS, 100 at a time",
        kind: small(100),
        version: Version::Http2,
        subjects: HTTP2,
        ..PLAIN
    },
    Workload {
        name: "h2-1",
        about: "Small GETs on one HTTP/2 connection over TLS 1.3, one at a time",
        kind: small(1),
        version: Version::Http2,
        tls: true,
        subjects: HTTP2,
        ..PLAIN
    },
    Workload {
        name: "h2-100",
        about: "Small GETs on one HTTP/2 connection over TLS 1.3, 100 at a time",
        kind: small(100),
        version: Version::Http2,
        tls: true,
        subjects: HTTP2,
        ..PLAIN
    },
    Workload {
        name: "nginx-64",
        about: "Small GETs on 64 kept connections to nginx",
        kind: small(64),
        server: Server::Nginx,
        ..PLAIN
    },
    Workload {
        name: "nginx-h2c-100",
        about: "Small GETs on one HTTP/2 connection to nginx without TLS, 100 at a time",
        kind: small(100),
        version: Version::Http2,
        server: Server::Nginx,
        subjects: HTTP2,
        ..PLAIN
    },
    Workload {
        name: "download",
        about: "1 GiB down, of known length",
        kind: Kind::Transfer(Direction::Fixed),
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "download-chunked",
        about: "1 GiB down, in chunks of 16 KiB",
        kind: Kind::Transfer(Direction::Chunked),
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "download-tls",
        about: "1 GiB down over TLS 1.3",
        kind: Kind::Transfer(Direction::Fixed),
        tls: true,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "download-h2",
        about: "1 GiB down by HTTP/2 over TLS 1.3",
        kind: Kind::Transfer(Direction::Fixed),
        version: Version::Http2,
        tls: true,
        subjects: HTTP2_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "upload",
        about: "256 MiB up, made while it is sent",
        kind: Kind::Transfer(Direction::Upload),
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "memory",
        about: "5,000 idle connections; 5,000 requests in flight",
        kind: Kind::Memory,
        subjects: WAITING,
        ..PLAIN
    },
    Workload {
        name: "counts",
        about: "What one warm GET costs, counted",
        kind: Kind::Counts,
        subjects: HTTP1_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "counts-h2",
        about: "What one warm GET by HTTP/2 costs, counted",
        kind: Kind::Counts,
        version: Version::Http2,
        subjects: HTTP2_LIBRARIES,
        ..PLAIN
    },
    Workload {
        name: "build",
        about: "A program that gets and prints, compiled from nothing in release mode",
        kind: Kind::Build {
            features: Features::Default,
        },
        subjects: BUILT,
        ..PLAIN
    },
    Workload {
        name: "build-plain",
        about: "The same without default features: no TLS",
        kind: Kind::Build {
            features: Features::Fewest,
        },
        subjects: BUILT_PLAIN,
        ..PLAIN
    },
];

impl Workload {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// Whose time the others' is held against: the least that the protocol allows.
    pub(crate) fn base(&self) -> SubjectName {
        match self.version {
            Version::Http1 => Floor,
            Version::Http2 => RawH2,
        }
    }
}
