//! Hostile trees, and very large ones, render in bounded time, and nothing outside of them is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rekopia_cluster::git::{GitError, Rendered, Renderer, documents, rendered, tree};

/// Returns a file or folder of the project.
fn of_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn notes(rendered: &Rendered) -> Vec<String> {
    rendered.notes.iter().map(|note| format!("{}: {}", note.file.display(), note.sentence)).collect()
}

/// Renders a copy of a hostile tree where nothing is above it, within a second.
fn hostile(name: &str, more: impl FnOnce(&Path)) -> Rendered {
    let folder = tempfile::tempdir().unwrap();
    copy(&of_project("testdata/git/hostile").join(name), folder.path());
    more(folder.path());
    let begun = Instant::now();
    let rendered = tree(folder.path(), Renderer::Own).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 }), "{name}");
    rendered
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn has(notes: &[String], words: &str) -> bool {
    notes.iter().any(|note| note.contains(words))
}

#[test]
fn folders_in_a_circle() {
    let rendered = hostile("cycle", |_| {});
    assert!(has(&notes(&rendered), "contain each other: one → two → three → one"), "{:#?}", notes(&rendered));
    assert_eq!(rendered.objects.len(), 3);
    let rendered = hostile("flux-cycle", |_| {});
    assert!(has(&notes(&rendered), "too many Kustomizations come of each other"), "{:#?}", notes(&rendered));
}

#[test]
fn nothing_outside_is_read() {
    let rendered = hostile("outside", |_| {});
    let notes = notes(&rendered);
    for words in [
        "/etc/passwd lies outside",
        "/etc/hostname lies outside",
        "missing.yaml: it is not there",
        "fetched from",
        "helmCharts is",
    ] {
        assert!(has(&notes, words), "{words}: {notes:#?}");
    }
    assert_eq!(rendered.objects.len(), 1);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_tree_are_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let claim = fs::read_to_string(of_project("testdata/git/hostile/bomb/claim.yaml")).unwrap();
    write(elsewhere.path(), "claim.yaml", &claim);
    let rendered = hostile("none", |folder| {
        std::os::unix::fs::symlink(elsewhere.path(), folder.join("folder")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("claim.yaml"), folder.join("file.yaml")).unwrap();
        std::os::unix::fs::symlink(folder, folder.join("itself")).unwrap();
    });
    assert_eq!(rendered.objects.len(), 0);
    let rendered = hostile("none", |folder| {
        std::os::unix::fs::symlink(elsewhere.path(), folder.join("folder")).unwrap();
        write(folder, "kustomization.yaml", "resources: [folder/claim.yaml, inside.yaml]");
        write(folder, "real.yaml", &claim);
        std::os::unix::fs::symlink("real.yaml", folder.join("inside.yaml")).unwrap();
    });
    assert!(has(&notes(&rendered), "folder/claim.yaml lies outside"), "{:?}", notes(&rendered));
    assert_eq!(rendered.objects.len(), 1);
}

#[test]
fn what_is_no_manifest_leaves_the_others() {
    let rendered = hostile("broken", |_| {});
    assert_eq!(rendered.objects.len(), 1);
    assert_eq!(rendered.objects[0]["metadata"]["name"], "after-a-broken-one");
    let notes = notes(&rendered);
    for words in [
        "broken.yaml: the document at line 1",
        "a template",
        "other.yaml: a document without",
        "encrypted.yaml: ",
    ] {
        assert!(has(&notes, words), "{words}: {notes:#?}");
    }
}

#[test]
fn aliases_and_depth_are_bounded() {
    let rendered = hostile("bomb", |folder| {
        let open = "[".repeat(100_000);
        write(folder, "deep.yaml", &format!("apiVersion: v1\nkind: ConfigMap\na: {open}\n"));
        write(
            folder,
            "deep.json",
            &format!("{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"a\": {open}"),
        );
    });
    assert_eq!(rendered.objects.len(), 1, "{:#?}", notes(&rendered));
    let nested = format!("{}{}", "[".repeat(62), "]".repeat(62));
    assert_eq!(documents(&nested).unwrap().len(), 1);
    assert_eq!(rendered.notes.len(), 3, "{:#?}", notes(&rendered));
}

#[test]
fn folders_in_folders_are_bounded() {
    let rendered = hostile("none", |folder| {
        for level in 0..80 {
            write(folder, &format!("{level}/kustomization.yaml"), &format!("resources: [../{}]", level + 1));
        }
        write(folder, "80/kustomization.yaml", "resources: []");
    });
    assert!(has(&notes(&rendered), "more than 64 folders"), "{:?}", notes(&rendered));
    // Each level twice: without a bound 2^40 folders.
    let rendered = hostile("none", |folder| {
        for level in 0..40 {
            let next = level + 1;
            write(
                folder,
                &format!("{level}/kustomization.yaml"),
                &format!("resources: [../{next}, ../{next}]"),
            );
        }
        write(folder, "40/kustomization.yaml", "resources: []");
    });
    assert!(has(&notes(&rendered), "too many resources"), "{:?}", notes(&rendered));
}

#[test]
fn patches_and_variables_do_not_multiply() {
    let rendered = hostile("none", |folder| {
        let claim = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: '${BIG}', b: '${BIG}'}\n---\n";
        let claims: String = (0..2000).map(|number| claim.replace("NAME", &number.to_string())).collect();
        let big = "x".repeat(1_000_000);
        let patch = format!("data: {{c: {big}}}");
        let spec = format!("path: ./a, postBuild: {{substitute: {{BIG: {big}}}}}");
        let head = "apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: a, namespace: a}";
        write(folder, "ks.yaml", &format!("{{{head}, spec: {{{spec}}}}}"));
        write(folder, "a/claims.yaml", &claims);
        let patches = format!("[{{target: {{kind: ConfigMap}}, patch: '{patch}'}}]");
        write(folder, "a/kustomization.yaml", &format!("resources: [claims.yaml]\npatches: {patches}\n"));
    });
    assert!(has(&notes(&rendered), "the patches are too long"), "{:?}", notes(&rendered).first());
    assert!(has(&notes(&rendered), "the values are too long together"));
}

#[test]
fn what_is_not_there_is_an_error() {
    let missing = Path::new("/nowhere/at/all");
    assert!(matches!(tree(missing, Renderer::Own), Err(GitError::Unreadable(..))));
    assert!(matches!(rendered(missing), Err(GitError::Unreadable(..))));
}

/// A tree like `components`, with this many applications.
fn large(folder: &Path, count: usize) {
    copy(&of_project("testdata/git/components"), folder);
    let apps = folder.join("kubernetes/apps");
    let kustomization = fs::read_to_string(apps.join("media/paperless/ks.yaml")).unwrap();
    let release = fs::read_to_string(apps.join("media/paperless/app/helmrelease.yaml")).unwrap();
    let names: Vec<_> = (0..count).map(|number| format!("app-{number}")).collect();
    for name in &names {
        write(
            &apps,
            &format!("many/{name}/ks.yaml"),
            &kustomization.replace("paperless", name).replace("media", "many"),
        );
        write(&apps, &format!("many/{name}/app/helmrelease.yaml"), &release.replace("paperless", name));
        write(&apps, &format!("many/{name}/app/kustomization.yaml"), "resources: [helmrelease.yaml]");
    }
    let resources: String = names.iter().map(|name| format!("  - {name}/ks.yaml\n")).collect();
    let head = "namespace: many\ncomponents: [../../components/common]\nresources:\n";
    write(&apps, "many/kustomization.yaml", &format!("{head}{resources}"));
}

#[test]
fn a_thousand_applications_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    large(folder.path(), 1000);
    let begun = Instant::now();
    let rendered = tree(folder.path(), Renderer::Own).unwrap();
    let elapsed = begun.elapsed();
    let sources = rendered.objects.iter().filter(|object| object["kind"] == "ReplicationSource").count();
    assert_eq!(sources, 1002);
    // Three files an application, and those of the fixture: the scan and one build.
    assert!(rendered.reads.files < 2 * 3 * 1000 + 100, "{:?}", rendered.reads);
    assert!(rendered.reads.bytes < 4_000_000, "{:?}", rendered.reads);
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
    // Seen with --nocapture.
    std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!(
            "1000 applications: {elapsed:?}, {:?}, {} objects\n",
            rendered.reads,
            rendered.objects.len()
        ),
    )
    .unwrap();
}
