//! TLS on both sides, with certificates that are made here.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_gateway::{AdminClient, AdminError, TlsFiles};

use crate::site::{Answer, MODELS, POLICIES, Plan, Site, TOKEN, whole};

const OPENAI: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-5.2","max_tokens":9,"stream":true,"messages":[]}"#;

/// Vouches for certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let made = parameters.self_signed(&key).expect("a certificate");
        Self { certificate: made.der().clone(), pem: made.pem(), issuer: Issuer::new(parameters, key) }
    }

    /// Writes a certificate for this machine and its key.
    fn vouch(&self, folder: &Path) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let made = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        fs::write(&files.key, key.serialize_pem()).expect("a file");
        fs::write(&files.certificate, made.pem()).expect("a file");
        files
    }

    /// A client that believes nobody else.
    fn client(&self) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        // A connection of its own for each request: each sees the certificate that is shown now.
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
    }

    async fn post(&self, site: &Site, path: &str, body: &str) -> Result<Answer, String> {
        let request = Request::post(format!("https://{}{path}", site.address()));
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request");
        let answered = self.client().request(request).await.map_err(|error| format!("{error:?}"))?;
        Ok(whole(answered).await)
    }
}

struct Served {
    authority: Authority,
    folder: TempDir,
    site: Site,
}

impl Served {
    async fn new() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        let tls = Some(authority.vouch(folder.path()));
        let site = Site::open(&Plan { tls, ..Plan::of(&[MODELS, POLICIES]) }).await;
        Self { authority, folder, site }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_through_over_tls_and_only_whom_the_client_believes_is_believed() {
    let served = Served::new().await;
    let answer = served.authority.post(&served.site, OPENAI, BODY).await.expect("an answer");
    assert!(answer.status == 200 && answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    let refused = Authority::new().post(&served.site, OPENAI, BODY).await.expect_err("another authority");
    assert!(refused.contains("UnknownIssuer") || refused.contains("BadSignature"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_in_the_clear_is_told_and_not_kept_waiting() {
    let served = Served::new().await;
    for sent in ["GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", "nonsense"] {
        let mut stream = TcpStream::connect(served.site.address()).await.expect("a connection");
        stream.write_all(sent.as_bytes()).await.expect("room for a request");
        let mut answer = String::new();
        // A reset is an end as well.
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("write https:// here"), "{answer}");
    }
    let mut stream = TcpStream::connect(served.site.address()).await.expect("a connection");
    stream.write_all(b"\x16\x03\x01\x00\x05hello").await.expect("room for a handshake");
    // It ends: with an alert, or with a reset.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let served = Served::new().await;
    fs::write(served.folder.path().join("cert.pem"), "nonsense").expect("a file");
    served.site.logged("the certificate of before stays").await;
    served.authority.post(&served.site, OPENAI, BODY).await.expect("the certificate of before");
    let next = Authority::new();
    next.vouch(served.folder.path());
    served.site.logged("show another certificate").await;
    next.post(&served.site, OPENAI, BODY).await.expect("the next certificate");
    served.authority.post(&served.site, OPENAI, BODY).await.expect_err("the certificate of before is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_has_to_be_vouched_for_and_a_wrong_authority_costs_nothing() {
    // A gateway is a backend as well.
    let behind = Served::new().await;
    let ca = behind.folder.path().join("ca.pem");
    let backend = |ca_file: &str| {
        format!(
            "version = 1\n[[model]]\nname = \"gpt-5.2\"\ntier = \"premium\"\n[[policy]]\nname = \"routing\"\n\
             [[backend]]\nname = \"behind\"\napi = \"openai\"\nmodels = [\"gpt-5.2\"]\nurl = \"https://{}/v1\"\n{ca_file}",
            behind.site.address()
        )
    };
    let named = format!("ca_file = \"{}\"\n", ca.display());
    fs::write(&ca, &behind.authority.pem).expect("a file");
    let site = Site::open(&Plan::of(&[&backend(&named)])).await;
    let answer = site.post(OPENAI, &[], BODY).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-backend")), (200, Some("behind")), "{}", answer.text);
    fs::write(&ca, &Authority::new().pem).expect("a file");
    for ca_file in [named.as_str(), ""] {
        let site = Site::open(&Plan::of(&[&backend(ca_file)])).await;
        let answer = site.post(OPENAI, &[], BODY).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (502, &json!("upstream-unreachable")));
        let told = site.logged("cannot be reached").await.remove(0);
        assert!(told.contains("certificate"), "{told}");
        let (entries, ..) = site.end().await;
        assert_eq!(entries.spent().as_u64(), 0);
    }
    assert_eq!(behind.site.provider.received().len(), 1, "nothing went to whom nobody vouches for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_knows_its_own_gateway_by_its_certificate() {
    let served = Served::new().await;
    let other = tempfile::tempdir().expect("a folder");
    Authority::new().vouch(other.path());
    let address = served.site.admin_url().trim_start_matches("http://").to_owned();
    let ask = |certificate| {
        let admin = AdminClient { address: address.clone(), token: TOKEN.to_owned(), certificate };
        tokio::task::spawn_blocking(move || admin.call("GET", "/admin/v1/status", None))
    };
    let status = ask(Some(served.folder.path().join("cert.pem"))).await.expect("no panic").expect("an answer");
    assert!(status.get("switches").is_some());
    for certificate in [Some(other.path().join("cert.pem")), None] {
        let refused = ask(certificate).await.expect("no panic");
        assert!(matches!(refused, Err(AdminError::Unreachable { .. })), "{refused:?}");
    }
}
