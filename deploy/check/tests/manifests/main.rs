//! The manifests in `deploy/` build, take their variables, and have only fields that exist.

mod restricted;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rekopia_cluster::git::{Variables, build, documents, substitute};
use schema::Fields;
use serde_json::Value;

/// Without these nothing works; all others have a default.
const REQUIRED: [(&str, &str); 5] = [
    ("APP", "paperless"),
    ("VOLSYNC_CAPACITY", "5Gi"),
    ("VOLSYNC_STORAGECLASS", "standard"),
    ("VOLSYNC_SNAPSHOTCLASS", "snapshots"),
    ("REKOPIA_IMAGE", "rekopia-mover:TAG"),
];
const PLAIN_SECRET: [(&str, &str); 5] = [
    ("VOLSYNC_REPOSITORY_BASE64", "czM6Ly9iYWNrdXBzL2tvcGlh"),
    ("VOLSYNC_PASSWORD_BASE64", "c2VjcmV0"),
    ("VOLSYNC_S3_ENDPOINT_BASE64", "czMuZXhhbXBsZS50ZXN0"),
    ("VOLSYNC_ACCESS_KEY_BASE64", "YWNjZXNz"),
    ("VOLSYNC_SECRET_KEY_BASE64", "a2V5a2V5"),
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the resources of a folder as Flux applies them: nothing may be left over, and nothing be built but by what
/// is known.
fn apply(folder: &str, variables: &BTreeMap<&str, &str>) -> Result<Vec<Value>, String> {
    let variables: Variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut resources = built(folder)?;
    for resource in &mut resources {
        if let Some(left) = substitute(resource, &variables).first() {
            return Err(format!("{}: {}: {}", left.field, left.expression, left.why));
        }
    }
    Ok(resources)
}

fn built(folder: &str) -> Result<Vec<Value>, String> {
    let rendered = build(&deploy(), folder).map_err(|e| e.to_string())?;
    match rendered.notes.first() {
        Some(note) => Err(format!("{}: {}", note.file.display(), note.sentence)),
        None => Ok(rendered.objects),
    }
}

fn read(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(deploy().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    documents(&text).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn required() -> BTreeMap<&'static str, &'static str> {
    REQUIRED.into_iter().chain(PLAIN_SECRET).collect()
}

fn one<'a>(resources: &'a [Value], kind: &str) -> &'a Value {
    let mut found = resources.iter().filter(|resource| resource["kind"] == kind);
    let (Some(first), None) = (found.next(), found.next()) else { panic!("not one {kind}") };
    first
}

#[test]
fn everything_builds_and_has_only_fields_that_exist() {
    let fields = Fields::load();
    for (folder, kinds) in [
        (
            "example",
            &[
                "ExternalSecret",
                "PersistentVolumeClaim",
                "ReplicationDestination",
                "ReplicationSource",
                "CronJob",
            ][..],
        ),
        (
            "example-secret",
            &["PersistentVolumeClaim", "ReplicationDestination", "ReplicationSource", "Secret", "CronJob"],
        ),
        ("break-glass", &["PersistentVolumeClaim", "Job"]),
        ("maintenance", &["KopiaMaintenance"]),
    ] {
        let mut resources = apply(folder, &required()).unwrap_or_else(|e| panic!("{folder}: {e}"));
        for resource in &resources {
            assert_eq!(fields.faults(resource), Vec::<String>::new(), "{folder}");
        }
        let mut kinds: Vec<_> = kinds.to_vec();
        kinds.sort_unstable();
        resources.sort_by_key(|r| r["kind"].as_str().unwrap_or_default().to_owned());
        assert_eq!(
            resources.iter().map(|r| r["kind"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
            kinds,
            "{folder}"
        );
    }
    for file in ["policy/kyverno.yaml", "policy/mutatingadmissionpolicy.yaml"] {
        for document in read(file) {
            assert_eq!(fields.faults(&document), Vec::<String>::new(), "{file}");
        }
    }
}

#[test]
fn an_unknown_field_and_a_wrong_type_are_found() {
    let fields = Fields::load();
    let resources = apply("example", &required()).unwrap_or_else(|e| panic!("{e}"));
    let good = one(&resources, "ReplicationDestination");
    for (path, value) in
        [("image", "x"), ("previous", "one"), ("capacity", "much"), ("cleanupTempPVC", "yes")]
    {
        let mut bad = good.clone();
        bad["spec"]["kopia"][path] = Value::from(value);
        assert_eq!(fields.faults(&bad).len(), 1, "{path}: {:?}", fields.faults(&bad));
    }
    let mut bad = good.clone();
    bad["kind"] = Value::from("ReplicationTarget");
    assert_eq!(fields.faults(&bad).len(), 1);
}

#[test]
fn a_missing_required_variable_is_an_error_and_the_others_have_defaults() {
    for (name, _) in REQUIRED {
        let mut variables = required();
        variables.remove(name);
        let error = apply("example", &variables).err().unwrap_or_default();
        assert!(error.contains(&format!("${{{name}")), "{name}: {error:?}");
    }
    // The readme lists every variable that occurs.
    let readme = std::fs::read_to_string(deploy().join("README.md")).unwrap_or_default();
    for folder in ["example", "example-secret", "break-glass", "maintenance"] {
        for resource in built(folder).unwrap_or_else(|e| panic!("{e}")) {
            let text = resource.to_string();
            for piece in text.split("${").skip(1) {
                let name: String =
                    piece.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(readme.contains(&format!("`{name}`")), "{folder}: {name} is not in deploy/README.md");
            }
        }
    }
}

#[test]
fn the_parts_fit_together() {
    for folder in ["example", "example-secret"] {
        let resources = apply(folder, &required()).unwrap_or_else(|e| panic!("{e}"));
        let (claim, destination, source) = (
            one(&resources, "PersistentVolumeClaim"),
            one(&resources, "ReplicationDestination"),
            one(&resources, "ReplicationSource"),
        );
        assert_eq!(claim["spec"]["dataSourceRef"]["name"], destination["metadata"]["name"]);
        assert_eq!(source["spec"]["sourcePVC"], claim["metadata"]["name"]);
        assert!(resources.iter().all(|resource| resource["metadata"]["namespace"] == "media"));
        // The identity of the restore is that of the backup.
        assert_eq!(destination["spec"]["kopia"]["sourceIdentity"]["sourceName"], source["metadata"]["name"]);
        let check =
            &one(&resources, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        let user =
            check["env"].as_array().into_iter().flatten().find(|v| v["name"] == "KOPIA_OVERRIDE_USERNAME");
        assert_eq!(user.map(|v| &v["value"]), Some(&source["metadata"]["name"]));
        // All read one Secret.
        let secret = match folder {
            "example" => &one(&resources, "ExternalSecret")["spec"]["target"]["name"],
            _ => &one(&resources, "Secret")["metadata"]["name"],
        };
        for of in [&destination["spec"]["kopia"]["repository"], &source["spec"]["kopia"]["repository"]] {
            assert_eq!(of, secret);
        }
        assert_eq!(&check["envFrom"][0]["secretRef"]["name"], secret);
        // Restored once, as a snapshot, without the limits that make the operator run it twice.
        let kopia = &destination["spec"]["kopia"];
        assert_eq!(destination["spec"]["trigger"]["manual"], "restore-once");
        assert_eq!(kopia["copyMethod"], "Snapshot");
        for limit in ["cacheCapacity", "metadataCacheSizeLimitMB", "contentCacheSizeLimitMB"] {
            assert!(kopia.get(limit).is_none(), "{limit}");
        }
    }
}

#[test]
fn variables_reach_their_places() {
    let mut variables = required();
    variables.extend([
        ("VOLSYNC_RESTORE_ID", "again-2"),
        ("VOLSYNC_CLAIM", "papers"),
        ("VOLSYNC_UID", "568"),
        ("VOLSYNC_SCHEDULE", "'*/15 * * * *'"),
    ]);
    let resources = apply("example", &variables).unwrap_or_else(|e| panic!("{e}"));
    let destination = one(&resources, "ReplicationDestination");
    assert_eq!(destination["spec"]["trigger"]["manual"], "again-2");
    assert_eq!(destination["spec"]["kopia"]["moverSecurityContext"]["runAsUser"], 568);
    assert_eq!(one(&resources, "PersistentVolumeClaim")["metadata"]["name"], "papers");
    assert_eq!(one(&resources, "ReplicationSource")["spec"]["trigger"]["schedule"], "*/15 * * * *");
    // Quotes of the manifest do not survive the build: a value that YAML reads otherwise needs its own.
    variables.insert("VOLSYNC_SCHEDULE", "*/15 * * * *");
    assert!(apply("example", &variables).is_err());
    variables.insert("VOLSYNC_SCHEDULE", "@daily");
    assert!(apply("example", &variables).is_err());
}

#[test]
fn the_example_for_flux_gives_every_required_variable() {
    let document = &read("example/flux-kustomization.yaml")[0];
    let given = &document["spec"]["postBuild"]["substitute"];
    let variables: BTreeMap<_, _> = given
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect();
    assert!(apply("example", &variables).is_ok(), "{:?}", apply("example", &variables));
}

#[test]
fn policies_touch_pods_of_restores_and_nothing_else() {
    let kyverno = &read("policy/kyverno.yaml")[0];
    assert_eq!(kyverno["metadata"]["annotations"]["pod-policies.kyverno.io/autogen-controllers"], "none");
    let resources = &kyverno["spec"]["rules"][0]["match"]["any"][0]["resources"];
    assert_eq!(resources["kinds"], Value::from(vec!["Pod"]));
    assert_eq!(resources["selector"]["matchLabels"]["batch.kubernetes.io/job-name"], "volsync-dst-*");
    let policies = read("policy/mutatingadmissionpolicy.yaml");
    let spec = &policies[0]["spec"];
    assert_eq!(spec["matchConstraints"]["resourceRules"][0]["resources"], Value::from(vec!["pods"]));
    assert!(
        spec["matchConditions"][0]["expression"]
            .as_str()
            .is_some_and(|e| e.contains("startsWith(\"volsync-dst-\")"))
    );
    assert_eq!(policies[1]["spec"]["policyName"], policies[0]["metadata"]["name"]);
    // The cluster-wide value is the overlay: the restore-only image would break every backup.
    let helm = &read("helm/values.yaml")[0];
    assert_eq!(helm["kopia"]["image"], "rekopia-mover-overlay:TAG");
}
