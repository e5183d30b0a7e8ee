//! The inventory through the program: every side, and every form.

use std::path::{Path, PathBuf};
use std::process::Output;

use rekopia_testkit::cluster::Scenario;
use serde_json::{Value, json};

use crate::cli::{Cluster, text};
use crate::remarks::claim;

pub(crate) fn of_project(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    path.canonicalize().unwrap().display().to_string()
}

/// Options that lead to a repository that ships with the source, with backups of paperless@media.
pub(crate) fn quickstart() -> [String; 4] {
    let place = of_project("testdata/quickstart");
    [
        "--repo".into(),
        format!("filesystem://{place}/repo"),
        "--password-file".into(),
        format!("{place}/password"),
    ]
}

fn inventory(more: &[&str]) -> Output {
    let cluster = Cluster::empty();
    let arguments = [&["inventory", "--no-cluster"], more].concat();
    cluster.run(&arguments)
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {} {}", text(&output.stdout), text(&output.stderr)))
}

fn named<'a>(document: &'a Value, name: &str) -> &'a Value {
    let all = document["applications"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}"))
}

#[test]
fn git_and_a_genuine_repository_the_day_after() {
    let tree = of_project("testdata/git/components");
    let quickstart = quickstart();
    let mut arguments = vec!["--git", &tree, "-o", "json", "--exit-code"];
    arguments.extend(quickstart.iter().map(String::as_str));
    let output = inventory(&arguments);
    let document = document(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&document["version"], &document["exitCode"]), (&json!(1), &json!(1)));
    let known: Vec<&str> =
        document["knownFrom"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(known[0].starts_with("Git: ") && known[2].starts_with("Repository: "), "{known:?}");
    assert_eq!(known[1], "Cluster: not looked at (--no-cluster).");
    let paperless = named(&document, "paperless");
    assert_eq!(paperless["backsUp"], "paperless@media:/data");
    assert_eq!((&paperless["inGit"], &paperless["inCluster"]), (&json!(true), &Value::Null));
    assert!(paperless["backups"]["newest"]["files"].as_u64().unwrap() > 0, "{paperless:#}");
    assert_eq!(paperless["marks"][0]["mark"], "stale");
    assert_eq!(named(&document, "jellyfin-config")["marks"][0]["mark"], "never-backed-up");

    let place = arguments.iter().position(|argument| *argument == "json").unwrap();
    arguments[place] = "markdown";
    let table = text(&inventory(&arguments).stdout);
    assert!(
        table.contains("\n| media/paperless | paperless@media:/data | 0 * * * * | yes | 2026-"),
        "{table}"
    );
    arguments.drain(place - 1..=place);
    let shown = text(&inventory(&arguments).stdout);
    assert!(shown.contains("media/paperless") && shown.contains("never-backed-up"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn every_dialect_of_a_tree_gives_its_applications() {
    for (tree, applications) in [
        ("components", &["media/jellyfin-config", "media/paperless"][..]),
        ("templates", &[]),
        ("plain", &[]),
        ("argo", &[]),
        ("substitute-from", &[]),
    ] {
        let path = of_project(&format!("testdata/git/{tree}"));
        let document = document(&inventory(&["--git", &path, "--no-repository", "-o", "json"]));
        let all = document["applications"].as_array().unwrap();
        assert!(!all.is_empty(), "{tree}: {document:#}");
        // After a prefix a claim names a restore that has another name: kustomize does not know of that reference.
        for one in all.iter().filter(|one| one["marks"][0]["mark"] != "lost-restore") {
            assert!(one["backsUp"].is_string() || one["restores"].is_string(), "{tree}: {one:#}");
            let text = one.to_string();
            assert!(!text.contains("${"), "{tree}: {text}");
        }
        let names: Vec<String> = all
            .iter()
            .map(|one| format!("{}/{}", one["namespace"].as_str().unwrap(), one["name"].as_str().unwrap()))
            .collect();
        assert!(applications.is_empty() || names == applications, "{tree}: {names:?}");
    }
}

#[test]
fn without_a_cluster_without_git_and_without_both() {
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    let output = cluster.run(&["inventory", "--no-repository", "-o", "json"]);
    let of_cluster = document(&output);
    assert_eq!(of_cluster["knownFrom"][1], "Cluster: all namespaces.");
    assert!(of_cluster["applications"].as_array().unwrap().len() >= 7);
    assert_eq!(named(&of_cluster, "mealie")["marks"][0]["mark"], "no-restore");

    let tree = of_project("testdata/git/components");
    let nowhere =
        |arguments: &[&str]| cluster.command(arguments).env("KUBECONFIG", "/nowhere").output().unwrap();
    let shown = text(&nowhere(&["inventory", "--no-repository", "--git", &tree]).stdout);
    assert!(shown.contains("Cluster: not seen, "), "{shown}");
    for arguments in [&["inventory"][..], &["inventory", "--no-cluster"], &["inventory", "--git", "/nowhere"]]
    {
        let output = nowhere(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
}

#[test]
fn rendered_manifests_and_their_own_secrets() {
    let [_, repo, _, password] = quickstart();
    let password = std::fs::read_to_string(password).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: repository\n  namespace: media\nstringData:\n  \
         KOPIA_REPOSITORY: {repo}\n  KOPIA_PASSWORD: {}\n---\n",
        password.trim()
    );
    let source = "apiVersion: volsync.backube/v1alpha1\nkind: ReplicationSource\nmetadata:\n  name: paperless\n  \
                  namespace: media\nspec:\n  sourcePVC: paperless\n  trigger:\n    schedule: \"@every 87600h\"\n  \
                  kopia:\n    repository: repository\n";
    std::fs::write(&file, format!("{secret}{source}")).unwrap();
    let path = file.to_str().unwrap();
    let document = document(&inventory(&["-f", path, "-o", "json"]));
    let paperless = named(&document, "paperless");
    assert!(paperless["backups"]["complete"].as_u64().unwrap() > 0, "{document:#}");
    assert_eq!(paperless["marks"].as_array().unwrap().len(), 1, "{paperless:#}");
    assert!(!document.to_string().contains(password.trim()), "the password is shown");

    std::fs::write(&file, source).unwrap();
    let shown = text(&inventory(&["-f", path]).stdout);
    assert!(shown.contains("not-seen") && shown.contains("is not in clear text in Git"), "{shown}");
}

/// Names of a tree come from whoever writes into it.
#[test]
fn hostile_names_move_no_cursor_and_break_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.json");
    let mut hostile = claim("x");
    hostile["apiVersion"] = "v1".into();
    hostile["metadata"]["name"] = "a\u{1b}[31m|`x`\u{202e}\n# h".into();
    hostile["spec"]["resources"]["requests"]["storage"] = 1_000_000_000.into();
    std::fs::write(&file, hostile.to_string()).unwrap();
    let path = file.to_str().unwrap();
    for form in [&[][..], &["-o", "markdown"]] {
        let shown = text(&inventory(&[&["-f", path, "--no-repository"], form].concat()).stdout);
        assert!(shown.contains("apps/a [31m"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']) && !shown.contains("\n# h"), "{shown}");
        if !form.is_empty() {
            assert!(shown.contains("\\|'x'") && shown.contains("| 1000000000 |"), "{shown}");
        }
    }
}

/// The day when only the bucket is left.
#[test]
fn a_repository_alone_shows_what_it_holds() {
    let quickstart = quickstart();
    let mut arguments: Vec<&str> = quickstart.iter().map(String::as_str).collect();
    arguments.extend(["-o", "json"]);
    let document = document(&inventory(&arguments));
    assert_eq!(document["orphans"][0]["identity"], "paperless@media:/data", "{document:#}");
    assert_eq!(document["summary"]["applications"], 0);
}

/// A thousand applications of a hundred namespaces that share one repository: it is opened once.
#[test]
fn a_thousand_applications_open_their_repository_once() {
    let mut manifests = String::new();
    for n in 0..1000 {
        manifests.push_str(&format!(
            "---\napiVersion: volsync.backube/v1alpha1\nkind: ReplicationSource\nmetadata:\n  name: app-{n}\n  namespace: \
             ns-{}\nspec:\n  sourcePVC: app-{n}\n  trigger:\n    schedule: \"{} 3 * * *\"\n  kopia:\n    repository: s\n",
            n % 100,
            n % 60
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    std::fs::write(&file, manifests).unwrap();
    let quickstart = quickstart();
    let mut arguments = vec!["-f", file.to_str().unwrap(), "-o", "json"];
    arguments.extend(quickstart.iter().map(String::as_str));
    let document = document(&inventory(&arguments));
    assert_eq!(document["summary"]["applications"], 1000);
    assert!(!document["orphans"].as_array().unwrap().is_empty());
    assert!(
        document["knownFrom"][2].as_str().unwrap().starts_with("Repository: "),
        "{}",
        document["knownFrom"]
    );
}
