//! The program against OpenSSH's server, and over OpenSSH's client (both Debian packages).

mod failures;
mod place;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use rekopia_testkit::fixture::copy_dir;
use rekopia_testkit::server::sshd::{self, PASSWORD, PASSWORD_USER, Sshd, Ways};
use rekopia_testkit::skip::has_programs;
use serde_json::{Value, json};

use place::{Place, repo, until};

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let Some(place) = Place::new() else { return };
    place.restores(&["--repo", &place.url("known_hosts")], "url");
    let fields = place.fields();
    place.restores(&["--config", &place.config(&fields)], "config");
    let token = json!({"version": "1", "storage": {"type": "sftp", "config": fields}});
    let token = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(token.to_string());
    let token = place.write("token-file", &token);
    place.restores(&["--token-file", &token], "token");

    // Another kind of key on both sides; the known hosts have this one only, the server would rather show the other.
    place.write("rsa_hosts", &place.sshd.known_hosts("rsa"));
    let url = place.url("rsa_hosts").replace("/key&", "/key_rsa&");
    place.restores(&["--repo", &url], "rsa");
    let missing = place.url("known_hosts").replace("/repo?", "/repo/no/such/folder?");
    place.refused(&["--repo", &missing], 10, &["no Kopia repository"]);
}

/// The key is shown first, then anything else is said; what to do is said in a line that can be used as it is.
#[test]
fn only_known_servers_are_trusted() {
    let Some(place) = Place::new() else { return };
    place.write("empty", "# nobody\n");
    let said =
        place.refused(&["--repo", &place.url("empty")], 15, &["server not trusted", "is not known", "empty"]);
    let line = said.split_once("add the line \"").unwrap().1.split_once('"').unwrap().0;
    place.write("added", line);
    place.restores(&["--repo", &place.url("added")], "known now");
    place.refused(&["--repo", &place.url("missing")], 15, &["is not known", "does not exist"]);

    sshd::generate("ed25519", &place.path("other"), "");
    let other = std::fs::read_to_string(place.path("other.pub")).unwrap();
    let before = place.sshd.log().matches("Accepted publickey").count();
    place.write("changed", &format!("\n[127.0.0.1]:{} {other}", place.sshd.port));
    place.refused(&["--repo", &place.url("changed")], 15, &["is not the one in line 2 of", "set up anew"]);
    assert_eq!(place.sshd.log().matches("Accepted publickey").count(), before, "somebody signed in");

    // The known hosts may be hashed as ssh-keygen does, or patterns.
    place.write("hashed", &place.sshd.known_hosts("ed25519"));
    let mut hash = Command::new("ssh-keygen");
    hash.args(["-q", "-H", "-f"]).arg(place.path("hashed")).stdout(Stdio::null()).stderr(Stdio::null());
    let hashed = hash.status().unwrap();
    assert!(hashed.success() && std::fs::read_to_string(place.path("hashed")).unwrap().starts_with("|1|"));
    place.restores(&["--repo", &place.url("hashed")], "by its hash");
    let mut fields = place.fields();
    fields["knownHostsData"] = place.sshd.known_hosts("ed25519").replace("127.0.0.1", "127.*").into();
    place.restores(&["--config", &place.config(&fields)], "pattern");
    fields["knownHostsData"] = "".into();
    let said =
        place.refused(&["--config", &place.config(&fields)], 15, &["/proc/nonexistent/.ssh/known_hosts"]);
    assert!(said.contains("server not trusted"), "{said}");
}

#[test]
fn what_is_wrong_with_keys_is_said() {
    let Some(place) = Place::new() else { return };
    let refused = |change: &dyn Fn(&mut Value), code, parts: &[&str]| {
        let mut fields = place.fields();
        change(&mut fields);
        place.refused(&["--config", &place.config(&fields)], code, parts);
    };
    sshd::generate("ed25519", &place.path("stranger"), "");
    sshd::generate("ed25519", &place.path("encrypted"), "canary-passphrase");
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let (stranger, encrypted) = (read("stranger"), read("encrypted"));
    refused(
        &|f| f["keyData"] = stranger.clone().into(),
        15,
        &["access denied", "does not accept the key", "keyfile"],
    );
    refused(&|f| f["keyData"] = encrypted.clone().into(), 2, &["keyData", "passphrase"]);
    refused(&|f| f["keyData"] = "canary".into(), 2, &["keyData", "no private key"]);
    refused(
        &|f| {
            f["keyData"] = "".into();
            f["keyfile"] = "/no/such/key".into();
        },
        2,
        &["keyfile", "/no/such/key"],
    );
    refused(&|f| f["keyData"] = "".into(), 2, &["keyfile", "keyData", "password"]);
    refused(&|f| f["username"] = "".into(), 2, &["username"]);
    // A server without passwords says so.
    refused(
        &|f| {
            f["keyData"] = "".into();
            f["password"] = PASSWORD.into();
        },
        15,
        &["does not accept the password", "publickey"],
    );
}

/// A user with a password needs a machine that has one: root makes it up for the server alone.
#[test]
fn passwords_are_accepted_in_both_ways() {
    if !Sshd::can_have_passwords() {
        rekopia_testkit::must_run("SFTP with passwords", "only root can make them up");
        return;
    }
    for ways in [
        Ways { password: true, ..Ways::default() },
        Ways { questions: true, ..Ways::default() },
        // The server wants the key and the password.
        Ways { password: true, configuration: "AuthenticationMethods publickey,password", ..Ways::default() },
    ] {
        let Some(place) = Place::with(ways) else { return };
        let copy = place.path("repo");
        copy_dir(&repo(), &copy);
        readable(place.dir.path());
        let mut fields = place.fields();
        fields["username"] = PASSWORD_USER.into();
        fields["path"] = copy.to_str().into();
        if ways.configuration.is_empty() {
            fields["keyData"] = "".into();
        }
        let url = format!(
            "sftp://{PASSWORD_USER}@127.0.0.1:{}{}?known-hosts={}",
            place.sshd.port,
            copy.display(),
            place.path("known_hosts").display()
        );
        let by_environment =
            place.command(&["--repo", &url], "environment").env("KOPIA_SFTP_PASSWORD", PASSWORD).output();
        let by_environment = place.shown(by_environment.unwrap());
        if ways.configuration.is_empty() {
            place.assert_restored(&by_environment, "environment");
        } else {
            let text = String::from_utf8_lossy(&by_environment.stderr).into_owned();
            assert!(by_environment.status.code() == Some(15) && text.contains("publickey"), "{text}");
        }
        fields["password"] = PASSWORD.into();
        place.restores(&["--config", &place.config(&fields)], "config");
        fields["password"] = "canary-wrong".into();
        place.refused(
            &["--config", &place.config(&fields)],
            15,
            &["access denied", "does not accept the password"],
        );
    }
}

/// For the server's own user.
fn readable(dir: &Path) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            readable(&path);
        } else {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        }
    }
}

#[test]
fn ssh_itself_connects_where_it_is_asked_to() {
    let Some(place) = has_programs("SFTP by ssh", &["ssh"]).then(Place::new).flatten() else { return };
    // What it is started with is left in files.
    let script = format!(
        "#!/bin/sh\necho $$ >>{trace}/pids\necho \"$@\" >{trace}/arguments\nenv >{trace}/environment\nexec ssh \"$@\"\n",
        trace = place.dir.path().display()
    );
    let traced = place.write("traced", &script);
    std::fs::set_permissions(&traced, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(place.sshd.key(), PermissionsExt::from_mode(0o600)).unwrap();
    let config = |known_hosts: &str| {
        let text = format!(
            "IdentityFile {}\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n\
             IdentitiesOnly yes\nIdentityAgent none\n",
            place.sshd.key().display(),
            place.path(known_hosts).display()
        );
        place.write("ssh_config", &text)
    };
    let mut fields = json!({"host": "127.0.0.1", "port": place.sshd.port, "username": place.sshd.user, "path": repo(),
        "externalSSH": true, "sshCommand": traced, "sshArguments": format!("-F {}", config("known_hosts"))});
    let output = place
        .command(&["--config", &place.config(&fields)], "external")
        .env("KOPIA_PASSWORD", "canary")
        .output();
    place.assert_restored(&place.shown(output.unwrap()), "external");
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    assert!(read("arguments").contains("BatchMode=yes") && !read("environment").contains("canary"));
    let is_running = || {
        read("pids").lines().any(|pid| {
            // A process that nobody has waited for yet does nothing any more.
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        })
    };
    until("ssh ends", || !is_running());

    place.write("empty", "");
    config("empty");
    place.refused(
        &["--config", &place.config(&fields)],
        15,
        &["server not trusted", "Host key verification failed"],
    );
    config("known_hosts");
    fields["sshArguments"] = format!("-F {} -i /no/key -o IdentityFile=none", config("known_hosts")).into();
    std::fs::write(
        place.path("ssh_config"),
        read("ssh_config").replace(place.sshd.key().to_str().unwrap(), "none"),
    )
    .unwrap();
    place.refused(
        &["--config", &place.config(&fields)],
        15,
        &["access denied", "Permission denied (publickey)"],
    );
    fields["sshCommand"] = "/no/such/ssh".into();
    place.refused(&["--config", &place.config(&fields)], 15, &["sshCommand", "/no/such/ssh"]);
    fields["host"] = "-oProxyCommand=touch".into();
    place.refused(&["--config", &place.config(&fields)], 2, &["host"]);
}

/// What `.shards` would have said is seen in the folders.
#[test]
fn a_lost_layout_is_found_again() {
    let Some(place) = Place::new() else { return };
    let copy = place.path("repo");
    copy_dir(&repo(), &copy);
    let url = place.url("known_hosts").replace(repo().to_str().unwrap(), copy.to_str().unwrap());
    std::fs::remove_file(copy.join(".shards")).unwrap();
    place.restores(&["--repo", &url], "lost");
    place.restores(&["--repo", &format!("{url}&dir-shards=2,2")], "misled");
    std::fs::write(copy.join(".shards"), "{").unwrap();
    place.restores(&["--repo", &url], "broken");
    // Names that lead elsewhere are followed, as in a directory; others are in nobody's way.
    std::fs::rename(copy.join("p"), place.path("packs")).unwrap();
    std::os::unix::fs::symlink(place.path("packs"), copy.join("p")).unwrap();
    std::os::unix::fs::symlink("nowhere", copy.join("q.f")).unwrap();
    std::fs::write(copy.join(OsStr::from_bytes(b"\xff\xfe.f")), "x").unwrap();
    place.restores(&["--repo", &url], "links");
}
