//! JSON both ways, and its mistakes.

use std::collections::BTreeMap;
use std::error::Error as _;

use client_core::{ErrorKind, HttpClient, Sent};
use client_mock::{Mock, Reply};
use serde::{Deserialize, Serialize};

const URL: &str = "http://h.example/";

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Order {
    item: String,
    count: u32,
}

fn order() -> Order {
    Order {
        item: "pizza".into(),
        count: 2,
    }
}

#[test]
fn a_value_goes_there_and_back() {
    let mock = Mock::with(|request| Reply::new().body(request.body.clone()));
    let http = HttpClient::new(mock.clone());
    let back: Order = mock.run(async { http.post(URL).json(&order()).send().await?.json().await }).unwrap();
    assert_eq!(back, order());
    let request = &mock.requests()[0];
    assert_eq!(request.body, r#"{"item":"pizza","count":2}"#);
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[test]
fn a_content_type_of_the_users_stays() {
    let mock = Mock::with(|_| Reply::new());
    let http = HttpClient::new(mock.clone());
    mock.run(http.patch(URL).header("content-type", "application/merge-patch+json").json(&order()).send())
        .unwrap();
    assert_eq!(
        mock.requests()[0].headers.get_all("content-type").iter().collect::<Vec<_>>(),
        ["application/merge-patch+json"]
    );
}

#[test]
fn a_value_that_is_no_json_surfaces_at_send() {
    let mock = Mock::new();
    let error = mock
        .run(HttpClient::new(mock.clone()).post(URL).json(&BTreeMap::from([(vec![1], 1)])).send())
        .unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::InvalidRequest, Sent::Nothing));
    assert_eq!(error.to_string(), "invalid request: JSON: key must be a string for http://h.example/");
    assert!(error.source().is_some());
    assert!(mock.requests().is_empty());
}

#[test]
fn a_body_that_is_not_the_json_expected() {
    for (body, says) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{\n\"item\": 7}", "invalid type: integer `7`, expected a string at line 2 column 9"),
        (r#"{"item":"a","count":1} x"#, "trailing characters at line 1 column 24"),
        ("<html>", "expected value at line 1 column 1"),
    ] {
        let mock = Mock::new();
        mock.enqueue(Reply::text(body));
        let http = HttpClient::new(mock.clone());
        let error = mock.run(async { http.get(URL).send().await?.json::<Order>().await }).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::Decode, Sent::Answered));
        assert_eq!(error.to_string(), format!("the body is not the JSON expected: {says} for {URL}"));
        assert!(error.source().is_some());
    }
}

#[test]
fn the_limit_holds_for_json() {
    let mock = Mock::with(|_| Reply::new().chunk("[").chunk("1]"));
    let http = HttpClient::new(mock.clone());
    let error = mock
        .run(async { http.get(URL).limits(|l| l.body_bytes(2)).send().await?.json::<Vec<u8>>().await })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
