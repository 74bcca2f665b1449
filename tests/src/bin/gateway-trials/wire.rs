//! HTTP/1.1 as a client needs it and no more, so that little of the machine goes into asking.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has come and was not taken.
    buffer: Vec<u8>,
}

/// How an answer begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// So many bytes are left.
    Known(usize),
    /// So many bytes of a chunk are left; nothing where a chunk begins.
    Chunked(usize),
    Ended,
}

/// A request with a body.
pub(crate) fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let named: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\n{named}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Where a part begins in a whole.
pub(crate) fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// More bytes of whatever comes; none when the server has closed.
    async fn more(&mut self) -> io::Result<usize> {
        self.buffer.reserve(4 << 10);
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn more_or_fail(&mut self) -> io::Result<()> {
        if self.more().await? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Whatever comes next on the connection, as it is; nothing when the server has closed it.
    pub(crate) async fn raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.buffer.is_empty() && self.more().await? == 0 {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.buffer)))
    }

    /// Reads how an answer begins.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
                self.buffer.drain(..end + 4);
                return head_of(&text);
            }
            self.more_or_fail().await?;
        }
    }

    /// The next bytes of a body; nothing at its end.
    pub(crate) async fn piece(&mut self, head: &mut Head) -> io::Result<Option<Vec<u8>>> {
        loop {
            let left = match head.body {
                Body::Ended | Body::Known(0) => return Ok(None),
                Body::Chunked(0) => {
                    head.body = self.chunk().await?;
                    continue;
                }
                Body::Known(left) | Body::Chunked(left) => left,
            };
            if self.buffer.is_empty() {
                self.more_or_fail().await?;
                continue;
            }
            let taken = left.min(self.buffer.len());
            let piece: Vec<u8> = self.buffer.drain(..taken).collect();
            head.body = match head.body {
                Body::Chunked(_) if left == taken => {
                    self.line_end().await?;
                    Body::Chunked(0)
                }
                Body::Chunked(_) => Body::Chunked(left - taken),
                _ => Body::Known(left - taken),
            };
            return Ok(Some(piece));
        }
    }

    /// The size of the next chunk.
    async fn chunk(&mut self) -> io::Result<Body> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let size = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken("no size of a chunk"))?;
                if size > 0 {
                    return Ok(Body::Chunked(size));
                }
                self.line_end().await?;
                return Ok(Body::Ended);
            }
            self.more_or_fail().await?;
        }
    }

    async fn line_end(&mut self) -> io::Result<()> {
        while self.buffer.len() < 2 {
            self.more_or_fail().await?;
        }
        if self.buffer.drain(..2).ne(*b"\r\n") { Err(broken("a chunk without its end")) } else { Ok(()) }
    }

    /// The whole body.
    pub(crate) async fn whole(&mut self, mut head: Head) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut head).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Reads an answer to its end and throws it away, looking at as little of it as can be; its status.
    pub(crate) async fn swallow(&mut self) -> io::Result<u16> {
        let head = self.head().await?;
        match head.body {
            Body::Known(length) => {
                while self.buffer.len() < length {
                    self.more_or_fail().await?;
                }
            }
            // No text of JSON holds these bytes.
            Body::Chunked(_) => {
                while !self.buffer.ends_with(b"\r\n0\r\n\r\n") {
                    self.more_or_fail().await?;
                }
            }
            Body::Ended => {}
        }
        self.buffer.clear();
        Ok(head.status)
    }
}

fn head_of(text: &str) -> io::Result<Head> {
    let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| broken("no status"))?;
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let body = match (header("content-length"), header("transfer-encoding")) {
        (_, Some("chunked")) => Body::Chunked(0),
        (Some(length), _) => Body::Known(length.parse().map_err(|_| broken("no length"))?),
        _ => Body::Ended,
    };
    Ok(Head { status, body })
}
