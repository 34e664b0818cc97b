//! A request's or a response's body. Bodies know their length, and whether they can be sent again.
//!
//! Longer than most because a fifth of it is tests, and because what a body consists of, how it is sent again and how it is read have to agree.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::abort::{self, Membership};
use crate::error::{BoxError, Error, ErrorKind, Result, Sent};
use crate::trailers;

/// A stream of bytes with optional trailers, compatible with [`http_body::Body`].
///
/// Redirects, retries and authentication ask [`try_clone`](Body::try_clone): empty and in-memory bodies and those made by
/// [`reopen`](Body::reopen) can be sent again, streams cannot.
///
/// ```
/// use client_core::Body;
///
/// assert_eq!(Body::from("hello").len(), Some(5));
/// assert!(Body::from("hello").try_clone().is_some());
///
/// let stream = futures::stream::iter([Ok::<_, std::io::Error>("a"), Ok("b")]);
/// let body = Body::stream(stream);
/// assert_eq!(body.len(), None);
/// assert!(body.try_clone().is_none());
/// ```
pub struct Body {
    content: Content,
    trailers: Option<Box<HeaderMap>>,
    /// A request's: what its producer adds after the content is looked at.
    is_request: bool,
    /// Of a response that is still under way.
    membership: Option<Membership>,
}

enum Content {
    Empty,
    Full(Bytes),
    /// Made anew each time it is sent; opened at the first poll.
    Reopen {
        open: Arc<dyn Fn() -> Body + Send + Sync>,
        len: Option<u64>,
    },
    Stream(Exclusive),
}

/// Bodies need only be `Send`; a response must be `Sync` to be borrowed across an await. A mutex that is only ever reached
/// through `&mut` makes it so, and is never locked.
struct Exclusive(Mutex<Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>>);

impl Exclusive {
    fn new(body: impl http_body::Body<Data = Bytes, Error = Error> + Send + 'static) -> Self {
        Self(Mutex::new(Box::pin(body)))
    }

    fn get_mut(&mut self) -> Pin<&mut (dyn http_body::Body<Data = Bytes, Error = Error> + Send)> {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).as_mut()
    }

    /// Reads only what `&self` may know; the lock is free by construction.
    fn peek<T>(&self, read: impl FnOnce(&(dyn http_body::Body<Data = Bytes, Error = Error> + Send)) -> T) -> T {
        read(&**self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Body {
    /// No content.
    pub const fn empty() -> Self {
        Self {
            content: Content::Empty,
            trailers: None,
            is_request: false,
            membership: None,
        }
    }

    /// Content that is produced while it is sent, of unknown length. It can be sent once.
    pub fn stream<S, T, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self::wrap(StreamBody(Box::pin(stream)))
    }

    /// Content that is produced while it is sent, of `len` bytes in all. A producer that makes more or fewer fails the call with
    /// [`ErrorKind::Body`].
    pub fn sized_stream<S, T, E>(len: u64, stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        let stream = Exclusive::new(StreamBody(Box::pin(stream)));
        Self::wrap(Measured::new(stream, len))
    }

    /// Content that `open` makes anew each time it is sent: a file that is opened again, say. `len` is its length, where known.
    pub fn reopen(len: Option<u64>, open: impl Fn() -> Self + Send + Sync + 'static) -> Self {
        Self {
            content: Content::Reopen {
                open: Arc::new(open),
                len,
            },
            trailers: None,
            is_request: false,
            membership: None,
        }
    }

    /// Any [`http_body::Body`] with errors of ours: what engines return.
    pub fn wrap(body: impl http_body::Body<Data = Bytes, Error = Error> + Send + 'static) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self {
            content: Content::Stream(Exclusive::new(body)),
            trailers: None,
            is_request: false,
            membership: None,
        }
    }

    /// Any [`http_body::Body`] of bytes; its errors become [`ErrorKind::Body`].
    pub fn from_http_body<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        // One of ours keeps what it knows: its length, and whether it can be sent again.
        if let Some(ours) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return ours.take().unwrap_or_default();
        }
        body.map_or_else(Self::empty, |body| Self::wrap(Foreign(Box::pin(body))))
    }

    /// Adds fields that are sent after the content (RFC 9110 §6.5); asks the engine for
    /// [`Capability::RequestTrailers`](crate::Capability::RequestTrailers).
    #[must_use]
    pub fn with_trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(Box::new(trailers));
        self
    }

    /// Whether trailers were given by [`with_trailers`](Self::with_trailers).
    #[inline]
    pub fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// The fields given by [`with_trailers`](Self::with_trailers): an engine that has to announce them (RFC 9110 §6.6.2) needs their names.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The length in bytes of what is still to come, where it is known.
    #[inline]
    pub fn len(&self) -> Option<u64> {
        match &self.content {
            Content::Empty => Some(0),
            Content::Full(bytes) => Some(bytes.len() as u64),
            Content::Reopen { len, .. } => *len,
            Content::Stream(stream) => stream.peek(|body| body.size_hint().exact()),
        }
    }

    /// Whether it is known to have no content.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// All of the content, if it is in memory and can be had without waiting.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        static EMPTY: Bytes = Bytes::new();
        match &self.content {
            Content::Empty => Some(&EMPTY),
            Content::Full(bytes) => Some(bytes),
            Content::Reopen { .. } | Content::Stream(_) => None,
        }
    }

    /// Whether [`try_clone`](Self::try_clone) makes one more of it.
    #[inline]
    pub fn is_repeatable(&self) -> bool {
        !matches!(self.content, Content::Stream(_))
    }

    /// The same body once more, or `None` if it can be sent only once.
    pub fn try_clone(&self) -> Option<Self> {
        let content = match &self.content {
            Content::Empty => Content::Empty,
            Content::Full(bytes) => Content::Full(bytes.clone()),
            Content::Reopen { open, len } => Content::Reopen {
                open: Arc::clone(open),
                len: *len,
            },
            Content::Stream(_) => return None,
        };
        Some(Self {
            content,
            trailers: self.trailers.clone(),
            is_request: self.is_request,
            membership: None,
        })
    }

    /// Declares the length of a stream that does not know it: the user's own `Content-Length`.
    pub(crate) fn declare_len(&mut self, len: u64) {
        let content = std::mem::replace(&mut self.content, Content::Empty);
        self.content = match content {
            Content::Stream(inner) => Content::Stream(Exclusive::new(Measured::new(inner, len))),
            Content::Reopen { open, .. } => Content::Reopen { open, len: Some(len) },
            // In memory, with a length of its own: that it is not the declared one is told when it is sent.
            known => {
                let body = Self {
                    content: known,
                    trailers: None,
                    is_request: false,
                    membership: None,
                };
                Content::Stream(Exclusive::new(Measured::new(Exclusive::new(body), len)))
            }
        };
    }

    /// From now on it is a request's, which must not have every trailer: those given are looked at now, those of the producer when they come.
    pub(crate) fn is_sent(&mut self) -> Result<()> {
        self.is_request = true;
        self.trailers().map_or(Ok(()), |fields| trailers::check(fields, ErrorKind::InvalidRequest))
    }

    /// It ends when its client is aborted, unless all of it is here already.
    pub(crate) fn until_aborted(&mut self, membership: Membership) {
        self.membership = matches!(self.content, Content::Stream(_)).then_some(membership);
    }

    /// All that is still to come, where it is in memory and nothing follows it.
    pub(crate) fn take_all(&mut self) -> Option<Bytes> {
        match &mut self.content {
            _ if self.trailers.is_some() => None,
            Content::Empty => Some(Bytes::new()),
            Content::Full(bytes) => {
                let all = std::mem::take(bytes);
                self.content = Content::Empty;
                Some(all)
            }
            Content::Reopen { .. } | Content::Stream(_) => None,
        }
    }

    /// Opens what is made anew each time it is sent.
    fn open(&mut self) -> Result<()> {
        for _ in 0..MAX_OPENED {
            let Content::Reopen { open, len } = &self.content else {
                return Ok(());
            };
            let (body, len) = (open(), *len);
            self.trailers = self.trailers.take().or(body.trailers);
            self.content = body.content;
            if let Some(len) = len.filter(|_| self.len() != len) {
                self.declare_len(len);
            }
        }
        self.content = Content::Empty;
        Err(Error::new(ErrorKind::Body, "Body::reopen opens a body that is itself reopened, again and again"))
    }

    /// The next piece of content or the trailers; `None` at the end.
    ///
    /// # Errors
    /// Whatever ended the body early.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>>> {
        std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut *self), cx)).await
    }
}

/// How deep bodies that are reopened may be nested; one that opens itself would never end.
const MAX_OPENED: usize = 16;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.open()?;
        let this = &mut *self;
        if this.membership.as_ref().is_some_and(Membership::is_aborted) {
            // Dropping what is left frees its connection now, not when the caller drops the response.
            *this = Self::empty();
            return Poll::Ready(Some(Err(abort::aborted(Sent::Answered))));
        }
        let frame = match &mut this.content {
            Content::Empty | Content::Reopen { .. } => None,
            Content::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::Empty;
                Some(Ok(Frame::data(bytes))).filter(|frame| !frame.as_ref().is_ok_and(is_empty_data))
            }
            Content::Stream(stream) => match stream.get_mut().poll_frame(cx) {
                Poll::Pending => {
                    let ended = this.membership.as_mut().map(|membership| membership.poll(cx, Sent::Answered));
                    let Some(Poll::Ready(error)) = ended else {
                        return Poll::Pending;
                    };
                    *this = Self::empty();
                    Some(Err(error))
                }
                Poll::Ready(frame) => frame,
            },
        };
        let frame = frame.or_else(|| {
            // A stream may panic when it is polled after its end.
            (this.content, this.membership) = (Content::Empty, None);
            this.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers)))
        });
        if this.is_request
            && let Some(Ok(frame)) = &frame
            && let Some(fields) = frame.trailers_ref()
        {
            trailers::check(fields, ErrorKind::Body)?;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
            && match &self.content {
                Content::Empty => true,
                Content::Full(bytes) => bytes.is_empty(),
                Content::Reopen { .. } => false,
                Content::Stream(stream) => stream.peek(|body| body.is_end_stream()),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Stream(stream) => stream.peek(|body| body.size_hint()),
            _ => self.len().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

fn is_empty_data(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(Bytes::is_empty)
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let content = if bytes.is_empty() { Content::Empty } else { Content::Full(bytes) };
        Self {
            content,
            trailers: None,
            is_request: false,
            membership: None,
        }
    }
}

macro_rules! from_bytes {
    ($($from:ty),+) => {$(
        impl From<$from> for Body {
            fn from(content: $from) -> Self {
                Self::from(Bytes::from(content))
            }
        }
    )+};
}

from_bytes!(&'static str, &'static [u8], String, Vec<u8>, Box<[u8]>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.content {
            Content::Empty => "Empty",
            Content::Full(_) => "Full",
            Content::Reopen { .. } => "Reopen",
            Content::Stream(_) => "Stream",
        };
        write!(f, "Body::{kind}")?;
        self.len().map_or(Ok(()), |len| write!(f, "({len} bytes)"))
    }
}

/// A stream of chunks as a body.
struct StreamBody<S>(Pin<Box<S>>);

impl<S, T, E> http_body::Body for StreamBody<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let chunk = std::task::ready!(self.0.as_mut().poll_next(cx));
        Poll::Ready(chunk.map(|chunk| match chunk {
            Ok(chunk) => Ok(Frame::data(chunk.into())),
            Err(error) => Err(producer_failed(error)),
        }))
    }
}

/// A foreign body, its errors mapped.
struct Foreign<B>(Pin<Box<B>>);

impl<B> http_body::Body for Foreign<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = std::task::ready!(self.0.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(producer_failed)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An error of ours passes through; any other is the producer's.
fn producer_failed(error: impl Into<BoxError>) -> Error {
    match error.into().downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => Error::new(ErrorKind::Body, format!("its producer failed: {other}")).with_source(other),
    }
}

/// A body with a declared length, held to it.
struct Measured {
    inner: Exclusive,
    declared: u64,
    remaining: u64,
}

impl Measured {
    fn new(inner: Exclusive, declared: u64) -> Self {
        Self {
            inner,
            declared,
            remaining: declared,
        }
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = std::task::ready!(self.inner.get_mut().poll_frame(cx));
        let declared = self.declared;
        let data = match &frame {
            Some(Ok(frame)) => frame.data_ref(),
            Some(Err(_)) => return Poll::Ready(frame),
            None => None,
        };
        let Some(data) = data else {
            // The end, or trailers, which come at the end.
            return Poll::Ready(match self.remaining {
                0 => frame,
                missing => Some(Err(Error::new(
                    ErrorKind::Body,
                    format!("{declared} bytes were declared, but the producer ended {missing} bytes short"),
                ))),
            });
        };
        let Some(remaining) = self.remaining.checked_sub(data.len() as u64) else {
            return Poll::Ready(Some(Err(Error::new(
                ErrorKind::Body,
                format!("{declared} bytes were declared, but the producer made more"),
            ))));
        };
        self.remaining = remaining;
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream::iter;

    use super::*;

    async fn read(mut body: Body) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                all.extend_from_slice(&data);
            }
        }
        Ok(all)
    }

    fn chunks(parts: &[&'static str]) -> impl Stream<Item = Result<&'static str, std::io::Error>> + Send + use<> {
        iter(parts.iter().map(|part| Ok(*part)).collect::<Vec<_>>())
    }

    #[test]
    fn send_and_sync() {
        fn check<T: Send + Sync>() {}
        check::<Body>();
    }

    #[test]
    fn a_declared_length_is_held() {
        assert_eq!(block_on(read(Body::sized_stream(4, chunks(&["ab", "cd"])))).unwrap(), b"abcd");
        let short = block_on(read(Body::sized_stream(5, chunks(&["ab", "cd"])))).unwrap_err();
        assert_eq!(short.to_string(), "request body: 5 bytes were declared, but the producer ended 1 bytes short");
        let long = block_on(read(Body::sized_stream(3, chunks(&["ab", "cd"])))).unwrap_err();
        assert_eq!(long.kind(), ErrorKind::Body);
    }

    #[test]
    fn reopened_each_time() {
        let body = Body::reopen(Some(3), || Body::reopen(None, || Body::from("abc")));
        for copy in [body.try_clone().unwrap(), body] {
            assert_eq!(copy.len(), Some(3));
            assert_eq!(block_on(read(copy)).unwrap(), b"abc");
        }
    }

    #[test]
    fn what_is_reopened_is_held_to_its_length() {
        for (declared, content) in [(5, "abc"), (2, "abc"), (1, "")] {
            let error = block_on(read(Body::reopen(Some(declared), move || Body::from(content)))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Body, "{declared} {content:?}");
        }
    }

    #[test]
    fn what_opens_itself_for_ever_is_an_error() {
        fn open() -> Body {
            Body::reopen(None, open)
        }
        assert_eq!(block_on(read(open())).unwrap_err().kind(), ErrorKind::Body);
    }

    /// A stream may panic when it is polled after its end, and `unfold` does.
    #[test]
    fn the_end_is_final() {
        let stream = || futures::stream::unfold(Some("a"), async |next| Some((Ok::<_, std::io::Error>(next?), None)));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        for mut body in [
            Body::stream(stream()).with_trailers(trailers),
            Body::sized_stream(1, stream()),
        ] {
            block_on(async {
                while let Some(frame) = body.frame().await {
                    frame.unwrap();
                }
                assert!(body.frame().await.is_none());
            });
        }
    }

    #[test]
    fn trailers_come_last_and_survive_a_clone() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        let mut body = Body::from("a").with_trailers(trailers.clone()).try_clone().unwrap();
        block_on(async {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
            assert!(!http_body::Body::is_end_stream(&body));
            assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
            assert!(body.frame().await.is_none());
        });
    }

    #[test]
    fn a_producers_error_is_kept() {
        let failing = iter([Ok("a"), Err(std::io::Error::other("disk on fire"))]);
        let error = block_on(read(Body::stream(failing))).unwrap_err();
        assert_eq!(error.to_string(), "request body: its producer failed: disk on fire");
    }
}
