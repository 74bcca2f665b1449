//! A provider as small as it can be, in the trial's own process, so that what arrives and what is closed is timed by the clock
//! that times the clients. Streams never end by themselves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::find;

/// A running provider.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    open: AtomicUsize,
    /// Streams by the number their `x-stream` gave them, and when their connection was closed.
    closed: Mutex<Vec<(u64, Instant)>>,
    /// What `x-begun` said of the plain requests.
    begun: Mutex<Vec<u64>>,
}

const PLAIN: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"gpt-5.2","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
const EVENT: &str = "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5.2\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}],\"usage\":null}\n\n";

impl Upstream {
    /// Answers on a free port; a stream has an event every `pace`.
    pub(crate) async fn start(pace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let noting = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&noting);
                tokio::spawn(async move { serve(stream, &seen, pace).await });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.seen.open.load(Ordering::Relaxed)
    }

    /// Takes the streams that were closed.
    pub(crate) fn take_closed(&self) -> Vec<(u64, Instant)> {
        std::mem::take(&mut self.seen.closed.lock().unwrap())
    }

    /// Takes what the plain requests said that arrived.
    pub(crate) fn take_begun(&self) -> Vec<u64> {
        std::mem::take(&mut self.seen.begun.lock().unwrap())
    }
}

async fn serve(mut connection: TcpStream, seen: &Seen, pace: Duration) {
    let _ = connection.set_nodelay(true);
    let mut held = Vec::new();
    while let Some((head, body)) = request(&mut connection, &mut held).await {
        let number = |name: &str| {
            let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.and_then(|value| value.trim().parse::<u64>().ok())
        };
        if body.contains("\"stream\":true") {
            seen.open.fetch_add(1, Ordering::Relaxed);
            play(&mut connection, pace).await;
            seen.open.fetch_sub(1, Ordering::Relaxed);
            seen.closed.lock().unwrap().push((number("x-stream").unwrap_or(u64::MAX), Instant::now()));
            return;
        }
        seen.begun.lock().unwrap().extend(number("x-begun"));
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{PLAIN}",
            PLAIN.len()
        );
        if connection.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request: its head in small letters, and its body.
async fn request(connection: &mut TcpStream, held: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = find(held, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.trim().parse::<usize>().ok()).unwrap_or(0);
            if held.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&held[end + 4..end + 4 + length]).into_owned();
                held.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if connection.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

/// Streams until the other side has closed.
async fn play(connection: &mut TcpStream, pace: Duration) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if connection.write_all(head).await.is_err() {
        return;
    }
    let chunk = format!("{:x}\r\n{EVENT}\r\n", EVENT.len());
    let (mut reader, mut writer) = connection.split();
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut byte = [0];
    loop {
        tokio::select! {
            // Nothing more is said here: whatever comes is the end.
            _ = reader.read(&mut byte) => return,
            _ = ticks.tick() => if writer.write_all(chunk.as_bytes()).await.is_err() { return },
        }
    }
}
