//! The threads: made when there is work, ended when there is none, never more than allowed; and the queue before them.
//!
//! Two lanes share the threads. An *exchange* holds its thread from the connection to the response's head, a *body* from the wish for
//! more bytes until they are there. Exchanges never take every thread: a request body may come out of a response body of the same
//! engine, and a pool full of such uploads would otherwise wait for itself.
//!
//! Where connections are limited, an exchange also needs a [`Place`], which it keeps when it has given up its thread: until its response
//! has ended. Places are given out by the same queue, so that nobody waits in two.
//!
//! What must never enter this file: HTTP, ureq.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What a worker runs, told where it runs.
type Job = Box<dyn FnOnce(&mut Worker<'_>) + Send>;

/// The pool. Clones share it.
#[derive(Clone)]
pub(crate) struct Workers(Arc<Shared>);

/// How many threads, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) max_threads: usize,
    /// How many places there are; `None`: nobody needs one.
    pub(crate) max_places: Option<usize>,
    /// How long a thread waits for more to do.
    pub(crate) keep_alive: Duration,
}

impl Size {
    /// One thread in eight, at least one, is kept for bodies.
    fn max_exchanges(self) -> usize {
        self.max_threads.saturating_sub((self.max_threads / 8).max(1)).max(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Exchange,
    Body,
}

struct Shared {
    size: Size,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// By age, so that the queue is fair and any job can be taken out of it.
    exchanges: VecDeque<(u64, Job)>,
    bodies: VecDeque<(u64, Job)>,
    next_id: u64,
    threads: usize,
    /// Threads that wait and have not been called.
    idle: usize,
    /// Waiting threads that were called, and have not come to take their job yet.
    called: usize,
    /// Threads that were made, and have not come to take their job yet.
    starting: usize,
    /// Threads that are about to come for another job.
    ending: usize,
    busy_exchanges: usize,
    /// Places that are taken.
    places: usize,
    is_closed: bool,
}

impl Workers {
    pub(crate) fn new(size: Size) -> Self {
        Self(Arc::new(Shared {
            size,
            state: Mutex::default(),
            wake: Condvar::new(),
        }))
    }

    /// Queues a job. The ticket takes it out again.
    ///
    /// # Errors
    /// The system's, if there is no thread at all and none can be made.
    pub(crate) fn submit(&self, lane: Lane, job: impl FnOnce(&mut Worker<'_>) + Send + 'static) -> io::Result<Ticket> {
        let job: Job = Box::new(job);
        let mut state = self.0.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.queue(lane).push_back((id, job));
        let called = self.0.call(state);
        let ticket = Ticket {
            workers: self.clone(),
            lane,
            id,
        };
        match called {
            Err(error) if ticket.withdraw() => Err(error),
            _ => Ok(ticket),
        }
    }

    /// Threads end as soon as they have nothing to do. What is queued is still done, and so is what comes later: a response's body
    /// may outlive its engine.
    pub(crate) fn close(&self) {
        self.0.lock().is_closed = true;
        self.0.wake.notify_all();
    }

    #[cfg(test)]
    fn threads(&self) -> usize {
        self.0.lock().threads
    }
}

/// A place in the queue.
pub(crate) struct Ticket {
    workers: Workers,
    lane: Lane,
    id: u64,
}

impl Ticket {
    /// Takes the job out of the queue; `false` if a worker has it already.
    pub(crate) fn withdraw(&self) -> bool {
        let mut state = self.workers.0.lock();
        let queue = state.queue(self.lane);
        let job = queue.binary_search_by_key(&self.id, |(id, _)| *id).ok().and_then(|index| queue.remove(index));
        // Not dropped under the lock: a job owns the user's request.
        drop(state);
        job.is_some()
    }
}

/// The thread that runs a job.
pub(crate) struct Worker<'a> {
    shared: &'a Arc<Shared>,
    lane: Lane,
    is_ending: bool,
    place: Option<Place>,
}

impl Worker<'_> {
    /// All that is left of the job is to tell of it. Whoever is told may submit the next at once: that is for this thread, and no other is called
    /// for it.
    pub(crate) fn ends(&mut self) {
        let mut state = self.shared.lock();
        state.ending += usize::from(!self.is_ending);
        self.is_ending = true;
        self.leave_lane(&mut state);
    }

    fn leave_lane(&mut self, state: &mut State) {
        state.busy_exchanges -= usize::from(self.lane == Lane::Exchange);
        self.lane = Lane::Body;
    }

    /// The exchange's place, where one is needed. It is given back with the job, unless it is taken from here.
    pub(crate) fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }
}

/// The right to a connection. Dropping it lets the next exchange begin.
pub(crate) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.places -= 1;
        // If no thread can be made for the next exchange, the first one that comes by takes it.
        let _ = self.0.call(state);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls or makes one thread, if there is a job for it.
    fn call(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        if state.runnable(self.size) <= state.called + state.starting + state.ending {
            return Ok(());
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.called += 1;
            drop(state);
            // Without the lock, which is the first thing that it wants.
            self.wake.notify_one();
        } else if state.threads < self.size.max_threads {
            let shared = Arc::clone(self);
            if let Err(error) = thread::Builder::new().name("client-ureq".into()).spawn(move || shared.work()) {
                // Not fatal as long as another thread will come by.
                return if state.threads == 0 { Err(error) } else { Ok(()) };
            }
            state.threads += 1;
            state.starting += 1;
        }
        Ok(())
    }

    /// A thread's life.
    fn work(self: Arc<Self>) {
        let mut state = self.lock();
        state.starting -= 1;
        loop {
            while let Some((lane, job)) = state.take(self.size) {
                // One was taken; there may be another for somebody else.
                let _ = self.call(state);
                let place = (lane == Lane::Exchange && self.size.max_places.is_some()).then(|| Place(Arc::clone(&self)));
                let mut worker = Worker {
                    shared: &self,
                    lane,
                    is_ending: false,
                    place,
                };
                // A panic inside ureq is this job's failure, which its own guard reports; the thread lives on.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&mut worker)));
                // It may hold a place: giving that back needs the lock.
                drop(worker.place.take());
                state = self.lock();
                worker.leave_lane(&mut state);
                state.ending -= usize::from(worker.is_ending);
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let (woken, timeout) = self.wake.wait_timeout(state, self.size.keep_alive).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if state.called > 0 {
                // Whoever called has taken this thread, or one like it, out of the idle ones.
                state.called -= 1;
            } else {
                state.idle -= 1;
                if timeout.timed_out() {
                    break;
                }
            }
        }
        state.threads -= 1;
    }
}

impl State {
    fn queue(&mut self, lane: Lane) -> &mut VecDeque<(u64, Job)> {
        match lane {
            Lane::Exchange => &mut self.exchanges,
            Lane::Body => &mut self.bodies,
        }
    }

    /// How many exchanges may begin now.
    fn free(&self, size: Size) -> usize {
        let threads = size.max_exchanges().saturating_sub(self.busy_exchanges);
        size.max_places.map_or(threads, |max| threads.min(max.saturating_sub(self.places)))
    }

    /// How many of the queued jobs may run now.
    fn runnable(&self, size: Size) -> usize {
        self.bodies.len() + self.exchanges.len().min(self.free(size))
    }

    /// The next job: bodies first, since finishing what was begun frees connections.
    fn take(&mut self, size: Size) -> Option<(Lane, Job)> {
        if let Some((_, job)) = self.bodies.pop_front() {
            return Some((Lane::Body, job));
        }
        if self.free(size) == 0 {
            return None;
        }
        let (_, job) = self.exchanges.pop_front()?;
        self.busy_exchanges += 1;
        self.places += usize::from(size.max_places.is_some());
        Some((Lane::Exchange, job))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn pool(max_threads: usize, keep_alive: Duration) -> Workers {
        let max_places = None;
        Workers::new(Size {
            max_threads,
            max_places,
            keep_alive,
        })
    }

    /// A job that says when it runs and ends when it is told to.
    fn held(workers: &Workers, lane: Lane, name: &'static str, log: &Sender<&'static str>) -> (Sender<()>, Ticket) {
        let (release, wait): (_, Receiver<()>) = channel();
        let log = log.clone();
        let job = move |_: &mut Worker<'_>| {
            log.send(name).unwrap();
            let _ = wait.recv();
        };
        (release, workers.submit(lane, job).unwrap())
    }

    #[test]
    fn threads_are_reused_and_never_too_many() {
        let workers = pool(4, HOUR);
        let (log, seen) = channel();
        for _ in 0..50 {
            drop(held(&workers, Lane::Body, "ran", &log));
        }
        for _ in 0..50 {
            seen.recv().unwrap();
        }
        assert!(workers.threads() <= 4);
    }

    #[test]
    fn exchanges_leave_a_thread_for_bodies() {
        let workers = pool(2, HOUR);
        let (log, seen) = channel();
        let (first, _) = held(&workers, Lane::Exchange, "first", &log);
        let (second, _) = held(&workers, Lane::Exchange, "second", &log);
        assert_eq!(seen.recv().unwrap(), "first");
        let (body, _) = held(&workers, Lane::Body, "body", &log);
        assert_eq!(seen.recv().unwrap(), "body", "it runs although another exchange came first");
        drop((first, body));
        assert_eq!(seen.recv().unwrap(), "second");
        drop(second);
    }

    #[test]
    fn what_comes_at_the_end_of_a_job_is_for_its_thread() {
        let workers = pool(4, HOUR);
        let (log, seen) = channel();
        let (release, wait): (_, Receiver<()>) = channel();
        let ended = log.clone();
        let job = move |worker: &mut Worker<'_>| {
            worker.ends();
            ended.send("ended").unwrap();
            let _ = wait.recv();
        };
        workers.submit(Lane::Exchange, job).unwrap();
        assert_eq!(seen.recv().unwrap(), "ended");
        drop(held(&workers, Lane::Exchange, "next", &log));
        assert_eq!(workers.threads(), 1);
        // One more is too many for it.
        drop(held(&workers, Lane::Exchange, "another", &log));
        assert_eq!(seen.recv().unwrap(), "next");
        assert_eq!(workers.threads(), 2);
        drop(release);
        assert_eq!(seen.recv().unwrap(), "another");
    }

    #[test]
    fn a_place_is_kept_beyond_its_thread() {
        let size = Size {
            max_threads: 8,
            max_places: Some(1),
            keep_alive: HOUR,
        };
        let workers = Workers::new(size);
        let (log, seen) = channel();
        let (kept, place) = channel();
        let job = move |worker: &mut Worker<'_>| {
            worker.ends();
            kept.send(worker.take_place()).unwrap();
        };
        workers.submit(Lane::Exchange, job).unwrap();
        let place = place.recv().unwrap();
        assert!(place.is_some());
        let (next, ticket) = held(&workers, Lane::Exchange, "next", &log);
        drop(held(&workers, Lane::Body, "body", &log));
        assert_eq!(seen.recv().unwrap(), "body", "a body needs no place");
        drop(place);
        assert_eq!(seen.recv().unwrap(), "next");
        assert!(!ticket.withdraw());
        // Given back with the job, too, by one that panics as by any other.
        drop(next);
        workers
            .submit(Lane::Exchange, |_: &mut Worker<'_>| std::panic::resume_unwind(Box::new(())))
            .unwrap();
        drop(held(&workers, Lane::Exchange, "last", &log));
        assert_eq!(seen.recv().unwrap(), "last");
    }

    #[test]
    fn the_queue_is_fair_and_can_be_left() {
        let workers = pool(2, HOUR);
        let (log, seen) = channel();
        let (blocker, _) = held(&workers, Lane::Exchange, "blocker", &log);
        assert_eq!(seen.recv().unwrap(), "blocker");
        let (_a, a) = held(&workers, Lane::Exchange, "a", &log);
        let (b, running) = held(&workers, Lane::Exchange, "b", &log);
        let (c, _) = held(&workers, Lane::Exchange, "c", &log);
        assert!(a.withdraw() && !a.withdraw());
        drop((blocker, c));
        assert_eq!(seen.recv().unwrap(), "b");
        assert!(!running.withdraw());
        drop(b);
        assert_eq!(seen.recv().unwrap(), "c");
    }

    #[test]
    fn a_panic_costs_the_job_and_not_the_thread() {
        let workers = pool(2, HOUR);
        let (log, seen) = channel();
        workers
            .submit(Lane::Exchange, |_: &mut Worker<'_>| std::panic::resume_unwind(Box::new(())))
            .unwrap();
        drop(held(&workers, Lane::Exchange, "after", &log));
        assert_eq!(seen.recv().unwrap(), "after");
    }

    #[test]
    fn threads_end_when_idle_and_when_closed() {
        for (keep_alive, close) in [(Duration::from_millis(1), false), (HOUR, true)] {
            let workers = pool(8, keep_alive);
            let (log, seen) = channel();
            let busy: Vec<_> = (0..8).map(|_| held(&workers, Lane::Body, "ran", &log)).collect();
            busy.iter().for_each(|_| assert_eq!(seen.recv().unwrap(), "ran"));
            assert_eq!(workers.threads(), 8);
            drop(busy);
            if close {
                workers.close();
            }
            while workers.threads() > 0 {
                thread::yield_now();
            }
            // There is work again: so are there threads.
            drop(held(&workers, Lane::Body, "later", &log));
            assert_eq!(seen.recv().unwrap(), "later");
        }
    }
}
