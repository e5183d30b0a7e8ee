//! The captured Jobs and identities, made again from the objects that they were made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rekopia_testkit::job::Job;
use serde_json::{Value, json};

use super::*;

/// Variables that are not made here: the operator's own environment, an annotation of the namespace and one of the object,
/// and what the object's status says of an earlier run.
const ELSEWHERE: [&str; 9] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "PRIVILEGED_MOVER",
    "DEBUG_MOVER",
    "KOPIA_SKIP_CACHE_CONFIG",
];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn of(spec: Value) -> Destination {
    Destination::new("apps", "demo", &spec).unwrap()
}

fn objects<'a>(input: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    let objects = input["objects"].as_array().unwrap();
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

#[test]
fn every_captured_job_has_these_variables() {
    let jobs = data().join("jobs");
    let names: Vec<String> = Job::names(&jobs).into_iter().filter(|name| name.starts_with("rd-")).collect();
    assert_eq!(names.len(), 54);
    for name in names {
        let input = read(&jobs.join(format!("{name}.input.json")));
        let resource = &input["resource"];
        let text = |member: &str| resource["metadata"][member].as_str().unwrap();
        let mut made = Destination::new(text("namespace"), text("name"), &resource["spec"]["kopia"]).unwrap();
        if let Some((_, source)) = made.source()
            && let Some(source) = objects(&input, "ReplicationSource", source)
        {
            made = made.with_source(&source["spec"]["kopia"]);
        }
        let secret = objects(&input, "Secret", made.repository().unwrap()).unwrap();
        let secret: BTreeMap<String, String> = serde_json::from_value(secret["stringData"].clone()).unwrap();
        let mut captured = Job::load(&jobs, &name, |_, value| value.to_owned()).env;
        captured.retain(|name, _| !ELSEWHERE.contains(&name.as_str()));
        assert_eq!(job_variables(&made, &secret), captured, "{name}");
    }
}

#[test]
fn every_captured_identity_is_made_again() {
    for vector in read(&data().join("identity-vectors.json")).as_array().unwrap() {
        let spec = json!({
            "repository": "demo-kopia",
            "username": vector["username"],
            "hostname": vector["hostname"],
            "sourceIdentity": {
                "sourceName": vector["sourceName"],
                "sourceNamespace": vector["sourceNamespace"],
            },
        });
        let text = |member: &str| vector[member].as_str().unwrap();
        let made = Destination::new(text("namespace"), text("name"), &spec);
        match vector["result"]["username"].as_str() {
            Some(user) => {
                let host = vector["result"]["hostname"].as_str().unwrap();
                assert_eq!(made.unwrap().identity(), (user.to_owned(), host.to_owned()), "{vector}");
            }
            None => assert!(made.unwrap_err().contains("username and hostname"), "{vector}"),
        }
    }
}

#[test]
fn a_source_fills_what_is_not_said() {
    let source =
        json!({"repository": "of-source", "sourcePathOverride": "/srv/x", "username": "u", "hostname": "h"});
    let asks = of(json!({"sourceIdentity": {"sourceName": "app", "sourceNamespace": "prod"}}));
    assert_eq!((asks.repository(), asks.source()), (None, Some(("prod", "app"))));
    let filled = asks.with_source(&source);
    assert_eq!(filled.repository(), Some("of-source"));
    let variables = job_variables(&filled, &BTreeMap::new());
    assert_eq!(variables["KOPIA_SOURCE_PATH_OVERRIDE"], "/srv/x");
    assert_eq!(variables["KOPIA_OVERRIDE_USERNAME"], "app");
    // What is said stays; where the claim is named, nothing is looked up.
    let says =
        json!({"repository": "own", "sourceIdentity": {"sourceName": "app", "sourcePathOverride": "/own"}});
    let says = of(says).with_source(&source);
    let path = &job_variables(&says, &BTreeMap::new())["KOPIA_SOURCE_PATH_OVERRIDE"];
    assert_eq!((says.repository(), path.as_str()), (Some("own"), "/own"));
    let by_claim = of(json!({"sourceIdentity": {"sourceName": "app", "sourcePVCName": "data"}}));
    assert_eq!(by_claim.source(), None);
    assert_eq!(by_claim.clone().with_source(&source), by_claim);
}

#[test]
fn contents_stand_in_for_mounted_files() {
    let secret = BTreeMap::from([("SFTP_KEY_FILE".to_owned(), "the key".to_owned())]);
    let made = of(json!({"repository": "s", "customCA": {"configMapName": "ca", "key": "ca.pem"}}));
    let variables = job_variables(&made, &secret);
    assert_eq!(variables["SFTP_KEY_FILE"], "/credentials/sftp_key");
    assert_eq!(variables["CUSTOM_CA"], "/customCA/ca.crt");
    let unknown = with_contents(variables.clone(), &secret, None);
    assert_eq!(unknown["CUSTOM_CA"], "/customCA/ca.crt");
    let known = with_contents(variables, &secret, Some("the authority"));
    assert_eq!((known["SFTP_KEY_FILE"].as_str(), known["CUSTOM_CA"].as_str()), ("the key", "the authority"));
    assert!(!known.contains_key("GOOGLE_APPLICATION_CREDENTIALS"));
}

#[test]
fn quantities_are_bytes() {
    for (text, bytes) in [
        (json!("4Gi"), Some(4 << 30)),
        (json!("1.5Gi"), Some(3 << 29)),
        (json!("500M"), Some(500_000_000)),
        (json!("1e3"), Some(1000)),
        (json!("1500m"), Some(2)),
        (json!(7), Some(7)),
        (json!("many"), None),
    ] {
        assert_eq!(quantity(&text), bytes, "{text}");
    }
}

#[test]
fn a_mistake_is_named() {
    let wrong = Destination::new("apps", "demo", &json!({"previous": "few"})).unwrap_err();
    assert!(wrong.starts_with("spec.kopia: "), "{wrong}");
}
