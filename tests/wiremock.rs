//! The same program on every engine, against a server whose expectations are somebody else's (wiremock): what an SDK's author would write.

use client::{AnyEngine, ErrorKind, HttpClient, Redirect};
use wiremock::matchers::{basic_auth, body_json, body_string, header, header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// The engines that speak HTTP/1.1 and send just what they are given.
fn engines() -> Vec<AnyEngine> {
    vec![
        client::hyper::Hyper::new().into(),
        client::cio::Cio::new().into(),
        client::curl::Curl::new().into(),
        client::ureq::Ureq::new().into(),
    ]
}

#[tokio::test]
async fn requests_are_what_was_asked_for() {
    for engine in engines() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/orders/7"))
            .and(query_param("dry-run", "yes & no"))
            .and(basic_auth("user", "pass:word"))
            .and(header("content-type", "application/json"))
            .and(body_json(["margherita"]))
            .respond_with(ResponseTemplate::new(201).set_body_json([1, 2, 3]))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(method("PUT"))
            .and(body_string("a=1&b=%C3%A4+%26"))
            .and(header("content-type", "application/x-www-form-urlencoded"))
            .respond_with(ResponseTemplate::new(204))
            .expect(1)
            .mount(&server)
            .await;
        let http = HttpClient::new(engine);
        let order = http.post(format!("{}/orders/7", server.uri())).query([("dry-run", "yes & no")]);
        let response = order.basic_auth("user", "pass:word").json(&["margherita"]).send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.json::<Vec<u32>>().await.unwrap(), [1, 2, 3]);
        let form = http.put(server.uri()).form([("a", "1"), ("b", "ä &")]).send().await.unwrap();
        assert_eq!(form.status(), 204);
    }
}

#[tokio::test]
async fn nothing_is_sent_that_nobody_asked_for() {
    for engine in engines() {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        HttpClient::new(engine).get(server.uri()).send().await.unwrap();
        let requests = server.received_requests().await.unwrap();
        let names: Vec<_> = requests[0].headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["host"]);
    }
}

/// The bytes at both ends: no secret may be on any request to the second server.
#[tokio::test]
async fn credentials_stay_with_their_origin() {
    for engine in engines() {
        let (first, second) = (MockServer::start().await, MockServer::start().await);
        let target = format!("{}/landing", second.uri());
        Mock::given(header_exists("authorization"))
            .respond_with(move |_: &Request| ResponseTemplate::new(302).insert_header("location", target.as_str()))
            .expect(1)
            .mount(&first)
            .await;
        Mock::given(path("/landing"))
            .respond_with(ResponseTemplate::new(200))
            .expect(1)
            .mount(&second)
            .await;
        let http = HttpClient::new(engine);
        let call = http.get(first.uri()).bearer_auth("secret").header("cookie", "secret").header("x-plain", "kept");
        assert_eq!(call.send().await.unwrap().status(), 200);
        let landed = &second.received_requests().await.unwrap()[0];
        assert!(!format!("{:?}", landed.headers).contains("secret"), "{:?}", landed.headers);
        assert_eq!(landed.headers["x-plain"], "kept");
    }
}

#[tokio::test]
async fn statuses_and_loops() {
    for engine in engines() {
        let server = MockServer::start().await;
        Mock::given(path("/missing")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
        let back = ResponseTemplate::new(302).insert_header("location", "/loop");
        Mock::given(path("/loop")).respond_with(back).expect(12).mount(&server).await;
        let http = HttpClient::new(engine);
        let missing = http.get(format!("{}/missing", server.uri())).send().await.unwrap();
        assert_eq!(missing.error_for_status().unwrap_err().status().unwrap(), 404);
        let loops = http.get(format!("{}/loop", server.uri()));
        let error = loops.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
        assert!(error.to_string().starts_with("redirect not followed: more than 10 redirects"), "{error}");
        let stays = http.get(format!("{}/loop", server.uri())).redirect(Redirect::none());
        assert_eq!(stays.send().await.unwrap().status(), 302);
    }
}
