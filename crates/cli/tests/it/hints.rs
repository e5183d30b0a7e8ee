//! What was named is not there: the hint leads to what is, by a command that works.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::testdata;
use rekopia_testkit::writer::{DirectorySink, RepositoryWriter, WriterOptions};

const SNAPSHOT: &str = "cb475e5a8ce4f685416880e5c424d08b";

fn rekopia(repo: &Path, password: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.arg("--repo").arg(repo).args(args).stdin(Stdio::null());
    command.env("KOPIA_PASSWORD", password).env("HOME", "/proc/nonexistent").output().unwrap()
}

fn quickstart(args: &[&str]) -> Output {
    rekopia(&testdata().join("quickstart/repo"), "rekopia-quickstart", args)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the command of a hint, without its quotes.
fn hinted(said: &str) -> Option<String> {
    said.lines().find_map(|line| Some(line.trim_start().strip_prefix('`')?.split_once('`')?.0.to_owned()))
}

#[test]
fn every_case_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t").to_str().unwrap().to_owned();
    let ls = |below: &str| format!("rekopia ls {SNAPSHOT}{below}");
    let snapshots = || "rekopia snapshots".to_owned();
    let cases: &[(&[&str], String, &[&str])] = &[
        // A path: the nearest directory that is there, and names like the one that was typed.
        (&["ls", "latest/medai"], ls(""), &["no /medai in the snapshot", "media"]),
        (&["ls", "latest/media/documnets/x"], ls("/media"), &["no /media/documnets", "documents"]),
        (&["cat", "latest/config/Secret.Key"], ls("/config"), &["secret.key"]),
        (&["restore", "latest/config/nothing", &target], ls("/config"), &["no /config/nothing"]),
        (&["cat", "latest/db.sqlite3/x"], ls(""), &["its parent is not a directory"]),
        (&["cat", "latest/config/secret.key/x"], ls("/config"), &["its parent is not a directory"]),
        (&["ls", "paperless@media:/data/konfig"], ls(""), &["config"]),
        (&["verify", "cb475e5a8c/media/x"], ls("/media"), &["no /media/x"]),
        (
            &["ls", "k01c1d4ee7d3136898e9364233b7b3082/confg"],
            "rekopia ls 45d6c84cc818c035a9e1a1f79e501cbf".into(),
            &["config"],
        ),
        // A pattern.
        (
            &["restore", "latest", &target, "--include", "*.docx"],
            format!("rekopia ls -r {SNAPSHOT}"),
            &["nothing in the snapshot matches *.docx"],
        ),
        (
            &["restore", "latest/media/documents", &target, "--include", "*.docx"],
            format!("rekopia ls -r {SNAPSHOT}/media/documents"),
            &["nothing in the snapshot matches *.docx"],
        ),
        // A source or a snapshot.
        (&["ls", "paperles@media:/data"], snapshots(), &["did you mean paperless@media:/data"]),
        (&["restore", "paperless@medai", &target], snapshots(), &["did you mean paperless@media:/data"]),
        (&["ls", "/somewhere"], snapshots(), &["no source /somewhere", "paperless@media:/data"]),
        (&["ls", "cb475e00"], snapshots(), &["no snapshot or object cb475e00", SNAPSHOT]),
        (&["ls", "latest", "--as-of", "2001-01-01"], snapshots(), &["none is that old"]),
        (&["ls", "latest", "--tag", "a:b"], snapshots(), &["none has these tags"]),
        (&["verify", "--tag", "a:b"], snapshots(), &["no snapshot has these tags"]),
        (&["snapshots", "cb475e00"], snapshots(), &["no snapshot cb475e00"]),
    ];
    for (args, hint, words) in cases {
        let output = quickstart(args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(13), "{args:?}: {text}");
        assert_eq!(hinted(&text).as_deref(), Some(hint.as_str()), "{args:?}: {text}");
        for word in *words {
            assert!(text.contains(word), "{args:?}: {text}");
        }
        // Advice that ends in the same way is none.
        let followed: Vec<&str> = hint.split(' ').skip(1).collect();
        let output = quickstart(&followed);
        assert_eq!(output.status.code(), Some(0), "{hint}: {}", said(&output));
    }
    assert!(!dir.path().join("t").exists());
}

#[test]
fn an_empty_repository_has_nothing_to_show() {
    let dir = tempfile::tempdir().unwrap();
    let sink = DirectorySink::create(dir.path()).unwrap();
    RepositoryWriter::create(sink, WriterOptions::default()).unwrap().flush().unwrap();
    for args in [
        &["ls", "latest"][..],
        &["ls", "a@b:/c"],
        &["ls", "cb475e00"],
        &["verify"],
        &["snapshots", "cb475e00"],
    ] {
        let output = rekopia(dir.path(), "test-password", args);
        assert_eq!(output.status.code(), Some(13), "{args:?}: {}", said(&output));
        assert_eq!(hinted(&said(&output)), None, "{args:?}: {}", said(&output));
    }
}
