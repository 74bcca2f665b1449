//! A listener that proves who it is. Its files may change while it runs; what cannot be used leaves those it has in force.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{TlsError, TlsFiles, certificates, provider, told};

/// Takes connections in.
#[derive(Clone)]
pub(crate) struct Acceptor {
    tls: TlsAcceptor,
    shown: Arc<Shown>,
}

/// What is shown to whoever connects.
#[derive(Debug)]
struct Shown {
    files: TlsFiles,
    key: ArcSwap<CertifiedKey>,
    seen: Mutex<Option<Stamp>>,
}

/// What tells one state of both files from another.
type Stamp = [(u64, i64, i64, u64); 2];

/// What became of the files.
#[derive(Debug)]
pub(crate) enum Looked {
    Same,
    Changed,
    /// Those of before stay in force.
    Failed(TlsError),
}

impl Acceptor {
    pub(crate) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let (seen, key) = (stamp(&files), load(&files)?);
        let shown = Arc::new(Shown { files, key: ArcSwap::from_pointee(key), seen: Mutex::new(seen) });
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = versions.expect("this cryptography speaks the versions that rustls takes for safe");
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&shown);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsAcceptor::from(Arc::new(config)), shown })
    }

    /// Takes a connection in; nothing where that came to nothing. Whoever speaks in the clear is told so.
    pub(crate) async fn accept(&self, mut stream: TcpStream, patience: Duration) -> Option<TlsStream<TcpStream>> {
        let accepted = tokio::time::timeout(patience, async {
            let mut first = [0];
            stream.peek(&mut first).await.ok()?;
            /// The first byte of every handshake.
            const HANDSHAKE: u8 = 0x16;
            if first[0] != HANDSHAKE {
                tell_in_the_clear(&mut stream).await;
                return None;
            }
            self.tls.accept(stream).await.ok()
        });
        accepted.await.ok().flatten()
    }

    /// Looks whether the files have changed, and takes up what they say.
    pub(crate) fn look(&self) -> Looked {
        let Shown { files, key, seen } = &*self.shown;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(files);
        if *seen == now {
            return Looked::Same;
        }
        *seen = now;
        match load(files) {
            Ok(next) => {
                key.store(Arc::new(next));
                Looked::Changed
            }
            Err(error) => Looked::Failed(error),
        }
    }
}

const IN_THE_CLEAR: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 41\r\n\r\n\
    this port speaks TLS: write https:// here";

/// Says so, and reads what was sent: a connection that is closed over unread bytes is reset, and its answer with it.
async fn tell_in_the_clear(stream: &mut TcpStream) {
    /// So much of a request is read at most.
    const MOST_READS: usize = 64;
    if stream.write_all(IN_THE_CLEAR).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 4_096];
    for _ in 0..MOST_READS {
        if !matches!(stream.read(&mut sink).await, Ok(read) if read > 0) {
            return;
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            TlsError::Empty { path: files.key.clone(), what: "private key", mark: "PRIVATE KEY" }
        }
        error => TlsError::File { path: files.key.clone(), problem: told(&error) },
    })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| TlsError::Mismatch {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        problem: error.to_string(),
    })
}

fn stamp(files: &TlsFiles) -> Option<Stamp> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
    };
    Some([of(&files.certificate)?, of(&files.key)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = written(folder.path(), "a.example");
        let error = |files: &TlsFiles| Acceptor::new(files.clone()).err().unwrap().to_string();
        let gone = TlsFiles { key: folder.path().join("gone.pem"), ..files.clone() };
        assert!(error(&gone).contains("gone.pem`: No such file"), "{}", error(&gone));
        let swapped = TlsFiles { certificate: files.key.clone(), key: files.certificate.clone() };
        assert!(error(&swapped).contains("has no certificate in PEM"), "{}", error(&swapped));
        let both = TlsFiles { key: files.certificate.clone(), ..files.clone() };
        assert!(error(&both).contains("-----BEGIN PRIVATE KEY-----"), "{}", error(&both));
        let other = tempfile::tempdir().unwrap();
        let foreign = TlsFiles { key: written(other.path(), "b.example").key, ..files.clone() };
        assert!(error(&foreign).contains("is not the key of the certificate"), "{}", error(&foreign));
        fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").unwrap();
        assert!(error(&files).contains("cert.pem`"), "{}", error(&files));
    }

    #[test]
    fn changed_files_are_shown_and_bad_ones_leave_those_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let files = written(folder.path(), "a.example");
        let acceptor = Acceptor::new(files.clone()).unwrap();
        let shown = || acceptor.shown.key.load().cert.clone();
        assert!(matches!(acceptor.look(), Looked::Same));
        let first = shown();
        fs::write(&files.key, "nonsense").unwrap();
        assert!(matches!(acceptor.look(), Looked::Failed(_)) && matches!(acceptor.look(), Looked::Same));
        assert_eq!(shown(), first);
        written(folder.path(), "longer.example");
        assert!(matches!(acceptor.look(), Looked::Changed));
        assert_ne!(shown(), first);
    }
}
