//! Gives every kept input to its target once more, without libfuzzer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rekopia_fuzz::TARGETS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder in the order of their names; none where there is no folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn kept_inputs_find_no_fault() {
    for (name, target) in TARGETS {
        let kept = files(&root().join("corpus").join(name));
        assert!(!kept.is_empty(), "corpus/{name} has no input");
        for file in kept.into_iter().chain(files(&root().join("crashes").join(name))) {
            let data = std::fs::read(&file).unwrap();
            // Shown when the target panics.
            println!("{}", file.strip_prefix(root()).unwrap().display());
            target(&data);
        }
    }
}

#[test]
fn short_inputs_find_no_fault() {
    for (name, target) in TARGETS {
        println!("{name}");
        target(b"");
        (0..=255).step_by(51).for_each(|byte| target(&[byte]));
    }
}

#[test]
fn every_target_has_a_program() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stem = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    let programs: BTreeSet<String> = files(&root().join("fuzz_targets")).iter().map(stem).collect();
    assert_eq!(targets, programs, "fuzz_targets/ and the table of targets differ");
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let built = manifest.matches("required-features = [\"libfuzzer\"]").count();
    assert_eq!(built, targets.len(), "programs in Cargo.toml");
    for name in &targets {
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "Cargo.toml does not build {name}");
    }
}
