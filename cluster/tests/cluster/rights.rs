//! Rights taken away one by one: never a wrong word, always the sentence that says what is missing.

use std::path::Path;

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::{diagnose, is_blind};
use rekopia_cluster::objects::Kind;
use rekopia_cluster::observe::{Scope, look, read_ends};
use rekopia_cluster::render::judged_without;
use rekopia_cluster::view::View;
use rekopia_testkit::cluster::{ApiServer, Scenario};

use crate::seen::{Found, found, found_in};
use crate::through::api;

/// A rule of a role.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Role {
    rules: Vec<Rule>,
}

#[test]
fn the_shipped_role_is_what_is_read_and_has_no_secrets() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubectl/clusterrole.yaml");
    let role: Role = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for kind in View::KINDS {
        let allows = |rule: &&Rule| {
            rule.api_groups == [kind.group] && rule.resources.iter().any(|resource| resource == kind.plural)
        };
        let rule = role.rules.iter().find(allows);
        assert!(rule.is_some_and(|rule| rule.verbs == ["get", "list", "watch"]), "{}", kind.plural);
    }
    for rule in &role.rules {
        assert!(rule.verbs.iter().all(|verb| matches!(verb.as_str(), "get" | "list" | "watch")));
        assert!(!rule.resources.iter().any(|resource| resource == "secrets" || resource == "*"));
    }
    let reads_logs = |rule: &Rule| rule.resources == ["pods/log"] && rule.verbs == ["get"];
    assert!(role.rules.iter().any(reads_logs));
}

/// Stages in which much depends on what can be seen.
const STAGES: [(&str, &str); 14] = [
    ("fleet", "01"),
    ("media", "03"),
    ("media", "06"),
    ("snapshot-fails", "02"),
    ("csi-full", "01"),
    ("operator", "01"),
    ("wrong-password", "04"),
    ("no-secret", "01"),
    ("quota-pods", "01"),
    ("break-glass", "02"),
    ("bound", "01"),
    ("flux", "04"),
    ("app-fails", "01"),
    ("node-gone", "01"),
];

async fn without(resource: &str, scenario: &Scenario, stage: &str) -> (View, Vec<Found>) {
    let stage = scenario.stage(stage);
    let server = ApiServer::start().await;
    server.show_stage(stage);
    server.refuse(resource);
    let (api, _folder) = api(&server).await;
    let mut seen = look(&api, &Scope::All).await.unwrap();
    read_ends(&api, &mut seen).await;
    seen.now = stage.taken.parse().unwrap();
    let found = found_in(&seen);
    (seen, found)
}

#[tokio::test]
async fn a_missing_right_is_named_and_never_taken_for_an_absence() {
    // With nothing to see nothing is fine.
    let (scenario, stage) = (Scenario::load("media"), "06");
    for kind in ["persistentvolumeclaims", "replicationdestinations"] {
        let (seen, _) = without(kind, &scenario, stage).await;
        let index = Index::new(&seen);
        assert!(is_blind(&seen, &diagnose(&index)), "{kind}");
    }
    for (name, stage) in STAGES {
        let scenario = Scenario::load(name);
        let with_all = found(&scenario, scenario.stage(stage));
        for kind in View::KINDS {
            let (seen, found) = without(kind.plural, &scenario, stage).await;
            let named = seen.unseen.iter().find(|unseen| unseen.resource == kind.plural);
            assert!(
                named.is_some_and(|unseen| unseen.why.contains("is forbidden")),
                "{name}: {}",
                kind.plural
            );
            assert_ne!(judged_without(kind.plural), "a part of the chain", "{}", kind.plural);
            for one in &found {
                is_no_wrong_word(one, &with_all, kind, name);
            }
        }
    }
}

/// With less to see there is less to say: nothing new is found, and nothing counts as fine that is broken.
fn is_no_wrong_word(one: &Found, with_all: &[Found], kind: &Kind, name: &str) {
    let place = format!("{name} without {}: {one:?}", kind.plural);
    let Some(whole) = with_all.iter().find(|whole| whole.app == one.app) else { return };
    // A plugin that cannot see the claim cannot see that it is being deleted; the restore beside it fails all the same.
    let is_beside = whole.phase == "deleting" && kind.plural == "persistentvolumeclaims";
    for finding in one.findings.iter().filter(|_| !is_beside) {
        assert!(whole.findings.contains(finding), "{place}, with all: {whole:?}");
    }
    let is_end = |found: &Found| found.phase == "done" && found.findings.is_empty();
    assert!(!is_end(one) || is_end(whole), "{place}, with all: {whole:?}");
}

#[tokio::test]
async fn an_operator_that_may_not_be_looked_for_is_not_missing() {
    for (name, stage) in [("operator", "01"), ("no-secret", "01"), ("snapshot-slow", "01")] {
        let scenario = Scenario::load(name);
        let stage = scenario.stage(stage);
        let server = ApiServer::start().await;
        server.show_stage(stage);
        for kind in View::KINDS {
            server.refuse_cluster_wide(kind.plural);
        }
        let (api, _folder) = api(&server).await;
        let mut seen = look(&api, &Scope::Namespace(name.into())).await.unwrap();
        seen.now = stage.taken.parse().unwrap();
        let found = found_in(&seen);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(!found[0].findings.contains(&"operator"), "{name}: {found:?}");
        assert!(seen.unseen.iter().any(|unseen| unseen.resource.ends_with("of VolSync's operator")));
    }
}

#[tokio::test]
async fn logs_that_cannot_be_read_are_named() {
    let (seen, _) = without("pods/log", &Scenario::load("media"), "03").await;
    assert!(seen.unseen.iter().any(|unseen| unseen.resource == "pods/log"), "{:?}", seen.unseen);
}
