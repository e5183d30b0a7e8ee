//! Tests of the recordings and of the server, by a client that takes answers as they come.

mod client;
mod lists;
mod watches;

use serde_json::{Value, json};

use super::*;
use client::{Ask, ask, get};

async fn settled() -> ApiServer {
    let server = ApiServer::start().await;
    server.show_stage(Scenario::load("media").stage("06"));
    server
}

/// Returns the body of the recorded answer of this name.
fn real(name: &str) -> Value {
    answers()[name]["body"].clone()
}

#[test]
fn every_recording_can_be_read() {
    let names = Scenario::names();
    assert!(names.len() > 50, "{names:?}");
    for name in &names {
        let scenario = Scenario::load(name);
        assert_eq!(scenario.name, *name);
        assert!(!scenario.about.is_empty() && !scenario.namespaces.is_empty());
        for stage in &scenario.stages {
            assert!(!stage.objects.is_empty() && !stage.taken.is_empty(), "{name}: {}", stage.name);
            assert!(stage.objects.iter().all(|object| object["kind"].is_string()), "{name}: {}", stage.name);
        }
    }
}

#[test]
fn a_stage_is_found_by_number_and_name() {
    let media = Scenario::load("media");
    for name in ["03", "restoring", "03-restoring"] {
        assert_eq!(media.stage(name).note, "the movers run");
    }
    assert!(
        media.stage("05").logs.values().flat_map(|logs| logs.values()).all(|log| matches!(log, Log::Text(_)))
    );
    assert!(media.watch().iter().any(|line| line.kind == "Pod" && line.event == "DELETED"));
    assert!(Scenario::load("bound").facts["answerToApply"]["code"] == 422);
    assert!(Scenario::load("flux").others.contains_key("tree-01.json"));
}

#[test]
fn a_recording_in_a_folder_is_read_as_a_packed_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = packed::unpack("names");
    for (name, document) in &files {
        let text = document.as_str().map_or_else(|| document.to_string(), str::to_owned);
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let (read, packed) = (Scenario::load_dir(dir.path()), Scenario::from_files("names", files));
    assert!(format!("{read:?}") == format!("{packed:?}"), "they differ");
}

#[tokio::test]
async fn logs_come_as_from_the_kubelet() {
    let server = settled().await;
    let media = Scenario::load("media");
    let logs = &media.stage("06").logs;
    let (pod, containers) = logs.iter().find(|(_, logs)| logs.contains_key("kopia")).unwrap();
    let Log::Text(log) = &containers["kopia"] else { panic!("no text") };
    let name = pod.strip_prefix("media/").unwrap();
    let path = format!("/api/v1/namespaces/media/pods/{name}/log");
    assert_eq!(ask(&server, &path).whole().await.text(), *log);
    let tail = ask(&server, &format!("{path}?container=kopia&tailLines=1&limitBytes=5")).whole().await.text();
    let last = log.lines().last().unwrap();
    assert_eq!(tail, last[..5]);
    let (status, answer) = get(&server, &format!("{path}?container=other")).await;
    assert_eq!(
        (status, &answer["message"]),
        (400, &json!(format!("container other is not valid for pod {name}")))
    );
    let (status, answer) = get(&server, "/api/v1/namespaces/media/pods/nothing/log").await;
    assert_eq!((status, answer), (404, real("log of a pod that does not exist")));
}

#[tokio::test]
async fn a_container_that_has_not_started_has_no_log() {
    let server = ApiServer::start().await;
    let multus = Scenario::load("multus");
    server.show_stage(multus.stage("01"));
    let (_, pods) =
        get(&server, "/api/v1/namespaces/multus/pods?labelSelector=app.kubernetes.io/name%3Dpaperless").await;
    let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let (status, answer) = get(&server, &format!("/api/v1/namespaces/multus/pods/{name}/log")).await;
    let message = format!("container \"app\" in pod \"{name}\" is waiting to start: ContainerCreating");
    assert_eq!((status, &answer["message"]), (400, &json!(message)));
    let gone = Scenario::load("node-gone");
    server.show_stage(gone.stage("01"));
    let pod = gone.stage("01").logs.keys().find(|pod| pod.starts_with("node-gone/volsync-dst")).unwrap();
    let path = format!("/api/v1/namespaces/{}/log", pod.replace('/', "/pods/"));
    let (status, answer) = get(&server, &path).await;
    assert!(status == 500 && answer["message"].as_str().unwrap().contains("timeout"), "{answer}");
}

#[tokio::test]
async fn what_is_refused_is_refused_in_the_real_words() {
    let server = settled().await;
    let nobody = |name: &str| {
        let text = real(name).to_string();
        let text = text.replace("system:serviceaccount:media:nobody", "system:serviceaccount:default:reader");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let path = "/apis/volsync.backube/v1alpha1/replicationdestinations";
    server.refuse("replicationdestinations");
    assert_eq!(get(&server, path).await, (403, nobody("not allowed, list")));
    server.allow("replicationdestinations");
    assert_eq!(get(&server, path).await.0, 200);

    server.refuse("secrets");
    let path = "/api/v1/namespaces/media/secrets";
    assert_eq!(get(&server, path).await, (403, nobody("not allowed, one namespace")));

    server.refuse_cluster_wide("pods");
    assert_eq!(get(&server, "/api/v1/pods").await.0, 403);
    assert_eq!(get(&server, "/api/v1/pods?watch=1").await.0, 403);
    let (status, pods) = get(&server, "/api/v1/namespaces/media/pods").await;
    assert_eq!((status, pods["items"].as_array().unwrap().len()), (200, 4));

    server.refuse("pods/log");
    let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
    let (status, answer) = get(&server, &format!("/api/v1/namespaces/media/pods/{name}/log")).await;
    let message = answer["message"].as_str().unwrap();
    assert!(
        status == 403 && message.contains("cannot get resource \"pods/log\" in API group \"\""),
        "{message}"
    );
}

#[tokio::test]
async fn tokens_are_looked_at() {
    let server = settled().await;
    for (token, status, name) in [(None, 403, "no token"), (Some("Bearer other"), 401, "wrong token")] {
        let headers = token.map(|token| ("authorization", token)).into_iter().collect();
        let got = Ask { headers, ..ask(&server, "/api/v1/pods") }.whole().await;
        assert_eq!((got.status, got.json()), (status, real(name)));
    }
    let config = server.kubeconfig();
    assert!(config.contains(&server.url()) && config.contains("token: test-token"), "{config}");
}

#[tokio::test]
async fn nothing_can_be_written_and_everything_is_noted() {
    let server = settled().await;
    let path = "/api/v1/namespaces/media/pods/a%20b?x=1";
    for (method, path, status) in [
        ("DELETE", path, 405),
        ("PATCH", path, 405),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", 403),
        ("GET", path, 404),
    ] {
        assert_eq!(Ask { method, ..ask(&server, path) }.whole().await.status, status);
    }
    let noted = server.requests();
    assert_eq!((noted[0].as_str(), noted.len()), ("DELETE /api/v1/namespaces/media/pods/a%20b?x=1", 4));
    server.forget_requests();
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn groups_can_be_missing() {
    let server = settled().await;
    let path = "/apis/snapshot.storage.k8s.io/v1/volumesnapshots";
    assert_eq!(get(&server, path).await.0, 200);
    server.without_group("snapshot.storage.k8s.io");
    for path in [path, "/apis/snapshot.storage.k8s.io/v1", "/apis/kyverno.io/v1/clusterpolicies"] {
        let got = ask(&server, path).whole().await;
        assert_eq!((got.status, json!(got.text())), (404, real("missing API group")));
    }
    let (_, groups) = get(&server, "/apis").await;
    assert!(groups.to_string().contains("volsync.backube") && !groups.to_string().contains("snapshot."));
    assert_eq!(get(&server, "/apis/volsync.backube").await.1["preferredVersion"]["version"], "v1alpha1");
    assert_eq!(get(&server, "/apis/batch/v1").await.1, discovery()["/apis/batch/v1"]);
    assert_eq!(get(&server, "/version").await.1["minor"], "35");
}

#[tokio::test]
async fn faults_end() {
    let server = settled().await;
    let path = "/api/v1/pods";
    server.behave(Fault::TooManyRequests { times: 1 });
    let got = ask(&server, path).whole().await;
    assert_eq!((got.status, got.headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert_eq!(got.json(), real("a CRD has just changed"));
    server.behave(Fault::ServerError { times: 2 });
    server.behave(Fault::Unauthorized { times: 1 });
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get(&server, path).await.0);
    }
    assert_eq!(seen, [401, 500, 503, 200]);
    server.behave(Fault::CutList { times: 1 });
    assert!(ask(&server, path).whole().await.body.is_err());
    assert!(ask(&server, path).whole().await.body.is_ok());
    server.behave(Fault::Slow { millis: 100 });
    let start = std::time::Instant::now();
    get(&server, path).await;
    assert!(start.elapsed().as_millis() >= 100);
}
