//! HTTP/2 for large bodies, by the h2 crate: flow control is the point of them.

use std::future::poll_fn;
use std::io;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

const BLOCK: usize = 64 << 10;
/// Uploads are not held up by a window: it is the client that is measured.
const WINDOW: u32 = 16 << 20;

pub(super) async fn serve<S>(stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let mut connection = builder.handshake(stream).await.map_err(io::Error::other)?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted.map_err(io::Error::other)?;
        tokio::spawn(answer(request, respond));
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    if request.method() == Method::PUT {
        let mut body = request.into_body();
        while let Some(data) = body.data().await {
            let len = data?.len();
            body.flow_control().release_capacity(len)?;
        }
        let mut stream = respond.send_response(Response::new(()), false)?;
        return stream.send_data(Bytes::from_static(super::SMALL), true);
    }
    let len = request.uri().path().strip_prefix("/fixed/").and_then(|len| len.parse().ok()).unwrap_or(0);
    let head = Response::builder().header("content-length", len).body(()).expect("a number is a value");
    let mut stream = respond.send_response(head, false)?;
    let (block, mut left) = (Bytes::from(vec![b'x'; BLOCK]), len);
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let part = capacity(&mut stream, part).await?;
        left -= part as u64;
        stream.send_data(block.slice(..part), left == 0)?;
    }
    Ok(())
}

/// How many bytes, at most `wanted`, the client has room for.
async fn capacity(stream: &mut SendStream<Bytes>, wanted: usize) -> Result<usize, h2::Error> {
    stream.reserve_capacity(wanted);
    while stream.capacity() == 0 {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(capacity) => drop(capacity?),
            None => return Err(h2::Reason::CANCEL.into()),
        }
    }
    Ok(stream.capacity().min(wanted))
}
