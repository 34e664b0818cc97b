//! What libcurl can do and the `curl` crate does not offer: fields of any bytes, a target of its own, trailers, a call before each request,
//! the connection's socket. All of the crate's unsafe code is here.
//!
//! What must never enter this file: decisions.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use curl::easy::Easy2;
use curl::multi::{Easy2Handle, Multi, Socket};
use curl_sys::{CURL, CURLINFO, CURLMoption, CURLoption, curl_slist};
use polling::{Event, PollMode, Poller};
use socket2::SockRef;

use crate::transfer::{Hooks, Transfer};

// curl-sys 0.4 lacks these; the numbers are those of `curl/curl.h` and never change.
const CURLOPT_REQUEST_TARGET: CURLoption = curl_sys::CURLOPTTYPE_OBJECTPOINT + 266;
const CURLOPT_RESOLVER_START_FUNCTION: CURLoption = curl_sys::CURLOPTTYPE_FUNCTIONPOINT + 272;
const CURLOPT_RESOLVER_START_DATA: CURLoption = curl_sys::CURLOPTTYPE_OBJECTPOINT + 273;
const CURLOPT_TRAILERFUNCTION: CURLoption = curl_sys::CURLOPTTYPE_FUNCTIONPOINT + 283;
const CURLOPT_TRAILERDATA: CURLoption = curl_sys::CURLOPTTYPE_OBJECTPOINT + 284;
const CURLOPT_PREREQFUNCTION: CURLoption = curl_sys::CURLOPTTYPE_FUNCTIONPOINT + 312;
const CURLOPT_PREREQDATA: CURLoption = curl_sys::CURLOPTTYPE_OBJECTPOINT + 313;
const CURLOPT_QUICK_EXIT: CURLoption = curl_sys::CURLOPTTYPE_LONG + 322;
const CURLINFO_ACTIVESOCKET: CURLINFO = 0x50_0000 + 44;
const CURLMOPT_NETWORK_CHANGED: CURLMoption = curl_sys::CURLOPTTYPE_LONG + 17;
const CURLMNWC_CLEAR_CONNS: c_long = 1;

const OK: c_int = 0;
/// What both a prerequest and a resolver callback say to stop; that of trailers says 1 as well.
const ABORT: c_int = 1;

/// A list of lines, of any bytes but NUL.
pub(crate) struct Fields(*mut curl_slist);

impl Fields {
    pub(crate) const fn new() -> Self {
        Self(ptr::null_mut())
    }

    /// One more line.
    ///
    /// # Errors
    /// If it has a NUL in it, or there is no memory.
    pub(crate) fn push(&mut self, line: Vec<u8>) -> Result<(), curl::Error> {
        let line = CString::new(line)?;
        // SAFETY: the list is null or one that this function has made; the line is copied.
        let longer = unsafe { curl_sys::curl_slist_append(self.0, line.as_ptr()) };
        if longer.is_null() {
            return Err(curl::Error::new(curl_sys::CURLE_OUT_OF_MEMORY));
        }
        self.0 = longer;
        Ok(())
    }

    /// The list, which is libcurl's from now on.
    fn into_raw(mut self) -> *mut curl_slist {
        std::mem::replace(&mut self.0, ptr::null_mut())
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        // SAFETY: null, or a list that `push` has made and nobody else has.
        unsafe { curl_sys::curl_slist_free_all(self.0) }
    }
}

/// Sends these fields. The transfer keeps them: libcurl does not copy them.
pub(crate) fn set_fields(easy: &mut Easy2<Transfer>, fields: Fields) -> Result<(), curl::Error> {
    let list = fields.0;
    easy.get_mut().keep(fields);
    // SAFETY: the list belongs to the handler, which is dropped after the handle.
    set(easy.raw(), |easy| unsafe { curl_sys::curl_easy_setopt(easy, curl_sys::CURLOPT_HTTPHEADER, list) })
}

/// Asks for another target than the URL's path and query.
pub(crate) fn set_target(easy: &Easy2<Transfer>, target: &str) -> Result<(), curl::Error> {
    let target = CString::new(target)?;
    // SAFETY: libcurl copies the string.
    set(easy.raw(), |easy| unsafe {
        curl_sys::curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, target.as_ptr())
    })
}

/// A name that is still being looked up holds up nobody.
pub(crate) fn set_quick_exit(easy: &Easy2<Transfer>) -> Result<(), curl::Error> {
    // SAFETY: an option that takes a long.
    set(easy.raw(), |easy| unsafe { curl_sys::curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1 as c_long) })
}

/// A transfer's own handle, for its callbacks.
pub(crate) struct Handle(*mut CURL);

impl Handle {
    pub(crate) fn of(easy: &Easy2<Transfer>) -> Self {
        Self(easy.raw())
    }

    /// The connection is closed after the transfer.
    pub(crate) fn forbid_reuse(&self) {
        // SAFETY: the handle belongs to the transfer that holds this, and is called on its thread; the option takes a long. It can only
        // be refused for want of memory, which it does not need.
        let _ = unsafe { curl_sys::curl_easy_setopt(self.0, curl_sys::CURLOPT_FORBID_REUSE, 1 as c_long) };
    }
}

/// Calls the hooks when a name is looked up, and when a connection is ready for the request.
pub(crate) fn set_hooks(easy: &mut Easy2<Transfer>) -> Result<(), curl::Error> {
    let handle = Handle::of(easy);
    easy.get_mut().set_handle(handle);
    let hooks = Rc::as_ptr(easy.get_ref().hooks());
    let prereq: extern "C" fn(*mut c_void, *mut c_char, *mut c_char, c_int, c_int) -> c_int = on_ready;
    let resolver: extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int = on_resolve;
    for (option, value) in [
        (CURLOPT_PREREQDATA, hooks.cast::<c_void>()),
        (CURLOPT_PREREQFUNCTION, prereq as *const c_void),
        (CURLOPT_RESOLVER_START_DATA, hooks.cast()),
        (CURLOPT_RESOLVER_START_FUNCTION, resolver as *const c_void),
    ] {
        // SAFETY: the hooks live as long as the handler, which is dropped after the handle; they are only ever shared.
        set(easy.raw(), |easy| unsafe { curl_sys::curl_easy_setopt(easy, option, value) })?;
    }
    Ok(())
}

/// Asks the hooks for trailers at the end of a chunked body.
pub(crate) fn set_trailers(easy: &Easy2<Transfer>) -> Result<(), curl::Error> {
    let hooks = Rc::as_ptr(easy.get_ref().hooks());
    let function: extern "C" fn(*mut *mut curl_slist, *mut c_void) -> c_int = on_trailers;
    // SAFETY: as in `set_hooks`.
    set(easy.raw(), |easy| unsafe {
        curl_sys::curl_easy_setopt(easy, CURLOPT_TRAILERDATA, hooks.cast::<c_void>())
    })?;
    // SAFETY: a function of the type that this option is documented to take.
    set(easy.raw(), |easy| unsafe {
        curl_sys::curl_easy_setopt(easy, CURLOPT_TRAILERFUNCTION, function as *const c_void)
    })
}

/// The socket of the transfer's connection, while it has one.
pub(crate) fn socket(handle: &Easy2Handle<Transfer>) -> Option<Socket> {
    let mut socket: Socket = curl_sys::CURL_SOCKET_BAD;
    // SAFETY: this information is of the socket's type.
    let code = unsafe { curl_sys::curl_easy_getinfo(handle.raw(), CURLINFO_ACTIVESOCKET, &mut socket) };
    (code == curl_sys::CURLE_OK && socket != curl_sys::CURL_SOCKET_BAD).then_some(socket)
}

/// Closes idle connections, and the others after their exchanges. Older libcurls than 8.16 do not know how; then they stay until the end.
pub(crate) fn retire_connections(multi: &Multi) {
    // SAFETY: an option that takes a long; one that is not known is refused.
    let _ = unsafe { curl_sys::curl_multi_setopt(multi.raw(), CURLMOPT_NETWORK_CHANGED, CURLMNWC_CLEAR_CONNS) };
}

/// Whether bytes have come on an open socket of libcurl's that it has not read yet: more than its end.
pub(crate) fn has_bytes(socket: Socket) -> bool {
    SockRef::from(&borrow(socket)).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|n| n > 0)
}

/// Waits for what `interest` says of a socket of libcurl's, from now on until [`forget`].
pub(crate) fn watch(poller: &Poller, socket: Socket, interest: Event) -> io::Result<()> {
    // SAFETY: libcurl says that it is done with a socket before it closes it, and `forget` is called then.
    unsafe { poller.add_with_mode(socket, interest, PollMode::Level) }
}

/// Waits for something else of a socket that is watched.
pub(crate) fn watch_for(poller: &Poller, socket: Socket, interest: Event) -> io::Result<()> {
    match poller.modify_with_mode(borrow(socket), interest, PollMode::Level) {
        // One that was closed unsaid, and its number given to another.
        Err(error) if error.kind() == io::ErrorKind::NotFound => watch(poller, socket, interest),
        other => other,
    }
}

/// Waits no longer for this socket.
pub(crate) fn forget(poller: &Poller, socket: Socket) {
    // It fails where watching it had failed.
    let _ = poller.delete(borrow(socket));
}

#[cfg(unix)]
fn borrow<'a>(socket: Socket) -> std::os::fd::BorrowedFd<'a> {
    // SAFETY: it is only used within the callback in which libcurl names it, or before libcurl is called again after that: so it is open.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(socket) }
}

#[cfg(windows)]
fn borrow<'a>(socket: Socket) -> std::os::windows::io::BorrowedSocket<'a> {
    // SAFETY: as on Unix.
    unsafe { std::os::windows::io::BorrowedSocket::borrow_raw(socket as _) }
}

fn set(easy: *mut CURL, option: impl FnOnce(*mut CURL) -> curl_sys::CURLcode) -> Result<(), curl::Error> {
    match option(easy) {
        curl_sys::CURLE_OK => Ok(()),
        code => Err(curl::Error::new(code)),
    }
}

/// The hooks behind libcurl's pointer; a panic must not cross C.
fn with_hooks(data: *mut c_void, call: impl FnOnce(&Hooks) -> c_int) -> c_int {
    // SAFETY: the pointer is the one that was set, see `set_hooks`.
    let hooks = unsafe { &*data.cast::<Hooks>() };
    catch_unwind(AssertUnwindSafe(|| call(hooks))).unwrap_or(ABORT)
}

extern "C" fn on_resolve(_state: *mut c_void, _reserved: *mut c_void, data: *mut c_void) -> c_int {
    with_hooks(data, |hooks| if hooks.resolving() { OK } else { ABORT })
}

extern "C" fn on_ready(
    data: *mut c_void,
    remote_ip: *mut c_char,
    local_ip: *mut c_char,
    remote_port: c_int,
    local_port: c_int,
) -> c_int {
    with_hooks(data, |hooks| {
        let ready = hooks.ready(address(remote_ip, remote_port), address(local_ip, local_port));
        if ready { OK } else { ABORT }
    })
}

extern "C" fn on_trailers(list: *mut *mut curl_slist, data: *mut c_void) -> c_int {
    with_hooks(data, |hooks| {
        let Ok(fields) = hooks.trailers() else {
            return ABORT;
        };
        // SAFETY: libcurl passes a pointer to a list that is empty, and frees what it finds there.
        unsafe { *list = fields.into_raw() };
        OK
    })
}

/// What libcurl says of one end of a connection; a Unix socket has no address.
fn address(ip: *const c_char, port: c_int) -> Option<SocketAddr> {
    if ip.is_null() {
        return None;
    }
    // SAFETY: a string of libcurl's that lives as long as the callback.
    let ip: IpAddr = unsafe { CStr::from_ptr(ip) }.to_str().ok()?.parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}
