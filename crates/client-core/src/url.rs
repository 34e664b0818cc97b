//! URLs: parsed once, at the door, by the WHATWG rules; from there on an [`http::Uri`] that is sent as it is.
//!
//! What was checked is what is sent: `Location` is resolved by the same parser, and nothing parses a URL again.

mod plain;

use std::borrow::Cow;
use std::fmt;

use ::url::Url;
use http::Uri;
use http::uri::Authority;

use crate::error::{Error, Result};

/// What can be asked for: a string, a [`url::Url`](::url::Url), or a [`Uri`].
///
/// Strings are parsed by the [WHATWG URL Standard](https://url.spec.whatwg.org/): `https://bücher.example/straße?q=ä b` works as in a
/// browser. A fragment is removed, as it is never sent (RFC 9110 §7.1); userinfo becomes a Basic `Authorization`, unless the request
/// has one of its own.
pub trait IntoUrl: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        fn into_door(self) -> crate::Result<super::Door>;
    }
}

/// A URL that has passed the door.
#[derive(Debug, PartialEq, Eq)]
pub struct Door {
    /// Absolute, `http` or `https`, with a host, without userinfo and fragment.
    pub(crate) uri: Uri,
    /// Name and password, percent-decoded.
    pub(crate) userinfo: Option<Userinfo>,
}

#[derive(PartialEq, Eq)]
pub(crate) struct Userinfo {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Userinfo(***)")
    }
}

macro_rules! into_url {
    ($($type:ty, $this:ident => $parse:expr;)+) => {$(
        impl IntoUrl for $type {}
        impl sealed::Sealed for $type {
            fn into_door($this) -> Result<Door> {
                $parse
            }
        }
    )+};
}

into_url! {
    &str, self => parse(self);
    String, self => parse(&self);
    &String, self => parse(self);
    Url, self => admit(self);
    &Url, self => admit(self.clone());
    Uri, self => parse(&self.to_string());
    &Uri, self => parse(&self.to_string());
}

/// Parses what the user wrote.
pub(crate) fn parse(text: &str) -> Result<Door> {
    if plain::is_plain(text)
        && let Ok(uri) = Uri::from_maybe_shared(plain::copy(text))
    {
        return Ok(Door { uri, userinfo: None });
    }
    let url = Url::parse(text).map_err(|error| {
        let hint = match error {
            ::url::ParseError::RelativeUrlWithoutBase => "; an absolute URL is needed, such as https://example.org/path",
            _ => "",
        };
        Error::invalid(format!("invalid URL \"{}\": {error}{hint}", Redacted(text))).with_source(error)
    })?;
    admit(url)
}

/// Resolves a reference against the URI it was found at (RFC 3986 §5, by the WHATWG parser). Userinfo in it is dropped.
pub(crate) fn resolve(base: &Uri, reference: &str) -> Result<Uri> {
    let base = Url::parse(&base.to_string()).map_err(|error| Error::invalid(error.to_string()))?;
    let url = base
        .join(&two_slashes(reference))
        .map_err(|error| Error::invalid(format!("\"{}\": {error}", Redacted(reference))).with_source(error))?;
    admit(url).map(|door| door.uri)
}

/// "Special authority ignore slashes state": of a reference to an http URL that begins with two slashes or more, those beyond the second mean
/// nothing. The parser does so where there is a scheme, and finds no host where there is none.
fn two_slashes(reference: &str) -> Cow<'_, str> {
    // What the parser removes before it looks.
    let reference = reference.trim_start_matches(|c: char| c <= ' ');
    let rest = reference.trim_start_matches(['/', '\\', '\t', '\n', '\r']);
    let slashes = reference[..reference.len() - rest.len()].matches(['/', '\\']).count();
    if slashes > 2 { format!("//{rest}").into() } else { reference.into() }
}

fn admit(mut url: Url) -> Result<Door> {
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme();
        // "localhost:8080" is, by the rules, a URL of scheme "localhost".
        let hint = if url.cannot_be_a_base() {
            "; a URL begins with http:// or https://"
        } else {
            ""
        };
        return Err(Error::invalid(format!(
            "unsupported scheme \"{scheme}\" in \"{}\": use http or https{hint}",
            Redacted(url.as_str())
        )));
    }
    let userinfo = take_userinfo(&mut url);
    let fragment = url.fragment().map_or(0, |fragment| fragment.len() + 1);
    let mut text = String::from(url);
    text.truncate(text.len() - fragment);
    let len = text.len();
    match Uri::from_maybe_shared(bytes::Bytes::from(text)) {
        Ok(uri) => Ok(Door { uri, userinfo }),
        // The WHATWG parser lets a few characters pass in a host that RFC 3986 does not: they cannot go into a request.
        Err(error) => Err(Error::invalid(format!("the URL cannot be sent: {error} (it has {len} bytes)")).with_source(error)),
    }
}

fn take_userinfo(url: &mut Url) -> Option<Userinfo> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect();
    let userinfo = Userinfo {
        user: decode(url.username()),
        password: decode(url.password().unwrap_or("")),
    };
    // These fail only for URLs that cannot have userinfo; this one has it.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(userinfo)
}

/// Scheme, host and port, compared as RFC 6454 §5 does: the bounds that credentials never cross.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    fn parts(uri: &Uri) -> (Option<&str>, Option<&str>, Option<u16>) {
        let default = match uri.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        };
        (uri.scheme_str(), uri.host(), uri.port_u16().or(default))
    }
    // Hosts come out of the door in lower case.
    parts(a) == parts(b)
}

/// The URI without userinfo, should it have passed in through another door.
pub(crate) fn without_userinfo(uri: &Uri) -> Uri {
    let Some((_, host)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return uri.clone();
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = host.parse::<Authority>().ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// A URI as shown to people: without userinfo, and without its query, which may hold tokens.
pub(crate) fn display(uri: &Uri) -> impl fmt::Display + '_ {
    struct Display<'a>(&'a Uri);
    impl fmt::Display for Display<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            if let Some(scheme) = self.0.scheme_str() {
                write!(f, "{scheme}://")?;
            }
            let authority = self.0.authority().map_or("", Authority::as_str);
            write!(f, "{}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
            f.write_str(self.0.path())
        }
    }
    Display(uri)
}

/// Text that may be a URL, safe to show: no userinfo, no query, no control characters, bounded.
struct Redacted<'a>(&'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_at(scheme_len(self.0));
        // Not only in the authority: that ends at the first `/`, `?` or `#`, also where it stands unencoded in a password.
        let (mask, rest) = match rest.rsplit_once('@') {
            None => ("", rest),
            Some((userinfo, _)) if userinfo.contains(['?', '#']) => ("***", ""),
            Some((_, rest)) => ("***@", rest),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or("");
        let shown: String = format!("{scheme}{mask}{rest}").chars().take(200).collect();
        write!(f, "{}", shown.escape_debug())
    }
}

/// The scheme and its slashes, of any number and kind, as the WHATWG parser takes them. `user:password@host` has none.
fn scheme_len(text: &str) -> usize {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with(['/', '\\']) => {
            text.len() - rest.trim_start_matches(['/', '\\']).len()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text).map(|door| door.uri.to_string()).unwrap(), expected, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), format!("invalid request: {expected}"), "{text}");
    }

    #[test]
    fn what_users_write() {
        check("http://example.org", "http://example.org/");
        check("https://bücher.example/straße?q=ä b", "https://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%A4%20b");
        check("HTTP://EXAMPLE.org:80/A/../b/%7e?#frag", "http://example.org/b/%7e?");
        check("http://[::1]:8080/", "http://[::1]:8080/");
        check("http://0x7f.1/", "http://127.0.0.1/");
        // The authority ends at the backslash: what comes after is no host.
        check(r"https://good.example:443\@evil.example/", "https://good.example/@evil.example/");
    }

    #[test]
    fn nothing_is_encoded_again() {
        for path in [
            "/a;b=c,d:e@f!$&'()*+/%2F%2f/x",
            "/?a=1&a=2&b&c=&=d&&e==f",
            "/?q=%20+%2B&x=[1]|{2}",
            "/a//b/",
        ] {
            let url = format!("http://h.example{path}");
            check(&url, &url);
        }
    }

    #[test]
    fn mistakes_are_clear_and_keep_secrets() {
        refused("http://exa mple/", "invalid URL \"http://exa mple/\": invalid international domain name");
        refused(
            "example.org/path",
            "invalid URL \"example.org/path\": relative URL without a base; an absolute URL is needed, such as https://example.org/path",
        );
        refused(
            "localhost:8080/x?token=secret",
            "unsupported scheme \"localhost\" in \"localhost:8080/x\": use http or https; a URL begins with http:// or https://",
        );
        refused("ftp://u:secret@h/", "unsupported scheme \"ftp\" in \"ftp://***@h/\": use http or https");
        refused("http://u:secret@h:99999/", "invalid URL \"http://***@h:99999/\": invalid port number");
        refused("http://", "invalid URL \"http://\": empty host");
        // A password with a delimiter in it ends the authority: what looks like host and path, or query, is the rest of the secret.
        for typo in [
            "http://u:sec/ret@h/",
            "http://u:sec?ret@h/",
            "http://u:sec#ret@h/",
            "http:/u:secret@h:99999/",
            "http:///u:secret@h:99999/",
            r"http:\\u:secret@h:99999/",
            "http:u:secret@h:99999/",
            "ftp:/u:secret@h/",
            "u:sec//ret@h",
        ] {
            let error = parse(typo).unwrap_err().to_string();
            assert!(!error.contains("sec") && !error.contains("ret@"), "{typo}: {error}");
        }
    }

    #[test]
    fn userinfo_leaves_the_url() {
        let door = parse("http://us%65r:p%40ss@h.example/").unwrap();
        assert_eq!(door.uri, "http://h.example/");
        let userinfo = door.userinfo.unwrap();
        assert_eq!((userinfo.user.as_slice(), userinfo.password.as_slice()), (&b"user"[..], &b"p@ss"[..]));
    }

    /// RFC 3986 §5.4.1 and §5.4.2, all rows whose result is an http URL; the fragment is not sent.
    #[test]
    fn rfc3986_reference_resolution() {
        let base: Uri = "http://a/b/c/d;p?q".parse().unwrap();
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/./x", "http://a/b/c/g"),
            ("g#s/../x", "http://a/b/c/g"),
            // The form for backward compatibility that the RFC allows, as every browser does.
            ("http:g", "http://a/b/c/g"),
            // By the WHATWG rules alone.
            ("//g/x", "http://g/x"),
            ("///g/x", "http://g/x"),
            (r" \/\/g/x", "http://g/x"),
            ("/\t//g/../x", "http://g/x"),
            ("http:///g/x", "http://g/x"),
        ] {
            assert_eq!(resolve(&base, reference).unwrap().to_string(), expected, "{reference:?}");
        }
        assert!(resolve(&base, "g:h").unwrap_err().to_string().contains("unsupported scheme \"g\""));
    }

    #[test]
    fn origins() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        for (a, b, same) in [
            ("http://h/", "http://h:80/x?y", true),
            ("https://h/", "https://h:443/", true),
            ("http://h/", "https://h/", false),
            ("http://h/", "http://h:8080/", false),
            ("http://h/", "http://h.example/", false),
            ("http://[::1]/", "http://[::1]:80/", true),
        ] {
            assert_eq!(same_origin(&uri(a), &uri(b)), same, "{a} {b}");
        }
    }
}
