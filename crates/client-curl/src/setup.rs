//! A transfer's options. Whatever libcurl would do on its own is off: redirects, cookies, codings, credentials, fields, proxies of the
//! environment.
//!
//! What must never enter this file: callbacks; the multi handle.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use curl::easy::{Auth, Easy2, List};

use crate::builder::{Config, ProxyRoute};
use crate::call::Call;
use crate::progress::Via;
use crate::raw::{self, Fields};
use crate::request::{Content, Plan};
use crate::transfer::{Desk, Transfer};

/// As much as libcurl reads at a time; its default is half of it.
const READ: usize = 32 << 10;

/// How long the request's body waits for a 100: libcurl's default, as curl's and Go's.
const PATIENCE: Duration = Duration::from_secs(1);

/// libcurl's own limits are out of the way: the driver keeps ours. Zero would mean libcurl's default.
const NEVER: Duration = Duration::from_millis(i32::MAX as u64);

/// A transfer, ready to be started.
///
/// # Errors
/// What libcurl refuses: an option that it was built without, memory.
pub(crate) fn transfer(plan: Plan, call: &Arc<Call>, config: &Config, desk: &Rc<Desk>) -> Result<Easy2<Transfer>, curl::Error> {
    let length = match &plan.content {
        Content::Nothing => None,
        Content::Bytes(bytes) => Some(Some(bytes.len() as u64)),
        Content::Stream { length } => Some(*length),
    };
    let target = plan.target(config.via()).to_owned();
    let forwarder = forwarder(&plan, config);
    let mut easy = Easy2::new(Transfer::new(call, plan.content, desk));
    easy.url(forwarder.map_or(&plan.url, |proxy| &proxy.url))?;
    easy.path_as_is(true)?;
    easy.http_version(plan.version)?;
    easy.http_content_decoding(false)?;
    // The chunks as they come: see `chunked.rs`.
    easy.http_transfer_decoding(false)?;
    easy.forbid_reuse(plan.is_last)?;
    easy.connect_timeout(NEVER)?;
    easy.expect_100_timeout(PATIENCE)?;
    easy.buffer_size(READ)?;
    easy.maxage_conn(config.keep_alive)?;
    // Better to wait for a connection that may carry many than to make another. The driver ends the wait where it turns out not to.
    easy.pipewait(plan.may_be_http2)?;
    match length {
        None => easy.nobody(plan.is_head)?,
        Some(length) => {
            easy.upload(true)?;
            length.map_or(Ok(()), |length| easy.in_filesize(length))?;
        }
    }
    easy.custom_request(&plan.method)?;
    let mut fields = Fields::new();
    plan.lines.into_iter().try_for_each(|line| fields.push(line))?;
    if let Some(proxy) = forwarder {
        if !plan.has_host {
            fields.push(format!("host: {}", plan.authority).into_bytes())?;
        }
        if let Some((user, password)) = &proxy.credentials {
            let credentials = BASE64.encode(format!("{user}:{password}"));
            fields.push(format!("proxy-authorization: Basic {credentials}").into_bytes())?;
        }
    }
    raw::set_fields(&mut easy, fields)?;
    raw::set_quick_exit(&easy)?;
    raw::set_hooks(&mut easy)?;
    // libcurl would write the URL's escapes in upper case.
    raw::set_target(&easy, &target)?;
    if plan.has_trailers {
        raw::set_trailers(&easy)?;
    }
    // What ALPN agreed upon, and which streams a server left alone, is told nowhere else: see `Transfer::debug`.
    easy.verbose(plan.may_be_http2)?;
    match forwarder {
        Some(_) => direct(&mut easy)?,
        None => route(&mut easy, &plan.host, plan.port, config)?,
    }
    if let Some(path) = plan.unix_socket.as_ref().or(config.unix_socket.as_ref()) {
        easy.unix_socket_path(Some(path))?;
    }
    forwarder.map_or(&config.tls, |proxy| &proxy.tls).apply(&mut easy)?;
    Ok(easy)
}

/// The `https` proxy that an `http` request is for: it is one to that proxy, by TLS, and its target is the URL (RFC 9112 §3.2.2). Told of a proxy
/// instead, libcurl 8.22 makes a connection for each such request: it looks among those without TLS for one to use again.
fn forwarder<'a>(plan: &Plan, config: &'a Config) -> Option<&'a ProxyRoute> {
    let is_local = plan.unix_socket.is_some() || config.unix_socket.is_some();
    let is_forwarded = config.via() == Via::HttpsProxy && !plan.is_tls && !plan.may_be_http2 && !is_local;
    config.proxy.as_ref().filter(|_| is_forwarded)
}

/// Without a proxy. Without these two options libcurl asks the environment.
fn direct(easy: &mut Easy2<Transfer>) -> Result<(), curl::Error> {
    easy.noproxy("")?;
    easy.proxy("")
}

/// The way to the server.
fn route(easy: &mut Easy2<Transfer>, host: &str, port: u16, config: &Config) -> Result<(), curl::Error> {
    if let Some(addresses) = config.hosts.get(host) {
        let addresses: Vec<_> = addresses.iter().map(|address| format!("[{address}]")).collect();
        let mut list = List::new();
        list.append(&format!("{host}:{port}:{}", addresses.join(",")))?;
        easy.resolve(list)?;
    }
    let Some(proxy) = &config.proxy else {
        return direct(easy);
    };
    easy.noproxy("")?;
    // SOCKS4a is for names; libcurl would send an address as one.
    let is_ipv4 = host.parse::<std::net::Ipv4Addr>().is_ok();
    match proxy.url.strip_prefix("socks4a://").filter(|_| is_ipv4) {
        Some(address) => easy.proxy(&format!("socks4://{address}"))?,
        None => easy.proxy(&proxy.url)?,
    }
    if let Some((user, password)) = &proxy.credentials {
        easy.proxy_username(user)?;
        easy.proxy_password(password)?;
        easy.proxy_auth(Auth::new().basic(true))?;
    }
    proxy.tls.apply_to_proxy(easy)
}
