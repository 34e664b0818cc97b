//! What the pool asks of a route key.
//!
//! Owns the requirements on `K`. A concrete key (origin, proxy, TLS identity, ...) never enters: the pool compares keys
//! and looks no further.

use std::hash::Hash;

/// A value that says which connections are interchangeable: two callers with equal keys may be given the same one.
///
/// A key must hold *everything* that shaped the connection (origin, proxy and its credentials, TLS configuration and
/// identity, version policy). A field forgotten here sends one caller's request over another caller's connection, the
/// most frequent security bug of the field (curl: CVE-2021-22924, CVE-2022-27782, CVE-2023-27535 and a dozen more;
/// requests: CVE-2024-35195). So derive the key from one struct, and derive its `Eq` and `Hash`. What differs from
/// exchange to exchange, such as a timeout, stays out.
///
/// It is hashed at each checkout and cloned once per route, so an `Arc` of the parts is a good key.
pub trait RouteKey: Eq + Hash + Clone {}

impl<K: Eq + Hash + Clone> RouteKey for K {}
