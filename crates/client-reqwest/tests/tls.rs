//! The core's TLS settings, as rustls enforces them for reqwest.

use client_conformance::servers::{App, Authority, Certificate, Raw, Script, Tls};
use client_core::{Error, ErrorKind, HttpClient, Identity, Phase, RootCerts, Sent, SpkiPin, TlsConfig, TlsVersion};
use client_reqwest::Reqwest;

fn client(tls: TlsConfig) -> HttpClient {
    HttpClient::builder(Reqwest::builder().tls(tls).build()).build().unwrap()
}

async fn refused(tls: TlsConfig, server: &Tls) -> Error {
    let app = App::start_tls(server);
    let error = client(tls).get(app.url("/")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    error
}

async fn accepted(tls: TlsConfig, server: &Tls) {
    let app = App::start_tls(server);
    let response = client(tls).get(app.url("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn danger_is_exactly_what_it_says() {
    let trusted = || Authority::get().trusted();
    let (any_cert, any_host) = (trusted().danger_accept_invalid_certs(true), trusted().danger_accept_invalid_hostnames(true));
    for bad in [
        Certificate::Expired,
        Certificate::SelfSigned,
        Certificate::UnknownAuthority,
        Certificate::WrongHost,
    ] {
        accepted(any_cert.clone(), &Tls::new(bad)).await;
    }
    accepted(any_host.clone(), &Tls::new(Certificate::WrongHost)).await;
    for bad in [Certificate::Expired, Certificate::SelfSigned, Certificate::UnknownAuthority] {
        refused(any_host.clone(), &Tls::new(bad)).await;
    }
    let error = refused(TlsConfig::new(), &Tls::new(Certificate::Good)).await;
    assert_eq!((error.phase(), error.sent()), (Some(Phase::Tls), Sent::Nothing));
}

#[tokio::test]
async fn the_oldest_version() {
    let modern = || Authority::get().trusted().min_version(TlsVersion::Tls13);
    refused(modern(), &Tls::new(Certificate::Good).only_tls12()).await;
    accepted(modern(), &Tls::new(Certificate::Good)).await;
    accepted(Authority::get().trusted(), &Tls::new(Certificate::Good).only_tls12()).await;
}

#[tokio::test]
async fn a_client_certificate() {
    let with = Authority::get().trusted().identity(Authority::get().identity());
    for server in [
        Tls::new(Certificate::Good).only_tls12(),
        Tls::new(Certificate::Good).only_tls13(),
    ] {
        let server = server.wants_client();
        accepted(with.clone(), &server).await;
        // By TLS 1.3 the server refuses after the handshake (RFC 8446 §4.4.2): while we send, or wait.
        refused(Authority::get().trusted(), &server).await;
    }
}

#[tokio::test]
async fn pins() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = Raw::start_tls(&Tls::new(Certificate::Good), [Script::reply("HTTP/1.1 204 No Content\r\n\r\n").repeat()]);
    let trusted = Authority::get().trusted();
    let told = client(trusted.clone().pin(SpkiPin::sha256([7; 32])))
        .get(server.url("/"))
        .send()
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("no key of the certificate chain is pinned"), "{told}");
    // The error tells the server's own key: with it, the same server is accepted.
    let hex = told.split_once("SpkiPin(").unwrap().1.split_once(')').unwrap().0;
    let byte = |index: usize| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
    let own = SpkiPin::sha256(std::array::from_fn(byte));
    let both = trusted.clone().pin(SpkiPin::sha256([7; 32])).pin(own);
    assert_eq!(client(both).get(server.url("/")).send().await.unwrap().status(), 204);
    // A pin replaces no authority.
    let untrusted = TlsConfig::new().roots(RootCerts::only_pem(made.cert.pem())).pin(own);
    assert!(
        client(untrusted)
            .get(server.url("/"))
            .send()
            .await
            .unwrap_err()
            .to_string()
            .contains("unknown authority")
    );
}

#[test]
fn mistakes_surface_when_the_client_is_built() {
    let broken = TlsConfig::new().identity(Identity::from_pem("", ""));
    let error = HttpClient::builder(Reqwest::builder().tls(broken).build()).build().unwrap_err();
    assert_eq!((error.kind(), error.engine()), (ErrorKind::InvalidRequest, Some("reqwest")));
}
