//! A thousand applications in a hundred namespaces: as many requests as kinds and pages.

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::diagnose;
use rekopia_cluster::objects::Kind;
use rekopia_cluster::observe::{Scope, look, read_ends};
use rekopia_cluster::view::View;
use rekopia_testkit::cluster::{ApiServer, Logs, Scenario};
use serde_json::Value;

use crate::through::api;

/// Copies of a stage with two applications, each in a namespace of its own, with unique IDs of its own.
fn copies(namespaces: usize, each: usize) -> (Vec<Value>, Logs) {
    let scenario = Scenario::load("media");
    let stage = scenario.stage("03");
    let shared = |object: &Value| {
        object["metadata"]["namespace"] != "media"
            && object["kind"] != "Namespace"
            && object["kind"] != "PersistentVolume"
    };
    let mut objects: Vec<Value> = stage.objects.iter().filter(|object| shared(object)).cloned().collect();
    let own: Vec<String> =
        stage.objects.iter().filter(|object| !shared(object)).map(Value::to_string).collect();
    let mut logs = Logs::new();
    for n in 0..namespaces {
        for m in 0..each {
            for text in &own {
                objects.push(copy(text, n, m));
            }
            for (pod, log) in &stage.logs {
                if let Some(name) = pod.strip_prefix("media/") {
                    let name = name.replace("paperless", &format!("paperless-{n}-{m}"));
                    let name = name.replace("immich", &format!("immich-{n}-{m}"));
                    logs.insert(format!("media-{n}/{name}"), log.clone());
                }
            }
        }
    }
    (objects, logs)
}

/// Copies an object under other names: the namespace, the applications, all unique IDs and what is named after them.
fn copy(text: &str, n: usize, m: usize) -> Value {
    let text = text
        .replace("paperless", &format!("paperless-{n}-{m}"))
        .replace("immich", &format!("immich-{n}-{m}"));
    let mut object: Value = serde_json::from_str(&text).unwrap();
    rename(&mut object, n, m);
    object
}

fn rename(value: &mut Value, n: usize, m: usize) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value.as_str()) {
                    ("namespace", Some("media")) => *value = format!("media-{n}").into(),
                    ("uid", Some(uid)) => *value = format!("{uid}-{n}-{m}").into(),
                    ("name" | "volumeName", Some(name)) if name == "media" || name.starts_with("pvc-") => {
                        *value = format!("{name}-{n}-{m}").into();
                    }
                    _ => rename(value, n, m),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, n, m)),
        _ => {}
    }
}

#[tokio::test]
async fn requests_are_kinds_times_pages() {
    let (objects, logs) = copies(100, 5);
    let server = ApiServer::start().await;
    server.show(&objects, &logs);
    let count = |kind: &Kind| objects.iter().filter(|object| object["kind"] == kind.name).count();
    let pages: usize = View::KINDS.iter().map(|kind| count(kind).div_ceil(500).max(1)).sum();
    let (api, _folder) = api(&server).await;
    let mut seen = look(&api, &Scope::All).await.unwrap();
    assert_eq!(server.requests().len(), pages);
    server.forget_requests();
    read_ends(&api, &mut seen).await;
    let index = Index::new(&seen);
    let all = diagnose(&index);
    assert_eq!(all.len(), 1000);
    let running =
        all.iter().filter(|one| one.app.mover().is_some_and(|pod| pod.running_since().is_some())).count();
    assert_eq!(running, 1000);
    let asked = server.requests();
    assert!(asked.iter().all(|request| request.contains("/log?")));
    assert_eq!(asked.len(), running);
}
