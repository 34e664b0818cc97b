//! The driver's thread: libcurl's multi interface, its sockets, and the time limits of its transfers.
//!
//! libcurl says which sockets it waits for; we wait, and tell it which are ready. So we know of each packet: what is silent is known
//! exactly, also where libcurl itself has nothing to tell yet.
//!
//! What must never enter this file: the meaning of HTTP.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use client_core::{ErrorKind, Instant};
use curl::MultiError;
use curl::easy::Easy2;
use curl::multi::{Easy2Handle, Events as Readiness, Multi, Socket};
use polling::{Event, Events, Poller};

use crate::call::Call;
use crate::driver::{Command, Inbox, Key};
use crate::error;
use crate::raw;
use crate::request::Plan;
use crate::setup;
use crate::transfer::{Desk, Transfer};

/// How often sessions of HTTP/2 are looked after, if nothing happens.
const SESSION: Duration = Duration::from_secs(1);

/// The thread's whole life.
pub(crate) fn run(inbox: &Inbox, poller: &Arc<Poller>) {
    let _leave = Leave(inbox);
    let mut worker = Worker::new(poller);
    let mut events = Events::new();
    worker.configure(inbox);
    while let Some(todo) = inbox.take(worker.transfers.is_empty()) {
        todo.woken.into_iter().for_each(Waker::wake);
        // Before the sockets: what is cancelled must not get what becomes free.
        todo.commands.into_iter().for_each(|command| worker.obey(command, inbox));
        worker.react(&events);
        worker.settle();
        events.clear();
        let wait = match inbox.end_turn() {
            true => worker.wait(todo.next, todo.is_retired),
            false => Some(Duration::ZERO),
        };
        // Fails only where it was interrupted, and then there is nothing to react to.
        let _ = poller.wait(&mut events, wait);
    }
}

/// Also after a panic, nobody may wait for a thread that is gone.
struct Leave<'a>(&'a Inbox);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

struct Worker {
    // Before the multi handle: a transfer is removed from it when it is dropped.
    transfers: HashMap<usize, Running>,
    multi: Multi,
    desk: Rc<Desk>,
    /// Which transfers a socket works for.
    owners: HashMap<Socket, HashSet<usize>>,
    /// How many transfers may be of HTTP/2.
    may_be_http2: usize,
    /// When all sessions of HTTP/2 were last looked after.
    looked_after: Instant,
    /// Sockets that have become ready for a request since they were last looked at.
    fresh: Vec<Socket>,
    /// Sockets that libcurl has closed since they were last looked at.
    forgotten: Arc<Mutex<Vec<Socket>>>,
    /// When to look at a transfer's limits again.
    deadlines: BTreeSet<Key>,
}

struct Running {
    handle: Option<Easy2Handle<Transfer>>,
    call: Arc<Call>,
    deadline: Option<Instant>,
    socket: Option<Socket>,
}

impl Drop for Running {
    /// The thread panics, or ends early: whoever waits is told.
    fn drop(&mut self) {
        if self.handle.is_some() {
            self.call.finish(Err(self.call.error(ErrorKind::Engine, "libcurl's thread ended")));
        }
    }
}

impl Worker {
    fn new(poller: &Arc<Poller>) -> Self {
        let mut multi = Multi::new();
        let poller = Arc::clone(poller);
        let forgotten = Arc::<Mutex<Vec<Socket>>>::default();
        let closed = Arc::clone(&forgotten);
        let mut watched = HashSet::new();
        let watch = move |socket: Socket, wanted: curl::multi::SocketEvents, _| {
            if wanted.remove() {
                lock(&closed).push(socket);
                if watched.remove(&socket) {
                    raw::forget(&poller, socket);
                }
                return;
            }
            let key = usize::try_from(socket).unwrap_or_default();
            let interest =
                Event::new(key, wanted.input() || wanted.input_and_output(), wanted.output() || wanted.input_and_output());
            // A socket that cannot be watched is one that never becomes ready: the limits end its transfer.
            match watched.insert(socket) {
                true => drop(raw::watch(&poller, socket, interest)),
                false => drop(raw::watch_for(&poller, socket, interest)),
            }
        };
        // Refused only by a libcurl without the interface, which is older than Rust.
        let _ = multi.socket_function(watch);
        Self {
            transfers: HashMap::new(),
            multi,
            desk: Rc::default(),
            owners: HashMap::new(),
            may_be_http2: 0,
            looked_after: Instant::now(),
            fresh: Vec::new(),
            forgotten,
            deadlines: BTreeSet::new(),
        }
    }

    fn configure(&mut self, inbox: &Inbox) {
        let config = &inbox.config;
        let _ = self.multi.set_max_connects(config.max_idle.max(1));
        if let Some(most) = config.max_connections {
            let _ = self.multi.set_max_total_connections(most);
        }
    }

    fn obey(&mut self, command: Command, inbox: &Inbox) {
        match command {
            Command::Start(plan, call) => self.start(*plan, call, inbox),
            Command::Cancel(id) => drop(self.remove(id)),
            Command::Resume(id) => {
                if let Some(handle) = self.transfers.get(&id).and_then(|running| running.handle.as_ref()) {
                    // Both directions: whichever is still not ready pauses again.
                    let _ = handle.unpause_write();
                }
            }
            Command::Retire => raw::retire_connections(&self.multi),
        }
    }

    fn start(&mut self, plan: Plan, call: Arc<Call>, inbox: &Inbox) {
        match setup::transfer(plan, &call, &inbox.config, &self.desk) {
            Ok(easy) => self.add(easy, call),
            Err(refused) => call.finish(Err(error::of_setup(refused))),
        }
    }

    fn add(&mut self, easy: Easy2<Transfer>, call: Arc<Call>) {
        call.begin(self.desk.answers.get());
        let added = self.multi.add2(easy).map_err(|_| curl::Error::new(curl_sys::CURLE_FAILED_INIT));
        let added = added.and_then(|mut handle| handle.set_token(call.id).map(|()| handle));
        match added {
            Ok(handle) => {
                let id = call.id;
                self.may_be_http2 += usize::from(call.terms.may_be_http2);
                self.transfers.insert(
                    id,
                    Running {
                        handle: Some(handle),
                        call,
                        deadline: None,
                        socket: None,
                    },
                );
                self.look_at(id, Instant::now());
            }
            Err(refused) => call.finish(Err(error::of_setup(refused))),
        }
    }

    /// Takes a transfer out. Its connection is closed, unless the transfer is over.
    fn remove(&mut self, id: usize) -> Option<(Easy2<Transfer>, Arc<Call>)> {
        let mut running = self.transfers.remove(&id)?;
        self.may_be_http2 -= usize::from(running.call.terms.may_be_http2);
        if let Some(deadline) = running.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(socket) = running.socket {
            self.disown(socket, id);
        }
        let easy = self.multi.remove2(running.handle.take()?).ok()?;
        Some((easy, Arc::clone(&running.call)))
    }

    fn own(&mut self, socket: Socket, id: usize) {
        let Some(running) = self.transfers.get_mut(&id) else {
            return;
        };
        let before = running.socket.replace(socket);
        if let Some(before) = before.filter(|before| *before != socket) {
            self.disown(before, id);
        }
        self.owners.entry(socket).or_default().insert(id);
    }

    fn disown(&mut self, socket: Socket, id: usize) {
        if let Some(owners) = self.owners.get_mut(&socket) {
            owners.remove(&id);
            if owners.is_empty() {
                self.owners.remove(&socket);
            }
        }
    }

    /// How long there is nothing to do.
    fn wait(&self, sleeper: Option<Instant>, is_retired: bool) -> Option<Duration> {
        if is_retired && self.transfers.is_empty() && sleeper.is_none() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let until = |moment: Instant| moment.saturating_duration_since(now);
        let deadline = self.deadlines.first().map(|(moment, _)| until(*moment));
        let sleeper = sleeper.map(until);
        let libcurl = self.multi.get_timeout().ok().flatten();
        let session = (self.may_be_http2 > 0).then_some(SESSION);
        [deadline, sleeper, libcurl, session].into_iter().flatten().min()
    }

    /// Tells libcurl which sockets are ready.
    fn react(&mut self, events: &Events) {
        for event in events.iter() {
            let Ok(socket) = Socket::try_from(event.key) else {
                continue;
            };
            for call in self.owners.get(&socket).into_iter().flatten().filter_map(|id| self.transfers.get(id)) {
                call.call.moved();
                if event.readable && call.call.awaits_answer() && raw::has_bytes(socket) {
                    call.call.begin_unseen_answer();
                }
            }
            let mut readiness = Readiness::new();
            readiness.input(event.readable).output(event.writable);
            self.note(self.multi.action(socket, &readiness));
            self.read_desk();
            self.look_at_dialing(socket, event.readable);
        }
        self.look_after_sessions(events);
    }

    /// What made libcurl end a session of HTTP/2 concerns its transfers, but libcurl looks after them only when it is called again: after
    /// those that it knows to be concerned, and once a second, as curl does.
    fn look_after_sessions(&mut self, events: &Events) {
        let touched = events.iter().filter_map(|event| Socket::try_from(event.key).ok());
        let mut sessions: Vec<_> = touched.chain(std::mem::take(&mut self.fresh)).collect();
        let now = Instant::now();
        if now.duration_since(self.looked_after) >= SESSION {
            self.looked_after = now;
            sessions = self.owners.keys().copied().collect();
        }
        for socket in sessions {
            if self.may_be_multiplexed(socket) {
                self.run_due();
                self.note(self.multi.action(socket, &Readiness::new()));
                self.read_desk();
            }
        }
    }

    /// Everything that follows of what libcurl was told: what it does at once, what is over, whose time is.
    fn settle(&mut self) {
        self.run_due();
        self.let_go();
        self.take_finished();
        let now = Instant::now();
        while let Some(&(moment, id)) = self.deadlines.first()
            && moment <= now
        {
            self.deadlines.pop_first();
            self.look_at(id, now);
        }
    }

    /// Calls that wait for another's connection, in case it carries many, connect themselves where it turned out to speak HTTP/1.1. libcurl would have them wait
    /// for the whole answer to the other: for as long as a long poll takes.
    fn let_go(&mut self) {
        for id in self.desk.http1.take() {
            let Some(server) = self.transfers.get(&id).and_then(|running| running.call.terms.server.clone()) else {
                continue;
            };
            let waits = |running: &Running| {
                let may_wait = running.handle.as_ref().is_some_and(|handle| handle.get_ref().may_wait);
                may_wait
                    && running.socket.is_none()
                    && !running.call.is_ready()
                    && running.call.terms.server.as_ref() == Some(&server)
            };
            let mut waiting: Vec<_> = self.transfers.iter().filter(|(_, running)| waits(running)).map(|(id, _)| *id).collect();
            // In the order in which they began.
            waiting.sort_unstable();
            for id in waiting {
                if let Some((mut easy, call)) = self.remove(id) {
                    easy.get_mut().may_wait = false;
                    // An option that this libcurl knows.
                    let _ = easy.pipewait(false);
                    self.add(easy, call);
                }
            }
        }
    }

    /// What libcurl wants to do at once. It may want more afterwards: then we come back soon.
    fn run_due(&mut self) {
        if self.multi.get_timeout().is_ok_and(|wait| wait == Some(Duration::ZERO)) {
            self.note(self.multi.timeout());
            self.read_desk();
        }
    }

    /// What callbacks have left.
    fn read_desk(&mut self) {
        let forgotten = std::mem::take(&mut *lock(&self.forgotten));
        for socket in forgotten {
            self.owners.remove(&socket);
        }
        let opened = self.desk.opened.take();
        for (socket, id) in opened {
            self.own(socket, id);
        }
        let ready = self.desk.ready.take();
        for id in ready {
            let socket = self.transfers.get(&id).and_then(|running| running.handle.as_ref()).and_then(raw::socket);
            if let Some(socket) = socket {
                self.own(socket, id);
                self.fresh.push(socket);
            }
        }
    }

    /// Where a connection that is being made has come to: its socket was ready, and libcurl still wants it.
    fn look_at_dialing(&self, socket: Socket, has_heard: bool) {
        for id in self.owners.get(&socket).into_iter().flatten() {
            if let Some(running) = self.transfers.get(id).filter(|running| !running.call.is_ready()) {
                running.call.beyond_tcp(has_heard);
            }
        }
    }

    /// Whether requests are on their way there, by HTTP/2 for all we know.
    fn may_be_multiplexed(&self, socket: Socket) -> bool {
        let mut ids = self.owners.get(&socket).into_iter().flatten();
        ids.any(|id| {
            self.transfers
                .get(id)
                .is_some_and(|running| running.call.is_ready() && running.call.may_be_multiplexed())
        })
    }

    fn take_finished(&mut self) {
        let mut finished = Vec::new();
        self.multi.messages(|message| {
            if let (Ok(id), Some(result)) = (message.token(), message.result()) {
                finished.push((id, result));
            }
        });
        for (id, result) in finished {
            let Some((mut easy, call)) = self.remove(id) else {
                continue;
            };
            let outcome = error::outcome(result, &easy, &call);
            if call.may_be_multiplexed() && outcome.as_ref().is_err_and(error::ends_session) {
                // libcurl would keep the connection. It closes all that are idle, or none.
                raw::retire_connections(&self.multi);
            }
            match outcome.map_err(|error| call.begins_again(error, self.desk.answers.get())) {
                Ok(()) => {
                    easy.get_mut().close();
                    call.finish(Ok(()));
                }
                Err(Ok(())) => {
                    easy.get_mut().rewind();
                    self.add(easy, call);
                }
                Err(Err(error)) => call.finish(Err(error)),
            }
        }
    }

    /// A transfer's limits.
    fn look_at(&mut self, id: usize, now: Instant) {
        let Some(running) = self.transfers.get_mut(&id) else {
            return;
        };
        running.deadline = None;
        match running.call.patience(now) {
            None => {}
            Some(Ok(moment)) => {
                running.deadline = Some(moment);
                self.deadlines.insert((moment, id));
            }
            Some(Err(error)) => {
                if let Some((_, call)) = self.remove(id) {
                    call.finish(Err(error));
                }
            }
        }
    }

    /// An error of the whole multi handle: nothing can be said of any transfer.
    fn note(&mut self, outcome: Result<u32, MultiError>) {
        let Err(failure) = outcome else {
            return;
        };
        // A socket that is closed by now.
        if failure.code() == curl_sys::CURLM_BAD_SOCKET {
            return;
        }
        let ids: Vec<_> = self.transfers.keys().copied().collect();
        for id in ids {
            if let Some((_, call)) = self.remove(id) {
                call.finish(Err(call.error(ErrorKind::Engine, format!("libcurl failed: {failure}"))));
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
