//! Certificates, good and bad: who is believed, and what is said of who is not.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use rekopia_testkit::fixture::testdata;
use rekopia_testkit::server::certificates::{Authority, Identity};
use rekopia_testkit::server::faulty::Faulty;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::server::webdav::{self, WebdavServer};

/// Some year in which everything of a test is good.
const LATER: i32 = 2100;

fn run(before: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_rekopia"))
        .env_clear()
        .env("HOME", "/proc/nonexistent")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("KOPIA_WEBDAV_PASSWORD", webdav::PASSWORD)
        .args(["--no-progress", "--password-file", testdata().join("quickstart/password").to_str().unwrap()])
        .args(before)
        .arg("snapshots")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert!(!text.contains(SECRET_KEY) && !text.contains(webdav::PASSWORD), "{text}");
    (status.code(), text)
}

#[track_caller]
fn refused(before: &[&str], code: i32, parts: &[&str]) {
    let (status, text) = run(before);
    assert_eq!(status, Some(code), "{text}");
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
    // A certificate does not get better by asking again.
    assert!(!text.contains(" tries in ") && !text.contains("ERROR"), "{text}");
}

#[track_caller]
fn accepted(before: &[&str]) {
    let (status, text) = run(before);
    assert_eq!(status, Some(0), "{text}");
    assert!(!text.contains("WARN"), "{text}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn url(proxy: &Faulty, options: &str) -> String {
    let port = proxy.address.rsplit(':').next().unwrap();
    format!("s3://bucket?endpoint=https://127.0.0.1:{port}&region=us-east-1{options}")
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn only_certificates_of_known_authorities_are_believed() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let (known, other) = (Authority::new(), Authority::new());
    let ca = write(dir.path(), "known.pem", &known.pem);
    let wrong_ca = write(dir.path(), "other.pem", &other.pem);
    let server = runtime.block_on(S3Server::start(dir.path()));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let front = |identity: Identity| runtime.block_on(Faulty::start_tls(&server.endpoint, identity.config));

    let good = front(known.identity("127.0.0.1", LATER));
    accepted(&["--repo", &url(&good, &format!("&ca={ca}"))]);
    accepted(&["--repo", &url(&good, "&insecure")]);
    let storage = format!(
        r#"{{"storage":{{"type":"s3","config":{{"bucket":"bucket","endpoint":"127.0.0.1:{}","region":"us-east-1",
        "rootCA":"{}"}}}},"hostname":"h","username":"u"}}"#,
        good.address.rsplit(':').next().unwrap(),
        base64::prelude::BASE64_STANDARD.encode(&known.pem)
    );
    accepted(&["--config", &write(dir.path(), "repository.config", &storage)]);

    refused(&["--repo", &url(&good, "")], 15, &["not trusted", "UnknownIssuer"]);
    refused(&["--repo", &url(&good, &format!("&ca={wrong_ca}"))], 15, &["not trusted"]);
    let missing = dir.path().join("missing.pem").to_str().unwrap().to_owned();
    refused(
        &["--repo", &url(&good, &format!("&ca={missing}"))],
        15,
        &["cannot read the certificate authorities in", "not trusted", "missing.pem could not be read"],
    );
    let no_pem = write(dir.path(), "no.pem", "this is no certificate");
    refused(&["--repo", &url(&good, &format!("&ca={no_pem}"))], 2, &["not PEM"]);

    let expired = front(known.identity("127.0.0.1", 2021));
    refused(&["--repo", &url(&expired, &format!("&ca={ca}"))], 15, &["not trusted", "expired"]);
    let elsewhere = front(known.identity("elsewhere.example", LATER));
    refused(
        &["--repo", &url(&elsewhere, &format!("&ca={ca}"))],
        15,
        &["not trusted", "not valid for name", "elsewhere.example"],
    );
    // Plain HTTP where TLS is expected.
    let plain = runtime.block_on(Faulty::start(&server.endpoint));
    refused(&["--repo", &url(&plain, "")], 15, &["no TLS connection"]);
}

#[test]
fn a_webdav_server_is_known_by_its_fingerprint() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let Some(server) = WebdavServer::nginx(&testdata().join("quickstart/repo")) else { return };
    // The name and the dates do not matter then.
    let identity = Authority::new().identity("elsewhere.example", 2021);
    let fingerprint = identity.fingerprint.clone();
    let front = runtime.block_on(Faulty::start_tls(&server.address, identity.config));
    let config = |fingerprint: &str| {
        let text = format!(
            r#"{{"storage":{{"type":"webdav","config":{{"url":"https://{}","username":"{}",
            "trustedServerCertificateFingerprint":"{fingerprint}"}}}},"hostname":"h","username":"u"}}"#,
            front.address,
            webdav::USER
        );
        write(dir.path(), "repository.config", &text)
    };
    accepted(&["--config", &config(&fingerprint)]);
    accepted(&["--config", &config(&fingerprint.to_uppercase())]);
    let other = Authority::new().identity("elsewhere.example", 2021).fingerprint;
    refused(&["--config", &config(&other)], 15, &["not trusted", "another fingerprint", &fingerprint]);
    refused(&["--config", &config("abc")], 2, &["trustedServerCertificateFingerprint"]);
    let url = format!("webdavs://{}@{}/?fingerprint={fingerprint}", webdav::USER, front.address);
    accepted(&["--repo", &url]);
}
