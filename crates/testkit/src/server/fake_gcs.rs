//! `fake-gcs-server`, the emulator that the Go and Rust clients of Google Cloud Storage are tested with, behind a
//! [`Front`] that checks who asks: the emulator itself believes everybody.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::http::request::Parts;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::front::{Front, Onward, refuse_in_xml};
use super::program::{Program, free_port, installed};

/// A running server.
pub struct FakeGcs {
    /// Records and breaks what goes to the server.
    pub front: Front,
    port: u16,
    client: reqwest::Client,
    _program: Program,
}

/// The account that the front knows.
pub const ACCOUNT: &str = "restore@test.iam.gserviceaccount.com";

/// A service account: its JSON, and what checks its signatures.
pub struct ServiceAccount {
    /// As Google hands it out.
    pub json: String,
    /// A line of the private key: tests look for it in everything that is printed.
    pub canary: String,
    public: Vec<u8>,
}

impl ServiceAccount {
    /// A new key for [`ACCOUNT`].
    ///
    /// # Panics
    /// When the key cannot be made.
    pub fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let body = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = body.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let json = serde_json::json!({
            "type": "service_account", "project_id": "test", "private_key_id": "1", "private_key": pem,
            "client_email": ACCOUNT, "token_uri": "https://oauth2.googleapis.com/token",
        });
        let public = pair.public_key().as_ref().to_vec();
        ServiceAccount { json: json.to_string(), canary: lines[3].to_owned(), public }
    }

    /// Whether the request carries a token that this account signed for itself.
    fn signed(&self, head: &Parts) -> bool {
        let bearer = head.headers.get("authorization").and_then(|v| v.to_str().ok());
        let Some((message, signature)) =
            bearer.and_then(|b| b.strip_prefix("Bearer ")).and_then(|t| t.rsplit_once('.'))
        else {
            return false;
        };
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public);
        let claims = message.split_once('.').and_then(|(_, c)| BASE64_URL_SAFE_NO_PAD.decode(c).ok());
        let claims = claims.and_then(|c| serde_json::from_slice::<serde_json::Value>(&c).ok());
        public.verify(message.as_bytes(), &signature).is_ok()
            && claims.is_some_and(|c| c["iss"] == ACCOUNT && c["scope"].as_str().is_some())
    }
}

impl Default for ServiceAccount {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeGcs {
    /// Starts it for one account; `None`: for everybody.
    ///
    /// # Panics
    /// When the emulator is not installed or does not start.
    pub async fn start(account: Option<ServiceAccount>) -> Self {
        let port = free_port();
        let onward = Onward::to(port);
        let handler = move |head: Parts, body| {
            let onward = onward.clone();
            let known = account.as_ref().is_none_or(|account| account.signed(&head));
            async move {
                if !known {
                    return refuse_in_xml(401, "AuthenticationRequired");
                }
                let path = head.uri.path_and_query().unwrap().to_string();
                let answer = onward.pass(head, body, &path).await;
                // The emulator's own answer is no error that Google gives.
                let no_bucket = answer.status() == 500
                    && String::from_utf8_lossy(answer.body()).contains("no bucket named");
                // Google says it in XML; the emulator in plain words, as any program does that knows nothing of blobs.
                let no_object = answer.status() == 404 && answer.body().trim_ascii() == b"Not Found";
                match (no_bucket, no_object) {
                    (true, _) => refuse_in_xml(404, "NoSuchBucket"),
                    (_, true) => refuse_in_xml(404, "NoSuchKey"),
                    _ => answer,
                }
            }
        };
        let front = Front::start(handler, refuse_in_xml).await;
        let mut command = Command::new(installed("fake-gcs-server"));
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()]);
        command.args(["-backend", "memory", "-public-host", &front.endpoint, "-log-level", "error"]);
        let program = Program::start(&mut command, port);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        FakeGcs { front, port, client, _program: program }
    }

    /// Makes a bucket with the blobs of a repository, each under `prefix` and its name.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn upload(&self, repo: &Path, bucket: &str, prefix: &str) {
        self.make(bucket).await;
        for (name, file) in super::blobs_of(repo) {
            self.put(bucket, &format!("{prefix}{name}"), std::fs::read(file).unwrap()).await;
        }
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn make(&self, bucket: &str) {
        let base = format!("http://127.0.0.1:{}", self.port);
        let made = self.client.post(format!("{base}/storage/v1/b"));
        let body = serde_json::json!({ "name": bucket }).to_string();
        let made = made.header("content-type", "application/json").body(body).send().await.unwrap();
        assert!(matches!(made.status().as_u16(), 200 | 409), "{}", made.text().await.unwrap());
    }

    /// Puts one object.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn put(&self, bucket: &str, name: &str, bytes: Vec<u8>) {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let base = format!("http://127.0.0.1:{}/upload/storage/v1/b/{bucket}", self.port);
        let request = self.client.post(format!("{base}/o?uploadType=media&name={name}")).body(bytes);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
    }
}
