//! Watches, and how they end.

use serde_json::{Value, json};

use super::client::{get, watch};
use super::{real, settled};
use crate::cluster::{ApiServer, Fault, Scenario};

fn claim(name: &str, phase: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": phase},
        "metadata": {"name": name, "namespace": "media", "uid": uid, "labels": {"phase": phase}},
    })
}

fn show(server: &ApiServer, claims: &[Value]) {
    server.show(claims, &Default::default());
}

/// Type, name and version of a line.
fn short(line: &Value) -> (String, String, u64) {
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = text("/object/metadata/resourceVersion").parse().unwrap();
    (text("/type"), text("/object/metadata/name"), version)
}

async fn version(server: &ApiServer, path: &str) -> u64 {
    get(server, path).await.1["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

const CLAIMS: &str = "/api/v1/namespaces/media/persistentvolumeclaims";

#[tokio::test]
async fn a_watch_tells_what_differs() {
    let server = ApiServer::start().await;
    show(&server, &[claim("a", "Pending", "1"), claim("b", "Pending", "2"), claim("c", "Pending", "3")]);
    let from = version(&server, CLAIMS).await;
    let mut lines = watch(&server, &format!("{CLAIMS}?watch=1&resourceVersion={from}")).await;
    show(
        &server,
        &[
            claim("a", "Bound", "1"),
            claim("b", "Pending", "9"),
            claim("c", "Pending", "3"),
            claim("d", "Pending", "4"),
        ],
    );
    let mut seen = Vec::new();
    for expected in [("MODIFIED", "a"), ("DELETED", "b"), ("ADDED", "b"), ("ADDED", "d")] {
        let line = lines.event().await;
        assert_eq!(line["object"]["kind"], "PersistentVolumeClaim");
        let (event, name, version) = short(&line);
        assert_eq!((event.as_str(), name.as_str()), expected);
        seen.push(version);
    }
    assert_eq!(seen, [from + 1, from + 2, from + 3, from + 4]);
    // A watch that goes on from the middle gets the rest.
    let mut rest = watch(&server, &format!("{CLAIMS}?watch=1&resourceVersion={}", from + 3)).await;
    assert_eq!(short(&rest.event().await).1, "d");
    assert_eq!(server.open_watches(), 2);
}

#[tokio::test]
async fn to_a_selector_objects_appear_and_vanish() {
    let server = ApiServer::start().await;
    show(&server, &[claim("a", "Pending", "1")]);
    let mut lines = watch(&server, &format!("{CLAIMS}?watch=true&labelSelector=phase%3DBound")).await;
    show(&server, &[claim("a", "Bound", "1")]);
    assert_eq!(lines.event().await["type"], "ADDED");
    show(&server, &[claim("a", "Lost", "1")]);
    assert_eq!(lines.event().await["type"], "DELETED");
}

#[tokio::test]
async fn a_list_can_be_streamed() {
    let server = settled().await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut lines = watch(&server, &format!("/api/v1/pods?{query}")).await;
    for _ in 0..5 {
        assert_eq!(lines.next().await.unwrap().unwrap()["type"], "ADDED");
    }
    let end = lines.next().await.unwrap().unwrap();
    assert_eq!((&end["type"], &end["object"]["kind"]), (&json!("BOOKMARK"), &json!("Pod")));
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let bookmark = lines.next().await.unwrap().unwrap();
    assert!(bookmark["type"] == "BOOKMARK" && bookmark["object"]["metadata"].get("annotations").is_none());
    let (status, answer) = get(&server, "/api/v1/pods?watch=1&sendInitialEvents=true").await;
    assert_eq!((status, &answer["reason"]), (422, &json!("Invalid")));
}

#[tokio::test]
async fn a_watch_ends_in_time() {
    let server = settled().await;
    let from = version(&server, "/api/v1/pods").await;
    let mut lines =
        watch(&server, &format!("/api/v1/pods?watch=1&resourceVersion={from}&timeoutSeconds=1")).await;
    assert_eq!(lines.next().await.unwrap(), None);
}

#[tokio::test]
async fn old_versions_expire() {
    let server = settled().await;
    let from = version(&server, CLAIMS).await;
    let path = format!("{CLAIMS}?watch=1&resourceVersion={from}");
    let expired = real("watch from a version that is too old");
    let mut lines = watch(&server, &path).await;
    server.behave(Fault::ExpiredWatch);
    assert_eq!(lines.next().await.unwrap(), Some(expired.clone()));
    assert_eq!(lines.next().await.unwrap(), None);
    let mut again = watch(&server, &path).await;
    assert_eq!(again.next().await.unwrap(), Some(expired));
    let from = version(&server, CLAIMS).await;
    let mut lines = watch(&server, &format!("{CLAIMS}?watch=1&resourceVersion={from}")).await;
    server.show_stage(Scenario::load("media").stage("01"));
    assert_eq!(lines.event().await["type"], "DELETED");
}

#[tokio::test]
async fn watches_can_be_cut() {
    let server = settled().await;
    let from = version(&server, CLAIMS).await;
    let mut lines = watch(&server, &format!("{CLAIMS}?watch=1&resourceVersion={from}")).await;
    server.behave(Fault::CutWatch);
    assert!(lines.next().await.is_err());
    drop(lines);
    let mut lines = watch(&server, &format!("{CLAIMS}?watch=1&resourceVersion={from}")).await;
    server.show_stage(Scenario::load("media").stage("01"));
    assert_eq!(lines.event().await["type"], "DELETED");
}

#[tokio::test]
async fn stages_of_a_recording_become_changes() {
    let server = ApiServer::start().await;
    let media = Scenario::load("media");
    let mut lines = watch(&server, "/apis/volsync.backube/v1alpha1/replicationdestinations?watch=1").await;
    let mut seen = Vec::new();
    for stage in ["02", "06"] {
        server.show_stage(media.stage(stage));
        seen.push(short(&lines.event().await).0);
        seen.push(short(&lines.event().await).0);
    }
    assert_eq!(seen, ["ADDED", "ADDED", "MODIFIED", "MODIFIED"]);
}
