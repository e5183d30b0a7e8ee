//! All JSON that the plugin prints, against the schemas in docs/schema.

use std::collections::BTreeSet;

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::diagnose;
use rekopia_cluster::render::document;
use rekopia_testkit::cluster::Scenario;
use rekopia_testkit::schema;
use serde_json::Value;

use crate::cli::{Cluster, text};
use crate::inventory::{of_project, quickstart};
use crate::seen;

fn printed(cluster: &Cluster, arguments: &[&str]) -> Value {
    let output = cluster.run(&[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {} {}", text(&output.stdout), text(&output.stderr)))
}

/// Every recorded moment of every way to break.
#[test]
fn the_status_of_every_recording() {
    let mut phases = BTreeSet::new();
    for name in Scenario::names() {
        let scenario = Scenario::load(&name);
        for stage in &scenario.stages {
            let view = seen::view(&scenario, stage);
            let index = Index::new(&view);
            let document = document(&view, &diagnose(&index));
            schema::check("kubectl-status", &document);
            for one in document["applications"].as_array().unwrap() {
                phases.insert(one["phase"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(phases.len() > 12, "{phases:?}");
}

#[test]
fn status_and_doctor_of_a_cluster() {
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    for command in ["status", "doctor"] {
        let document = printed(&cluster, &[command, "-A"]);
        schema::check("kubectl-status", &document);
        assert_eq!(document["exitCode"].is_null(), command == "status");
        let open = schema::unnoticed("kubectl-status", &document);
        let optional = [" - exitCode", " - repositories"];
        assert!(open.iter().all(|one| optional.contains(&one.as_str())), "{open:?}");
    }
    // With a repository that is looked into, and one that cannot be.
    let [repo, url, option, password] = quickstart();
    let looked = printed(&cluster, &["doctor", "-n", "fleet", "gitea", &repo, &url, &option, &password]);
    schema::check("kubectl-status", &looked);
    assert!(looked["repositories"][0]["outcome"].is_string(), "{looked:#}");
    cluster.server.refuse("secrets");
    cluster.server.refuse("events");
    let refused = printed(&cluster, &["doctor", "-n", "fleet", "gitea"]);
    schema::check("kubectl-status", &refused);
    assert!(refused["repositories"][0]["notLookedAt"].is_string(), "{refused:#}");
    assert!(refused["unseen"][0]["cannotBeJudged"].is_string(), "{refused:#}");
}

#[test]
fn inventories_and_plans() {
    let tree = of_project("testdata/git/components");
    let quickstart = quickstart();
    let place: Vec<&str> = quickstart.iter().map(String::as_str).collect();
    let git = ["--no-cluster", "--git", &tree];
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    let wrong = [place[0], "filesystem:///nowhere", place[2], place[3]];
    for arguments in [
        [&["inventory"][..], &git, &place].concat(),
        [&["inventory"][..], &git, &wrong].concat(),
        [&["inventory"][..], &git, &["--no-repository"]].concat(),
        [&["inventory"][..], &place].concat(),
    ] {
        let document = printed(&cluster, &arguments);
        schema::check("kubectl-inventory", &document);
        let open = schema::unnoticed("kubectl-inventory", &document);
        // What was not seen has its reason, and nothing else has one.
        assert!(open.iter().all(|one| one.contains("/backups - ")), "{open:?}");
    }
    for arguments in [
        [&["plan"][..], &git, &place].concat(),
        [&["plan", "--link", "1MB/s"][..], &git, &place].concat(),
        [&["plan", "--all"][..], &place].concat(),
        [&["plan"][..], &git, &wrong].concat(),
    ] {
        let document = printed(&cluster, &arguments);
        schema::check("kubectl-plan", &document);
        assert_eq!(schema::unnoticed("kubectl-plan", &document), BTreeSet::new());
    }
}

/// A watch prints the same documents, one on a line.
#[test]
fn a_watch_prints_a_document_on_a_line() {
    let cluster = Cluster::of(Scenario::load("media").stage("06"));
    let output = cluster.run(&["status", "-n", "media", "--watch", "-o", "json"]);
    let lines = text(&output.stdout);
    assert!(!lines.is_empty(), "{}", text(&output.stderr));
    for line in lines.lines() {
        schema::check("kubectl-status", &serde_json::from_str(line).unwrap());
    }
}
