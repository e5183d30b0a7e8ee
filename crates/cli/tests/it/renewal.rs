//! Keys and tokens that expire in the middle of a restore: by their own words, or because the storage says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::keys::{FIRST_TOKEN, IDENTITY, Keys, TOKEN};
use rekopia_testkit::server::s3::{ACCESS_KEY, Fault, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;
use tokio::runtime::Runtime;

const SOURCE: &str = "paperless@media:/data";
/// What a rotated file of an identity holds.
const ROTATED: &str = "canary-rotated-token";

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    WebIdentity,
    Container,
    Instance,
    /// A role, with the keys of a profile.
    Role,
    /// A role by a web identity, as Kopia's configuration has it.
    RoleByFile,
    Profile,
    Process,
    Environment,
    /// A profile that logs in with a browser.
    Portal,
}

const ROLES: [From; 5] = [From::WebIdentity, From::Container, From::Instance, From::Role, From::RoleByFile];

struct Setting {
    runtime: Runtime,
    server: S3Server,
    dir: tempfile::TempDir,
}

fn serve() -> Setting {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s3");
    std::fs::create_dir(&root).unwrap();
    let server = runtime.block_on(S3Server::start(&root));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    Setting { runtime, server, dir }
}

/// A way to a bucket, with files in a folder of its own.
struct Way {
    keys: Arc<Keys>,
    from: From,
    dir: PathBuf,
}

impl Setting {
    fn way(&self, from: From, name: &str) -> Way {
        let dir = self.dir.path().join(format!("{from:?} {name}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("identity"), IDENTITY).unwrap();
        write_keys(&dir, FIRST_TOKEN);
        let keys = Arc::new(self.runtime.block_on(Keys::start(&self.server.endpoint)));
        Way { keys, from, dir }
    }
}

/// A profile, and what a process prints.
fn write_keys(dir: &Path, token: &str) {
    let (id, secret) = (ACCESS_KEY, SECRET_KEY);
    let profile = format!(
        "[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\naws_session_token={token}\n"
    );
    std::fs::write(dir.join("credentials"), profile).unwrap();
    let printed = format!(
        r#"{{"Version":1,"AccessKeyId":"{id}","SecretAccessKey":"{secret}","SessionToken":"{token}"}}"#
    );
    std::fs::write(dir.join("printed"), printed).unwrap();
}

impl Way {
    /// With the fourth request for something in the bucket no key is good any more that was given before; files are
    /// `rotated`, as whoever renews them does.
    fn expire_later(&self, code: &'static str, rotated: bool) {
        let (keys, dir, count) = (Arc::downgrade(&self.keys), self.dir.clone(), AtomicUsize::new(0));
        self.keys.front.break_answers(move |_, (_, path, _)| {
            if !path.starts_with("/bucket") || count.fetch_add(1, Ordering::SeqCst) != 3 {
                return None;
            }
            let keys = keys.upgrade()?;
            keys.expire(code);
            if rotated {
                keys.rotate(ROTATED);
                std::fs::write(dir.join("identity"), ROTATED).unwrap();
                write_keys(&dir, &format!("{TOKEN}{}", keys.next()));
            }
            None
        });
    }

    fn restore(&self) -> Output {
        let endpoint = format!("http://{}", self.keys.front.endpoint);
        let at = |name: &str| self.dir.join(name).to_str().unwrap().to_owned();
        let mut config = serde_json::json!({"bucket": "bucket", "endpoint": self.keys.front.endpoint,
            "doNotUseTLS": true, "region": "us-east-1"});
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
        command.env_clear().env("HOME", "/proc/nonexistent").env("REKOPIA_LOG", "debug").stdin(Stdio::null());
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_ENDPOINT_URL_STS", &endpoint);
        self.name_credentials(&mut command, &mut config, &endpoint);
        let storage = serde_json::json!({"storage": {"type": "s3", "config": config}, "hostname": "h", "username": "u"});
        std::fs::write(self.dir.join("repository.config"), storage.to_string()).unwrap();
        let password = testdata().join("quickstart/password");
        command.args(["--no-progress", "--parallel", "64", "--config", &at("repository.config")]);
        command.args(["--password-file", password.to_str().unwrap(), "restore", SOURCE, &at("target")]);
        let output = command.output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            for canary in [SECRET_KEY, TOKEN, IDENTITY, ROTATED] {
                assert!(!text.contains(canary), "a secret is shown: {text}");
            }
        }
        output
    }

    /// Says where the keys come from, as the environment or Kopia's configuration says it.
    fn name_credentials(&self, command: &mut Command, config: &mut serde_json::Value, endpoint: &str) {
        let at = |name: &str| self.dir.join(name).to_str().unwrap().to_owned();
        match self.from {
            From::WebIdentity => {
                command
                    .env("AWS_WEB_IDENTITY_TOKEN_FILE", at("identity"))
                    .env("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
            }
            From::Container => {
                command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{endpoint}/container"));
                command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", at("identity"));
            }
            From::Instance => {
                command.env_remove("AWS_EC2_METADATA_DISABLED");
                command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
            }
            From::Role => {
                command.env("AWS_SHARED_CREDENTIALS_FILE", at("credentials"));
                config["roleARN"] = "arn:aws:iam::1:role/r".into();
                config["roleEndpoint"] = endpoint.into();
            }
            From::RoleByFile => {
                command.env_remove("AWS_ENDPOINT_URL_STS");
                config["roleARN"] = "arn:aws:iam::1:role/r".into();
                config["roleEndpoint"] = endpoint.into();
                config["webIdentityTokenFile"] = at("identity").into();
            }
            From::Profile => {
                command.env("AWS_SHARED_CREDENTIALS_FILE", at("credentials"));
            }
            From::Process => {
                let profile = format!("[default]\ncredential_process = cat \"{}\"\n", at("printed"));
                std::fs::write(self.dir.join("config"), profile).unwrap();
                command.env("AWS_CONFIG_FILE", at("config")).env("PATH", "/usr/bin:/bin");
            }
            From::Portal => {
                command.env("AWS_CONFIG_FILE", at("config"));
            }
            From::Environment => {
                command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
                command.env("AWS_SESSION_TOKEN", FIRST_TOKEN);
            }
        }
    }

    fn restores(&self) {
        let output = self.restore();
        assert_eq!(output.status.code(), Some(0), "{:?}: {}", self.from, said(&output));
        let fixture = Fixture::load("quickstart");
        let diff =
            fixture.expected(&fixture.snapshots[2]).unwrap().diff(&Tree::read(&self.dir.join("target")), &[]);
        assert!(diff.is_empty(), "{:?}: {diff}", self.from);
    }

    /// Ends in 15, says all of this, and touches nothing.
    fn is_refused(&self, parts: &[&str]) {
        let output = self.restore();
        let last = said(&output);
        assert_eq!(output.status.code(), Some(15), "{:?}: {last}", self.from);
        for part in parts {
            assert!(last.contains(part), "{:?}: {part}: {last}", self.from);
        }
        assert!(!self.dir.join("target").exists());
    }
}

/// Returns what a person sees, without what the libraries log.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines()
        .filter(|line| !line.contains("DEBUG") && !line.contains("INFO"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn keys_are_renewed_once_when_the_storage_says_that_they_have_expired() {
    let setting = serve();
    for from in ROLES {
        for code in ["ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId"] {
            let way = setting.way(from, code);
            way.expire_later(code, true);
            way.restores();
            assert_eq!(way.keys.given(), 2, "{from:?} {code}: {:?}", way.keys.front.take_requests());
        }
    }
    for from in [From::Profile, From::Process] {
        let way = setting.way(from, "");
        way.expire_later("ExpiredToken", true);
        way.restores();
    }
}

#[test]
fn keys_are_renewed_before_they_expire() {
    let setting = serve();
    for from in ROLES {
        let way = setting.way(from, "");
        // The storage refuses later ones, too, so that one request too late would be seen.
        way.keys.last(Duration::from_millis(700));
        setting.server.delay(Duration::from_millis(300));
        way.restores();
        assert!(way.keys.given() >= 2, "{from:?}: {}", way.keys.given());
    }
}

#[test]
fn what_cannot_be_renewed_is_named() {
    let setting = serve();
    for (from, name) in [
        (From::WebIdentity, "the web identity (AWS_ROLE_ARN"),
        (From::Container, "the container's role"),
        (From::Instance, "the instance's role"),
        (From::Role, "role arn:aws:iam::1:role/r"),
        (From::RoleByFile, "role arn:aws:iam::1:role/r by the token in "),
    ] {
        let way = setting.way(from, "closed");
        way.expire_later("ExpiredToken", true);
        way.keys.front.break_answers(|_, _| None);
        way.keys.close();
        way.is_refused(&["credentials of ", name]);

        // In the middle: nothing was touched before the fourth request.
        let way = setting.way(from, "closed later");
        let (keys, count) = (Arc::downgrade(&way.keys), AtomicUsize::new(0));
        way.keys.front.break_answers(move |_, (_, path, _)| {
            if path.starts_with("/bucket") && count.fetch_add(1, Ordering::SeqCst) == 2 {
                let keys = keys.upgrade()?;
                keys.expire("ExpiredToken");
                keys.close();
            }
            None
        });
        way.is_refused(&["the credentials have expired and cannot be renewed", name]);
    }
    for (from, parts) in [
        (From::Environment, &["has expired", "AWS_SESSION_TOKEN", "ExpiredToken"][..]),
        (From::Profile, &["cannot be renewed", "profile", "the same ones again"]),
        (From::Process, &["cannot be renewed", "process", "the same ones again"]),
    ] {
        let way = setting.way(from, "for good");
        way.expire_later("ExpiredToken", false);
        way.is_refused(parts);
    }
}

/// Renewed keys that are refused as well end it: nobody goes round in circles.
#[test]
fn a_storage_that_refuses_every_key_is_asked_twice() {
    let setting = serve();
    let way = setting.way(From::WebIdentity, "");
    way.keys.front.break_answers(|_, (_, path, _)| {
        path.starts_with("/bucket").then_some(Fault::Status(400, "ExpiredToken"))
    });
    way.is_refused(&["again, after the credentials were renewed"]);
    // Each of the first requests twice, however they come to share their keys.
    assert!((2..=4).contains(&way.keys.given()), "{}", way.keys.given());
}

/// A profile that logs in at a portal: only AWS's own program can, and the message says how it helps.
#[test]
fn a_profile_of_a_portal_names_the_way_around() {
    let setting = serve();
    for profile in [
        "[default]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n[sso-session s]\nsso_region=us-east-1\n\
         sso_start_url=https://d.awsapps.com/start\n",
        "[default]\nsso_region=us-east-1\nsso_start_url=https://d.awsapps.com/start\nsso_account_id=1\n\
         sso_role_name=r\n",
        "[default]\nlogin_session=arn:aws:iam::1:user/me\n",
    ] {
        let way = setting.way(From::Portal, &profile.len().to_string());
        std::fs::write(way.dir.join("config"), profile).unwrap();
        let output = way.restore();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(15), "{said}");
        assert!(said.contains("aws configure export-credentials") && said.contains("AWS_PROFILE"), "{said}");
    }
}
