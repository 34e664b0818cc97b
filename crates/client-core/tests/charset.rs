//! Text by its charset: the WHATWG Encoding Standard, a byte order mark, and what is not known.

use client_core::HttpClient;
use client_mock::{Mock, Reply};

fn text(content_type: Option<&str>, body: &'static [u8]) -> String {
    let mock = Mock::new();
    let reply = content_type.into_iter().fold(Reply::new(), |reply, value| reply.header("content-type", value));
    mock.enqueue(reply.body(body));
    let http = HttpClient::new(mock.clone());
    mock.run(async { http.get("http://h.example/").send().await?.text().await }).unwrap()
}

#[test]
fn the_charset_that_is_named() {
    for (content_type, body, expected) in [
        ("text/plain; charset=utf-8", "grün".as_bytes(), "grün"),
        ("text/plain; charset=iso-8859-1", b"gr\xFCn \x80", "grün €"),
        ("text/plain;charset=ISO-8859-15", b"\xA4", "€"),
        ("text/plain; charset=\"windows-1251\"", b"\xE4\xE0", "да"),
        ("text/html; a=b; CHARSET=Shift_JIS; c=d", b"\x93\xFA\x96\x7B", "日本"),
        ("text/plain; charset=utf-16le", b"h\0i\0", "hi"),
        ("text/plain; charset = gbk", b"\xC4\xE3", "你"),
        ("application/octet-stream", "grün".as_bytes(), "grün"),
    ] {
        assert_eq!(text(Some(content_type), body), expected, "{content_type}");
    }
}

#[test]
fn a_byte_order_mark_decides() {
    for content_type in [None, Some("text/plain"), Some("text/plain; charset=iso-8859-1")] {
        assert_eq!(text(content_type, b"\xEF\xBB\xBFgr\xC3\xBCn"), "grün");
        assert_eq!(text(content_type, b"\xFE\xFF\0h\0i"), "hi");
        assert_eq!(text(content_type, b"\xFF\xFEh\0i\0"), "hi");
    }
}

#[test]
fn what_is_unknown_or_malformed_is_read_as_utf8() {
    for content_type in [
        "text/plain; charset=klingon",
        "text/plain; charset=",
        "text/plain; charset",
        "charset=latin1",
        ";;",
    ] {
        assert_eq!(text(Some(content_type), "grün".as_bytes()), "grün", "{content_type}");
    }
    assert_eq!(text(None, b"gr\xFCn"), "gr\u{FFFD}n");
    assert_eq!(text(Some("text/plain; charset=shift_jis"), b"a\x80"), "a\u{80}");
}
