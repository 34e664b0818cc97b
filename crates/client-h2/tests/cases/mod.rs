//! What must hold of HTTP/2 on every engine that speaks it, against a server of hand-made frames. One `#[tokio::test]` per case, by [`cases`].

pub(crate) mod body;
pub(crate) mod connections;
pub(crate) mod ending;
mod peer;
pub(crate) mod rules;

use std::future::Future;
use std::time::Duration;

use client_core::{AnyEngine, HttpClient, Response, Result};

pub(crate) use peer::Peer;

/// What a case asks of the engine under test.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) max_connections_per_route: usize,
    pub(crate) socket_timeout: Option<Duration>,
    /// Interval and timeout.
    pub(crate) ping: Option<(Duration, Duration)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections_per_route: 100,
            socket_timeout: None,
            ping: None,
        }
    }
}

/// Makes the engine under test, to speak HTTP/2 by prior knowledge.
pub(crate) type Make = fn(Options) -> AnyEngine;

pub(crate) fn client(make: Make, options: Options) -> HttpClient {
    HttpClient::builder(make(options)).build().unwrap()
}

/// A call on its way, begun at once.
pub(crate) fn call(http: &HttpClient, url: &str) -> tokio::task::JoinHandle<Result<Response>> {
    tokio::spawn(http.get(url).send())
}

pub(crate) async fn text(answer: Result<Response>) -> String {
    answer.unwrap().text().await.unwrap()
}

/// Whoever needs longer hangs.
pub(crate) async fn within<T>(case: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), case).await.expect("it hangs")
}

macro_rules! cases {
    ($($module:ident: $($name:ident)+;)+) => {
        /// A test of each case, for the engine that `$make` makes.
        macro_rules! http2_cases {
            ($make:path) => {
                $(mod $module {$(
                    #[tokio::test]
                    async fn $name() {
                        crate::cases::within(crate::cases::$module::$name($make)).await;
                    }
                )+})+
            };
        }
    };
}

cases! {
    connections: one_dial_for_all capacity_of_many limit_lowered limit_raised limit_of_zero second_runtime closes_in_good_order reused_is_told;
    ending: goaway_drains goaway_idle goaway_with_error refused_is_repeated refused_without_end refused_after_the_body_began other_resets
        dead_peer_is_noticed pong_is_enough eof_in_head eof_in_body socket_timeout_spares_others silent_connection_is_given_up speaks_http1 hangs_up_at_once;
    body: windows_are_large slow_reader_stops_nobody cancelled_call_gives_back upload_keeps_to_the_window full_duplex trailers_both_ways
        early_response_stops_the_upload producer_fails tunnel expect_continue informational length_mismatch;
    rules: no_push push_is_an_error nothing_concerns_the_connection malformed_is_of_the_call too_many_fields too_large_head endless_head empty_data_flood ping_flood_unread
        cancelled_before_the_head;
}
