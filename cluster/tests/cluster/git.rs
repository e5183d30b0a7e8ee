//! Trees as people have them render to the objects that Flux, Argo CD or kustomize would apply.

use std::fs;
use std::path::{Path, PathBuf};

use rekopia_cluster::git::{Rendered, Renderer, build, documents, rendered, rendered_text, tree};
use serde_json::Value;

/// Returns a file or folder of the project.
fn of_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn render(name: &str) -> Rendered {
    tree(&of_project("testdata/git").join(name), Renderer::Own).unwrap()
}

/// Returns a line for each volume's object: what somebody would look for first.
fn volumes(rendered: &Rendered) -> Vec<String> {
    rendered.objects.iter().filter_map(line).collect()
}

fn line(object: &Value) -> Option<String> {
    let (spec, kopia) = (&object["spec"], &object["spec"]["kopia"]);
    let short = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rest = match object["kind"].as_str()? {
        "PersistentVolumeClaim" => format!("claim {}", short(&spec["resources"]["requests"]["storage"])),
        "ReplicationSource" => {
            format!("source {} {}", short(&spec["sourcePVC"]), short(&spec["trigger"]["schedule"]))
        }
        "ReplicationDestination" => {
            format!("destination {} {}", short(&kopia["repository"]), short(&kopia["capacity"]))
        }
        _ => return None,
    };
    let meta = &object["metadata"];
    Some(format!("{}/{} {rest}", short(&meta["namespace"]), short(&meta["name"])))
}

fn object<'a>(rendered: &'a Rendered, kind: &str, namespace: &str, name: &str) -> &'a Value {
    let is_it = |object: &&Value| {
        object["kind"] == kind
            && object["metadata"]["namespace"] == namespace
            && object["metadata"]["name"] == name
    };
    rendered.objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {namespace}/{name}"))
}

fn notes(rendered: &Rendered) -> Vec<String> {
    rendered.notes.iter().map(|note| format!("{}: {}", note.file.display(), note.sentence)).collect()
}

#[test]
fn components_of_flux() {
    let rendered = render("components");
    assert_eq!(
        volumes(&rendered),
        [
            "media/jellyfin-config claim 20Gi",
            "media/paperless claim 5Gi",
            "media/jellyfin-dst destination jellyfin-volsync-secret 20Gi",
            "media/paperless-dst destination paperless-volsync-secret 5Gi",
            "media/jellyfin source jellyfin-config 15 */4 * * *",
            "media/paperless source paperless 0 * * * *",
        ]
    );
    let source = object(&rendered, "ReplicationSource", "media", "jellyfin");
    assert_eq!(source["spec"]["kopia"]["moverSecurityContext"]["runAsUser"], 568);
    // The settings come from a ConfigMap that a parent's patch names, in the namespace that a parent sets.
    assert_eq!(source["spec"]["kopia"]["volumeSnapshotClassName"], "csi-ceph-block");
    let labels = &source["metadata"]["labels"];
    assert_eq!(labels["kustomize.toolkit.fluxcd.io/name"], "jellyfin");
    assert_eq!(labels["kustomize.toolkit.fluxcd.io/namespace"], "media");
    let child = object(&rendered, "Kustomization", "media", "jellyfin");
    assert_eq!(child["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "cluster-apps");
    assert_eq!(child["spec"]["postBuild"]["substituteFrom"][0]["name"], "cluster-secrets");
    let pod = &object(&rendered, "Deployment", "media", "jellyfin")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "jellyfin-config");
    object(&rendered, "ConfigMap", "media", "jellyfin-exporter");
    let namespaces = rendered.objects.iter().filter(|object| object["kind"] == "Namespace");
    let names: Vec<_> = namespaces.map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["media", "services"]);
    // Without postBuild a script keeps its variables.
    let script = object(&rendered, "ConfigMap", "services", "script");
    assert_eq!(script["data"]["run.sh"], "echo ${HOME} ${1}\n");
    let kustomizations = rendered.objects.iter().filter(|object| object["kind"] == "Kustomization").count();
    assert_eq!(kustomizations, 5);
    let notes = notes(&rendered);
    assert_eq!(notes.len(), 2, "{notes:#?}");
    assert!(
        notes[0].contains("helmrelease.yaml") && notes[0].contains("${SECRET_DOMAIN} stays"),
        "{notes:#?}"
    );
    assert!(
        notes[1].contains("cluster-secrets.sops.yaml: the Secret cluster-secrets is encrypted"),
        "{notes:#?}"
    );
}

#[test]
fn templates_of_flux() {
    let rendered = render("templates");
    assert_eq!(
        volumes(&rendered),
        [
            "default/freshrss claim 2Gi",
            "default/freshrss-dst destination freshrss-volsync-secret 2Gi",
            "default/freshrss source freshrss 0 7 * * *",
        ]
    );
    assert_eq!(notes(&rendered), [""; 0]);
}

#[test]
fn plain_manifests() {
    let rendered = render("plain");
    let expected = [
        "linkding/linkding-data claim 1Gi",
        "linkding/linkding-dst destination linkding-kopia 1Gi",
        "linkding/linkding source linkding-data 0 3 * * *",
        "mealie/mealie-data claim 10Gi",
        "mealie/mealie-dst destination mealie-kopia 10Gi",
        "mealie/mealie source mealie-data 30 2 * * *",
    ];
    assert_eq!(volumes(&rendered), expected);
    assert_eq!((rendered.objects.len(), notes(&rendered)), (7, Vec::new()));
    let folder = of_project("testdata/git/plain");
    assert_eq!(volumes(&self::rendered(&folder).unwrap()), expected);
    assert_eq!(volumes(&self::rendered(&folder.join("mealie/volumes.yaml")).unwrap()), expected[3..]);
    let text = fs::read_to_string(folder.join("mealie/volumes.yaml")).unwrap();
    assert_eq!(volumes(&rendered_text(&text, Path::new("-"))), expected[3..]);
    assert_eq!(documents(&text).unwrap().len(), 3);
}

#[test]
fn overlays_of_kustomize() {
    let rendered = render("argo");
    assert_eq!(
        volumes(&rendered),
        [
            "vaultwarden/vaultwarden-data claim 20Gi",
            "vaultwarden/vaultwarden-dst destination vaultwarden-production 10Gi",
            "vaultwarden/vaultwarden source vaultwarden-data */30 * * * *",
            "vaultwarden-staging/staging-vaultwarden-data claim 10Gi",
            "vaultwarden-staging/staging-vaultwarden-dst destination vaultwarden-kopia 10Gi",
        ]
    );
    assert_eq!(notes(&rendered), [""; 0]);
    let one = build(&of_project("testdata/git/argo"), "overlays/production/vaultwarden").unwrap();
    assert_eq!((one.objects.len(), notes(&one)), (3, Vec::new()));
    assert!(build(&of_project("testdata/git/argo"), "overlays/none").is_err());
}

#[test]
fn variables_from_config_maps_and_secrets() {
    let rendered = render("substitute-from");
    assert_eq!(
        volumes(&rendered),
        ["miniflux/miniflux claim 3Gi", "miniflux/miniflux source miniflux 5 * * * *"]
    );
    // A setting that is itself built with a variable.
    let claim = object(&rendered, "PersistentVolumeClaim", "miniflux", "miniflux");
    assert_eq!(claim["spec"]["storageClassName"], "home-block");
    let source = object(&rendered, "ReplicationSource", "miniflux", "miniflux");
    assert_eq!(source["spec"]["kopia"]["repository"], "miniflux-${SECRET_BUCKET}");
    let notes = notes(&rendered);
    assert_eq!(notes.len(), 3, "{notes:#?}");
    assert!(notes[0].contains("${SECRET_BUCKET} stays"), "{notes:#?}");
    assert!(notes[1].contains("comes from the OCIRepository operator-manifests"), "{notes:#?}");
    assert!(notes[2].contains("Secret cluster-secrets is encrypted"), "{notes:#?}");
}

/// A Kustomization that is found before its parent is built again as the parent wants it.
#[test]
fn a_parent_that_lies_deeper_counts() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let flux = |name: &str, spec: &str| {
        format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
             metadata: {{name: {name}, namespace: flux-system}}\nspec: {spec}\n"
        )
    };
    let patch = "{target: {kind: Kustomization}, patch: '{spec: {postBuild: {substitute: {SIZE: 7Gi}}}}'}";
    write(
        "clusters/home/main/parent.yaml",
        &flux("parent", &format!("{{path: ./apps, patches: [{patch}]}}")),
    );
    write("apps/kustomization.yaml", "resources: [ks.yaml]\n");
    write("apps/ks.yaml", &flux("child", "{path: apps/one/}"));
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n";
    write(
        "apps/one/claim.yaml",
        &format!("{claim}spec: {{resources: {{requests: {{storage: '${{SIZE}}'}}}}}}\n"),
    );
    let rendered = tree(folder.path(), Renderer::Own).unwrap();
    assert_eq!(
        (volumes(&rendered), notes(&rendered)),
        (vec!["default/data claim 7Gi".to_owned()], Vec::new())
    );
    let child = object(&rendered, "Kustomization", "flux-system", "child");
    assert_eq!(child["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "parent");
    assert_eq!(rendered.objects.len(), 3);
}

/// Where one of them is installed: what it builds is what is built here.
#[test]
fn kustomize_agrees() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !is_there("kustomize") && !is_there("kubectl") {
        return;
    }
    for name in ["components", "templates", "argo", "substitute-from"] {
        let theirs = tree(&of_project("testdata/git").join(name), Renderer::Kustomize).unwrap();
        let ours = render(name);
        assert!(ours.objects == theirs.objects, "{name}");
    }
}

#[test]
fn our_own_manifests() {
    let rendered = tree(&of_project("deploy"), Renderer::Own).unwrap();
    assert_eq!(
        volumes(&rendered),
        [
            "media/paperless claim 5Gi",
            "media/paperless-dst destination paperless-volsync-secret 5Gi",
            "media/paperless source paperless 0 * * * *",
        ]
    );
    let destination = object(&rendered, "ReplicationDestination", "media", "paperless-dst");
    assert_eq!(destination["spec"]["kopia"]["moverSecurityContext"]["runAsUser"], 1000);
    assert_eq!(notes(&rendered), [""; 0]);
}
