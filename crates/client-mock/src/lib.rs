//! A scripted engine: tests of code that speaks HTTP, without a network, without waiting, without a runtime.
//!
//! A library takes a [`HttpClient`](client_core::HttpClient). Its tests hand it one whose engine is a [`Mock`]: a queue of
//! [replies](Reply) or a handler answers, every request is [recorded](Recorded), and time is [virtual](MockTimer).
//!
//! ```
//! use client_core::{HttpClient, Result};
//! use client_mock::{Mock, Reply};
//!
//! /// A small SDK: what is to be tested.
//! async fn greeting(http: &HttpClient, token: &str) -> Result<String> {
//!     let response = http.get("https://api.example/greeting").bearer_auth(token).send().await?;
//!     response.error_for_status()?.text().await
//! }
//!
//! let mock = Mock::new();
//! mock.enqueue(Reply::text("hello"));
//! mock.enqueue(Reply::status(401));
//!
//! let http = HttpClient::new(mock.clone());
//! assert_eq!(mock.run(greeting(&http, "key"))?, "hello");
//! assert_eq!(mock.run(greeting(&http, "old")).unwrap_err().status().unwrap(), 401);
//!
//! let requests = mock.requests();
//! assert_eq!(requests[0].uri, "https://api.example/greeting");
//! assert_eq!(requests[0].header("authorization"), Some("Bearer key"));
//! mock.assert_done();
//! # Ok::<_, client_core::Error>(())
//! ```
//!
//! # Time
//!
//! [`Mock::run`] drives a future; when it waits, the clock jumps to the next deadline. A test of a time limit takes no time, and what it
//! measures is exact:
//!
//! ```
//! use std::time::Duration;
//! use client_core::{ErrorKind, HttpClient, Phase, TimeoutKind};
//! use client_mock::{Mock, Reply};
//!
//! let mock = Mock::new();
//! mock.enqueue(Reply::new().chunk("some").pause(Duration::from_secs(60)).chunk("more"));
//!
//! let http = HttpClient::new(mock.clone());
//! let error = mock
//!     .run(async {
//!         let request = http.get("http://h.example/").timeout(|t| t.socket(Duration::from_secs(5)));
//!         request.send().await?.bytes().await
//!     })
//!     .unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
//! assert_eq!(error.phase(), Some(Phase::Body));
//! assert_eq!(error.elapsed().unwrap().elapsed, Duration::from_secs(5));
//! assert_eq!(mock.timer().elapsed(), Duration::from_secs(5));
//! // No timer is left behind.
//! assert_eq!(mock.timer().pending(), 0);
//! ```
//!
//! # Failures
//!
//! A [`Reply`] fails in every way that a network does, and the errors are those of a real engine:
//!
//! ```
//! use client_core::{ErrorKind, HttpClient, Sent};
//! use client_mock::{Mock, Outcome, Reply};
//!
//! let mock = Mock::new();
//! mock.enqueue(Reply::refused());
//! mock.enqueue(Reply::new().chunk("half").reset());
//! let http = HttpClient::new(mock.clone());
//!
//! let refused = mock.run(http.get("http://h.example/").send()).unwrap_err();
//! assert_eq!((refused.kind(), refused.sent()), (ErrorKind::Connect, Sent::Nothing));
//!
//! let reset = mock.run(async { http.get("http://h.example/").send().await?.bytes().await }).unwrap_err();
//! assert_eq!((reset.kind(), reset.sent()), (ErrorKind::Closed, Sent::Answered));
//! assert_eq!(mock.requests()[1].outcome, Outcome::Failed);
//! ```
//!
//! What must never enter this crate: a socket, a runtime, real time.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod duplex;
mod mock;
mod play;
mod recorded;
mod reply;
mod timer;

pub use self::mock::{Mock, MockBuilder};
pub use self::recorded::{Outcome, Recorded};
pub use self::reply::Reply;
pub use self::timer::MockTimer;
