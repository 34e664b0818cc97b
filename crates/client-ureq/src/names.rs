//! From a host's name to its addresses. The system's lookup can be neither bounded nor interrupted, so it runs on a thread of its
//! own that is left behind when its call gives up; how many there may be is bounded.
//!
//! What must never enter this file: sockets.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use client_core::{ErrorKind, Instant, Result};

use crate::call::{Call, Interrupt, cancelled};

/// Looks names up.
pub(crate) struct Names {
    fixed: HashMap<String, Vec<IpAddr>>,
    lookups: Arc<Lookups>,
}

/// The lookups under way, also those that nobody waits for any more.
struct Lookups {
    max: usize,
    running: Mutex<usize>,
    ended: Condvar,
}

impl Names {
    pub(crate) fn new(fixed: HashMap<String, Vec<IpAddr>>, max_lookups: usize) -> Self {
        let lookups = Lookups {
            max: max_lookups,
            running: Mutex::new(0),
            ended: Condvar::new(),
        };
        Self {
            fixed,
            lookups: Arc::new(lookups),
        }
    }

    /// The addresses that are known without asking anyone: of a literal, or fixed by the user.
    pub(crate) fn known(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(address, port)]);
        }
        let fixed = self.fixed.get(&host.to_ascii_lowercase())?;
        Some(fixed.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    /// Asks the system.
    ///
    /// # Errors
    /// [`ErrorKind::Resolve`], the connect timeout, or that the call was cancelled.
    pub(crate) fn look_up(&self, host: &str, port: u16, call: &Arc<Call>) -> Result<Vec<SocketAddr>> {
        let lookup = Arc::new(Lookup::new(Arc::clone(&self.lookups)));
        call.hold(Arc::clone(&lookup) as Arc<dyn Interrupt>)?;
        self.lookups.begin(call)?;
        let (slot, name) = (Arc::clone(&lookup), host.to_owned());
        let asked = thread::Builder::new().name("client-ureq-name".into()).spawn(move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            slot.lookups.end();
            slot.answer(found);
        });
        if let Err(error) = asked {
            self.lookups.end();
            return Err(call.error(ErrorKind::Engine, "no thread for a name lookup").with_source(error));
        }
        match lookup.wait(call)? {
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(call.error(ErrorKind::Resolve, format!("no address for \"{host}\": {error}")).with_source(error)),
        }
    }
}

impl Lookups {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn, as long as the call may take to connect. Lookups that were left behind end by the system's own limits.
    fn begin(&self, call: &Call) -> Result<()> {
        let mut running = self.lock();
        while *running >= self.max {
            running = wait(&self.ended, running, call)?;
        }
        *running += 1;
        Ok(())
    }

    fn end(&self) {
        *self.lock() -= 1;
        // All: the one that is called may just have been cancelled.
        self.ended.notify_all();
    }
}

/// One lookup, between the thread that makes it and the worker that waits.
struct Lookup {
    lookups: Arc<Lookups>,
    found: Mutex<Option<io::Result<Vec<SocketAddr>>>>,
    changed: Condvar,
}

impl Lookup {
    fn new(lookups: Arc<Lookups>) -> Self {
        Self {
            lookups,
            found: Mutex::new(None),
            changed: Condvar::new(),
        }
    }

    fn answer(&self, found: io::Result<Vec<SocketAddr>>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        self.changed.notify_one();
    }

    fn wait(&self, call: &Call) -> Result<io::Result<Vec<SocketAddr>>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match found.take() {
                Some(answer) => return Ok(answer),
                None => found = wait(&self.changed, found, call)?,
            }
        }
    }
}

impl Interrupt for Lookup {
    fn interrupt(&self) {
        // Whoever looked at the call before it was cancelled waits by the time its lock can be had, and is woken.
        drop(self.lookups.lock());
        self.lookups.ended.notify_all();
        drop(self.found.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }
}

fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>, call: &Call) -> Result<MutexGuard<'a, T>> {
    if call.is_cancelled() {
        return Err(cancelled());
    }
    let Some(patience) = call.patience(Instant::now()) else {
        return Ok(changed.wait(guard).unwrap_or_else(PoisonError::into_inner));
    };
    let left = patience.left(Instant::now()).ok_or_else(|| patience.error(call))?;
    Ok(changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0)
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("fixed", &self.fixed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Terms;

    #[test]
    fn literals_and_fixed_names_ask_nobody() {
        let fixed = HashMap::from([("db.example".to_owned(), vec!["127.0.0.2".parse().unwrap()])]);
        let names = Names::new(fixed, 1);
        let known = |host| names.known(host, 80).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(known("127.0.0.1").unwrap(), ["127.0.0.1:80"]);
        assert_eq!(known("[::1]").unwrap(), ["[::1]:80"]);
        assert_eq!(known("DB.example").unwrap(), ["127.0.0.2:80"]);
        assert_eq!(known("localhost"), None);
    }

    #[test]
    fn a_call_that_is_over_waits_for_no_lookup() {
        let call = Call::new(Terms::default());
        call.cancel();
        let names = Names::new(HashMap::new(), 1);
        assert_eq!(names.look_up("localhost", 80, &call).unwrap_err().kind(), ErrorKind::Closed);
        let waiting = Lookup::new(Arc::clone(&names.lookups));
        assert!(waiting.wait(&call).is_err());
        // Nor for its turn, when every lookup hangs.
        *names.lookups.lock() = 1;
        assert!(names.lookups.begin(&call).is_err());
    }
}
