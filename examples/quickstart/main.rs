//! The same six requests through every engine that is built in, to two servers of our own, and a table of what came of them. One server speaks TLS
//! and offers HTTP/2 and HTTP/1.1: which of them was really spoken is in the table.
//!
//! `cargo run --example quickstart`

use std::process::ExitCode;
use std::time::Duration;

use client::{AnyEngine, Body, Error, ErrorKind, HttpClient, Result, TimeoutKind, Version};
use client_conformance::servers::{App, Authority, Certificate, Tls};
use futures_util::stream;
use serde_json::{Value, json};

/// Every engine that is built in, with trust in the authority that has signed our server's certificate.
fn engines() -> Vec<AnyEngine> {
    let tls = || Authority::get().trusted();
    vec![
        client::hyper::Hyper::builder().tls(tls()).build().into(),
        client::cio::Cio::builder().tls(tls()).build().into(),
        client::h2::H2::builder().tls(tls()).build().into(),
        client::reqwest::Reqwest::builder().tls(tls()).build().into(),
        client::curl::Curl::builder().tls(tls()).build().into(),
        client::ureq::Ureq::builder().tls(tls()).build().into(),
    ]
}

#[tokio::main]
async fn main() -> ExitCode {
    let (server, secure) = (App::start(), App::start_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"])));
    println!(
        "servers on {} and {}; the default engine is {}\n",
        server.url("/"),
        secure.url("/"),
        client::default_engine()
    );
    row(
        "engine",
        &[
            "GET http",
            "GET https",
            "JSON POST",
            "streamed upload",
            "redirect",
            "timeout of 50 ms",
        ],
    );
    let (mut ok, mut first) = (true, None);
    for engine in engines() {
        let http = HttpClient::new(engine);
        let outcomes = [
            get(&http, &server).await,
            get(&http, &secure).await,
            post_json(&http, &server).await,
            upload(&http, &server).await,
            redirect(&http, &server).await,
            time_out(&http, &server).await,
        ];
        let cells = outcomes.map(|outcome| match outcome {
            Ok(cell) => cell,
            Err(error) => {
                eprintln!("{}: {error}", http.engine().name());
                ok = false;
                "failed".to_owned()
            }
        });
        row(http.engine().name(), &cells.each_ref().map(String::as_str));
        let same = cells.map(|cell| without_what_may_differ(&cell));
        if *first.get_or_insert_with(|| same.clone()) != same {
            eprintln!("{}: not what the first engine says", http.engine().name());
            ok = false;
        }
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn get(http: &HttpClient, server: &App) -> Result<String> {
    let response = http.get(server.url("/bytes/1000")).send().await?.error_for_status()?;
    let version = match response.version() {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "another version",
    };
    Ok(format!("{} bytes, {version}", response.bytes().await?.len()))
}

async fn post_json(http: &HttpClient, server: &App) -> Result<String> {
    let order = json!({ "pizza": "margherita", "count": 2 });
    let echo: Value = http.post(server.url("/echo")).json(&order).send().await?.json().await?;
    Ok(format!("{} × {}", echo["count"], echo["pizza"].as_str().unwrap_or("?")))
}

async fn upload(http: &HttpClient, server: &App) -> Result<String> {
    let pieces = (0..1000).map(|n| Ok::<_, Error>(format!("line {n:06}\n")));
    let body = Body::stream(stream::iter(pieces));
    let seen = http.put(server.url("/length")).body(body).send().await?.text().await?;
    Ok(format!("{seen} bytes seen"))
}

async fn redirect(http: &HttpClient, server: &App) -> Result<String> {
    let response = http.get(server.url("/redirect/3")).send().await?.error_for_status()?;
    Ok(format!("{} hops to {}", response.redirects().len(), response.url().path()))
}

/// Here it is the error that is right.
async fn time_out(http: &HttpClient, server: &App) -> Result<String> {
    let limit = Duration::from_millis(50);
    let outcome = http.get(server.url("/hang")).timeout(|t| t.request(limit)).send().await;
    match outcome {
        Err(error) if error.kind() == ErrorKind::Timeout(TimeoutKind::Request) => {
            let elapsed = error.elapsed().map_or(Duration::ZERO, |elapsed| elapsed.elapsed);
            Ok(format!("after {} ms", elapsed.as_millis()))
        }
        Err(error) => Err(error),
        Ok(response) => Err(Error::new(ErrorKind::Engine, format!("{} instead of a timeout", response.status()))),
    }
}

/// The version of HTTP is the engine's choice, and how long it took the machine's; all else is the same on every engine.
fn without_what_may_differ(cell: &str) -> String {
    let cell = cell.split(", HTTP/").next().unwrap_or(cell);
    let is_duration = cell.starts_with("after ");
    if is_duration { "after some time".to_owned() } else { cell.to_owned() }
}

fn row(engine: &str, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<20}")).collect();
    println!("{engine:<8} {}", cells.join(" ").trim_end());
}
