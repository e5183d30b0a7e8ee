//! Runs Google Cloud Storage as its XML API shows it: what S3 answers, for clients that carry a token of a service
//! account.
//!
//! Lists, objects, ranges and errors of that API are those of S3, so a real S3 server gives them; a [`Front`] checks who
//! asks.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use s3s::service::{S3Service, S3ServiceBuilder};

use super::front::{Answer, Front, refuse_in_xml};

/// A running server.
pub struct FakeGcs {
    /// The front, which records and breaks requests.
    pub front: Front,
    /// The folder whose folders are the buckets.
    root: tempfile::TempDir,
}

/// The account that the front knows.
pub const ACCOUNT: &str = "restore@test.iam.gserviceaccount.com";

/// A service account: its JSON, and what checks its signatures.
pub struct ServiceAccount {
    /// The account's JSON, as Google hands it out.
    pub json: String,
    /// A line of the private key: tests look for it in everything that is printed.
    pub canary: String,
    public: Vec<u8>,
}

impl ServiceAccount {
    /// Makes a new key for [`ACCOUNT`].
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
    /// Starts the server for one account; `None`: for everybody.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(account: Option<ServiceAccount>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap()).build();
        let handler = move |head: Parts, body: Bytes| {
            let service = service.clone();
            let known = account.as_ref().is_none_or(|account| account.signed(&head));
            async move {
                if known {
                    answer(&service, head, body).await
                } else {
                    refuse_in_xml(401, "AuthenticationRequired")
                }
            }
        };
        FakeGcs { front: Front::start(handler, refuse_in_xml).await, root }
    }

    /// Makes a bucket with the blobs of a repository, each under `prefix` and its name.
    ///
    /// # Panics
    /// When a file cannot be copied.
    pub async fn upload(&self, repo: &Path, bucket: &str, prefix: &str) {
        self.make(bucket).await;
        for (name, file) in super::blobs_of(repo) {
            self.put(bucket, &format!("{prefix}{name}"), std::fs::read(file).unwrap()).await;
        }
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub async fn make(&self, bucket: &str) {
        std::fs::create_dir_all(self.root.path().join(bucket)).unwrap();
    }

    /// Puts an object into a bucket.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub async fn put(&self, bucket: &str, name: &str, bytes: Vec<u8>) {
        let file = self.root.path().join(bucket).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
}

async fn answer(service: &S3Service, mut head: Parts, body: Bytes) -> Answer {
    // Google's tokens are none of S3's signatures.
    head.headers.remove("authorization");
    let request = Request::from_parts(head, s3s::Body::from(body));
    match service.call(request).await {
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            Response::from_parts(head, body.collect().await.unwrap().to_bytes())
        }
        Err(e) => refuse_in_xml(500, &format!("{e:?}")),
    }
}
