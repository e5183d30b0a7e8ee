//! `doctor` looks into the repository: what the mover itself would say.

use std::path::Path;

use rekopia_testkit::cluster::Scenario;
use serde_json::{Value, json};

use crate::cli::{Cluster, text};

/// Returns a repository that ships with the source, with backups of paperless@media.
fn quickstart() -> String {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/quickstart");
    testdata.canonicalize().unwrap().display().to_string()
}

fn secret(keys: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "paperless-volsync-secret", "namespace": "media", "uid": "s-1" },
        "stringData": keys,
    })
}

/// Makes a cluster in which paperless restores, with this Secret.
fn cluster(secret: &Value) -> Cluster {
    let scenario = Scenario::load("media");
    let stage = scenario.stage("03");
    let is_other = |object: &&Value| {
        object["metadata"]["name"] != "paperless-volsync-secret" || object["kind"] != "Secret"
    };
    let mut objects: Vec<Value> = stage.objects.iter().filter(is_other).cloned().collect();
    objects.push(secret.clone());
    let cluster = Cluster::empty();
    cluster.server.show(&objects, &stage.logs);
    cluster
}

fn right() -> Value {
    let password = std::fs::read_to_string(format!("{}/password", quickstart())).unwrap();
    json!({ "KOPIA_REPOSITORY": format!("filesystem://{}/repo", quickstart()), "KOPIA_PASSWORD": password.trim() })
}

fn looked(cluster: &Cluster, more: &[&str]) -> Value {
    let arguments = [&["doctor", "-n", "media", "paperless", "-o", "json"][..], more].concat();
    let output = cluster.run(&arguments);
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {} {}", text(&output.stdout), text(&output.stderr)));
    document["repositories"][0].clone()
}

#[test]
fn the_snapshot_that_the_mover_would_take_is_named() {
    let cluster = cluster(&secret(&right()));
    let looked = looked(&cluster, &[]);
    assert_eq!((&looked["exitCode"], &looked["outcome"]), (&json!(0), &json!("restored")), "{looked:#}");
    assert_eq!(looked["identity"], "paperless@media:/data");
    assert!(looked["snapshot"]["files"].as_u64().unwrap() > 0, "{looked:#}");
    let shown = text(&cluster.run(&["doctor", "-n", "media", "paperless"]).stdout);
    assert!(shown.contains("Repository: a restore would end well (restored, exit 0)"), "{shown}");
}

#[test]
fn a_wrong_password_is_found_before_any_mover_runs() {
    let mut keys = right();
    keys["KOPIA_PASSWORD"] = "not it".into();
    let looked = looked(&cluster(&secret(&keys)), &[]);
    assert_eq!(
        (&looked["exitCode"], &looked["outcome"]),
        (&json!(12), &json!("wrong-password")),
        "{looked:#}"
    );
}

#[test]
fn the_secret_may_come_from_a_file_or_the_command_line() {
    let cluster = cluster(&secret(&json!({})));
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("secret.yaml");
    let keys = right();
    let yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  KOPIA_REPOSITORY: {}\n  KOPIA_PASSWORD: {}\n",
        keys["KOPIA_REPOSITORY"], keys["KOPIA_PASSWORD"]
    );
    std::fs::write(&manifest, yaml).unwrap();
    let by_file = looked(&cluster, &["--secret-file", manifest.to_str().unwrap()]);
    assert_eq!(by_file["exitCode"], 0, "{by_file:#}");
    let password = format!("{}/password", quickstart());
    let by_line = ["--repo", keys["KOPIA_REPOSITORY"].as_str().unwrap(), "--password-file", &password];
    assert_eq!(looked(&cluster, &by_line)["exitCode"], 0);
}

#[test]
fn a_missing_right_is_said_and_changes_no_verdict() {
    let cluster = cluster(&secret(&right()));
    cluster.server.refuse("secrets");
    let looked = looked(&cluster, &[]);
    assert!(looked["notLookedAt"].as_str().unwrap().contains("the right to get the Secret"), "{looked:#}");
    cluster.server.forget_requests();
    let output = cluster.run(&["doctor", "-n", "media", "--no-repository", "paperless"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!cluster.server.requests().iter().any(|request| request.contains("/secrets")));
}
