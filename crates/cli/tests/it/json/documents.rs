//! What commands print as one document or one array: lists, `status`, `doctor`, errors.

use std::collections::BTreeSet;

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::schema;
use serde_json::{Value, json};

use super::{damaged, of, ran, with_errors};

/// Where a document may hold more than the tables say, or less; of an array its first element stands for all.
fn unnoticed(name: &str, document: &Value) -> Vec<String> {
    let is_later = |part: &str| part.split(' ').next().unwrap().parse::<u32>().is_ok_and(|n| n > 0);
    schema::unnoticed(name, document).into_iter().filter(|one| !one.split('/').any(is_later)).collect()
}

#[test]
fn snapshots_are_kopias_manifests_and_a_version() {
    for name in ["quickstart", "identities", "checkpoint-partial", "snapshot-fixed", "old-0.8.4", "format-v1"]
    {
        let listed = of(name, &["snapshots"]).document();
        schema::check("snapshots", &listed);
        assert!(listed.as_array().unwrap().iter().all(|one| one["version"] == 1), "{listed:#}");
    }
    let dir = tempfile::tempdir().unwrap();
    schema::check("snapshots", &ran(&with_errors(dir.path()), "secret", &["snapshots"]).document());
    let nothing = of("quickstart", &["snapshots", "no@where"]);
    assert_eq!((nothing.code, nothing.document()), (13, json!([])));
    let listed = of("quickstart", &["snapshots"]).document();
    let open = unnoticed("snapshots", &listed);
    let is_of_kopia = |one: &String| {
        ["/0/source", "/0/stats", "/0/rootEntry", "/0 - stats", "/0 - rootEntry"]
            .iter()
            .any(|of| one.starts_with(of))
    };
    let ours: Vec<&String> = open.iter().filter(|one| !is_of_kopia(one)).collect();
    assert_eq!(ours, ["/0 + unheardOf", "/0 - retentionReason"], "a manifest of Kopia may hold more");
}

#[test]
fn salvaged_snapshots_and_trees_without_one() {
    let fixture = Fixture::load("volsync");
    let dir = tempfile::tempdir().unwrap();
    let repo = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    repo.blobs("x").iter().for_each(|blob| repo.delete(blob));
    let listed = ran(repo.root(), &fixture.password, &["--salvage", "snapshots"]).document();
    schema::check("snapshots", &listed);
    assert!(listed.as_array().unwrap().iter().any(|one| one["salvaged"] == true), "{listed:#}");
    let restored = dir.path().join("t");
    let id = &fixture.snapshots.last().unwrap().manifest_id;
    let report =
        ran(repo.root(), &fixture.password, &["--salvage", "restore", id, restored.to_str().unwrap()]);
    assert_eq!(report.ends(0)["salvaged"], true);
}

#[test]
fn entries_of_every_kind() {
    for (name, reference) in [
        ("quickstart", "latest"),
        ("weird-tree", "latest"),
        ("quickstart", "latest/config/secret.key"),
        ("format-v1", "latest"),
    ] {
        let id = Fixture::load(name).snapshots.last().unwrap().manifest_id.clone();
        let listed = of(name, &["ls", "-r", &reference.replace("latest", &id)]).document();
        schema::check("ls", &listed);
        assert!(listed.as_array().unwrap().iter().all(|one| one["version"] == 1), "{listed:#}");
        assert_eq!(unnoticed("ls", &listed), [""; 0]);
    }
}

/// What was listed until then is a whole array; the error follows it.
#[test]
fn a_listing_that_breaks_off_is_whole_and_has_an_error_behind_it() {
    let listed = of("damaged-directory-flipped", &["ls", "-r", "latest"]);
    assert_eq!(listed.code, 14, "{}", listed.err);
    let mut both = serde_json::Deserializer::from_str(&listed.out).into_iter::<Value>();
    schema::check("ls", &both.next().unwrap().unwrap());
    schema::check("error", &both.next().unwrap().unwrap());
    assert!(both.next().is_none(), "{}", listed.out);
}

#[test]
fn the_status_of_repositories() {
    for name in ["quickstart", "ecc-002", "format-v1", "epochs"] {
        let status = of(name, &["status"]).document();
        schema::check("status", &status);
        assert_eq!(unnoticed("status", &status), [""; 0]);
    }
    let fixture = Fixture::load("many-indexes");
    let dir = tempfile::tempdir().unwrap();
    let repo = Damaged::copy(&fixture.repo(), &dir.path().join("repo"));
    let blob = repo.blobs("x").into_iter().chain(repo.blobs("n")).next().unwrap();
    std::fs::write(repo.path(&blob), "no index").unwrap();
    let status = ran(repo.root(), &fixture.password, &["status"]);
    assert_eq!(status.code, 14, "{}", status.err);
    schema::check("status", &status.document());
    assert!(status.document()["index"]["damage"][0].is_string(), "{}", status.out);
}

#[test]
fn what_a_doctor_finds() {
    let mut found = BTreeSet::new();
    for name in damaged().iter().map(String::as_str).chain(["quickstart", "upgrade-locked"]) {
        let ran = of(name, &["doctor"]);
        if ran.out.starts_with("{\"") {
            ran.ends(ran.code);
            continue;
        }
        let document = ran.document();
        schema::check("doctor", &document);
        assert_eq!(document["exitCode"], ran.code, "{name}");
        for one in document["findings"].as_array().unwrap() {
            found.insert(one["kind"].as_str().unwrap().to_owned());
        }
        // Blobs are counted by a name that may be any.
        let allowed = |one: &String| {
            one.starts_with("/blobs") || one.ends_with("- object") || one.ends_with("- instead")
        };
        let open: Vec<String> =
            unnoticed("doctor", &document).into_iter().filter(|one| !allowed(one)).collect();
        assert_eq!(open, [""; 0], "{name}");
    }
    assert!(found.len() >= 6, "{found:?}");
}

/// In place of whatever the command prints.
#[test]
fn an_error_is_a_document_with_the_code() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, target) = (dir.path().join("empty"), dir.path().join("t"));
    std::fs::create_dir(&empty).unwrap();
    let target = target.to_str().unwrap();
    let commands = [
        &["snapshots"][..],
        &["ls", "latest"],
        &["cat", "latest/a"],
        &["status"],
        &["doctor"],
        &["verify"],
        &["verify", "latest", "--against", target],
        &["restore", "latest", target],
        &["restore", "--dry-run", "latest", target],
    ];
    for args in commands {
        let error = ran(&empty, "x", args).ends(10);
        assert_eq!(schema::unnoticed("error", &error), BTreeSet::new());
        let fixture = Fixture::load("quickstart");
        ran(&fixture.repo(), "not it", args).ends(12);
    }
    for (args, code) in [
        (&["ls", "latest/nothing"][..], 13),
        (&["cat", "latest/config"], 2),
        (&["restore", "latest/nothing", target], 13),
        (&["restore", "--mode", "zip", "latest", target], 2),
        (&["restore", "no/path"], 2),
        (&["verify", "--since", "2030"], 13),
        (&["verify", "--receipt", "/nowhere", "--against", target], 2),
    ] {
        of("quickstart", args).ends(code);
    }
}
