//! Exchanges with servers.

use client_conformance::servers::{Authority, pattern};
use client_core::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use client_core::{Body, ErrorKind, HttpClient, Redirect, Response, Result, RootCerts, StatusCode, TlsConfig, Version};
use futures_util::future::join_all;
use futures_util::stream;

use super::real_cases;
use crate::real::place::{GZIP, LARGE};
use crate::real::run::Visit;
use crate::real::{Endpoint, Feature, Kind};

real_cases! {
    "origin";
    get [] "A GET is answered, in the version that was agreed upon", serves;
    head [] "HEAD has the length of a body and no body, and the next answer is in step", serves;
    missing [] "404 is a response like any other", serves;
    redirect [] "A redirect that is not to be followed is a response as it came", |at| serves(at) && at.has(Feature::Redirect);
    range [] "A range is answered with 206 and that part", |at| serves(at) && at.has(Feature::Range);
    gzip [] "Content codings are left alone", |at| serves(at) && at.has(Feature::Gzip);
    large [] "Three megabytes arrive whole", serves;
    unknown_length [] "A body without a length arrives whole", |at| serves(at) && at.has(Feature::App);
    post [] "What is posted arrives, and comes back", serves;
    post_large [] "A megabyte is posted and comes back", |at| serves(at) && at.has(Feature::Duplex);
    post_streamed [StreamingUpload] "What is produced piece by piece arrives, and comes back", |at| serves(at) && at.has(Feature::Duplex);
    upload [] "A megabyte is posted, and then answered", |at| serves(at) && at.has(Feature::App);
    upload_streamed [StreamingUpload] "What is produced piece by piece is answered at its end", |at| serves(at) && at.has(Feature::App);
    post_expecting [ExpectContinue] "A server is asked before the body is sent", |at| serves(at) && at.has(Feature::App);
    trailers [ResponseTrailers] "Trailers arrive", |at| serves(at) && at.has(Feature::Trailers);
    reuse [ConnectionReuse] "Twenty calls, one after another, are carried by one connection", serves;
    together [] "Forty calls at a time are all answered, whatever the server allows on a connection", serves;
    large_together [] "Three large bodies at a time arrive whole", serves;
    half_read [] "A body that nobody reads to its end does not spoil the next answer", serves;
    idle_close [] "A connection that the server closed while it was idle is no error", |at| matches!(at.kind, Kind::Hasty | Kind::HastyTls);
    untrusted [] "A certificate of an unknown authority is refused", is_tls;
    wrong_name [] "A certificate for another name is refused", is_tls;
}

fn serves(at: &Endpoint) -> bool {
    matches!(at.kind, Kind::Plain | Kind::PriorKnowledge) || is_tls(at)
}

fn is_tls(at: &Endpoint) -> bool {
    matches!(at.kind, Kind::Tls | Kind::TlsHttp2)
}

/// Status 200, and this body.
async fn expect(response: Result<Response>, body: &[u8]) -> Result<()> {
    let response = response?;
    assert_eq!(response.status(), 200, "status");
    let got = response.bytes().await?;
    // A megabyte in a message helps nobody.
    assert_eq!(got.len(), body.len(), "length of the body");
    assert!(got == body, "the body has the right length and other bytes");
    Ok(())
}

async fn hello(visit: &Visit, client: &HttpClient) -> Result<()> {
    expect(visit.get(client, "/hello").send().await, b"hello").await
}

async fn get(visit: Visit) -> Result<()> {
    let response = visit.get(&visit.client()?, "/hello").send().await?;
    assert_eq!(response.version(), visit.version(), "version");
    expect(Ok(response), b"hello").await
}

async fn head(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    let response = visit.request(&client, "HEAD", "/large").send().await?;
    if let Some(length) = response.headers().get(CONTENT_LENGTH) {
        assert_eq!(length, &LARGE.to_string(), "Content-Length");
    }
    expect(Ok(response), b"").await?;
    hello(&visit, &client).await
}

async fn missing(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    let response = visit.get(&client, "/missing").send().await?;
    assert_eq!(response.status(), 404, "status");
    response.bytes().await?;
    hello(&visit, &client).await
}

async fn redirect(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    let response = visit.get(&client, "/redirect").redirect(Redirect::none()).send().await?;
    assert_eq!(response.status(), 302, "status");
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    assert!(location.is_some_and(|location| location.ends_with("/hello")), "Location: {location:?}");
    response.bytes().await?;
    hello(&visit, &client).await
}

async fn range(visit: Visit) -> Result<()> {
    let response = visit.get(&visit.client()?, "/large").header(RANGE, "bytes=70000-140001").send().await?;
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "status");
    let range = response.headers().get(CONTENT_RANGE).cloned().expect("Content-Range");
    assert_eq!(range, format!("bytes 70000-140001/{LARGE}"), "Content-Range");
    assert!(response.bytes().await? == pattern(LARGE)[70_000..=140_001], "other bytes than the range's");
    Ok(())
}

async fn gzip(visit: Visit) -> Result<()> {
    let response = visit.get(&visit.client()?, "/gzip").header(ACCEPT_ENCODING, "gzip").send().await?;
    assert_eq!(response.headers().get(CONTENT_ENCODING).expect("Content-Encoding"), "gzip");
    expect(Ok(response), GZIP).await
}

async fn large(visit: Visit) -> Result<()> {
    expect(visit.get(&visit.client()?, "/large").send().await, &pattern(LARGE)).await
}

async fn unknown_length(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    let response = visit.get(&client, "/app/chunked/200003").send().await?;
    assert_eq!(response.headers().get(CONTENT_LENGTH), None, "Content-Length");
    expect(Ok(response), &pattern(200_003)).await?;
    hello(&visit, &client).await
}

async fn post(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    for body in ["", "to be echoed"] {
        let sent = visit.request(&client, "POST", "/app/echo").body(body).send();
        expect(sent.await, body.as_bytes()).await?;
    }
    Ok(())
}

async fn post_large(visit: Visit) -> Result<()> {
    let body = pattern(1_000_003);
    let sent = visit.request(&visit.client()?, "POST", "/app/echo").body(body.clone()).send();
    expect(sent.await, &body).await
}

async fn post_streamed(visit: Visit) -> Result<()> {
    let body = pattern(200_003);
    let request = visit.request(&visit.client()?, "POST", "/app/echo").body(piece_by_piece(&body));
    expect(request.send().await, &body).await
}

fn piece_by_piece(body: &[u8]) -> Body {
    let pieces: Vec<_> = body.chunks(7001).map(<[u8]>::to_vec).map(Ok::<_, std::io::Error>).collect();
    Body::stream(stream::iter(pieces))
}

async fn upload(visit: Visit) -> Result<()> {
    let request = visit.request(&visit.client()?, "POST", "/app/length").body(pattern(1_000_003));
    expect(request.send().await, b"1000003").await
}

async fn upload_streamed(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    for size in [200_003, 0] {
        let request = visit.request(&client, "POST", "/app/length").body(piece_by_piece(&pattern(size)));
        expect(request.send().await, size.to_string().as_bytes()).await?;
    }
    Ok(())
}

async fn post_expecting(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    // Not an echo: that would answer before it has read.
    for body in ["to be counted", "and once more"] {
        let request = visit.request(&client, "POST", "/app/length").header("expect", "100-continue").body(body);
        expect(request.send().await, body.len().to_string().as_bytes()).await?;
    }
    Ok(())
}

async fn trailers(visit: Visit) -> Result<()> {
    let request = visit.get(&visit.client()?, "/trailers").header("te", "trailers");
    let request = if visit.version() == Version::HTTP_11 {
        request.header("connection", "te")
    } else {
        request
    };
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    assert_eq!(body, b"hello");
    let trailers = response.trailers().expect("trailers");
    assert_eq!(trailers.get("x-checksum").expect("x-checksum"), "5d41402a");
    Ok(())
}

async fn reuse(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    for _ in 0..20 {
        hello(&visit, &client).await?;
    }
    assert_eq!(visit.relay().counts().accepted, 1, "connections");
    Ok(())
}

async fn together(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    // The first one tells how many there may be on a connection.
    hello(&visit, &client).await?;
    let calls = join_all((0..40).map(|_| hello(&visit, &client))).await;
    calls.into_iter().collect::<Result<()>>()?;
    let accepted = visit.relay().counts().accepted;
    assert!(
        visit.version() != Version::HTTP_2 || accepted <= 5,
        "{accepted} connections for forty streams, ten on each"
    );
    Ok(())
}

async fn large_together(visit: Visit) -> Result<()> {
    let (client, body) = (visit.client()?, pattern(LARGE));
    let call = || async { expect(visit.get(&client, "/large").send().await, &body).await };
    join_all((0..3).map(|_| call())).await.into_iter().collect()
}

async fn half_read(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    for _ in 0..3 {
        let mut response = visit.get(&client, "/large").send().await?;
        assert!(response.chunk().await?.is_some(), "a first piece");
        drop(response);
        hello(&visit, &client).await?;
    }
    Ok(())
}

async fn idle_close(visit: Visit) -> Result<()> {
    let client = visit.client()?;
    for _ in 0..2 {
        hello(&visit, &client).await?;
        visit.relay().until(|counts| counts.open == 0).await;
    }
    hello(&visit, &client).await
}

async fn untrusted(visit: Visit) -> Result<()> {
    let client = visit.client_with(TlsConfig::new().roots(RootCerts::only_pem(Authority::unrelated_pem())))?;
    let error = visit.get(&client, "/hello").send().await.map(drop).expect_err("a certificate of somebody else");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    Ok(())
}

async fn wrong_name(visit: Visit) -> Result<()> {
    let url = format!("https://{}/hello", visit.relay().addr());
    let error = visit.client()?.get(url).send().await.map(drop).expect_err("a certificate for localhost");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    Ok(())
}
