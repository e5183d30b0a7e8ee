//! The question before something is deleted, at a real terminal: `script` makes one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::testdata;
use rekopia_testkit::tree::Tree;

const EXE: &str = env!("CARGO_BIN_EXE_rekopia");
const ASKED: &str = "Delete them? [y/N]";

/// A restored folder with one entry more than the snapshot has.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let output = place.plain(&[]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        std::fs::create_dir(place.target().join("old")).unwrap();
        std::fs::write(place.target().join("old/file"), "from before").unwrap();
        place
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("t")
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let root = testdata().join("quickstart");
        let show = |path: &Path| path.to_str().unwrap().to_owned();
        let mut args = vec!["--repo".to_owned(), show(&root.join("repo"))];
        args.extend(["--password-file".into(), show(&root.join("password"))]);
        args.extend(["restore".into(), "latest".into(), show(&self.target())]);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    }

    fn plain(&self, more: &[&str]) -> Output {
        let mut command = Command::new(EXE);
        command.args(self.args(more)).stdin(Stdio::null()).env("HOME", "/proc/nonexistent").output().unwrap()
    }

    /// Returns where standard input, output and error are one terminal, at which `typed` is typed once something is
    /// asked.
    fn at_a_terminal(&self, more: &[&str], typed: &str) -> Output {
        let quoted: Vec<String> = self.args(more).iter().map(|arg| format!("'{arg}'")).collect();
        let mut child = Command::new("script")
            .args(["-qec", &format!("'{EXE}' {}", quoted.join(" ")), "/dev/null"])
            .env("HOME", "/proc/nonexistent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut stdout, mut bytes) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = screen.read(&mut bytes) {
            let was_asked = String::from_utf8_lossy(&stdout).contains(ASKED);
            stdout.extend_from_slice(&bytes[..n]);
            if !was_asked && String::from_utf8_lossy(&stdout).contains(ASKED) {
                keyboard.write_all(typed.as_bytes()).unwrap();
            }
        }
        Output { stdout, ..child.wait_with_output().unwrap() }
    }

    fn has_old(&self) -> bool {
        self.target().join("old/file").exists()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn only_yes_deletes() {
    for (typed, code) in
        [("y\n", 0), ("yes\n", 0), ("n\n", 18), ("\n", 18), ("yess\n", 18), ("\u{4}", 18), ("\u{3}", 130)]
    {
        let place = Place::new();
        let before = Tree::read(&place.target());
        let output = place.at_a_terminal(&["--delete-extra"], typed);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{typed:?}: {text}");
        assert!(text.contains("--delete-extra would delete 2 of the "), "{typed:?}: {text}");
        assert!(text.contains("old/ and all below") && text.contains(ASKED), "{typed:?}: {text}");
        assert_eq!(place.has_old(), code != 0, "{typed:?}");
        if code != 0 {
            assert_eq!(Tree::read(&place.target()), before, "{typed:?}: something was changed");
        }
    }
}

#[test]
fn nobody_is_asked_where_nobody_is_or_nothing_goes() {
    for more in [&["--yes"][..], &["--json"], &["--quiet"], &["--no-progress"]] {
        let place = Place::new();
        let output = place.at_a_terminal(&[&["--delete-extra"], more].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", said(&output));
        assert!(!said(&output).contains(ASKED) && !place.has_old(), "{more:?}: {}", said(&output));
    }
    let place = Place::new();
    let dry = place.at_a_terminal(&["--delete-extra", "--dry-run"], "");
    assert_eq!(dry.status.code(), Some(0), "{}", said(&dry));
    assert!(!said(&dry).contains(ASKED) && place.has_old(), "{}", said(&dry));
    let piped = place.plain(&["--delete-extra"]);
    assert_eq!(piped.status.code(), Some(0), "{}", said(&piped));
    assert!(!place.has_old());
    let nothing = place.at_a_terminal(&["--delete-extra"], "");
    assert_eq!(nothing.status.code(), Some(0), "{}", said(&nothing));
    assert!(!said(&nothing).contains(ASKED), "{}", said(&nothing));
}

#[test]
fn a_limit_is_kept() {
    let place = Place::new();
    let before = Tree::read(&place.target());
    for limit in ["1", "2%"] {
        let output = place.plain(&["--delete-extra", "--yes", "--max-delete", limit]);
        assert_eq!(output.status.code(), Some(18), "{limit}: {}", said(&output));
        assert_eq!(Tree::read(&place.target()), before, "{limit}: something was changed");
    }
    assert_eq!(place.plain(&["--delete-extra", "--max-delete", "many"]).status.code(), Some(2));
    assert_eq!(place.plain(&["--delete-extra", "--max-delete", "2"]).status.code(), Some(0));
    assert!(!place.has_old());
}

/// Old and new do not fit together: without a word of the person the old stays.
#[test]
fn no_room_for_old_and_new_needs_a_yes() {
    if !rustix::process::geteuid().is_root() {
        rekopia_testkit::must_run("a target without room", "only root can mount a small file system");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=600k none "$D" || exit 99; mkdir "$D/t"
        head -c 450000 /dev/zero > "$D/t/old"
        "$E" "$@" && exit 98; test -e "$D/t/old" || exit 97
        "$E" "$@" --yes; code=$?; test -e "$D/t/old" && exit 96; exit $code"#;
    let root = testdata().join("quickstart");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh", "--no-progress", "--repo"]).arg(root.join("repo"));
    command.arg("--password-file").arg(root.join("password")).args(["restore", "--delete-extra", "latest"]);
    command.arg(dir.path().join("t")).env("D", dir.path()).env("E", EXE).env("HOME", "/proc/nonexistent");
    let output = command.stdin(Stdio::null()).output().unwrap();
    if !matches!(output.status.code(), Some(99 | 1)) {
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(
            said(&output).contains("no space left") && said(&output).contains("--yes allows that"),
            "{}",
            said(&output)
        );
    }
}

/// A configuration, a password and a report that lie in the target are this run's own.
#[test]
fn what_the_run_uses_stays() {
    let place = Place::new();
    let (config, cache) = (place.target().join("kopia.config"), place.target().join("cache"));
    let storage = serde_json::json!({
        "storage": {"type": "filesystem", "config": {"path": testdata().join("quickstart/repo"), "dirShards": null}},
        "hostname": "h", "username": "u",
    });
    std::fs::write(&config, storage.to_string()).unwrap();
    std::fs::write(place.target().join("kopia.config.kopia-password"), "cmVrb3BpYS1xdWlja3N0YXJ0").unwrap();
    std::fs::create_dir(&cache).unwrap();
    let report = place.target().join("report");
    let mut command = Command::new(EXE);
    command.args(["restore", "latest", "--delete-extra"]).arg(place.target()).arg("--config").arg(&config);
    command.arg("--cache").arg(&cache).arg("--report").arg(&report).env_remove("KOPIA_PASSWORD");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!place.has_old(), "{}", said(&output));
    for kept in ["kopia.config", "kopia.config.kopia-password", "cache", "report"] {
        assert!(place.target().join(kept).exists(), "{kept} is gone: {}", said(&output));
    }
    assert!(
        said(&output).contains("stay as before, because this run itself uses what is there"),
        "{}",
        said(&output)
    );
}
