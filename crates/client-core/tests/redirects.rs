//! Redirects end to end: what the second server sees, and what it never sees.

use std::time::Duration;

use client_core::{
    Body, Capability, Engine, ErrorKind, HeaderMap, HeaderValue, HttpClient, Redirect, RequestTarget, Response, Result, Sent,
};
use client_mock::{Mock, Outcome, Recorded, Reply};

/// Sends to `http://a.example/0`, which the replies answer.
fn call(
    replies: impl IntoIterator<Item = Reply>,
    http: impl FnOnce(Mock) -> HttpClient,
    send: fn(HttpClient) -> client_core::RequestBuilder,
) -> (Vec<Recorded>, Result<Response>) {
    let mock = Mock::new();
    replies.into_iter().for_each(|reply| mock.enqueue(reply));
    let answer = mock.run(send(http(mock.clone())).send());
    (mock.requests(), answer)
}

fn plain(mock: Mock) -> HttpClient {
    HttpClient::new(mock)
}

fn urls(requests: &[Recorded]) -> Vec<String> {
    requests.iter().map(|request| request.uri.to_string()).collect()
}

fn stream() -> Body {
    Body::stream(futures::stream::iter(["body"].map(Ok::<_, std::io::Error>)))
}

#[test]
fn the_history_and_the_final_url() {
    let replies = [
        Reply::redirect(302, "1#frag"),
        Reply::redirect(307, "//b.example/2?q"),
        Reply::text("here"),
    ];
    let (requests, answer) = call(replies, plain, |http| http.get("http://a.example/0"));
    let response = answer.unwrap();
    let expected = ["http://a.example/0", "http://a.example/1", "http://b.example/2?q"];
    assert_eq!(urls(&requests), expected);
    assert_eq!((response.status(), response.url().to_string().as_str()), (http::StatusCode::OK, expected[2]));
    let hops: Vec<_> = response
        .redirects()
        .iter()
        .map(|hop| (hop.status.as_u16(), hop.from.to_string(), hop.to.to_string()))
        .collect();
    assert_eq!(
        hops,
        [
            (302, expected[0].to_owned(), expected[1].to_owned()),
            (307, expected[1].to_owned(), expected[2].to_owned()),
        ]
    );
    let (_, direct) = call([Reply::new()], plain, |http| http.get("http://a.example/0"));
    assert!(direct.unwrap().redirects().is_empty());
}

#[test]
fn credentials_are_dropped_for_good() {
    let replies = [
        Reply::redirect(302, "/same"),
        Reply::redirect(302, "http://b.example/"),
        Reply::redirect(302, "http://a.example/home"),
        Reply::new(),
    ];
    let http = |mock| {
        let mut key = HeaderValue::from_static("secret");
        key.set_sensitive(true);
        let builder = HttpClient::builder(mock).default_header("x-api-key", key).default_header("accept", "*/*");
        builder.default_header("proxy-authorization", "p").build().unwrap()
    };
    let (requests, answer) = call(replies, http, |http| {
        http.get("http://a.example/0").bearer_auth("token").header("cookie", "a=b").header("host", "v")
    });
    answer.unwrap();
    let names = |request: &Recorded| {
        let mut names: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let all = "accept authorization cookie host proxy-authorization x-api-key";
    assert_eq!(requests.iter().map(names).collect::<Vec<_>>(), [all, all, "accept", "accept"]);
}

#[test]
fn userinfo_in_a_location_is_never_used() {
    let (requests, answer) = call([Reply::redirect(302, "http://eve:pw@a.example/1"), Reply::new()], plain, |http| {
        http.get("http://a.example/0")
    });
    assert_eq!(answer.unwrap().url(), "http://a.example/1");
    assert!(requests.iter().all(|request| request.header("authorization").is_none()));
    // That of the user's own URL is a credential like any other.
    let replies = [
        Reply::redirect(302, "/1"),
        Reply::redirect(302, "http://b.example/"),
        Reply::new(),
    ];
    let (requests, _) = call(replies, plain, |http| http.get("http://me:pw@a.example/0"));
    let sent: Vec<_> = requests.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, [Some("Basic bWU6cHc="), Some("Basic bWU6cHc="), None]);
}

#[test]
fn a_body_is_sent_again_only_if_it_can_be() {
    for status in [307, 308] {
        for send in [
            |http: HttpClient| http.post("http://a.example/0").body("body"),
            |http: HttpClient| http.post("http://a.example/0").body(Body::reopen(None, stream)),
        ] {
            let (requests, answer) = call([Reply::redirect(status, "/1"), Reply::new()], plain, send);
            answer.unwrap();
            assert!(requests.iter().all(|request| request.method == "POST" && request.body == "body"), "{status}");
            assert_eq!(requests.len(), 2);
        }
        let (requests, answer) =
            call([Reply::redirect(status, "/1")], plain, |http| http.post("http://a.example/0").body(stream()));
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.sent(), requests.len()), (ErrorKind::Redirect, Sent::Answered, 1));
        assert!(error.to_string().contains("a stream that can be sent only once; Body::reopen makes one"), "{error}");
    }
}

#[test]
fn trailers_are_sent_again_with_their_body() {
    let (requests, _) = call([Reply::redirect(307, "/1"), Reply::new()], plain, |http| {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("1"))]);
        http.post("http://a.example/0").body(Body::from("body").with_trailers(trailers))
    });
    assert!(requests.iter().all(|request| request.trailers.as_ref().unwrap()["etag"] == "1"));
}

#[test]
fn see_other_is_a_get_without_a_body() {
    for (method, status, next) in [
        ("POST", 303, "GET"),
        ("PUT", 303, "GET"),
        ("POST", 302, "GET"),
        ("POST", 301, "GET"),
        ("HEAD", 303, "HEAD"),
        ("HEAD", 302, "HEAD"),
    ] {
        let mock = Mock::new();
        mock.enqueue(Reply::redirect(status, "/1"));
        mock.enqueue(Reply::new());
        let http = HttpClient::new(mock.clone());
        let request = http.request(method, "http://a.example/0").header("x-kept", "1").header("content-language", "de");
        let request = if next == "HEAD" {
            request
        } else {
            request.header("content-type", "text/plain").body(stream())
        };
        mock.run(request.send()).unwrap();
        let second = &mock.requests()[1];
        assert_eq!((second.method.as_str(), second.text().as_str()), (next, ""), "{method} {status}");
        assert_eq!(second.header("x-kept"), Some("1"));
        assert_eq!(second.headers.contains_key("content-language"), next == "HEAD");
        assert_eq!(second.header("content-type"), None);
    }
}

#[test]
fn https_never_becomes_http_unasked() {
    let replies = || [Reply::redirect(301, "http://a.example/1"), Reply::new()];
    let (requests, answer) = call(replies(), plain, |http| http.get("https://a.example/0?token=secret"));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), requests.len()), (ErrorKind::Redirect, 1));
    assert_eq!(
        error.to_string(),
        "redirect not followed: 301 leads from https to http (http://a.example/1); Redirect::allow_https_downgrade allows it for \
         https://a.example/0"
    );
    let (requests, answer) = call(replies(), plain, |http| {
        http.get("https://a.example/0").redirect(Redirect::default().allow_https_downgrade(true))
    });
    assert!(answer.is_ok());
    assert_eq!(requests.len(), 2);
}

#[test]
fn a_loop_ends_at_the_limit() {
    for (policy, requests) in [(None, 11), (Some(Redirect::limit(3)), 4), (Some(Redirect::limit(0)), 1)] {
        let mock = Mock::with(|_| Reply::redirect(302, "/0"));
        let http = HttpClient::new(mock.clone());
        let request = http.get("http://a.example/0");
        let request = policy.into_iter().fold(request, client_core::RequestBuilder::redirect);
        let error = mock.run(request.send()).unwrap_err();
        assert_eq!((error.kind(), mock.requests().len()), (ErrorKind::Redirect, requests));
        let limit = format!("more than {} redirects; raise Redirect::limit", requests - 1);
        assert!(error.to_string().contains(&limit), "{error}");
    }
}

#[test]
fn the_requests_policy_replaces_the_clients() {
    let none = |mock| HttpClient::builder(mock).install(Redirect::none()).build().unwrap();
    let (requests, answer) = call([Reply::redirect(302, "/1")], none, |http| http.get("http://a.example/0"));
    let response = answer.unwrap();
    assert_eq!((response.status().as_u16(), requests.len()), (302, 1));
    assert_eq!(response.url(), "http://a.example/0");

    let replies = [Reply::redirect(302, "/1"), Reply::new()];
    let (_, answer) = call(replies, none, |http| http.get("http://a.example/0").redirect(Redirect::limit(1)));
    assert_eq!(answer.unwrap().url(), "http://a.example/1");

    let replies = [Reply::redirect(302, "/1"), Reply::redirect(302, "http://b.example/")];
    let (_, answer) = call(replies, plain, |http| {
        http.get("http://a.example/0")
            .redirect(Redirect::default().only(|hop| hop.from.host() == hop.to.host()))
    });
    let response = answer.unwrap();
    assert_eq!((response.status().as_u16(), response.redirects().len()), (302, 1));
    assert_eq!(response.headers()["location"], "http://b.example/");
}

#[test]
fn what_is_no_redirect_is_returned() {
    for reply in [
        Reply::status(302),
        Reply::redirect(304, "/1"),
        Reply::redirect(300, "/1"),
        Reply::redirect(201, "/1"),
    ] {
        let (requests, answer) = call([reply], plain, |http| http.get("http://a.example/0"));
        assert!(answer.is_ok());
        assert_eq!(requests.len(), 1);
    }
    for location in ["mailto:a@b", "http://", "http://[bad/"] {
        let (_, answer) = call([Reply::redirect(302, location)], plain, |http| http.get("http://a.example/0"));
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
        assert!(error.to_string().contains("invalid Location in 302"), "{error}");
    }
}

#[test]
fn a_redirects_own_body_is_dropped_unread() {
    let replies = [Reply::redirect(302, "/1").chunk("x").stall(), Reply::text("here")];
    let (requests, answer) = call(replies, plain, |http| http.get("http://a.example/0"));
    assert!(answer.is_ok());
    assert_eq!(requests[0].outcome, Outcome::Cancelled);
}

#[test]
fn settings_travel_along_but_the_target_does_not() {
    #[derive(Clone, PartialEq, Debug)]
    struct Setting(u8);
    let (requests, _) = call([Reply::redirect(307, "/1"), Reply::new()], plain, |http| {
        let second = Duration::from_secs(1);
        let request = http.options("http://a.example/0").target(RequestTarget::Asterisk).extension(Setting(7));
        request.version(http::Version::HTTP_2).timeout(|t| t.socket(second).request(second))
    });
    assert_eq!(requests.iter().map(Recorded::target).collect::<Vec<_>>(), [Some(&RequestTarget::Asterisk), None]);
    assert_eq!(requests[1].extensions.get(), Some(&Setting(7)));
    assert_eq!(requests[0].timeouts, requests[1].timeouts);
    assert_eq!(requests[0].version, requests[1].version);
}

#[test]
fn a_redirect_to_what_the_engine_lacks_is_refused_before_it_gets_there() {
    let played = Mock::new().capabilities();
    let mock = Mock::builder().capabilities(played.without(Capability::Tls)).build();
    mock.enqueue(Reply::redirect(301, "https://a.example/1"));
    let error = mock.run(HttpClient::new(mock.clone()).get("http://a.example/0").send()).unwrap_err();
    assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(Capability::Tls)));
    assert_eq!(error.uri().unwrap(), "https://a.example/1");
    assert_eq!(urls(&mock.requests()), ["http://a.example/0"]);
}

/// The order was placed, and only then was nobody home: to repeat it would place it twice.
#[test]
fn a_failure_after_a_redirect_was_answered_before() {
    let order = |http: HttpClient| http.post("http://a.example/0").body("order").timeout(|t| t.request(Duration::from_secs(1)));
    for lost in [Reply::refused(), Reply::new().connect_delay(Duration::from_secs(2))] {
        let (requests, answer) = call([Reply::redirect(303, "http://b.example/"), lost], plain, order);
        assert_eq!(answer.unwrap_err().sent(), Sent::Answered);
        assert_eq!(requests[0].text(), "order");
    }
}

/// RFC 9110 §9.3.6: the tunnel is to the authority that was asked for, or there is none.
#[test]
fn a_tunnel_is_not_redirected() {
    let connect = |http: HttpClient| http.request("CONNECT", "http://a.example/");
    let (requests, answer) = call([Reply::redirect(307, "http://b.example/")], plain, connect);
    assert_eq!(answer.unwrap().status(), 307);
    assert_eq!(requests.len(), 1);
}
