//! Any runtime or none: the same engine under the smallest executor, under tokio, and under both in turns.

use std::future::{Future as _, poll_fn};
use std::pin::pin;

use client_conformance::servers::App;
use client_core::{Body, HttpClient, Result};
use client_curl::Curl;
use futures::executor::block_on;
use futures::stream;

async fn calls(http: &HttpClient, server: &App) -> Result<()> {
    assert_eq!(http.get(server.url("/")).send().await?.text().await?, "hello");
    let pieces = stream::iter((0..1000).map(|_| Ok::<_, std::io::Error>("0123456789")));
    let echoed = http.post(server.url("/length")).body(Body::stream(pieces)).send().await?;
    assert_eq!(echoed.text().await?, "10000");
    Ok(())
}

#[test]
fn without_a_runtime() -> Result<()> {
    let server = App::start();
    block_on(calls(&HttpClient::new(Curl::new()), &server))
}

#[tokio::test]
async fn under_tokio() -> Result<()> {
    calls(&HttpClient::new(Curl::new()), &App::start()).await
}

#[test]
fn in_turns() -> Result<()> {
    let (server, http) = (App::start(), HttpClient::new(Curl::new()));
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(calls(&http, &server))?;
        block_on(calls(&http, &server))?;
    }
    Ok(())
}

/// What libcurl does on the way to the answer is nothing to wake a task for, unless somebody listens.
#[test]
fn a_task_is_woken_once_for_an_answer() -> Result<()> {
    let (server, http) = (App::start(), HttpClient::new(Curl::new()));
    for _ in 0..3 {
        let (mut call, mut polls) = (pin!(http.get(server.url("/")).send()), 0);
        let answer = block_on(poll_fn(|cx| {
            polls += 1;
            call.as_mut().poll(cx)
        }))?;
        assert_eq!(polls, 2);
        assert_eq!(block_on(answer.text())?, "hello");
    }
    Ok(())
}
