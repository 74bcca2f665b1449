//! What every listener shares: bounded connections, bodies read within bounds, answers, and the end of a server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tls::Acceptor;
use crate::workers::Workers;

/// A body on its way to a client.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// A body that cannot be brought to its end; the connection is closed, so that no half of it is taken for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the body was not sent whole")]
pub(crate) struct Broken;

/// What a client may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once; one more is answered with 503 and closed.
    pub connections: usize,
    /// Bytes of a request's line and headers, and of the buffer they are read into. 64 KiB.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// How long a request's headers may take.
    pub header_time: Duration,
    /// Bytes of a request's body. 32 MiB, the most that Anthropic takes.
    pub body_bytes: usize,
    /// How long a request's body may take.
    pub body_time: Duration,
    /// Bytes of the bodies of all requests under way; a request for which there is no room is answered with 503. 512 MiB, some
    /// hundreds of an agent's contexts.
    pub held_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4_096,
            header_bytes: 64 << 10,
            headers: 100,
            header_time: Duration::from_secs(15),
            body_bytes: 32 << 20,
            body_time: Duration::from_secs(60),
            held_bytes: 512 << 20,
        }
    }
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not come within {seconds} s")]
    TooSlow { seconds: u64 },
    #[error("the body ended before it was whole")]
    Broken,
}

/// Reads a whole body within bounds.
pub(crate) async fn read_body(body: Incoming, limit: usize, time: Duration) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(time, Limited::new(body, limit).collect()).await {
        Err(_) => Err(BodyError::TooSlow { seconds: time.as_secs() }),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    typed(status, "application/json", body.to_string())
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Sets a header whose value may come from a name; one that no header can hold is left out.
pub(crate) fn set_header<B>(response: &mut Response<B>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// A server that runs until it is told to end.
pub(crate) struct Server {
    address: SocketAddr,
    drain: CancellationToken,
    connections: TaskTracker,
    /// Kept for as long as connections may be on them.
    _workers: Option<Arc<Workers>>,
}

impl Server {
    /// Answers on a listener with a function, within bounds; over TLS, where there is something to prove itself by.
    pub(crate) fn start<A, F>(
        listener: (TcpListener, Option<Acceptor>),
        bounds: Bounds,
        answer: A,
    ) -> std::io::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_on(None, listener, bounds, answer)
    }

    /// The same on threads of its own.
    pub(crate) fn start_on<A, F>(
        workers: Option<Workers>,
        (listener, tls): (TcpListener, Option<Acceptor>),
        bounds: Bounds,
        answer: A,
    ) -> std::io::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let workers = workers.map(Arc::new);
        let server = Self {
            address: listener.local_addr()?,
            drain: CancellationToken::new(),
            connections: TaskTracker::new(),
            _workers: workers.clone(),
        };
        let (drain, connections) = (server.drain.clone(), server.connections.clone());
        server.connections.spawn(async move {
            let places = Arc::new(Semaphore::new(bounds.connections));
            loop {
                let stream = tokio::select! {
                    () = drain.cancelled() => return,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        // Out of descriptors, or the client has left: either passes, and a busy loop would not help.
                        Err(_) => { tokio::time::sleep(Duration::from_millis(10)).await; continue }
                    },
                };
                match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        let (answer, drain, tls) = (answer.clone(), drain.clone(), tls.clone());
                        let serve = move |stream| async move {
                            take_in(stream, tls, bounds, answer, drain).await;
                            drop(place);
                        };
                        match &workers {
                            // A socket that cannot be handed over is closed.
                            Some(workers) => _ = workers.carry(&connections, stream, serve),
                            None => _ = connections.spawn(serve(stream)),
                        }
                    }
                    Err(_) => turn_away(stream).await,
                }
            }
        });
        Ok(server)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and waits until those that are open have ended their request.
    pub(crate) async fn drain(&self) {
        self.drain.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

async fn take_in<A, F>(stream: TcpStream, tls: Option<Acceptor>, bounds: Bounds, answer: A, drain: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // A token of a stream is a small packet that must not wait for the next one.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, bounds, answer, drain).await };
    let accepted = tokio::select! {
        accepted = tls.accept(stream, bounds.header_time) => accepted,
        () = drain.cancelled() => return,
    };
    if let Some(stream) = accepted {
        serve(stream, bounds, answer, drain).await;
    }
}

async fn serve<A, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    bounds: Bounds,
    answer: A,
    drain: CancellationToken,
) where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_time)
        .max_headers(bounds.headers)
        .max_header_size(bounds.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // How a connection ended is the client's business: what it was about is settled where its request is.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn turn_away(mut stream: TcpStream) {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // A client that does not read its answer must not keep the others waiting.
    let _ = tokio::time::timeout(Duration::from_millis(100), stream.write_all(answer)).await;
}
