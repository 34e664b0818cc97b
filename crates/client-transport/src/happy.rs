//! Happy Eyeballs version 2 (RFC 8305): which address is tried when, and whose connection is taken. Sockets must never enter: what
//! connects is the caller's.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// The "Connection Attempt Delay" that RFC 8305 §5 recommends.
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// An address, and why it could not be connected to.
pub(crate) type Failure = (SocketAddr, io::Error);

/// Alternates between the families, beginning with that of the first address; within a family the resolver's order stays, as it follows
/// the system's preferences (RFC 8305 §4, RFC 6724).
pub(crate) fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let starts_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == starts_with_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::with_capacity(first.len() + second.len());
    while first.len() + second.len() > 0 {
        mixed.extend(first.next());
        mixed.extend(second.next());
    }
    mixed
}

/// Connects to the addresses, one after the other: the next begins when `delay` has passed or the one before has failed. The first
/// success is the answer, and all others are dropped. Without any: each address with its failure, in the order of failing.
pub(crate) async fn race<C, F, T>(addresses: &[SocketAddr], delay: Duration, connect: C) -> Result<T, Vec<Failure>>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    // The common case, without a timer and without boxes.
    if let &[only] = addresses {
        return connect(only).await.map_err(|error| vec![(only, error)]);
    }
    let mut waiting = addresses.iter().copied();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failures = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => running.push((address, Box::pin(connect(address)))),
            None if running.is_empty() => return Err(failures),
            None => {}
        }
        let mut delay = (waiting.len() > 0).then(|| Box::pin(sleep(delay)));
        let success = poll_fn(|cx| {
            for index in 0..running.len() {
                let (address, attempt) = &mut running[index];
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Some(connected)),
                    Poll::Ready(Err(error)) => {
                        failures.push((*address, error));
                        // Its socket goes now; the next attempt begins at once.
                        drop(running.remove(index));
                        return Poll::Ready(None);
                    }
                    Poll::Pending => {}
                }
            }
            match &mut delay {
                Some(delay) => delay.as_mut().poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await;
        if let Some(connected) = success {
            return Ok(connected);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        let ip = text.parse().unwrap();
        SocketAddr::new(ip, 80)
    }

    #[test]
    fn families_alternate() {
        for (given, expected) in [
            ("", ""),
            ("1.1.1.1", "1.1.1.1"),
            ("::1 ::2 1.1.1.1 2.2.2.2", "::1 1.1.1.1 ::2 2.2.2.2"),
            ("1.1.1.1 ::1 ::2 ::3", "1.1.1.1 ::1 ::2 ::3"),
            ("::1 ::2 ::3 1.1.1.1", "::1 1.1.1.1 ::2 ::3"),
            ("2.2.2.2 1.1.1.1", "2.2.2.2 1.1.1.1"),
        ] {
            let parse = |text: &str| text.split_whitespace().map(address).collect::<Vec<_>>();
            assert_eq!(interleave(parse(given)), parse(expected), "{given}");
        }
    }

    /// How an address behaves in a race: after so many milliseconds, this.
    #[derive(Clone, Copy)]
    enum Peer {
        Accepts(u64),
        Refuses(u64),
        Silent,
    }
    use Peer::{Accepts, Refuses, Silent};

    /// Runs a race against such peers in virtual time: who won or in which order they failed, after how long, and when each was begun.
    async fn run(peers: &[Peer]) -> (Result<usize, Vec<usize>>, u64, Vec<u64>) {
        struct Guard<'a>(&'a AtomicUsize);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let addresses: Vec<_> = (1..=peers.len()).map(|n| SocketAddr::from(([10, 0, 0, n as u8], 80))).collect();
        let index = |address: &SocketAddr| addresses.iter().position(|one| one == address).unwrap();
        let (start, begun, open) = (Instant::now(), Mutex::new(Vec::new()), AtomicUsize::new(0));
        let outcome = race(&addresses, ATTEMPT_DELAY, |address| {
            begun.lock().unwrap().push(start.elapsed().as_millis() as u64);
            open.fetch_add(1, Ordering::Relaxed);
            let (index, guard) = (index(&address), Guard(&open));
            let peer = peers[index];
            async move {
                let _guard = guard;
                match peer {
                    Accepts(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Ok(index)
                    }
                    Refuses(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Err(io::ErrorKind::ConnectionRefused.into())
                    }
                    Silent => std::future::pending().await,
                }
            }
        })
        .await
        .map_err(|failures| failures.iter().map(|(address, _)| index(address)).collect());
        assert_eq!(open.load(Ordering::Relaxed), 0, "every attempt is over when the race is");
        (outcome, start.elapsed().as_millis() as u64, begun.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn races() {
        for (peers, expected, after, begun) in [
            (&[Accepts(5)][..], Ok(0), 5, &[0][..]),
            // A black hole costs one delay.
            (&[Silent, Accepts(10)], Ok(1), 260, &[0, 250]),
            (&[Silent, Silent, Accepts(0), Accepts(0)], Ok(2), 500, &[0, 250, 500]),
            // A slow first one still wins if it is the first to answer.
            (&[Accepts(260), Accepts(100)], Ok(0), 260, &[0, 250]),
            // An early failure starts the next at once.
            (&[Refuses(1), Accepts(1)], Ok(1), 2, &[0, 1]),
            (&[Silent, Refuses(10), Accepts(1)], Ok(2), 261, &[0, 250, 260]),
            (&[Refuses(1), Refuses(1), Refuses(3)], Err(vec![0, 1, 2]), 5, &[0, 1, 2]),
            // The last failure ends it, whichever that is.
            (&[Refuses(300), Refuses(1)], Err(vec![1, 0]), 300, &[0, 250]),
        ] {
            assert_eq!(run(peers).await, (expected, after, begun.to_vec()));
        }
        assert_eq!(run(&[]).await, (Err(vec![]), 0, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_race_drops_its_attempts() {
        let raced = tokio::time::timeout(Duration::from_secs(1), run(&[Silent, Silent])).await;
        assert!(raced.is_err());
    }
}
