//! Runs Azurite, Microsoft's own emulator of Azure Storage, with a [`Front`] before it.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use super::front::{Front, Onward, refuse_in_xml};
use super::program::{Program, free_port};
use crate::skip;

/// The account that the server knows.
pub const ACCOUNT: &str = "rekopiatest";
const API: &str = "2023-11-03";

/// A running server.
pub struct Azurite {
    /// The front, which records and breaks what goes to the server.
    pub front: Front,
    port: u16,
    onward: reqwest::Client,
    /// Names of one page of a listing; put into requests that a signature of the whole URL does not protect.
    page: Arc<Mutex<Option<usize>>>,
    _program: Program,
    _dir: tempfile::TempDir,
}

/// Returns the account's key: tests look for it in everything that is printed.
pub fn key() -> String {
    BASE64_STANDARD.encode("canary: the key of the account in the test")
}

impl Azurite {
    /// Starts Azurite on plain HTTP; `None`, said aloud, where it is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Option<Self> {
        let (program, port, dir) = run(&[])?;
        let page: Arc<Mutex<Option<usize>>> = Arc::default();
        let (onward, shared) = (Onward::to(port), Arc::clone(&page));
        let handler = move |head: hyper::http::request::Parts, body| {
            let (onward, page) = (onward.clone(), *shared.lock().unwrap());
            async move {
                let mut path = head.uri.path_and_query().unwrap().to_string();
                if let Some(page) = page.filter(|_| path.contains("comp=list")) {
                    path = format!("{path}&maxresults={page}");
                }
                onward.pass(head, body, &path).await
            }
        };
        let front = Front::start(handler, refuse_in_xml).await;
        let onward = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Azurite { front, port, onward, page, _program: program, _dir: dir })
    }

    /// Lets pages have this many names from now on; only for clients that sign with [`sas`].
    pub fn page(&self, names: usize) {
        *self.page.lock().unwrap() = Some(names);
    }

    /// Returns the address of the account, through the front.
    pub fn address(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.front.endpoint)
    }

    /// Makes a container with the blobs of a repository, each under `prefix` and its name.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn upload(&self, repo: &Path, container: &str, prefix: &str) {
        let base = format!("http://127.0.0.1:{}/{ACCOUNT}/{container}", self.port);
        upload(&self.onward, &base, repo, prefix).await;
    }

    /// Puts a blob into a container.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn put(&self, container: &str, name: &str, bytes: Vec<u8>) {
        let base = format!("http://127.0.0.1:{}/{ACCOUNT}/{container}", self.port);
        put(&self.onward, &base, name, bytes).await;
    }
}

/// Azurite on TLS, which takes the tokens of an identity service: it looks at who a token is for, not who signed it.
pub struct SecureAzurite {
    /// The address of the account: `https://127.0.0.1:port/account`.
    pub address: String,
    _program: Program,
    _dir: tempfile::TempDir,
}

impl SecureAzurite {
    /// Starts Azurite with the certificate and key in these files, and uploads a repository; `None`, said aloud, where
    /// it is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(cert: &Path, key: &Path, repo: &Path, container: &str) -> Option<Self> {
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        let (program, port, dir) = run(&["--oauth", "basic", "--cert", cert, "--key", key])?;
        let address = format!("https://127.0.0.1:{port}/{ACCOUNT}");
        let builder = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true);
        upload(&builder.build().unwrap(), &format!("{address}/{container}"), repo, "").await;
        Some(SecureAzurite { address, _program: program, _dir: dir })
    }
}

fn run(more: &[&str]) -> Option<(Program, u16, tempfile::TempDir)> {
    if !skip::has_programs("Azure", &["azurite"]) {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new("node");
    command.arg(skip::azurite());
    command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
    command.args(["--inMemoryPersistence", "--silent", "--disableTelemetry"]).args(more);
    command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{}", key())).current_dir(dir.path());
    Some((Program::start(&mut command, port), port, dir))
}

/// Returns a shared access signature of the account, as it stands in a URL; `permissions` such as `rl`.
pub fn sas(permissions: &str) -> String {
    let (services, kinds, until) = ("b", "sco", "2099-01-01T00:00:00Z");
    let lines = [ACCOUNT, permissions, services, kinds, "", until, "", "https,http", API, "", ""];
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(key()).unwrap()).unwrap();
    mac.update(lines.join("\n").as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
    format!("sv={API}&ss={services}&srt={kinds}&sp={permissions}&se={until}&spr=https,http&sig={signature}")
}

async fn upload(client: &reqwest::Client, base: &str, repo: &Path, prefix: &str) {
    let made = client.put(format!("{base}?restype=container&{}", sas("rwlc"))).header("content-length", "0");
    let made = made.send().await.unwrap();
    assert!(matches!(made.status().as_u16(), 201 | 409), "{}", made.text().await.unwrap());
    for (name, file) in super::blobs_of(repo) {
        put(client, base, &format!("{prefix}{name}"), std::fs::read(file).unwrap()).await;
    }
}

async fn put(client: &reqwest::Client, base: &str, name: &str, bytes: Vec<u8>) {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let request = client.put(format!("{base}/{name}?{}", sas("rwlc"))).header("x-ms-blob-type", "BlockBlob");
    // An empty body has no length of its own.
    let request = request.header("content-length", bytes.len());
    let answer = request.body(bytes).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
}
