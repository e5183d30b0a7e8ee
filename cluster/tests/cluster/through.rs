//! What is seen through the API is what the recordings hold.

use rekopia_cluster::observe::{Access, Api, Scope, connect, look, read_ends};
use rekopia_testkit::cluster::{ApiServer, Fault, Scenario};

use crate::seen::{found, found_in, view};

/// Makes a client of a server, as the program does.
pub(crate) async fn api(server: &ApiServer) -> (Api, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    std::fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    (connect(&Access { kubeconfig: Some(kubeconfig), context: None }).await.unwrap(), folder)
}

#[tokio::test]
async fn every_stage_is_found_to_be_the_same_through_the_api() {
    for name in Scenario::names() {
        let scenario = Scenario::load(&name);
        for stage in &scenario.stages {
            let server = ApiServer::start().await;
            server.show_stage(stage);
            if !view(&scenario, stage).missing_groups.is_empty() {
                server.without_group("snapshot.storage.k8s.io");
            }
            let (api, _folder) = api(&server).await;
            let mut seen = look(&api, &Scope::All).await.unwrap();
            read_ends(&api, &mut seen).await;
            seen.now = stage.taken.parse().unwrap();
            assert!(seen.unseen.is_empty(), "{name} {}: {:?}", stage.name, seen.unseen);
            assert_eq!(found_in(&seen), found(&scenario, stage), "{name} {}", stage.name);
        }
    }
}

#[tokio::test]
async fn one_namespace_is_enough() {
    let scenario = Scenario::load("operator");
    let stage = scenario.stage("01");
    let server = ApiServer::start().await;
    server.show_stage(stage);
    let (api, _folder) = api(&server).await;
    let mut seen = look(&api, &Scope::Namespace("operator".into())).await.unwrap();
    seen.now = stage.taken.parse().unwrap();
    assert_eq!(found_in(&seen), found(&scenario, stage));
    let asked = server.requests();
    let of_all = |kind: &str| {
        asked
            .iter()
            .any(|one| one.contains(&format!("/v1/{kind}?limit=500")) && !one.contains("labelSelector"))
    };
    for kind in ["pods", "persistentvolumeclaims", "events", "secrets", "deployments"] {
        assert!(!of_all(kind), "{kind} of all namespaces: {asked:#?}");
    }
}

#[tokio::test]
async fn a_busy_api_is_asked_again() {
    let scenario = Scenario::load("fleet");
    let stage = scenario.stage("01");
    for fault in
        [Fault::TooManyRequests { times: 2 }, Fault::ServerError { times: 2 }, Fault::CutList { times: 2 }]
    {
        let server = ApiServer::start().await;
        server.show_stage(stage);
        server.behave(fault);
        let (api, _folder) = api(&server).await;
        let mut seen = look(&api, &Scope::All).await.unwrap();
        seen.now = stage.taken.parse().unwrap();
        assert!(seen.unseen.is_empty(), "{fault:?}: {:?}", seen.unseen);
        assert_eq!(found_in(&seen).len(), found(&scenario, stage).len(), "{fault:?}");
    }
}

#[tokio::test]
async fn nobody_is_logged_in() {
    let server = ApiServer::start().await;
    server.behave(Fault::Unauthorized { times: 100 });
    let (api, _folder) = api(&server).await;
    let refused = look(&api, &Scope::All).await.unwrap_err().to_string();
    assert!(refused.contains("log in again"), "{refused}");
}

#[tokio::test]
async fn only_reads_are_asked_for() {
    let server = ApiServer::start().await;
    server.show_stage(Scenario::load("media").stage("03"));
    let (api, _folder) = api(&server).await;
    let mut seen = look(&api, &Scope::All).await.unwrap();
    read_ends(&api, &mut seen).await;
    let asked = server.requests();
    assert!(asked.iter().all(|request| request.starts_with("GET ")), "{asked:#?}");
    assert!(!asked.iter().any(|request| request.contains("/secrets")), "{asked:#?}");
}
