//! A collector that is none: it takes OTLP over HTTP as any collector does, and remembers. A process has one place to log to, so
//! all tests share it, and look for their own by the run.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, mpsc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tollgate_gateway::telemetry::{LogFormat, LogOut, Observing, ObservingSettings};

/// What this process told.
pub(crate) struct Watched {
    observing: Observing,
    received: Received,
    log: Arc<Mutex<Vec<u8>>>,
}

type Received = Arc<Mutex<Vec<(http::HeaderMap, Bytes)>>>;

pub(crate) static WATCHED: LazyLock<Watched> = LazyLock::new(|| {
    let (received, log) = (Received::default(), Arc::<Mutex<Vec<u8>>>::default());
    let settings = ObservingSettings {
        // Whatever the libraries beneath could say is looked through as well.
        filter: "trace,tollgate=trace".to_owned(),
        format: LogFormat::Json,
        out: LogOut::Memory(Arc::clone(&log)),
        otlp_endpoint: Some(format!("http://{}", collect(Arc::clone(&received)))),
    };
    Watched { observing: Observing::begin(&settings).expect("an observed process"), received, log }
});

impl Watched {
    /// Every span so far.
    pub(crate) async fn spans(&'static self) -> Vec<Seen> {
        let flushed = tokio::task::spawn_blocking(|| self.observing.flush());
        flushed.await.expect("a flush");
        let received = self.received.lock().expect("what was received").clone();
        let requests = received.into_iter().map(|(headers, body)| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            ExportTraceServiceRequest::decode(body).expect("OTLP")
        });
        let resources = requests.flat_map(|request| request.resource_spans);
        let spans = resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
        spans.map(Seen).collect()
    }

    /// The spans of a run.
    pub(crate) async fn of_run(&'static self, run: &str) -> Vec<Seen> {
        let is = |span: &Seen| span.text("gen_ai.conversation.id").as_deref() == Some(run);
        self.spans().await.into_iter().filter(is).collect()
    }

    /// Everything that was exported, as it came.
    pub(crate) async fn raw(&'static self) -> Vec<u8> {
        let _ = self.spans().await;
        self.received.lock().expect("what was received").iter().flat_map(|(_, body)| body.to_vec()).collect()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().expect("a log")).into_owned()
    }
}

/// A span as it came.
pub(crate) struct Seen(pub(crate) Span);

impl Seen {
    fn value(&self, name: &str) -> Option<&Value> {
        let mut named = self.0.attributes.iter().filter(|attribute| attribute.key == name);
        let value = named.next();
        assert!(named.next().is_none(), "`{name}` is there twice");
        value?.value.as_ref()?.value.as_ref()
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        let Value::StringValue(text) = value else {
            unreachable!("`{name}` is no text: {value:?}");
        };
        Some(text.clone())
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        let value = self.value(name)?;
        let Value::IntValue(number) = value else {
            unreachable!("`{name}` is no number: {value:?}");
        };
        Some(*number)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        let Value::BoolValue(flag) = value else {
            unreachable!("`{name}` is no flag: {value:?}");
        };
        Some(*flag)
    }

    pub(crate) fn is_error(&self) -> bool {
        // STATUS_CODE_ERROR
        self.0.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

/// Each test has a runtime of its own that ends with it; this one stays.
fn collect(received: Received) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address")).expect("somebody who waits");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let received = Arc::clone(&received);
                let service = service_fn(move |request: Request<Incoming>| {
                    let received = Arc::clone(&received);
                    async move {
                        assert_eq!(request.uri().path(), "/v1/traces");
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.expect("a whole request").to_bytes();
                        received.lock().expect("what was received").push((parts.headers, body));
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                    }
                });
                // Exports come one after the other.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    });
    told.recv().expect("an address")
}
