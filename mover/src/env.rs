//! Holds the environment as it arrived: names and texts, nothing understood yet (contract §2).

use std::collections::BTreeMap;
use std::path::PathBuf;

use rekopia_blob::settings::{control_character, trimmed};

/// Variables of the contract that can reach the pod and are not read here, and why. A test holds this list and the
/// rest of the program against every captured Job.
#[cfg(test)]
pub(crate) const UNREAD: &[(&str, &str)] = &[
    ("KOPIA_DISCOVER_SNAPSHOTS", "always true; what may be meant is always named"),
    ("KOPIA_SKIP_CACHE_CONFIG", "no cache is configured"),
    ("KOPIA_CACHE_CAPACITY_BYTES", "nothing is kept between runs"),
    ("KOPIA_METADATA_CACHE_SIZE_LIMIT_MB", "nothing is kept between runs"),
    ("KOPIA_CONTENT_CACHE_SIZE_LIMIT_MB", "nothing is kept between runs"),
    ("KOPIA_CONFIG_PATH", "a restore changes no policy"),
    ("KOPIA_GLOBAL_POLICY_FILE", "a restore changes no policy"),
    ("KOPIA_REPOSITORY_CONFIG_FILE", "a restore changes no policy"),
    ("PRIVILEGED_MOVER", "what the user may do shows when it is done"),
    ("KOPIA_COMPRESSION", "for backups"),
    ("KOPIA_PARALLELISM", "for backups"),
    ("KOPIA_RETAIN_HOURLY", "for backups"),
    ("KOPIA_RETAIN_DAILY", "for backups"),
    ("KOPIA_RETAIN_WEEKLY", "for backups"),
    ("KOPIA_RETAIN_MONTHLY", "for backups"),
    ("KOPIA_RETAIN_YEARLY", "for backups"),
    ("KOPIA_RETAIN_LATEST", "for backups"),
    ("KOPIA_BEFORE_SNAPSHOT", "for backups"),
    ("KOPIA_AFTER_SNAPSHOT", "for backups"),
    ("AWS_PROFILE", "the stock mover does not use it, and no file with profiles is mounted"),
    ("GOOGLE_PROJECT_ID", "reading a bucket needs no project"),
    ("GOOGLE_DRIVE_CREDENTIALS", "Google Drive is refused by its folder"),
    ("HTTP_PROXY", "the HTTP client reads it"),
    ("http_proxy", "the HTTP client reads it"),
    ("HTTPS_PROXY", "the HTTP client reads it"),
    ("https_proxy", "the HTTP client reads it"),
    ("NO_PROXY", "the HTTP client reads it"),
    ("no_proxy", "the HTTP client reads it"),
];

/// Variables that are one line: what stands around them is not meant, and nothing that breaks a line is inside.
#[rustfmt::skip]
const ONE_LINE: &[&str] = &[
    "KOPIA_REPOSITORY", "KOPIA_FS_PATH", "KOPIA_OVERRIDE_USERNAME", "KOPIA_OVERRIDE_HOSTNAME",
    "KOPIA_SOURCE_PATH_OVERRIDE", "KOPIA_RESTORE_AS_OF", "KOPIA_PREVIOUS", "KOPIA_SHALLOW",
    "KOPIA_ENABLE_FILE_DELETION", "KOPIA_CACHE_DIR", "DATA_DIR", "DIRECTION", "DEBUG_MOVER", "TMPDIR",
    "CUSTOM_CA", "KOPIA_CUSTOM_CA", "KOPIA_S3_BUCKET", "KOPIA_S3_ENDPOINT", "AWS_S3_ENDPOINT",
    "KOPIA_S3_DISABLE_TLS", "AWS_S3_DISABLE_TLS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "KOPIA_AZURE_CONTAINER",
    "KOPIA_AZURE_STORAGE_ACCOUNT", "KOPIA_AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN", "AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY", "AZURE_ACCOUNT_SAS",
    "AZURE_ENDPOINT_SUFFIX", "KOPIA_GCS_BUCKET", "GCS_BUCKET", "KOPIA_B2_BUCKET", "B2_ACCOUNT_ID",
    "B2_APPLICATION_KEY", "WEBDAV_URL", "WEBDAV_USERNAME", "SFTP_HOST", "SFTP_PORT", "SFTP_USERNAME",
    "SFTP_PATH", "RCLONE_REMOTE_PATH", "RCLONE_EXE", "GOOGLE_DRIVE_FOLDER_ID",
];

/// Variables that are a path or the text of a file: one line when they are a path.
const PATH_OR_TEXT: &[&str] =
    &["SFTP_KEY_FILE", "SFTP_KNOWN_HOSTS", "RCLONE_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS"];

/// Texts around which nothing is meant, and inside which everything is.
const TEXT: &[&str] = &["KOPIA_MANUAL_CONFIG", "KOPIA_STRUCTURED_REPOSITORY_CONFIG", "KOPIA_ADDITIONAL_ARGS"];

/// Variables by name. An empty one counts as not set, as in the stock mover.
#[derive(Clone, Default)]
pub(crate) struct Env {
    variables: BTreeMap<String, String>,
    /// Names of variables around whose values something was dropped.
    trimmed: Vec<String>,
}

impl Env {
    /// Returns this process's own environment. A value that is not UTF-8 counts as not set.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Env::new(std::env::vars_os().filter_map(text).collect())
    }

    /// Makes values as they are meant of values as people paste them. Passwords and texts of several lines stay as they
    /// are.
    pub(crate) fn new(mut variables: BTreeMap<String, String>) -> Self {
        let mut dropped = Vec::new();
        for (name, value) in &mut variables {
            let meant = trimmed(value);
            let is_path = PATH_OR_TEXT.contains(&name.as_str()) && meant.starts_with('/');
            let is_text = TEXT.contains(&name.as_str());
            if (is_one_line(name) || is_text || is_path) && meant.len() < value.len() {
                *value = meant.to_owned();
                dropped.push(name.clone());
            }
        }
        Env { variables, trimmed: dropped }
    }

    /// Returns the variables whose values had something around them that was not meant.
    pub(crate) fn trimmed(&self) -> &[String] {
        &self.trimmed
    }

    /// Refuses what breaks a line where it becomes a header, an identity or a path.
    ///
    /// # Errors
    /// A sentence that names the variable, and not its value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let one_line = self.variables.iter().filter(|(name, _)| is_one_line(name));
        match one_line.filter_map(|(name, value)| Some((name, control_character(value)?))).next() {
            Some((name, what)) => Err(format!("{name}: holds {what} inside its value; put it on one line")),
            None => Ok(()),
        }
    }

    /// Returns the value, when there is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Returns the first of these that is set.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Returns the value as a path.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Whether the value is exactly `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Env::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }
}

fn is_one_line(name: &str) -> bool {
    ONE_LINE.contains(&name) || name.starts_with("REKOPIA_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use rekopia_testkit::job::Job;

    use super::*;

    /// The contract's allow-list of Secret keys, and what it says that maintenance jobs have besides.
    const ALLOWED: &str = "KOPIA_PASSWORD KOPIA_REPOSITORY KOPIA_MANUAL_CONFIG AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
        AWS_SESSION_TOKEN AWS_DEFAULT_REGION AWS_REGION AWS_PROFILE AWS_S3_ENDPOINT KOPIA_S3_BUCKET KOPIA_S3_ENDPOINT
        KOPIA_S3_DISABLE_TLS AWS_S3_DISABLE_TLS AZURE_ACCOUNT_NAME AZURE_ACCOUNT_KEY AZURE_ACCOUNT_SAS
        AZURE_ENDPOINT_SUFFIX AZURE_STORAGE_ACCOUNT AZURE_STORAGE_KEY AZURE_STORAGE_SAS_TOKEN KOPIA_AZURE_CONTAINER
        KOPIA_AZURE_STORAGE_ACCOUNT KOPIA_AZURE_STORAGE_KEY GOOGLE_PROJECT_ID GOOGLE_APPLICATION_CREDENTIALS
        GOOGLE_DRIVE_FOLDER_ID GOOGLE_DRIVE_CREDENTIALS KOPIA_GCS_BUCKET GCS_BUCKET B2_ACCOUNT_ID B2_APPLICATION_KEY
        KOPIA_B2_BUCKET WEBDAV_URL WEBDAV_USERNAME WEBDAV_PASSWORD SFTP_HOST SFTP_PORT SFTP_USERNAME SFTP_PASSWORD
        SFTP_PATH SFTP_KEY_FILE SFTP_KNOWN_HOSTS SFTP_KNOWN_HOSTS_DATA RCLONE_REMOTE_PATH RCLONE_EXE RCLONE_CONFIG
        KOPIA_CUSTOM_CA DIRECTION DEBUG_MOVER";

    /// What is pasted before and behind a value.
    const AROUND: [(&str, &str); 7] = [
        ("", "\n"),
        ("", "\r\n"),
        (" ", " "),
        ("\u{feff}", ""),
        ("\t", "\t\n"),
        ("\n", ""),
        ("\u{a0}", "\u{feff}\n"),
    ];

    #[test]
    fn every_variable_of_one_line_is_trimmed_and_refuses_what_breaks_it() {
        for name in ONE_LINE.iter().chain(PATH_OR_TEXT).chain(&["REKOPIA_ON_EMPTY"]) {
            for (before, behind) in AROUND {
                let env = Env::of(&[(name, &format!("{before}/v a/l{behind}"))]);
                assert_eq!(env.text(name), Some("/v a/l"), "{name} {before:?} {behind:?}");
                assert_eq!(env.trimmed(), [*name]);
                assert_eq!(env.check(), Ok(()));
                let nothing = Env::of(&[(name, &format!("{before}{behind}"))]);
                assert!(nothing.text(name).is_none() || PATH_OR_TEXT.contains(name), "{name}");
            }
            for inside in ["a\nb", "a\rb", "a\0b", "a\u{1b}b", "a\tb", "a\u{85}b"] {
                let refused = Env::of(&[(name, inside)]).check().err();
                let is_text = PATH_OR_TEXT.contains(name);
                assert_eq!(refused.is_none(), is_text, "{name} {inside:?}");
                assert!(
                    is_text || refused.is_some_and(|what| what.starts_with(*name) && !what.contains(inside))
                );
            }
        }
        for name in TEXT {
            assert_eq!(
                Env::of(&[(name, "\u{feff}{\n \"a\": 1}\n")]).text(name),
                Some("{\n \"a\": 1}"),
                "{name}"
            );
        }
        for name in ["KOPIA_PASSWORD", "SFTP_PASSWORD", "WEBDAV_PASSWORD", "SFTP_KNOWN_HOSTS_DATA"] {
            assert_eq!(Env::of(&[(name, " p\nq \n")]).text(name), Some(" p\nq \n"), "{name}");
        }
        assert_eq!(
            Env::of(&[("RCLONE_CONFIG", "[a]\ntype = b\n")]).text("RCLONE_CONFIG"),
            Some("[a]\ntype = b\n")
        );
    }

    /// A variable that is added needs a kind.
    #[test]
    fn every_variable_that_is_read_has_a_kind() {
        const OTHERS: [&str; 4] =
            ["KOPIA_PASSWORD", "SFTP_PASSWORD", "WEBDAV_PASSWORD", "SFTP_KNOWN_HOSTS_DATA"];
        let unread: Vec<&str> = UNREAD.iter().map(|(name, _)| *name).collect();
        for name in ALLOWED.split_whitespace() {
            let kinds = [ONE_LINE, PATH_OR_TEXT, TEXT, &OTHERS[..], &unread[..]];
            assert_eq!(kinds.iter().filter(|kind| kind.contains(&name)).count(), 1, "{name}");
        }
    }

    #[test]
    fn every_variable_that_can_reach_the_pod_is_read_or_stated() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names: BTreeSet<String> = ALLOWED.split_whitespace().map(str::to_owned).collect();
        let jobs = here.join("tests/data/jobs");
        for name in Job::names(&jobs) {
            names.extend(Job::load(&jobs, &name, |_, value| value.to_owned()).variables);
        }
        assert!(names.len() >= 85, "{names:?}");
        let mut text = String::new();
        for file in std::fs::read_dir(here.join("src")).unwrap() {
            let path = file.unwrap().path();
            // This file names the kinds of variables, `destination` all that the operator sets.
            if path.is_file() && !path.ends_with("env.rs") && !path.ends_with("destination.rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        for name in &names {
            let read = text.contains(&format!("\"{name}\""));
            let stated = UNREAD.iter().any(|(unread, why)| unread == name && !why.is_empty());
            assert!(read != stated, "{name}: read {read}, stated {stated}");
        }
        for (name, _) in UNREAD {
            assert!(names.contains(*name), "{name} never reaches the pod");
        }
    }
}
