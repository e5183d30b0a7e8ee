//! The program over the user's own rclone (a Debian package).

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::skip::has_programs;
use rekopia_testkit::tree::Tree;

fn repo() -> PathBuf {
    testdata().join("quickstart/repo").canonicalize().unwrap()
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// With an rclone that leaves a trace: its process number, its arguments, its environment and its input. `None`
    /// where it is not installed.
    fn new() -> Option<Self> {
        if !has_programs("rclone", &["rclone"]) {
            return None;
        }
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let trace = place.dir.path().display();
        let script = format!(
            "#!/bin/sh\necho $$ >{trace}/pid\necho \"$@\" >{trace}/arguments\nenv >{trace}/environment\nexec rclone \"$@\"\n"
        );
        let path = place.write("traced", &script);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Returns a configuration as Kopia writes it.
    fn config(&self, config: &serde_json::Value) -> String {
        let storage = serde_json::json!({"type": "rclone", "config": config});
        self.write("repository.config", &serde_json::json!({"storage": storage}).to_string())
    }

    fn command(&self, before: &[&str], target: &str) -> Command {
        crate::traced_restore(before, self.path(target).as_ref())
    }

    /// Restores into `target`; whatever happens, no secret is shown, and nothing is left running.
    fn restore(&self, before: &[&str], target: &str) -> Output {
        let output = self.command(before, target).output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            assert!(!text.contains("canary"), "{text}");
        }
        if self.path("pid").exists() {
            assert!(!self.is_running(), "rclone is left");
        }
        output
    }

    fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.read("pid").trim()));
        // A process that nobody has waited for yet does nothing any more.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[track_caller]
    fn assert_restored(&self, output: &Output, target: &str) {
        assert_eq!(output.status.code(), Some(0), "{target}: {}", String::from_utf8_lossy(&output.stderr));
        let fixture = Fixture::load("quickstart");
        let found = Tree::read(&self.path(target));
        let diff = fixture.expected(&fixture.snapshots[2]).unwrap().diff(&found, &[]);
        assert!(diff.is_empty(), "{target}: {diff}");
    }
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let Some(place) = Place::new() else { return };
    let url = format!("rclone://:local:{}?rclone-exe={}", repo().display(), place.path("traced").display());
    place.assert_restored(&place.restore(&["--repo", &url], "url"), "url");
    assert!(place.read("arguments").contains("--read-only"));

    let embedded =
        format!("[mine]\ntype = alias\nremote = {}\nunused_secret = canary-config\n", repo().display());
    let config = serde_json::json!({"remotePath": "mine:", "rcloneExe": place.path("traced"),
        "rcloneArgs": ["--low-level-retries", "2"], "rcloneEnv": ["RCLONE_CANARY=canary-environment"],
        "startupTimeout": "20s", "embeddedConfig": embedded, "dirShards": null});
    place.assert_restored(&place.restore(&["--config", &place.config(&config)], "config"), "config");
    let arguments = place.read("arguments");
    assert!(arguments.contains("--low-level-retries 2") && !arguments.contains("canary"), "{arguments}");
    let environment = place.read("environment");
    let password = environment.lines().find_map(|line| line.strip_prefix("RCLONE_PASS=")).unwrap();
    assert!(password.len() >= 32 && !arguments.contains(password));
    assert!(environment.contains("canary-environment") && !environment.contains("canary-config"));

    let token = serde_json::json!({"version": "1", "storage": {"type": "rclone", "config": config}});
    let token = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(token.to_string());
    let token = place.write("token-file", &token);
    place.assert_restored(&place.restore(&["--token-file", &token], "token"), "token");
}

/// A remote may hold its secrets itself: they are in no list of processes.
#[test]
fn secrets_in_a_remote_stay_out_of_the_arguments() {
    let Some(place) = Place::new() else { return };
    let remote = format!("alias,remote=\"{}\",description=canary-remote:", repo().display());
    let config = serde_json::json!({"remotePath": format!(":{remote}"), "rcloneExe": place.path("traced")});
    let output = place.restore(&["--config", &place.config(&config)], "target");
    let arguments = place.read("arguments");
    assert!(!arguments.contains("canary"), "{arguments}");
    assert!(place.read("environment").contains("canary-remote"));
    place.assert_restored(&output, "target");
}

#[test]
fn what_rclone_says_reaches_the_user_without_secrets() {
    let Some(place) = Place::new() else { return };
    let refused = |config: serde_json::Value, code: i32, parts: &[&str]| {
        let output = place.restore(&["--config", &place.config(&config)], "refused");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!place.path("refused").exists());
    };
    let traced = place.path("traced");
    let wrong = "[mine]\ntype = no-such-storage\nsecret = canary-config\n";
    refused(
        serde_json::json!({"remotePath": "mine:", "rcloneExe": traced, "embeddedConfig": wrong}),
        15,
        &["rclone:mine:", "no-such-storage"],
    );
    refused(
        serde_json::json!({"remotePath": "nothing:", "rcloneExe": traced, "rcloneArgs": ["--canary-flag=canary"]}),
        15,
        &["unknown flag"],
    );
    refused(
        serde_json::json!({"remotePath": "x:", "rcloneExe": place.path("missing")}),
        2,
        &["cannot start"],
    );
    let slow =
        place.write("slow", &format!("#!/bin/sh\necho $$ >{}\nexec sleep 60\n", place.path("pid").display()));
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();
    let started = Instant::now();
    refused(
        serde_json::json!({"remotePath": "x:", "rcloneExe": slow, "startupTimeout": "1s"}),
        15,
        &["in time"],
    );
    assert!(started.elapsed() < Duration::from_secs(30));
    let nowhere = serde_json::json!({"remotePath": place.path("nowhere"), "rcloneExe": traced});
    refused(nowhere, 10, &[]);
}

/// Nobody can tell it to end any more: it ends all the same.
#[test]
fn rclone_does_not_outlive_a_killed_program() {
    let Some(place) = Place::new() else { return };
    // A pipe that is not read holds the program up after it has connected.
    let url = format!("rclone://:local:{}?rclone-exe={}", repo().display(), place.path("traced").display());
    let mut command = place.command(&["--repo", &url], "target");
    command.env("REKOPIA_LOG", "error").args(["--limit-download", "1000"]);
    let mut program: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("rclone starts", || place.path("pid").exists() && place.path("arguments").exists());
    std::thread::sleep(Duration::from_secs(1));
    assert!(place.is_running() && program.try_wait().unwrap().is_none(), "it ends too early");
    program.kill().unwrap();
    program.wait().unwrap();
    until("rclone ends", || !place.is_running());
}

/// When rclone itself ends, the run does, and says why.
#[test]
fn a_run_ends_with_its_rclone() {
    let Some(place) = Place::new() else { return };
    let url = format!("rclone://:local:{}?rclone-exe={}", repo().display(), place.path("traced").display());
    let mut command = place.command(&["--repo", &url], "target");
    let program = command.env("REKOPIA_LOG", "error").args(["--limit-download", "20000"]);
    let program = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("rclone starts", || place.path("arguments").exists());
    std::thread::sleep(Duration::from_secs(1));
    let killed = Command::new("kill").arg("-KILL").arg(place.read("pid").trim()).status().unwrap();
    assert!(killed.success());
    let started = Instant::now();
    let output = program.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    // What had arrived by then is restored, the rest is named.
    assert!(matches!(output.status.code(), Some(15 | 3)), "{text}");
    assert!(text.contains("rclone ended"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(90));
}

fn until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}
