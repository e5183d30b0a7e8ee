//! The program against a real WebDAV server (`rclone serve webdav`, a Debian package).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use base64::Engine;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::tree::Tree;

const PASSWORD: &str = "canary-webdav-password";

struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve() -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("rclone")
        .args(["serve", "webdav", "--read-only", "--addr", &format!("127.0.0.1:{port}")])
        .arg(testdata().join("quickstart/repo"))
        .env("RCLONE_USER", "me")
        .env("RCLONE_PASS", PASSWORD)
        .stderr(Stdio::null())
        .spawn()
        .expect("rclone is installed");
    let server = Server(child, port);
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return server;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the server does not start");
}

fn restore(password: &str, before: &[&str], target: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_rekopia"))
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("KOPIA_WEBDAV_PASSWORD", password)
        .args(["--no-progress", "--password-file", testdata().join("quickstart/password").to_str().unwrap()])
        .args(before)
        .args(["restore", "paperless@media:/data", target])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    assert!(!String::from_utf8_lossy(&text).contains(PASSWORD));
    output
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let server = serve();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("webdav://me@127.0.0.1:{}/", server.1);
    let storage = format!(
        r#"{{"type":"webdav","config":{{"url":"http://127.0.0.1:{}","username":"me","password":"{PASSWORD}"}}}}"#,
        server.1
    );
    let config = dir.path().join("repository.config");
    std::fs::write(&config, format!(r#"{{"storage":{storage},"hostname":"h","username":"u"}}"#)).unwrap();
    let token =
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"version":"1","storage":{storage}}}"#));
    let token_file = dir.path().join("token-file");
    std::fs::write(&token_file, token).unwrap();
    for (name, before) in [
        ("url", ["--repo", &url]),
        ("config", ["--config", config.to_str().unwrap()]),
        ("token", ["--token-file", token_file.to_str().unwrap()]),
    ] {
        let target = dir.path().join(name).join("target");
        std::fs::create_dir(dir.path().join(name)).unwrap();
        let output = restore(PASSWORD, &before, target.to_str().unwrap());
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let fixture = Fixture::load("quickstart");
        let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(&target), &[]);
        assert!(diff.is_empty(), "{name}: {diff}");
    }
    let target = dir.path().join("refused");
    let output = restore("wrong", &["--repo", &url], target.to_str().unwrap());
    assert_eq!(output.status.code(), Some(15), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!target.exists());
}
