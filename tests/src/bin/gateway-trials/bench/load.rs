//! The load: so many connections, each with one request after the other, from one thread that does as little as it can.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::wire::{Connection, request};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Plain,
    Stream,
}

impl Asked {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stream => "stream",
        }
    }
}

pub(crate) struct Measured {
    pub(crate) latencies_us: Vec<f64>,
    pub(crate) time: Duration,
}

/// Of the question, in bytes: what a short turn of an agent has.
const QUESTION: usize = 1_500;

/// Asks for so long.
pub(crate) fn measure(address: SocketAddr, asked: Asked, connections: usize, time: Duration) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let latencies_us = runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..connections {
            clients.spawn(client(address, asked, number, began + time));
        }
        clients.join_all().await.concat()
    });
    Measured { latencies_us, time: began.elapsed() }
}

async fn client(address: SocketAddr, asked: Asked, number: usize, until: Instant) -> Vec<f64> {
    let run = format!("bench-{number}");
    let headers = [
        ("authorization", "Bearer sk-bench"),
        ("x-tollgate-run", &*run),
        ("x-tollgate-scope", "team=red, organisation=all"),
        ("accept", "*/*"),
        ("user-agent", "bench"),
    ];
    let body = format!(
        r#"{{"model":"gpt-5-mini","max_tokens":16,"stream":{},"messages":[{{"role":"user","content":"{}"}}]}}"#,
        asked == Asked::Stream,
        "question ".repeat(QUESTION / 9)
    );
    let request = request("/v1/chat/completions", &headers, &body);
    let mut connection = Connection::open(address).await.unwrap();
    let mut latencies_us = Vec::with_capacity(1 << 16);
    loop {
        let began = Instant::now();
        if began >= until {
            return latencies_us;
        }
        connection.send(&request).await.unwrap();
        let status = connection.swallow().await.unwrap();
        assert_eq!(status, 200, "a request of the bench was refused");
        latencies_us.push(began.elapsed().as_nanos() as f64 / 1_000.0);
    }
}
