//! What other programs ask the library: how the job of an application would end, without being in the cluster.

use std::collections::BTreeMap;
use std::path::Path;

use rekopia::Cancel;
use rekopia_mover::{
    Destination, Judgement, Volume, backup_identity, catalogue, check, job_variables, plan, restore_identity,
    with_contents,
};
use rekopia_testkit::server::s3::{ACCESS_KEY, SECRET_KEY};
use rekopia_testkit::server::tls::AUTHORITY;
use serde_json::json;

use crate::cloud::Cloud;
use crate::place::{Place, S3};
use crate::stock;

type Variables = BTreeMap<String, String>;

fn judged(variables: Variables, volume: &Volume) -> Judgement {
    let runtime = rekopia::start_runtime().unwrap();
    let cancel = Cancel::new();
    let checking = check(variables, volume, &cancel);
    // Programs give it to a task of their own.
    fn is_send<T: Send>(_: &T) {}
    is_send(&checking);
    let judgement = runtime.block_on(checking);
    for text in judgement.lines.iter().chain([&judgement.message]).chain(&judgement.warnings) {
        assert!(!text.contains('\n') && !text.is_empty(), "{judgement:?}");
    }
    judgement
}

fn with(settings: &[(&str, &str)]) -> Variables {
    let mut place = Place::new();
    for (name, value) in settings {
        place.set(name, value);
    }
    place.env.clone()
}

fn says(settings: &[(&str, &str)]) -> Judgement {
    judged(with(settings), &Volume::default())
}

/// Returns what the program itself says of the same settings.
fn agrees(settings: &[(&str, &str)], outcome: &str) -> Judgement {
    let judgement = says(settings);
    let mut place = Place::new();
    place.args = vec!["check".into()];
    for (name, value) in settings {
        place.set(name, value);
    }
    let ended = place.run();
    assert_eq!(judgement.outcome, outcome, "{judgement:?}");
    assert_eq!(i32::from(judgement.exit_code), ended.code, "{judgement:?}\n{}", ended.log);
    // Seconds and requests differ from run to run.
    let steady = |line: &str| line.split(" bytes, ").next().unwrap_or_default().to_owned();
    let said: Vec<String> = ended.log.lines().map(steady).collect();
    for line in &judgement.lines {
        assert!(said.contains(&steady(line)), "{line}\nis not in {}", ended.log);
    }
    judgement
}

#[test]
fn a_restore_is_foreseen() {
    let judgement = agrees(&[], "restored");
    let chosen = judgement.snapshot.unwrap();
    assert_eq!(
        (chosen.id, chosen.start.as_str(), chosen.files),
        (stock::snapshot(S3), "2024-03-01T00:00:00Z", 7)
    );
    assert!(chosen.bytes > 0 && judgement.repository.is_some());
    assert_eq!(judgement.identity, "app@ns:/data");
    assert!(
        judgement.message.starts_with("Snapshot restore would be completed successfully: "),
        "{}",
        judgement.message
    );
}

/// Several restores of one repository: each has the numbers and the end that it has alone.
#[test]
fn what_restores_need_is_told_before_they_run() {
    let settings = ["app", "fresh", "subsec", "app"].map(|user| with(&[("KOPIA_OVERRIDE_USERNAME", user)]));
    let runtime = rekopia::start_runtime().unwrap();
    let pace = rekopia::Pace::default().link(Some(1_000));
    let together = settings.iter().map(|of| (of.clone(), Volume::default())).collect();
    let cancel = Cancel::new();
    let all = runtime.block_on(plan(together, Some(pace), &cancel));
    let outcomes: Vec<&str> = all.iter().map(|one| one.outcome.as_str()).collect();
    assert_eq!(outcomes, ["restored", "empty", "restored", "restored"]);
    for (one, settings) in all.iter().zip(settings) {
        let alone = runtime.block_on(plan(vec![(settings.clone(), Volume::default())], None, &cancel));
        let numbers = |judged: &Judgement| {
            judged
                .plan
                .as_ref()
                .map(|plan| (plan.files, plan.bytes, plan.requests, plan.fetched_bytes, plan.packs))
        };
        assert_eq!(numbers(one), numbers(&alone[0]));
        assert_eq!((&one.outcome, &one.snapshot), (&alone[0].outcome, &alone[0].snapshot));
        if let Some(plan) = &one.plan {
            assert!(plan.estimate.unwrap().seconds >= plan.fetched_bytes as f64 / 1000.0, "{plan:?}");
        }
    }
    let wrong = with(&[("KOPIA_PASSWORD", "no")]);
    let both = vec![(wrong.clone(), Volume::default()), (wrong, Volume::default())];
    let refused = runtime.block_on(plan(both, None, &cancel));
    assert!(refused.iter().all(|one| one.outcome == "wrong-password" && one.plan.is_none()), "{refused:?}");
}

#[test]
fn a_repository_tells_what_it_holds() {
    let runtime = rekopia::start_runtime().unwrap();
    let cancel = Cancel::new();
    let held = runtime.block_on(catalogue(with(&[]), &cancel)).unwrap();
    assert_eq!(restore_identity(&with(&[])), "app@ns:/data");
    let app = &held.sources["app@ns:/data"];
    assert!(app.complete > 0 && app.newest.as_ref().unwrap().files == 7, "{app:?}");
    assert!(held.sources["inc@ns:/data"].incomplete > 0 && held.doubt.is_none(), "{held:?}");
    let refused = runtime.block_on(catalogue(with(&[("KOPIA_PASSWORD", "no")]), &cancel)).unwrap_err();
    assert_eq!((refused.exit_code, refused.outcome.as_str()), (12, "wrong-password"));
    for (kopia, identity) in [
        (json!({}), "app@ns:/data"),
        (json!({ "username": "u" }), "u@ns:/data"),
        (json!({ "username": "u", "hostname": "h", "sourcePathOverride": "/x" }), "u@h:/x"),
    ] {
        assert_eq!(backup_identity("ns", "app", &kopia), identity);
    }
}

#[test]
fn every_other_end_is_foreseen() {
    let near = agrees(&[("KOPIA_OVERRIDE_USERNAME", "App-src")], "near-miss");
    assert_eq!(near.identities.len(), 2, "{near:?}");
    assert!(near.identities.contains(&"app@ns:/data".to_owned()), "{near:?}");
    assert!(near.message.contains("onNearMiss: continue") && near.snapshot.is_none(), "{near:?}");
    let empty = agrees(&[("KOPIA_OVERRIDE_USERNAME", "fresh")], "empty");
    assert!(empty.exit_code == 0 && !empty.identities.is_empty() && empty.repository.is_some(), "{empty:?}");
    let elsewhere =
        agrees(&[("KOPIA_OVERRIDE_USERNAME", "subsec"), ("KOPIA_OVERRIDE_HOSTNAME", "new")], "empty");
    assert_eq!(elsewhere.identities.first().unwrap(), "subsec@ns:/data");
    let password = agrees(&[("KOPIA_PASSWORD", "not-this-one-9")], "wrong-password");
    assert!(password.repository.is_none() && !format!("{password:?}").contains("not-this-one-9"));
    agrees(&[("KOPIA_PREVIOUS", "9")], "no-such-snapshot");
    agrees(&[("KOPIA_PREVIOUS", "few")], "settings");
    let incomplete = agrees(&[("KOPIA_OVERRIDE_USERNAME", "inc")], "restored");
    assert!(incomplete.warnings[0].starts_with("skipping the incomplete snapshot "), "{incomplete:?}");
    let place = Place::new();
    let empty = format!("filesystem://{}", place.folder("empty").display());
    let none = agrees(&[("KOPIA_REPOSITORY", &empty)], "no-repository");
    assert_eq!((none.exit_code, none.repository), (10, None));
}

#[test]
fn room_is_the_volumes_and_not_this_machines() {
    let needed = says(&[]).snapshot.unwrap().bytes;
    let sized = |bytes| judged(with(&[]), &Volume { capacity_bytes: Some(bytes) });
    assert_eq!(sized(needed).outcome, "restored");
    let small = sized(needed - 1);
    assert_eq!((small.exit_code, small.outcome.as_str()), (16, "destination"));
    assert!(small.message.starts_with("no space left: ") && small.snapshot.is_some(), "{small:?}");
    assert!(small.lines[0].contains("a restore would have failed (destination, exit 16)"), "{small:?}");
    // Zeros become holes: how much is needed is not known.
    let sparse = with(&[("KOPIA_ADDITIONAL_ARGS", "--write-sparse-files")]);
    assert_eq!(judged(sparse, &Volume { capacity_bytes: Some(1) }).outcome, "restored");
}

#[test]
fn what_only_the_pod_has_is_named() {
    let s3 = ("KOPIA_REPOSITORY", "s3://backups/x");
    let keys = [("AWS_ACCESS_KEY_ID", "dummy-access"), ("AWS_SECRET_ACCESS_KEY", "dummy-secret")];
    let sftp = [("KOPIA_REPOSITORY", "sftp://x"), ("SFTP_HOST", "127.0.0.1"), ("SFTP_PATH", "/srv")];
    let gcs = [("KOPIA_REPOSITORY", "gcs://x"), ("KOPIA_GCS_BUCKET", "backups")];
    let rclone = [("KOPIA_REPOSITORY", "rclone://x"), ("RCLONE_REMOTE_PATH", "remote:x")];
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("KOPIA_REPOSITORY", "filesystem:///mnt/repo")],
            "KOPIA_REPOSITORY: /mnt/repo is a folder inside the pod",
        ),
        (
            &[("KOPIA_REPOSITORY", "filesystem:///there/is/no/such")],
            "KOPIA_REPOSITORY: /there/is/no/such is a folder",
        ),
        (
            &[s3, keys[0], keys[1], ("CUSTOM_CA", "/customCA/ca.crt")],
            "CUSTOM_CA: /customCA/ca.crt is a file inside the pod",
        ),
        (&[s3], "AWS_ACCESS_KEY_ID: not set"),
        (
            &[sftp[0], sftp[1], sftp[2], ("SFTP_KEY_FILE", "/credentials/sftp_key")],
            "SFTP_KEY_FILE: /credentials/sftp_key is a file",
        ),
        (
            &[gcs[0], gcs[1], ("GOOGLE_APPLICATION_CREDENTIALS", "/credentials/gcs.json")],
            "GOOGLE_APPLICATION_CREDENTIALS: /credentials/gcs.json",
        ),
        (&[gcs[0], gcs[1]], "GOOGLE_APPLICATION_CREDENTIALS: not set"),
        (&rclone, "RCLONE_REMOTE_PATH: rclone runs inside the pod"),
    ];
    for (settings, part) in cases {
        let judgement = says(settings);
        assert_eq!((judgement.exit_code, judgement.outcome.as_str()), (2, "settings"), "{judgement:?}");
        assert!(judgement.message.starts_with(part), "{judgement:?}");
    }
    // A file that this storage does not need is not missed.
    assert_eq!(
        says(&[("CUSTOM_CA", "/customCA/ca.crt"), ("SFTP_KEY_FILE", "/credentials/sftp_key")]).outcome,
        "restored"
    );
}

/// From the objects to the judgement; the authority is text, and its file is gone afterwards.
#[test]
fn objects_are_judged() {
    let cloud = Cloud::holding(&["", "volsync/"]);
    let secret: Variables = [
        ("KOPIA_PASSWORD", "secret\n"),
        ("KOPIA_REPOSITORY", "s3://backups/volsync"),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_S3_ENDPOINT", &cloud.tls.endpoint),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let spec = json!({
        "repository": "demo-kopia",
        "sourceIdentity": {"sourceName": "app", "sourceNamespace": "ns"},
        "restoreAsOf": "2024-02-15T00:00:00Z",
        "customCA": {"secretName": "ca", "key": "ca.pem"},
    });
    let destination = Destination::new("apps", "demo", &spec).unwrap();
    let variables = job_variables(&destination, &secret);
    let blind = judged(variables.clone(), &Volume::default());
    assert!(blind.message.starts_with("CUSTOM_CA: /customCA/ca.crt is a file inside the pod"), "{blind:?}");
    let judgement = judged(with_contents(variables, &secret, Some(AUTHORITY)), &Volume::default());
    assert_eq!(
        (judgement.outcome.as_str(), judgement.identity.as_str()),
        ("restored", "app@ns:/data"),
        "{judgement:?}"
    );
    assert_eq!(judgement.snapshot.unwrap().start, "2024-02-01T00:00:00Z");
    let own = format!("rekopia-check-{}-", std::process::id());
    // Other tests of this process have folders, too, but no such file.
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path());
    let is_own = |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&own));
    let mut left = left.filter(|path| is_own(path));
    assert!(!left.any(|path| path.join("CUSTOM_CA").exists()), "the authority's file was left behind");
}

#[test]
fn secrets_are_in_no_text() {
    for (settings, secret) in [
        (&[("KOPIA_REPOSITORY", "s3://AKIA0099:p4ss-word@backups/x")][..], "p4ss-word"),
        (
            &[(
                "KOPIA_STRUCTURED_REPOSITORY_CONFIG",
                r#"{"storage":{"type":"s3","config":{"bucket":"b","secretAccessKey":1234567890}}}"#,
            )],
            "1234567890",
        ),
        (&[("KOPIA_PASSWORD", "tr0ub4dor&3")], "tr0ub4dor"),
        (&[("KOPIA_MANUAL_CONFIG", r#"{"rekopia":{"password":"tr0ub4dor&3"}}"#)], "tr0ub4dor"),
    ] {
        let judgement = says(settings);
        assert_ne!(judgement.exit_code, 0, "{judgement:?}");
        assert!(!format!("{judgement:?}").contains(secret), "{judgement:?}");
    }
}

#[test]
fn a_check_can_be_stopped() {
    let cancel = Cancel::new();
    cancel.cancel();
    let runtime = rekopia::start_runtime().unwrap();
    let judgement = runtime.block_on(check(with(&[]), &Volume::default(), &cancel));
    assert_eq!((judgement.exit_code, judgement.outcome.as_str()), (143, "stopped"), "{judgement:?}");
}
