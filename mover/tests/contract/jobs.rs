//! Every Job that the operator made, replayed: its environment, arguments and mounts start the built program.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Stdio;

use rekopia_testkit::fixture::copy_dir;
use rekopia_testkit::job::Job;
use rekopia_testkit::server::s3::{ACCESS_KEY, SECRET_KEY};
use rekopia_testkit::server::tls::AUTHORITY;
use rekopia_testkit::server::webdav::{PASSWORD, USER, WebdavServer};
use rekopia_testkit::tree::Tree;

use crate::cloud::{Cloud, closed};
use crate::place::{Ended, Place, is_root};
use crate::stock;

/// How a restore ends.
enum Ends {
    /// Snapshot, content of its file `who`, whether a file from before stays, entries where the stock mover's are known.
    Restored(String, String, bool, Option<u64>),
    Empty,
    Refused(i32, &'static str),
}

fn restored(snapshot: &str, who: &str, kept: bool) -> Ends {
    Ends::Restored(snapshot.into(), who.into(), kept, None)
}

/// Returns how the stock mover ended, but where we differ on purpose.
fn expected(name: &str) -> Ends {
    match name {
        // The job has an argument that is not an option of a restore. Stock: splits it at capitals, exit 1.
        "rd-additional-args" => {
            Ends::Refused(2, "\"--description=Steam_Game\" is not an option of a restore")
        }
        // A setting that does not exist is a mistake. Stock: ignores our member.
        "rd-manual-config" => Ends::Refused(2, "anything: there is no such setting"),
        // 22:00-08:00 is later than midnight UTC. Stock: compares as text.
        "rd-restore-as-of" => restored("a1e2fbbc3d39d395699f33a4d5528ab5", "apps2", true),
        // Stock: its argument breaks connecting, exit 1.
        "rd-everything" => restored("fa65de939b37baa3e64d01cea499f085", "demo@prod:/srv/demo", false),
        // Nobody ever backed this up.
        "rd-long-name" => Ends::Empty,
        // Not replayed with the stock mover; what they change does not change what is restored.
        "rd-cache-limits-zero"
        | "rd-fs-pvc-url-ignored"
        | "rd-resources-labels-affinity"
        | "rd-s3-aws-keys"
        | "rd-s3-kopia-keys"
        | "rd-s3-undeliverable-keys"
        | "rd-service-account" => restored("fb7bcd48f30f3aad0190f2b2d3c2e0f7", "apps3", true),
        _ => {
            let replay = &stock::document("stock-replay.json")["jobs"][name];
            assert_eq!(replay["exitCode"], 0, "{name} has neither an expectation nor a replay");
            let text = |member: &str| replay[member].as_str().unwrap().to_owned();
            let kept = replay["oldFileKept"].as_bool().unwrap();
            Ends::Restored(text("snapshot"), text("who"), kept, replay["entries"].as_u64())
        }
    }
}

/// Jobs whose storage is apart: no server stands in for it here, or one of its own; and the session, which restores
/// nothing.
const APART: [&str; 10] = [
    "rd-azure",
    "rd-azure-documented",
    "rd-b2",
    "rd-debug",
    "rd-gcs",
    "rd-gdrive",
    "rd-rclone",
    "rd-sftp-key",
    "rd-sftp-password",
    "rd-webdav",
];

fn folder() -> PathBuf {
    stock::data().join("jobs")
}

/// Loads the Job with values that exist: the captured repository's password, a server in this process, a real
/// authority.
fn load(name: &str, cloud: &Cloud) -> Job {
    let mut job = Job::load(&folder(), name, |key, value| match (key, value) {
        ("KOPIA_PASSWORD", _) => "secret".into(),
        ("AWS_ACCESS_KEY_ID", _) => ACCESS_KEY.into(),
        ("AWS_SECRET_ACCESS_KEY", _) => SECRET_KEY.into(),
        ("KOPIA_S3_ENDPOINT", _) => cloud.server.endpoint.clone(),
        ("AWS_S3_ENDPOINT", _) if name == "rd-proxy" => format!("http://{value}"),
        ("AWS_S3_ENDPOINT", _) if uses_authority(name) => cloud.tls.endpoint.clone(),
        ("AWS_S3_ENDPOINT", _) => format!("http://{}", cloud.server.endpoint),
        (_, text) if text.starts_with("-----BEGIN CERTIFICATE") => AUTHORITY.to_owned(),
        _ => value.to_owned(),
    });
    for (_, value) in job.env.iter_mut().filter(|(name, _)| name.to_lowercase() == "http_proxy") {
        *value = format!("http://{}", cloud.server.endpoint);
    }
    job
}

fn uses_authority(name: &str) -> bool {
    name.contains("custom-ca") || name.ends_with("-everything")
}

/// Makes the Job's container: its volumes, what was in the data volume before, the repository where it is a directory.
fn place(job: &Job) -> Place {
    let mut place = Place::bare();
    let root = place.dir.path().to_path_buf();
    place.env = job.place(&root);
    place.args = job.args.clone();
    if let Some(path) = place.env.get("KOPIA_REPOSITORY").and_then(|url| url.strip_prefix("filesystem://")) {
        copy_dir(&stock::repository(), path.as_ref());
    }
    if job.args == ["restore"] {
        place.put("old");
        std::fs::create_dir(place.data().join("lost+found")).unwrap();
        if job.user != 0 && is_root() {
            // What fsGroup does to a volume.
            chown(place.data(), Some(0), Some(job.user)).unwrap();
            std::fs::set_permissions(place.data(), PermissionsExt::from_mode(0o2775)).unwrap();
        }
    }
    place
}

fn run(job: &Job, place: &Place) -> Ended {
    place.end(if job.user != 0 && is_root() { place.command_as(job.user) } else { place.command() })
}

#[test]
fn restores_end_as_expected() {
    let cloud = Cloud::holding(&["", "volsync/"]);
    let names: Vec<_> = Job::names(&folder()).into_iter().filter(|n| n.starts_with("rd-")).collect();
    assert_eq!(names.len(), 54);
    for name in names.iter().filter(|n| !APART.contains(&n.as_str())) {
        let job = load(name, &cloud);
        let place = place(&job);
        let ended = run(&job, &place);
        let log = &ended.log;
        let entries = Tree::read(&place.data()).entries.len() as u64 - 1;
        match expected(name) {
            Ends::Restored(snapshot, who, kept, most) => {
                assert_eq!(ended.code, 0, "{name}: {log}");
                assert!(log.contains(&format!("Selected snapshot with id: {snapshot}")), "{name}: {log}");
                assert_eq!(std::fs::read_to_string(place.data().join("who")).unwrap().trim(), who, "{name}");
                assert_eq!(place.data().join("old").exists(), kept, "{name}");
                assert!(place.data().join("lost+found").is_dir(), "{name}");
                assert!(
                    most.is_none_or(|most| most == entries),
                    "{name}: {entries} entries instead of {most:?}"
                );
            }
            Ends::Empty => {
                assert_eq!((ended.code, entries), (0, 2), "{name}: {log}");
                assert!(log.contains("No eligible snapshots found"), "{name}: {log}");
            }
            Ends::Refused(code, part) => {
                assert_eq!((ended.code, entries), (code, 2), "{name}: {log}");
                assert!(log.contains(part), "{name}: {log}");
            }
        }
    }
}

#[test]
fn storages_without_a_server_leave_the_volume_alone() {
    let cloud = Cloud::holding(&[]);
    let nobody = closed();
    let refused = |name: &str, job: &Job| {
        let place = place(job);
        let ended = run(job, &place);
        let allowed: &[i32] = match name {
            "rd-gdrive" => &[2],
            // The program may well start rclone and find nothing.
            "rd-rclone" => &[2, 10, 15],
            _ => &[2, 15],
        };
        assert!(allowed.contains(&ended.code), "{name}: {}", ended.log);
        assert!(ended.log.contains("ERROR: restore failed"), "{name}: {}", ended.log);
        assert_eq!(Tree::read(&place.data()).entries.len(), 3, "{name}: the volume was touched");
    };
    // Side by side: each waits for nobody to answer.
    std::thread::scope(|scope| {
        for name in APART.iter().filter(|name| **name != "rd-debug") {
            let mut job = load(name, &cloud);
            // Nothing leaves this machine: what is not on it goes through a proxy that is not there.
            job.env.insert("HTTPS_PROXY".into(), format!("http://{nobody}"));
            if let Some(host) = job.env.get_mut("SFTP_HOST") {
                *host = nobody.ip().to_string();
                job.env.insert("SFTP_PORT".into(), nobody.port().to_string());
            }
            scope.spawn(move || refused(name, &job));
        }
    });
}

#[test]
fn storages_with_a_server_of_their_own_are_restored_from() {
    let Some(server) = WebdavServer::rclone(&stock::repository()) else { return };
    let cloud = Cloud::holding(&[]);
    for name in ["rd-webdav", "rd-rclone"] {
        let mut job = load(name, &cloud);
        for (variable, value) in &mut job.env {
            match variable.as_str() {
                "WEBDAV_URL" => *value = format!("http://{}", server.address),
                "WEBDAV_USERNAME" => *value = USER.into(),
                "WEBDAV_PASSWORD" => *value = PASSWORD.into(),
                "RCLONE_REMOTE_PATH" => *value = format!("remote:{}", stock::repository().display()),
                _ => {}
            }
        }
        // What rclone serves has to be readable for it: root reads the checkout wherever it lies.
        let place = place(&job);
        let ended = place.run();
        assert_eq!(ended.code, 0, "{name}: {}", ended.log);
        assert_eq!(std::fs::read_to_string(place.data().join("who")).unwrap().trim(), "apps3", "{name}");
    }
}

#[test]
fn a_session_restores_nothing() {
    let job = load("rd-debug", &Cloud::holding(&[]));
    let mut place = place(&job);
    let marker = place.dir.path().join("tmp/exit-debug-if-removed");
    place.set("TMPDIR", marker.parent().unwrap().to_str().unwrap());
    let mut child = place.command().stdout(Stdio::null()).spawn().unwrap();
    while !marker.exists() {
        assert!(child.try_wait().unwrap().is_none(), "no session");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::fs::remove_file(marker).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(Tree::read(&place.data()).entries.len(), 3, "the volume was touched");
}

#[test]
fn backups_and_maintenance_reach_the_stock_script() {
    let cloud = Cloud::holding(&["", "volsync/"]);
    let names: Vec<_> = Job::names(&folder()).into_iter().filter(|n| !n.starts_with("rd-")).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names {
        let job = load(&name, &cloud);
        let mut place = place(&job);
        if name == "km-everything" {
            // The authority's variable of maintenance; here it has to be honoured.
            place.env.retain(|name, _| name != "KOPIA_REPOSITORY");
            place.set("KOPIA_REPOSITORY", "s3://backups/volsync").set("AWS_S3_ENDPOINT", &cloud.tls.endpoint);
            place.set("AWS_ACCESS_KEY_ID", ACCESS_KEY).set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        }
        let script = place.dir.path().join("stock-entry.sh");
        let record = place.dir.path().join("record");
        std::fs::write(&script, format!("#!/bin/sh\n(echo \"$@\"; env) > '{}'\nexit 5\n", record.display()))
            .unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        place.set("REKOPIA_STOCK_ENTRY", script.to_str().unwrap());
        // The script writes down what it got, which another user may not do here.
        let ended = place.run();
        assert_eq!(ended.code, 5, "{name}: {}", ended.log);
        let seen = std::fs::read_to_string(&record).unwrap();
        assert_eq!(seen.lines().next().unwrap(), job.args.join(" "), "{name}");
        for (variable, value) in place.env.iter().filter(|(_, value)| !value.contains('\n')) {
            assert!(seen.contains(&format!("\n{variable}={value}\n")), "{name}: {variable} is lost");
        }
        if let Some(authority) = place.env.get("KOPIA_CUSTOM_CA") {
            assert!(seen.contains(&format!("\nCUSTOM_CA={authority}\n")), "{name}: {seen}");
        }
        std::fs::remove_file(script).unwrap();
        place.ends(2, "no stock script");
    }
}

#[test]
fn identities_are_taken_as_they_come() {
    let vectors = stock::document("identity-vectors.json");
    let mut seen = 0;
    for vector in vectors.as_array().unwrap() {
        // With an error the operator makes no Job.
        let Some(user) = vector["result"]["username"].as_str() else { continue };
        let host = vector["result"]["hostname"].as_str().unwrap();
        let mut place = Place::of_user(user);
        place.args = vec!["check".into()];
        let ended = place.set("KOPIA_OVERRIDE_HOSTNAME", host).run();
        assert!(matches!(ended.code, 0 | 13), "{vector}: {}", ended.log);
        assert!(ended.log.contains(&format!("{user}@{host}:/data")), "{vector}: {}", ended.log);
        seen += 1;
    }
    assert_eq!(seen, 13);
}
