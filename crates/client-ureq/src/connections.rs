//! How many connections are open, where that is limited. ureq's pool has limits for idle ones only, and closes none of them to make room.
//!
//! Whoever dials has a place (`workers.rs`), and there are as many places as connections allowed: so where too many are open, one of them
//! is idle, and is closed.
//!
//! What must never enter this file: HTTP, ureq.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All of an engine's.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// By how long they have been idle.
    idle: BTreeMap<u64, Arc<TcpStream>>,
    next_id: u64,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection. If that is one too many, the one that has been idle longest is closed.
    pub(crate) fn admit(self: &Arc<Self>) -> Seat {
        let mut state = self.lock();
        let idlest = if state.open < self.max { None } else { state.idle.pop_first() };
        state.open += usize::from(idlest.is_none());
        drop(state);
        if let Some((_, stream)) = idlest {
            // The pool still has it, and finds it closed. This fails only where the connection is gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        Seat {
            connections: Arc::clone(self),
            idle: None,
            is_counted: true,
        }
    }
}

/// A connection's part: dropped with it.
#[derive(Debug)]
pub(crate) struct Seat {
    connections: Arc<Connections>,
    /// Under which number it may be closed by others.
    idle: Option<u64>,
    is_counted: bool,
}

impl Seat {
    /// From now on it may be closed to make room.
    pub(crate) fn offer(&mut self, stream: &Arc<TcpStream>) {
        let mut state = self.connections.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.idle.insert(id, Arc::clone(stream));
        self.idle = Some(id);
    }

    /// From now on it may not; `false` if it has been closed.
    pub(crate) fn claim(&mut self) -> bool {
        if let Some(id) = self.idle.take() {
            self.is_counted = self.connections.lock().idle.remove(&id).is_some();
        }
        self.is_counted
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.claim() {
            self.connections.lock().open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// A connection, and its other end.
    fn connection() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Arc::new(stream), listener.accept().unwrap().0)
    }

    #[test]
    fn the_one_that_has_been_idle_longest_makes_room() {
        let connections = Connections::new(2);
        let [(a, mut far_a), (b, _far_b)] = [connection(), connection()];
        let (mut seat_a, mut seat_b) = (connections.admit(), connections.admit());
        seat_b.offer(&b);
        assert!(seat_b.claim());
        seat_a.offer(&a);
        seat_b.offer(&b);
        let third = connections.admit();
        assert_eq!(far_a.read(&mut [0]).unwrap(), 0, "closed");
        assert!(!seat_a.claim() && seat_b.claim());
        // What was closed to make room is not counted twice.
        drop((seat_a, seat_b, third));
        assert_eq!(connections.lock().open, 0);
    }
}
