//! Answers to CONNECT that libcurl does understand, though it does not promise all that HTTP allows (`ProxyAnswers`); and what an `https` proxy
//! is sent.

#![cfg(feature = "tls")]

use client_conformance::servers::{App, Authority, Certificate, Proxy, ProxyPlan, Tls};
use client_core::{Error, ErrorKind, HttpClient, Result, Sent};
use client_curl::{Curl, CurlProxy};
use futures::executor::block_on;

fn through(proxy: &Proxy) -> Result<HttpClient> {
    let setting = proxy.setting();
    let mut route = CurlProxy::new(setting.url).tls(setting.tls);
    if let Some((user, password)) = setting.credentials {
        route = route.credentials(user, password);
    }
    HttpClient::builder(Curl::builder().proxy(route).tls(Authority::get().trusted()).build()).build()
}

/// A GET by way of a proxy that answers CONNECT so.
fn granted(answer: &'static str) -> Result<String> {
    let (app, proxy) = (App::start_tls(&Tls::new(Certificate::Good)), ProxyPlan::http().grants(answer).start());
    let http = through(&proxy)?;
    block_on(async { http.get(app.url("/")).send().await?.text().await })
}

#[test]
fn any_success_is_a_tunnel() -> Result<()> {
    assert_eq!(granted("HTTP/1.1 204 No Content\r\n\r\n")?, "hello");
    assert_eq!(granted("HTTP/1.1 299 Odd\r\n\r\n")?, "hello");
    Ok(())
}

#[test]
fn what_follows_the_answer_is_the_tunnels() {
    let error: Error = granted("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Tls, Sent::Nothing), "{error:?}");
}

/// It is asked as if it were the origin, for libcurl to use its connection again; what it sees is what a proxy has to.
#[test]
fn an_https_proxy_is_sent_the_url_and_the_origins_host() -> Result<()> {
    let plan = ProxyPlan::https(&Tls::new(Certificate::Good)).asks("user", "pass:word");
    let (app, proxy) = (App::start(), plan.start());
    let http = through(&proxy)?;
    let url = app.url("/inspect?a%2fb");
    let origin = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    block_on(async {
        for (host, expected) in [(None, origin), (Some("other.test:81"), "other.test:81")] {
            let request = http.post(&*url).body("body");
            let request = host.into_iter().fold(request, |request, host| request.header("host", host));
            let seen = request.send().await?.text().await?;
            assert!(seen.ends_with("\n\nbody"), "{seen}");
            assert!(!seen.contains("proxy-authorization"), "{seen}");
            let at_proxy = proxy.requests().pop().expect("a request at the proxy");
            assert_eq!((&*at_proxy.method, &*at_proxy.target), ("POST", &*url));
            assert_eq!(at_proxy.values("host"), [expected.as_bytes()]);
            assert_eq!(at_proxy.field("proxy-authorization").as_deref(), Some("Basic dXNlcjpwYXNzOndvcmQ="));
        }
        Ok::<_, Error>(())
    })?;
    assert_eq!(proxy.counts().accepted, 1, "connections to the proxy");
    Ok(())
}
