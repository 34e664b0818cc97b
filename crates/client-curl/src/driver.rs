//! The way to the driver's thread: what it is told, and what it is woken by. It begins with the first exchange and ends with the engine,
//! once its last transfer is over.
//!
//! What must never enter this file: libcurl.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;

use client_core::{Error, ErrorKind, Instant, Result};
use polling::Poller;

use crate::builder::Config;
use crate::call::Call;
use crate::request::Plan;
use crate::worker;

/// Clones share the thread.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Inbox>);

/// What the thread and its users share.
pub(crate) struct Inbox {
    pub(crate) config: Arc<Config>,
    next_id: AtomicUsize,
    state: Mutex<State>,
    /// Who is woken at the end of the thread's turn: once, for all that the turn brought, and not in the middle of it.
    woken: Mutex<Vec<Waker>>,
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    /// Calls that may go on. Few, but told often.
    sleepers: BTreeMap<Key, Waker>,
    /// While there is a thread.
    poller: Option<Arc<Poller>>,
    attention: Attention,
    /// The engine is gone or closed: the thread ends when it has nothing to do.
    is_retired: bool,
}

/// What the thread is about, so that it is called once, and by a system call only where it sleeps.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Attention {
    /// It works, and looks for commands before it sleeps.
    #[default]
    Awake,
    /// There is something for it.
    Called,
    Asleep,
}

/// A moment, and whose.
pub(crate) type Key = (Instant, usize);

/// What the thread is told.
pub(crate) enum Command {
    Start(Box<Plan>, Arc<Call>),
    /// There is room, or there is more: libcurl goes on.
    Resume(usize),
    Cancel(usize),
    /// Idle connections are closed, others after their exchange.
    Retire,
}

/// What the thread does next.
pub(crate) struct Todo {
    pub(crate) commands: Vec<Command>,
    /// Those whose moment has come.
    pub(crate) woken: Vec<Waker>,
    /// When the next one's comes.
    pub(crate) next: Option<Instant>,
    pub(crate) is_retired: bool,
}

impl Driver {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self(Arc::new(Inbox {
            config,
            next_id: AtomicUsize::new(1),
            state: Mutex::default(),
            woken: Mutex::default(),
        }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn next_id(&self) -> usize {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts a transfer.
    ///
    /// # Errors
    /// [`ErrorKind::Engine`] if the system has no thread to spare.
    pub(crate) fn start(&self, plan: Plan, call: &Arc<Call>) -> Result<()> {
        self.tell(Command::Start(Box::new(plan), Arc::clone(call)))
    }

    pub(crate) fn resume(&self, id: usize) {
        self.tell_if_running(Command::Resume(id));
    }

    pub(crate) fn cancel(&self, id: usize) {
        self.tell_if_running(Command::Cancel(id));
    }

    pub(crate) fn retire(&self) {
        self.0.lock().is_retired = true;
        self.tell_if_running(Command::Retire);
    }

    /// Wakes whoever sleeps until then.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn sleep(&self, key: Key, waker: Waker) -> Result<()> {
        let mut state = self.0.lock();
        let before = state.sleepers.insert(key, waker);
        let is_first = state.sleepers.first_key_value().is_some_and(|(first, _)| *first == key);
        let told = if is_first { self.wake(state) } else { Ok(()) };
        drop(before);
        told
    }

    pub(crate) fn forget(&self, key: Key) {
        let mut state = self.0.lock();
        let waker = state.sleepers.remove(&key);
        if state.is_retired && state.sleepers.is_empty() && state.poller.is_some() {
            // The thread may have waited for nothing else. It can only fail to be made, and it is there.
            let _ = self.wake(state);
        } else {
            drop(state);
        }
        // Not under the lock: a waker may be anything.
        drop(waker);
    }

    fn tell(&self, command: Command) -> Result<()> {
        let mut state = self.0.lock();
        state.commands.push(command);
        self.wake(state)
    }

    /// For the thread: who waits for it goes on when its turn is over.
    pub(crate) fn wake_later(&self, waker: Waker) {
        lock(&self.0.woken).push(waker);
    }

    /// Without a thread there are no transfers that this could concern.
    fn tell_if_running(&self, command: Command) {
        let state = self.0.lock();
        let is_running = state.poller.is_some();
        drop(state);
        if is_running {
            // Only a thread that must be made can fail.
            let _ = self.tell(command);
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) -> Result<()> {
        if let Some(poller) = state.poller.clone() {
            let was = std::mem::replace(&mut state.attention, Attention::Called);
            drop(state);
            if was != Attention::Asleep {
                return Ok(());
            }
            return poller.notify().map_err(|error| {
                self.0.lock().attention = Attention::Asleep;
                no_thread(error)
            });
        }
        let poller = Arc::new(Poller::new().map_err(no_thread)?);
        let (inbox, theirs) = (Arc::clone(&self.0), Arc::clone(&poller));
        let spawned = thread::Builder::new().name("client-curl".into()).spawn(move || worker::run(&inbox, &theirs));
        match spawned {
            Ok(_) => {
                state.poller = Some(poller);
                Ok(())
            }
            Err(error) => {
                state.commands.clear();
                Err(no_thread(error))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.0.lock().poller.is_some()
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Engine, "no thread to drive libcurl with").with_source(error)
}

/// The thread's side.
impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What there is to do; `None` if the thread may end: it is idle, and nobody will ever ask for more.
    pub(crate) fn take(&self, is_idle: bool) -> Option<Todo> {
        let mut state = self.lock();
        state.attention = Attention::Awake;
        let commands = std::mem::take(&mut state.commands);
        let now = Instant::now();
        let later = state.sleepers.split_off(&(now, usize::MAX));
        let woken = std::mem::replace(&mut state.sleepers, later).into_values().collect();
        let next = state.sleepers.first_key_value().map(|(key, _)| key.0);
        let todo = Todo {
            commands,
            woken,
            next,
            is_retired: state.is_retired,
        };
        if is_idle && state.is_retired && todo.commands.is_empty() && todo.woken.is_empty() && next.is_none() {
            state.poller = None;
            return None;
        }
        Some(todo)
    }

    /// The turn is over: wakes all that it concerns. Whether there is nothing new, so that the thread may sleep.
    pub(crate) fn end_turn(&self) -> bool {
        self.wake();
        let mut state = self.lock();
        let is_called = state.attention == Attention::Called;
        if !is_called {
            state.attention = Attention::Asleep;
        }
        !is_called
    }

    fn wake(&self) {
        // Not under the lock: a waker may be anything.
        let woken = std::mem::take(&mut *lock(&self.woken));
        woken.into_iter().for_each(Waker::wake);
    }

    /// The thread ends, for whatever reason. Commands that nobody will read are dropped.
    pub(crate) fn leave(&self) {
        let mut state = self.lock();
        state.poller = None;
        let unread = std::mem::take(&mut state.commands);
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        for command in unread {
            if let Command::Start(_, call) = command {
                call.finish(Err(call.error(ErrorKind::Engine, "libcurl's thread ended")));
            }
        }
        sleepers.into_values().for_each(Waker::wake);
        self.wake();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use client_core::Timer as _;
    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;
    use crate::Curl;

    fn driver(engine: &Curl) -> Driver {
        engine.driver.as_ref().unwrap().clone()
    }

    fn until(condition: impl Fn() -> bool) {
        let since = Instant::now();
        while !condition() {
            assert!(since.elapsed() < Duration::from_secs(20), "still not");
            thread::yield_now();
        }
    }

    #[test]
    fn the_thread_ends_with_the_engine() {
        let engine = Curl::new();
        let driver = driver(&engine);
        assert!(!driver.is_running(), "before there is anything to do");
        block_on(driver.sleep_until(Instant::now() + Duration::from_millis(1)));
        assert!(driver.is_running());
        drop(engine);
        until(|| !driver.is_running());
    }

    #[test]
    fn a_sleep_that_is_dropped_holds_up_nothing() {
        let engine = Curl::new();
        let driver = driver(&engine);
        let mut sleep = driver.sleep_until(Instant::now() + Duration::from_secs(3600));
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        drop(engine);
        assert!(driver.is_running(), "somebody sleeps");
        drop(sleep);
        until(|| !driver.is_running());
    }

    #[test]
    fn never_early_whatever_the_order() {
        let engine = Curl::new();
        let driver = driver(&engine);
        let sleeps = [7, 1, 5, 3, 0, 2].map(|millis| {
            let deadline = Instant::now() + Duration::from_millis(millis);
            let sleep = driver.sleep_until(deadline);
            async move {
                sleep.await;
                assert!(Instant::now() >= deadline);
            }
        });
        block_on(join_all(sleeps));
        assert!(driver.0.lock().sleepers.is_empty());
    }
}
