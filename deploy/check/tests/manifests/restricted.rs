//! The rules of the Pod Security Standard `restricted`, for every pod that the manifests make or have made.

use serde_json::{Value, json};

use crate::{apply, required};

/// Returns what a namespace that enforces the standard refuses in a pod.
fn faults(pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[field] == true {
            faults.push(field.to_owned());
        }
    }
    const VOLUMES: [&str; 8] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().into_iter().flat_map(|m| m.keys()).map(String::as_str);
        faults.extend(kinds.filter(|k| *k != "name" && !VOLUMES.contains(k)).map(|k| format!("volume {k}")));
    }
    let of_pod = &pod["securityContext"];
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod[list].as_array().into_iter().flatten() {
            let own = &container["securityContext"];
            let name = container["name"].as_str().unwrap_or_default();
            let mut fault = |what: &str| faults.push(format!("{name}: {what}"));
            if own["privileged"] == true {
                fault("privileged");
            }
            if own["allowPrivilegeEscalation"] != false {
                fault("allowPrivilegeEscalation");
            }
            let dropped = own["capabilities"]["drop"].as_array();
            if !dropped.is_some_and(|all| all.iter().any(|c| c == "ALL")) {
                fault("capabilities are not dropped");
            }
            let added = own["capabilities"]["add"].as_array().into_iter().flatten();
            if added.into_iter().any(|c| c != "NET_BIND_SERVICE") {
                fault("capabilities are added");
            }
            if container["ports"].as_array().into_iter().flatten().any(|p| !p["hostPort"].is_null()) {
                fault("hostPort");
            }
            for (field, what) in user_faults(of_pod, own) {
                fault(&format!("{field}: {what}"));
            }
        }
    }
    faults
}

/// Returns the faults of the user: what the container says wins over what the pod says.
fn user_faults(of_pod: &Value, own: &Value) -> Vec<(&'static str, &'static str)> {
    let said = |field: &str| if own[field].is_null() { of_pod[field].clone() } else { own[field].clone() };
    let mut faults = Vec::new();
    if said("runAsNonRoot") != true {
        faults.push(("runAsNonRoot", "is not true"));
    }
    if [of_pod, own].iter().any(|context| context["runAsUser"] == 0) {
        faults.push(("runAsUser", "is root"));
    }
    let profile = said("seccompProfile");
    if profile["type"] != "RuntimeDefault" && profile["type"] != "Localhost" {
        faults.push(("seccompProfile", "is missing"));
    }
    faults
}

/// Returns the pods of a resource. Those of the operator get `moverSecurityContext` from us and the container from it.
fn pods(resource: &Value) -> Vec<Value> {
    match resource["kind"].as_str() {
        Some("Job") => vec![resource["spec"]["template"]["spec"].clone()],
        Some("CronJob") => vec![resource["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone()],
        Some("ReplicationDestination" | "ReplicationSource") => {
            let mut pod = json!({ "containers": [{ "name": "kopia", "securityContext": {
                "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            } }] });
            pod["securityContext"] = resource["spec"]["kopia"]["moverSecurityContext"].clone();
            vec![pod]
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_pod_is_allowed_in_a_restricted_namespace() {
    let mut checked = 0;
    for folder in ["example", "example-secret", "break-glass"] {
        for resource in apply(folder, &required()).unwrap_or_else(|e| panic!("{folder}: {e}")) {
            for pod in pods(&resource) {
                assert_eq!(
                    faults(&pod),
                    Vec::<String>::new(),
                    "{folder} {}",
                    resource["kind"].as_str().unwrap_or("")
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 7, "{checked}");
}

#[test]
fn each_rule_finds_its_fault() {
    let resources = apply("break-glass", &required()).unwrap_or_else(|e| panic!("{e}"));
    let good = resources.iter().flat_map(pods).next().unwrap_or_default();
    type Change = fn(&mut Value);
    let change: [(&str, Change); 8] = [
        ("hostNetwork", |pod| pod["hostNetwork"] = true.into()),
        ("volume hostPath", |pod| pod["volumes"][0]["hostPath"] = "/".into()),
        ("privileged", |pod| pod["containers"][0]["securityContext"]["privileged"] = true.into()),
        ("allowPrivilegeEscalation", |pod| {
            pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = Value::Null;
        }),
        ("capabilities are not", |pod| {
            pod["containers"][0]["securityContext"]["capabilities"] = Value::Null;
        }),
        ("runAsNonRoot", |pod| pod["securityContext"]["runAsNonRoot"] = Value::Null),
        ("runAsUser", |pod| pod["securityContext"]["runAsUser"] = 0.into()),
        ("seccompProfile", |pod| pod["securityContext"]["seccompProfile"]["type"] = "Unconfined".into()),
    ];
    for (what, change) in change {
        let mut bad = good.clone();
        change(&mut bad);
        let found = faults(&bad);
        assert!(found.len() == 1 && found.iter().all(|fault| fault.contains(what)), "{what}: {found:?}");
    }
}
