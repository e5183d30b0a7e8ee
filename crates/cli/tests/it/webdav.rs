//! The program against real WebDAV servers (`rclone serve webdav` and nginx, both Debian packages).

use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use rekopia_testkit::fixture::{Fixture, copy_dir, testdata};
use rekopia_testkit::server::faulty::{Fault, Faulty};
use rekopia_testkit::server::webdav::{PASSWORD, USER, WebdavServer};
use rekopia_testkit::tree::Tree;

fn restore(password: &str, before: &[&str], target: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_rekopia"))
        .env_clear()
        .env("HOME", "/proc/nonexistent")
        .env("KOPIA_WEBDAV_PASSWORD", password)
        .args(["--no-progress", "--password-file", testdata().join("quickstart/password").to_str().unwrap()])
        .args(before)
        .args(["restore", "paperless@media:/data", target.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    assert!(!String::from_utf8_lossy(&text).contains(PASSWORD));
    output
}

#[track_caller]
fn assert_restored(output: &Output, target: &Path) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let fixture = Fixture::load("quickstart");
    let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(target), &[]);
    assert!(diff.is_empty(), "{diff}");
}

#[track_caller]
fn refused(output: &Output, target: &Path, code: i32, part: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(part) && !target.exists(), "{part}: {text}");
}

fn restores_from_a_url_a_configuration_and_a_token(server: &WebdavServer) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("webdav://{USER}@{}/", server.address);
    let storage = format!(
        r#"{{"type":"webdav","config":{{"url":"http://{}","username":"{USER}","password":"{PASSWORD}"}}}}"#,
        server.address
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
        let target = dir.path().join(name);
        std::fs::create_dir(dir.path().join(name)).unwrap();
        assert_restored(&restore(PASSWORD, &before, &target.join("target")), &target.join("target"));
    }
    let target = dir.path().join("refused");
    refused(&restore("wrong", &["--repo", &url], &target), &target, 15, "access denied");
    let missing = format!("{url}no/such/folder");
    refused(&restore(PASSWORD, &["--repo", &missing], &target), &target, 10, "no Kopia repository");
}

#[test]
fn rclone_serves_a_repository() {
    let Some(server) = WebdavServer::rclone(&testdata().join("quickstart/repo")) else { return };
    restores_from_a_url_a_configuration_and_a_token(&server);
}

#[test]
fn nginx_serves_a_repository() {
    let Some(server) = WebdavServer::nginx(&testdata().join("quickstart/repo")) else { return };
    restores_from_a_url_a_configuration_and_a_token(&server);
}

/// Names in URLs are encoded, and those in listings, too.
#[test]
fn a_folder_may_have_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let name = "Sicherung für mich #1 & 100%";
    copy_dir(&testdata().join("quickstart/repo"), &dir.path().join(name));
    for (kind, server) in
        [("nginx", WebdavServer::nginx(dir.path())), ("rclone", WebdavServer::rclone(dir.path()))]
    {
        let Some(server) = server else { continue };
        let url =
            format!("webdav://{USER}@{}/Sicherung%20f%C3%BCr%20mich%20%231%20&%20100%25", server.address);
        let target = dir.path().join(kind);
        assert_restored(&restore(PASSWORD, &["--repo", &url], &target), &target);
    }
}

/// The very first request asks for `.shards`: it is tried again like any other.
#[test]
fn the_first_request_may_fail_in_passing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(server) = WebdavServer::nginx(&testdata().join("quickstart/repo")) else { return };
    let proxy = runtime.block_on(Faulty::start(&server.address));
    proxy
        .break_answers(|seen| (seen.number < 3 && seen.path == "/.shards").then_some(Fault::Status(503, "")));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let url = format!("webdav://{USER}@{}/", proxy.address);
    assert_restored(&restore(PASSWORD, &["--repo", &url], &target), &target);
    assert!(proxy.broken() > 0);
}

/// What `.shards` would have said is seen in the folders.
#[test]
fn a_lost_layout_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    copy_dir(&testdata().join("quickstart/repo"), &repo);
    let Some(server) = WebdavServer::nginx(dir.path()) else { return };
    let url = format!("webdav://{USER}@{}/repo", server.address);
    std::fs::remove_file(repo.join(".shards")).unwrap();
    for (name, url) in [("lost", url.clone()), ("misled", format!("{url}?dir-shards=2,2"))] {
        let target = dir.path().join(name);
        assert_restored(&restore(PASSWORD, &["--repo", &url], &target), &target);
    }
    std::fs::write(repo.join(".shards"), "{").unwrap();
    let target = dir.path().join("broken");
    assert_restored(&restore(PASSWORD, &["--repo", &url], &target), &target);
}
