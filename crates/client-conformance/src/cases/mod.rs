//! The cases, a file per topic. Each file begins with a table: the name of the case, what it needs, the clause, the statement, and the
//! code that proves it. The tables are all there is: registry, test names and ids come out of them.

use crate::case::Topic;

/// Declares the cases of a topic, and the macro by which [`suite!`](crate::suite) makes a test of each.
macro_rules! cases {
    (
        $topic:ident($ctx:ident): $about:literal;
        $($name:ident [$($need:ident),*] $clause:literal, $says:literal => $run:expr;)+
    ) => {
        pub(crate) const TOPIC: $crate::case::Topic = $crate::case::Topic {
            name: stringify!($topic),
            says: $about,
            cases: &[$($crate::case::Case {
                id: concat!(stringify!($topic), ".", stringify!($name)),
                topic: stringify!($topic),
                needs: client_core::Capabilities::NONE $(.with(client_core::Capability::$need))*,
                clause: $clause,
                says: $says,
                run: |$ctx| Box::pin(async move { $run.await }),
            }),+],
        };
        cases!(@tests ($) $topic $($name)+);
    };
    // A macro that makes a macro cannot write `$`: it gets it as an argument.
    (@tests ($d:tt) $topic:ident $($name:ident)+) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $topic {
            ($d subject:path) => {$(
                #[test]
                fn $name() {
                    $d crate::check($d subject(), concat!(stringify!($topic), ".", stringify!($name)));
                }
            )+};
        }
    };
}

/// Declares the cases of a topic on time limits: every row is a case for each [`limits::Way`] to set the limit. The case
/// `topic.row.of_client` is the test `topic::row::of_client`.
macro_rules! limit_cases {
    (
        $topic:ident($ctx:ident, $way:ident): $about:literal;
        $($name:ident [$($need:ident),*] $clause:literal, $says:literal => $run:expr;)+
    ) => {
        pub(crate) const TOPIC: $crate::case::Topic = $crate::case::Topic {
            name: stringify!($topic),
            says: $about,
            cases: &[$(
                limit_cases!(@case $topic $name [$($need),*] $clause, $says, of_client OfClient "is the client's" => ($ctx, $way) $run),
                limit_cases!(@case $topic $name [$($need),*] $clause, $says, of_request OfRequest "is the request's" => ($ctx, $way) $run),
                limit_cases!(@case $topic $name [$($need),*] $clause, $says, over_client OverClient "is the request's, not the client's" => ($ctx, $way) $run),
                limit_cases!(@case $topic $name [$($need),*] $clause, $says, infinite Infinite "is the client's, and the request has switched it off" => ($ctx, $way) $run),
            )+],
        };
        limit_cases!(@tests ($) $topic $($name)+);
    };
    (
        @case $topic:ident $name:ident [$($need:ident),*] $clause:literal, $says:literal,
        $test:ident $variant:ident $how:literal => ($ctx:ident, $way:ident) $run:expr
    ) => {
        $crate::case::Case {
            id: concat!(stringify!($topic), ".", stringify!($name), ".", stringify!($test)),
            topic: stringify!($topic),
            needs: client_core::Capabilities::NONE $(.with(client_core::Capability::$need))*,
            clause: $clause,
            says: concat!($says, " ", $how),
            run: |$ctx| Box::pin(async move {
                let $way = $crate::cases::limits::Way::$variant;
                $run.await
            }),
        }
    };
    (@tests ($d:tt) $topic:ident $($name:ident)+) => {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $topic {
            ($d($d subject:tt)+) => {$(
                mod $name {
                    #[test]
                    fn of_client() {
                        $d crate::check(super::$d($d subject)+(), concat!(stringify!($topic), ".", stringify!($name), ".of_client"));
                    }
                    #[test]
                    fn of_request() {
                        $d crate::check(super::$d($d subject)+(), concat!(stringify!($topic), ".", stringify!($name), ".of_request"));
                    }
                    #[test]
                    fn over_client() {
                        $d crate::check(super::$d($d subject)+(), concat!(stringify!($topic), ".", stringify!($name), ".over_client"));
                    }
                    #[test]
                    fn infinite() {
                        $d crate::check(super::$d($d subject)+(), concat!(stringify!($topic), ".", stringify!($name), ".infinite"));
                    }
                }
            )+};
        }
    };
}

/// Names the topics once, for the registry and for [`suite!`](crate::suite).
macro_rules! topics {
    (($d:tt) $($topic:ident)+) => {
        /// Every topic.
        pub const TOPICS: &[Topic] = &[$($topic::TOPIC),+];

        /// One visible `#[test]` per case, for the engine of a [`Subject`](crate::Subject): the case `framing.te_with_cl` is the test
        /// `framing::te_with_cl`.
        ///
        /// ```
        /// # use client_conformance::Subject;
        /// # fn my_subject() -> impl Subject { |_: &client_conformance::Settings| None }
        /// client_conformance::suite!(my_subject());
        /// # fn main() {}
        /// ```
        #[macro_export]
        macro_rules! suite {
            ($d subject:expr) => {
                #[cfg(test)]
                fn conformance_subject() -> impl $d crate::Subject {
                    $d subject
                }
                $(
                    #[cfg(test)]
                    mod $topic {
                        $d crate::$topic!(super::conformance_subject);
                    }
                )+
            };
        }
    };
}

mod behind;
mod bodies;
mod cancellation;
mod capabilities;
mod concurrency;
mod differential;
mod errors;
mod expect_continue;
mod framing;
mod http2;
mod http2_abuse;
mod http2_streams;
mod http2_timeouts;
mod lifecycle;
mod limits;
mod methods;
mod peer;
mod probe;
mod proxies;
mod redirects;
mod request_bodies;
mod request_headers;
mod response_heads;
mod reuse;
mod socks;
mod timeout_grid;
mod timeouts;
mod tls;
mod tunnels;
mod unix_sockets;
mod upgrades;

pub(crate) use self::http2_abuse::is_lenient;
pub(crate) use self::probe::OK;
pub(crate) use self::response_heads::are_unwatched;
pub(crate) use self::tunnels::{answers_are_few, status_is_untold};

topics!(($) capabilities differential methods request_headers request_bodies response_heads framing bodies reuse cancellation concurrency redirects errors upgrades expect_continue timeouts timeout_grid tls lifecycle proxies tunnels socks unix_sockets http2 http2_streams http2_abuse http2_timeouts);
