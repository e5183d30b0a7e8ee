//! Reads what a running rclone says: where it serves, and the last of its words about errors, without secrets.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::settings::{RcloneSettings, Secret};

/// Lines that are kept.
const KEPT: usize = 10;

/// The last lines of what rclone said about errors, without secrets.
#[derive(Clone)]
pub(super) struct Said {
    lines: Arc<Mutex<Vec<String>>>,
    secrets: Arc<Vec<Secret>>,
}

impl Said {
    /// Makes an empty list; later words are kept without the secrets of the settings and this password.
    pub(super) fn new(settings: &RcloneSettings, password: &Secret) -> Self {
        Said { lines: Arc::default(), secrets: Arc::new(secrets(settings, password)) }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_note(&self, line: &str) {
        // Everything else says how it is going.
        if !["ERROR", "CRITICAL", "Failed", "Error", "unknown", "FATAL"]
            .iter()
            .any(|word| line.contains(word))
        {
            return;
        }
        let mut line: String = line.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.secrets.iter() {
            line = line.replace(secret.expose(), "[secret]");
        }
        let mut lines = self.lines();
        if lines.len() >= KEPT {
            lines.remove(0);
        }
        lines.push(line);
    }

    pub(super) fn text(&self) -> String {
        self.lines().join("; ")
    }
}

/// Listens until the end, so that the program never waits for us to listen.
pub(super) fn listen(stderr: ChildStderr, said: &Said, serves: oneshot::Sender<String>) {
    let mut serves = Some(serves);
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line);
        if let Some(url) = address(&text)
            && let Some(serves) = serves.take()
        {
            // Nobody waits any more: then it is about to be killed.
            let _ = serves.send(url);
        }
        said.take_note(text.trim());
        line.clear();
    }
}

/// Returns the URL in `… WebDav Server started on [http://127.0.0.1:43567/]`.
fn address(line: &str) -> Option<String> {
    const START: &str = "http://127.0.0.1:";
    let lower = line.to_ascii_lowercase();
    let at = lower.find("webdav server started on")?;
    let port = &line[at + line[at..].find(START)? + START.len()..];
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then(|| format!("{START}{port}/"))
}

/// Returns everything in the settings that rclone's words must not repeat.
fn secrets(settings: &RcloneSettings, password: &Secret) -> Vec<Secret> {
    let value = |line: &str| {
        line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
    };
    let config = settings.embedded_config.expose().lines().filter_map(value);
    let config = config.filter(|(name, _)| name != "type").map(|(_, value)| value);
    let environment = settings.rclone_env.iter().flatten().filter_map(|e| value(e)).map(|(_, value)| value);
    let arguments = settings.rclone_args.iter().flatten().filter_map(|a| value(a)).map(|(_, value)| value);
    let remote = settings.remote_path.split([',', ':']).filter_map(value).map(|(_, value)| value);
    let all = config.chain(environment).chain(arguments).chain(remote);
    // Shorter ones would hide words rather than secrets.
    let long = all.filter(|value| value.len() >= 4).map(Secret::new);
    long.chain([password.clone()]).collect()
}

/// Returns a remote as it may be shown: it may hold its whole configuration, secrets included:
/// `name,option=value:path`.
pub(super) fn shown(remote: &str) -> String {
    remote.split_once(',').map_or_else(|| remote.to_owned(), |(name, _)| format!("{name},…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_every_dialect() {
        for line in [
            "2026/11/25 22:13:20 NOTICE: Local file system at /x: WebDav Server started on http://127.0.0.1:33977/",
            "2026/11/25 NOTICE: alias: WebDav Server started on [http://127.0.0.1:33977/]\n",
        ] {
            assert_eq!(address(line).as_deref(), Some("http://127.0.0.1:33977/"));
        }
        assert_eq!(address("NOTICE: Serving remote control on http://127.0.0.1:5572/"), None);
    }

    #[test]
    fn secrets_are_not_repeated() {
        let settings = RcloneSettings {
            remote_path: ":s3,secret_access_key=canary-remote:bucket".into(),
            embedded_config: Secret::new("[x]\ntype = s3\nsecret_access_key = canary-config\n"),
            rclone_env: Some(vec!["AWS_SECRET=canary-env".into()]),
            rclone_args: Some(vec!["--sftp-pass=canary-args".into()]),
            ..RcloneSettings::default()
        };
        let said = Said::new(&settings, &Secret::new("canary-own"));
        said.take_note("ERROR : canary-remote canary-config canary-env canary-args canary-own of s3");
        said.take_note("NOTICE: all is well");
        assert!(!said.text().contains("canary") && said.text().ends_with("of s3"), "{}", said.text());
        assert!(!shown(&settings.remote_path).contains("canary"));
    }
}
