//! What a client may take up: each bound is hit.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_gateway::Bounds;

use crate::site::{MODELS, Plan, Site};

async fn site(bounds: Bounds) -> Site {
    Site::open(&Plan { bounds, ..Plan::of(&[MODELS]) }).await
}

/// Sends bytes on a connection of its own, and reads until the gateway closes it.
async fn exchange(site: &Site, bytes: &str) -> String {
    let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("room for a request");
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_answered_and_closed() {
    let site = site(Bounds { connections: 1, ..Bounds::default() }).await;
    let mut first = TcpStream::connect(site.address()).await.expect("a connection");
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("room for a request");
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    let second = exchange(&site, "").await;
    assert!(second.starts_with("HTTP/1.1 503") && second.contains("retry-after: 1"), "{second}");
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_or_too_large_headers_are_refused() {
    let site = site(Bounds { headers: 10, header_bytes: 9_000, ..Bounds::default() }).await;
    let many: String = (0..11).map(|number| format!("x-{number}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(9_000));
    for headers in [many, large] {
        let answer = exchange(&site, &format!("GET /healthz HTTP/1.1\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_headers_is_closed() {
    let site = site(Bounds { header_time: Duration::from_millis(50), ..Bounds::default() }).await;
    let answer = exchange(&site, "GET /healthz HTTP/1.1\r\nhost: ").await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_body_is_told() {
    let site = site(Bounds { body_time: Duration::from_millis(50), ..Bounds::default() }).await;
    let head = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{}";
    let answer = exchange(&site, head).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("did not come within"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused() {
    let site = site(Bounds::default()).await;
    let answer = exchange(&site, "\u{1}\u{2}\u{3} nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
