//! What restores would need, through the program.

use std::process::Output;

use serde_json::{Value, json};

use crate::cli::{Cluster, text};
use crate::inventory::{of_project, quickstart};

fn plan(more: &[&str]) -> Output {
    let tree = of_project("testdata/git/components");
    let quickstart = quickstart();
    let mut arguments = vec!["plan", "--no-cluster", "--git", &tree];
    arguments.extend(quickstart.iter().map(String::as_str));
    arguments.extend(more);
    Cluster::empty().run(&arguments)
}

fn document(more: &[&str]) -> Value {
    let output = plan(&[more, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {} {}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn bytes_requests_and_room_are_told_without_reading_data() {
    let document = document(&["paperless"]);
    let one = &document["applications"][0];
    assert_eq!(
        (&one["name"], &one["outcome"], &one["exitCode"]),
        (&json!("paperless"), &json!("restored"), &json!(0))
    );
    let plan = &one["plan"];
    for field in ["files", "directories", "bytes", "requests", "fetchedBytes", "packs"] {
        assert!(plan[field].as_u64().unwrap() > 0, "{field}: {plan:#}");
    }
    assert!(plan["seconds"].is_null() && document["totalSeconds"].is_null(), "{document:#}");
    let room = &one["room"];
    assert_eq!((&room["claimBytes"], &room["copyBytes"]), (&json!(5u64 << 30), &json!(5u64 << 30)));
    assert_eq!(room["snapshotBytes"], plan["bytes"]);
    assert!(document["knownFrom"][0].as_str().unwrap().starts_with("Git: "), "{document:#}");
    assert_eq!(room["totalBytes"].as_u64().unwrap(), (10 << 30) + plan["bytes"].as_u64().unwrap());
}

#[test]
fn a_link_gives_a_time_and_a_probe_another() {
    let alone = document(&["paperless", "--link", "1kB/s"]);
    let plan = &alone["applications"][0]["plan"];
    let fetched = plan["fetchedBytes"].as_f64().unwrap() / 1000.0;
    let seconds = plan["seconds"].as_f64().unwrap();
    assert!(seconds >= fetched && seconds < fetched + 20.0, "{plan:#}");
    assert_eq!((&plan["linkBytesPerSecond"], &plan["probedBytes"]), (&json!(1000), &json!(0)));
    assert!(alone["totalSeconds"].as_f64().unwrap() >= fetched);
    let probed = document(&["paperless", "--probe"]);
    let plan = &probed["applications"][0]["plan"];
    assert!(
        plan["probedBytes"].as_u64().unwrap() > 0 && plan["seconds"].as_f64().unwrap() < 60.0,
        "{plan:#}"
    );
}

#[test]
fn names_and_lines_for_people() {
    let output = plan(&["--link", "1MB/s"]);
    let shown = text(&output.stdout);
    // The one without backups begins empty: nothing is wrong with that.
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("1 restore of 2: ") && shown.contains("jellyfin-config: empty (exit 0): "),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let unknown = plan(&["nobody"]);
    assert_eq!(unknown.status.code(), Some(13));
    assert!(
        text(&unknown.stderr).contains("there are jellyfin-config, paperless"),
        "{}",
        text(&unknown.stderr)
    );
    for wrong in [&["--link", "0"][..], &["--link", "fast"], &["--at-once", "0"], &["paperless", "--all"]] {
        assert_eq!(plan(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// Several restores of one repository: it is opened once, and each gets the numbers that it has alone.
#[test]
fn restores_of_one_repository_are_planned_as_if_they_were_alone() {
    let mut manifests = String::new();
    for n in 0..12 {
        manifests.push_str(&format!(
            "---\napiVersion: volsync.backube/v1alpha1\nkind: ReplicationDestination\nmetadata:\n  name: app-{n}-dst\n  \
             namespace: media\nspec:\n  trigger:\n    manual: once\n  kopia:\n    repository: s\n    capacity: 1Gi\n    \
             copyMethod: Snapshot\n    sourceIdentity:\n      sourceName: paperless\n"
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    std::fs::write(&file, manifests).unwrap();
    let quickstart = quickstart();
    let mut arguments =
        vec!["plan", "--no-cluster", "-f", file.to_str().unwrap(), "--link", "10MB/s", "-o", "json"];
    arguments.extend(quickstart.iter().map(String::as_str));
    let output = Cluster::empty().run(&arguments);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = document["applications"].as_array().unwrap();
    assert_eq!(all.len(), 12);
    let alone = self::document(&["paperless"]);
    for one in all {
        for field in ["files", "bytes", "requests", "fetchedBytes", "packs"] {
            assert_eq!(
                one["plan"][field], alone["applications"][0]["plan"][field],
                "{field} of {}",
                one["name"]
            );
        }
    }
}

#[test]
fn a_wrong_password_is_told_and_fails() {
    let tree = of_project("testdata/git/components");
    let [repo, url, ..] = quickstart();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "not-it\n").unwrap();
    let arguments = [
        "plan",
        "--no-cluster",
        "--git",
        &tree,
        &repo,
        &url,
        "--password-file",
        file.to_str().unwrap(),
        "paperless",
    ];
    let output = Cluster::empty().run(&arguments);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("wrong-password (exit 12)"), "{shown}");
}
