//! Connections to a backend. A connection is driven by the call that has it, inside that call's task: on its way to a provider and
//! back nothing is handed from one task to another, which costs a proxy more than what it does with a request. One that is idle is
//! driven by nobody; whether the backend has closed it meanwhile is seen when it is taken.

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::tls::Connector;
use crate::workers::Workers;

/// The connections to one backend.
pub(crate) struct Pool {
    connector: Connector,
    address: Uri,
    host: HeaderValue,
    idle_time: Duration,
    /// For each worker, and for whoever else asks: the one that was used last is at the end. A connection stays where it was
    /// made, since the scheduler there watches it.
    idle: Vec<Mutex<VecDeque<Idle>>>,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: http1::Connection<MaybeHttpsStream<TokioIo<TcpStream>>, Full<Bytes>>,
    worker: usize,
}

/// Why no answer began.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// There is no connection: nothing was sent.
    #[error("{0}")]
    Connect(Box<dyn Error + Send + Sync>),
    /// It broke: the backend may have seen the request.
    #[error("the connection broke off")]
    Broken,
}

/// What comes of sending over one connection.
enum Failed {
    /// Nothing of the request was written.
    Unsent(Box<Request<Full<Bytes>>>),
    Broken,
}

/// The body of an answer. Whoever reads it drives its connection, which goes back to the others at the body's end; where the body is
/// dropped before, the connection is closed.
pub(crate) struct Arriving {
    body: Incoming,
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
}

impl Pool {
    /// Connections to an address; one that was idle for so long is closed.
    pub(crate) fn new(connector: Connector, scheme: Scheme, authority: Authority, idle_time: Duration) -> Self {
        let default_port = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = match authority.port_u16() {
            Some(port) if port != default_port => authority.as_str(),
            _ => authority.host(),
        };
        let host = HeaderValue::from_str(host).expect("an authority has only characters that a header may have");
        let address = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        Self {
            connector,
            address: address.expect("all three parts are there"),
            host,
            idle_time,
            idle: (0..=Workers::count()).map(|_| Mutex::default()).collect(),
        }
    }

    /// Sends a request, whose address is a path, and waits for the beginning of its answer. One that a backend has closed its
    /// connection before goes over another one.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Arriving>, SendError> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        loop {
            let idle = poll_fn(|context| Poll::Ready(self.take(context))).await;
            let fresh = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connect().await.map_err(SendError::Connect)?,
            };
            match connection.send(request).await {
                Ok(answer) => {
                    let pool = Arc::clone(self);
                    return Ok(answer.map(|body| Arriving { body, connection: Some(connection), pool }));
                }
                Err(Failed::Unsent(_)) if fresh => {
                    return Err(SendError::Connect("the connection was closed before anything was sent".into()));
                }
                Err(Failed::Unsent(unsent)) => request = *unsent,
                Err(Failed::Broken) => return Err(SendError::Broken),
            }
        }
    }

    /// Closes those that were idle for too long.
    pub(crate) fn retire_idle(&self) {
        for worker in 0..self.idle.len() {
            let mut idle = self.idle(worker);
            let kept = idle.partition_point(|idle| idle.since.elapsed() >= self.idle_time);
            let retired: Vec<Idle> = idle.drain(..kept).collect();
            drop((idle, retired));
        }
    }

    /// An idle connection of this thread that is still open, of which the others are closed.
    fn take(&self, context: &mut Context<'_>) -> Option<Box<Connection>> {
        loop {
            let Idle { mut connection, since } = self.idle(Workers::current()).pop_back()?;
            if since.elapsed() < self.idle_time && connection.is_open(context) {
                return Some(connection);
            }
        }
    }

    fn give_back(&self, connection: Box<Connection>) {
        self.idle(connection.worker).push_back(Idle { connection, since: Instant::now() });
    }

    async fn connect(&self) -> Result<Box<Connection>, Box<dyn Error + Send + Sync>> {
        let stream = self.connector.connect(self.address.clone()).await?;
        let (sender, driver) = http1::handshake(stream).await?;
        Ok(Box::new(Connection { sender, driver, worker: Workers::current() }))
    }

    fn idle(&self, worker: usize) -> MutexGuard<'_, VecDeque<Idle>> {
        let idle = self.idle.get(worker).expect("there is a place for each worker and one for all others");
        idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Whether another request can go over it.
    fn is_open(&mut self, context: &mut Context<'_>) -> bool {
        self.drive(context).is_pending() && matches!(self.sender.poll_ready(context), Poll::Ready(Ok(())))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        // A new one is ready once it was driven for the first time.
        let ready = poll_fn(|context| {
            let _ = self.drive(context);
            self.sender.poll_ready(context)
        });
        if ready.await.is_err() {
            return Err(Failed::Unsent(Box::new(request)));
        }
        let Self { sender, driver, .. } = self;
        let mut answer = pin!(sender.try_send_request(request));
        let answered = poll_fn(|context| {
            // Its end is told to the request as well.
            let _ = Pin::new(&mut *driver).poll(context);
            answer.as_mut().poll(context)
        });
        answered
            .await
            .map_err(|mut error| error.take_message().map_or(Failed::Broken, |unsent| Failed::Unsent(Box::new(unsent))))
    }

    /// Reads and writes what can be read and written now; ready when the connection has ended.
    fn drive(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.driver).poll(context).map(drop)
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending()
            && let Some(connection) = &mut self.connection
        {
            // Its end is told to the body as well.
            let _ = connection.drive(context);
            frame = Pin::new(&mut self.body).poll_frame(context);
        }
        match (&frame, self.connection.take()) {
            (Poll::Ready(None), Some(connection)) => self.pool.give_back(connection),
            (Poll::Ready(Some(Ok(_))) | Poll::Pending, connection) => self.connection = connection,
            // One that broke is closed.
            (Poll::Ready(Some(Err(_)) | None), _) => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // Its end has to be read for the connection to go back.
        self.connection.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream as Socket};
    use std::sync::mpsc;

    use http_body_util::BodyExt;

    use super::*;

    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const LONG: Duration = Duration::from_secs(60);

    /// A backend that does with its first connection, its second and so on what is listed, and tells when each has ended.
    fn backend<F>(mut connections: Vec<F>) -> (Authority, mpsc::Receiver<()>)
    where
        F: FnMut(&mut Socket) + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (tell, ended) = mpsc::channel();
        std::thread::spawn(move || {
            for serve in &mut connections {
                let (mut socket, _) = listener.accept().unwrap();
                serve(&mut socket);
                drop(socket);
                tell.send(()).unwrap();
            }
        });
        (address, ended)
    }

    /// Reads a request's head, and answers; whether there was one.
    fn answer(socket: &mut Socket, with: &str) -> bool {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if socket.read(&mut byte).unwrap_or(0) == 0 {
                return false;
            }
            head.push(byte[0]);
        }
        socket.write_all(with.as_bytes()).is_ok()
    }

    fn pool(authority: Authority, idle_time: Duration) -> Arc<Pool> {
        let connector = crate::tls::connector(&Scheme::HTTP, None, LONG).unwrap();
        Arc::new(Pool::new(connector, Scheme::HTTP, authority, idle_time))
    }

    fn request() -> Request<Full<Bytes>> {
        Request::get("/v1/x").body(Full::default()).unwrap()
    }

    async fn text(pool: &Arc<Pool>) -> String {
        let answer = pool.send(request()).await.unwrap();
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn idle(pool: &Pool) -> usize {
        pool.idle(Workers::current()).len()
    }

    #[tokio::test]
    async fn a_connection_whose_answer_was_read_to_its_end_carries_the_next_request() {
        let (address, ended) = backend(vec![|socket: &mut Socket| while answer(socket, WHOLE) {}]);
        let pool = pool(address, LONG);
        for _ in 0..3 {
            assert_eq!((text(&pool).await.as_str(), idle(&pool)), ("ok", 1));
        }
        assert!(ended.try_recv().is_err(), "a second connection would never have been accepted");
    }

    #[tokio::test]
    async fn calls_at_once_have_a_connection_each() {
        let once = |socket: &mut Socket| {
            answer(socket, WHOLE);
        };
        let (address, _ended) = backend(vec![once, once]);
        let pool = pool(address, LONG);
        let first = pool.send(request()).await.unwrap();
        assert_eq!(text(&pool).await, "ok");
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "ok");
    }

    #[tokio::test]
    async fn one_that_the_backend_closed_while_it_was_idle_is_replaced() {
        let once = |socket: &mut Socket| {
            answer(socket, WHOLE);
        };
        let (address, ended) = backend(vec![once, once]);
        let pool = pool(address, LONG);
        assert_eq!(text(&pool).await, "ok");
        ended.recv_timeout(LONG).unwrap();
        // The scheduler hears of it.
        tokio::task::yield_now().await;
        assert_eq!(text(&pool).await, "ok");
    }

    #[tokio::test]
    async fn one_that_breaks_off_under_a_request_is_not_asked_again() {
        let (address, _ended) = backend(vec![|socket: &mut Socket| {
            answer(socket, "HTTP/1.1 200");
        }]);
        let pool = pool(address, LONG);
        assert!(matches!(pool.send(request()).await.map(drop), Err(SendError::Broken)));
        assert_eq!(idle(&pool), 0);
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_short_is_an_error_and_not_an_end() {
        let (address, _ended) = backend(vec![|socket: &mut Socket| {
            answer(socket, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok");
        }]);
        let pool = pool(address, LONG);
        let answer = pool.send(request()).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
        assert_eq!(idle(&pool), 0);
    }

    #[tokio::test]
    async fn dropping_an_answer_before_its_end_closes_its_connection() {
        let (address, ended) = backend(vec![|socket: &mut Socket| {
            answer(socket, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n");
            // Until the other side closes.
            assert!(!answer(socket, WHOLE));
        }]);
        let pool = pool(address, LONG);
        let mut body = pool.send(request()).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
        drop(body);
        ended.recv_timeout(LONG).unwrap();
        assert_eq!(idle(&pool), 0);
    }

    #[tokio::test]
    async fn one_that_was_idle_for_too_long_is_closed() {
        let serve = |socket: &mut Socket| while answer(socket, WHOLE) {};
        let (address, ended) = backend(vec![serve, serve]);
        let pool = pool(address, Duration::ZERO);
        assert_eq!((text(&pool).await.as_str(), idle(&pool)), ("ok", 1));
        pool.retire_idle();
        assert_eq!(idle(&pool), 0);
        ended.recv_timeout(LONG).unwrap();
        assert_eq!(text(&pool).await, "ok");
    }

    #[tokio::test]
    async fn nobody_there_is_told_as_such() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        assert!(matches!(pool(address, LONG).send(request()).await.map(drop), Err(SendError::Connect(_))));
    }
}
