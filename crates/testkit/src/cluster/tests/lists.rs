//! Lists and single objects.

use serde_json::{Value, json};

use super::client::{Ask, ask, get};
use super::{real, settled};
use crate::cluster::{ApiServer, Scenario};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_of_a_built_in_kind_leaves_the_kind_out() {
    let server = settled().await;
    let (_, pods) = get(&server, "/api/v1/pods").await;
    assert_eq!((&pods["kind"], &pods["apiVersion"]), (&json!("PodList"), &json!("v1")));
    assert_eq!(names(&pods).len(), 5);
    assert!(pods["items"].as_array().unwrap().iter().all(|item| item.get("kind").is_none()));
    let (_, destinations) =
        get(&server, "/apis/volsync.backube/v1alpha1/namespaces/media/replicationdestinations").await;
    assert_eq!(destinations["kind"], "ReplicationDestinationList");
    assert_eq!(destinations["items"][0]["kind"], "ReplicationDestination");

    let name = names(&pods)[0];
    let path = format!("/api/v1/namespaces/media/pods/{name}");
    let (_, mut pod) = get(&server, &path).await;
    assert_eq!((&pod["kind"], &pod["apiVersion"]), (&json!("Pod"), &json!("v1")));
    let scenario = Scenario::load("media");
    let mut shown = scenario
        .stage("06")
        .objects
        .iter()
        .find(|object| object["metadata"]["name"] == name)
        .unwrap()
        .clone();
    for object in [&mut pod, &mut shown] {
        object["metadata"]["resourceVersion"].take();
    }
    assert_eq!(pod, shown);
}

#[tokio::test]
async fn what_is_not_there_is_missing_in_three_ways() {
    let server = settled().await;
    let (status, list) = get(&server, "/api/v1/namespaces/nowhere/pods").await;
    assert_eq!((status, &list["kind"], &list["items"]), (200, &json!("PodList"), &json!([])));
    let path = "/apis/volsync.backube/v1alpha1/namespaces/media/replicationdestinations/nothing";
    assert_eq!(get(&server, path).await, (404, real("missing object")));
    let got = ask(&server, "/apis/volsync.backube/v1alpha1/nothing").whole().await;
    assert_eq!((got.status, json!(got.text())), (404, real("missing resource of a group")));
    assert_eq!(get(&server, "/api/v1/namespaces/media").await.1["kind"], "Namespace");
    assert_eq!(get(&server, "/api/v1/pods/immich").await.0, 404);
    assert_eq!(get(&server, "/apis/batch/v2/jobs").await.0, 404);
}

#[tokio::test]
async fn pages_make_up_the_list() {
    let server = settled().await;
    let path = "/api/v1/namespaces/media/events?limit=50";
    let (_, whole) = get(&server, "/api/v1/namespaces/media/events").await;
    let total = names(&whole).len();
    let (_, first) = get(&server, path).await;
    assert_eq!(first["metadata"]["remainingItemCount"], total - 50);
    let mut all: Vec<Value> = first["items"].as_array().unwrap().clone();
    let mut metadata = first["metadata"].clone();
    // What changes between the pages does not concern the list.
    server.show(&[], &Default::default());
    while let Some(token) = metadata["continue"].as_str() {
        let (_, page) = get(&server, &format!("{path}&continue={token}")).await;
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        all.extend(page["items"].as_array().unwrap().clone());
        metadata = page["metadata"].clone();
    }
    assert_eq!(json!(all), whole["items"]);
}

#[tokio::test]
async fn a_token_can_be_wrong_and_too_old() {
    let server = settled().await;
    let path = "/api/v1/namespaces/media/events?limit=2";
    assert_eq!(get(&server, &format!("{path}&continue=abc")).await, (400, real("bad continue token")));
    let (_, first) = get(&server, path).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let media = Scenario::load("media");
    for stage in media.stages.iter().chain(&media.stages) {
        server.show_stage(stage);
    }
    let (status, answer) = get(&server, &format!("{path}&continue={token}")).await;
    assert_eq!((status, &answer["reason"]), (410, &json!("Expired")));
    let (status, answer) = get(&server, "/api/v1/pods?resourceVersion=99999999").await;
    assert_eq!((status, &answer["reason"]), (504, &json!("Timeout")));
}

#[tokio::test]
async fn selectors_choose() {
    let server = settled().await;
    let (_, checks) =
        get(&server, "/api/v1/pods?labelSelector=app.kubernetes.io/component%3Drestore-check").await;
    assert_eq!(names(&checks).len(), 2);
    let (_, pending) =
        get(&server, "/api/v1/pods?fieldSelector=status.phase%21%3DRunning,metadata.namespace%3Dmedia").await;
    assert_eq!(names(&pending).len(), 2);
    let (_, events) =
        get(&server, "/api/v1/events?fieldSelector=involvedObject.kind%3DPod,type%3DWarning&limit=1").await;
    assert_eq!(events["items"][0]["involvedObject"]["kind"], "Pod");
    assert!(events["metadata"]["continue"].is_string());
    assert!(events["metadata"].get("remainingItemCount").is_none());
    let path =
        "/apis/volsync.backube/v1alpha1/replicationdestinations?fieldSelector=status.lastManualSync%3Dx";
    assert_eq!(get(&server, path).await, (400, real("field selector that is not supported")));
}

#[tokio::test]
async fn metadata_alone_can_be_had() {
    let server = settled().await;
    let accept = |form: &str| format!("application/json;as={form};v=v1;g=meta.k8s.io");
    let (list, one) = (accept("PartialObjectMetadataList"), accept("PartialObjectMetadata"));
    let authorization = ("authorization", "Bearer test-token");
    let path = "/api/v1/namespaces/media/secrets";
    let secrets =
        Ask { headers: vec![authorization, ("accept", &list)], ..ask(&server, path) }.whole().await.json();
    assert_eq!(secrets["kind"], "PartialObjectMetadataList");
    assert_eq!(secrets["items"][0]["kind"], "PartialObjectMetadata");
    assert!(secrets["items"][0]["metadata"]["uid"].is_string() && secrets["items"][0].get("data").is_none());
    let path = format!("{path}/{}", names(&secrets)[0]);
    let secret =
        Ask { headers: vec![authorization, ("accept", &one)], ..ask(&server, &path) }.whole().await.json();
    assert_eq!((&secret["kind"], secret.get("data")), (&json!("PartialObjectMetadata"), None));
    let got = Ask { headers: vec![authorization, ("accept", &one)], ..ask(&server, "/api/v1/secrets") }
        .whole()
        .await;
    assert_eq!(got.status, 406);
}

#[tokio::test]
async fn kinds_that_nobody_knows_are_served_too() {
    let server = ApiServer::start().await;
    let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "a"}});
    server.show(&[policy], &Default::default());
    let (_, list) = get(&server, "/apis/kyverno.io/v1/clusterpolicies").await;
    assert_eq!((&list["kind"], names(&list)), (&json!("ClusterPolicyList"), vec!["a"]));
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    let server = ApiServer::start().await;
    let metadata = json!({"name": "a", "namespace": "media"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "a".repeat(200_000)}});
    server.show(&[map], &Default::default());
    let path = "/api/v1/namespaces/media/configmaps/a";
    let headers = vec![("authorization", "Bearer test-token"), ("accept-encoding", "gzip")];
    let got = Ask { headers, ..ask(&server, path) }.whole().await;
    assert_eq!(got.headers["content-encoding"], "gzip");
    let mut text = String::new();
    let body = got.body.unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
    assert_eq!(text, ask(&server, path).whole().await.text());
}
