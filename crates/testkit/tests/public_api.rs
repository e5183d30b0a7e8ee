//! The public API of the libraries is what `public-api.txt` beside each says: a change moves the listing, with a reason
//! in CHANGELOG.md. `REKOPIA_UPDATE_API=1` writes the listings anew.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const LIBRARIES: [(&str, &str); 3] =
    [("rekopia-format", "format"), ("rekopia-blob", "blob"), ("rekopia", "engine")];

#[test]
fn the_public_api_is_the_listed_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Only rustdoc is told to do what is unstable: with the variable for all of Cargo everything would be built anew.
    let rustdoc = dir.path().join("rustdoc");
    let real = std::env::var("RUSTDOC").unwrap_or_else(|_| "rustdoc".into());
    fs::write(&rustdoc, format!("#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec {real} \"$@\"\n")).unwrap();
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).unwrap();

    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&root).args(["doc", "--locked", "--no-deps", "--all-features", "--quiet"]);
    cargo.args(LIBRARIES.iter().flat_map(|(package, _)| ["-p", package]));
    cargo.env("RUSTDOC", &rustdoc).env("RUSTDOCFLAGS", "-Zunstable-options --output-format json");
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let mut changed = Vec::new();
    for (package, folder) in LIBRARIES {
        let json = target.join("doc").join(package.replace('-', "_")).with_extension("json");
        let api = public_api::Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(true)
            .build()
            .unwrap();
        let mut listing: String = api.items().map(|item| format!("{item}\n")).collect();
        listing.insert_str(0, "# Made by crates/testkit/tests/public_api.rs\n");
        let kept = root.join("crates").join(folder).join("public-api.txt");
        if std::env::var_os("REKOPIA_UPDATE_API").is_some() {
            fs::write(&kept, &listing).unwrap();
        }
        let known = fs::read_to_string(&kept).unwrap_or_default();
        let is_in = |text: &str, line: &str| text.lines().any(|l| l == line);
        changed.extend(known.lines().filter(|l| !is_in(&listing, l)).map(|l| format!("{package}: - {l}")));
        changed.extend(listing.lines().filter(|l| !is_in(&known, l)).map(|l| format!("{package}: + {l}")));
    }
    assert!(changed.is_empty(), "REKOPIA_UPDATE_API=1 writes the listings anew:\n{}", changed.join("\n"));
}
