//! The image's recipes say what they must; `root` (feature `mover`) runs what they make.

#[cfg(feature = "mover")]
mod root;

use std::path::{Path, PathBuf};

fn mover() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mover")
}

/// Returns the instructions of a Dockerfile, one string each, comments gone; from the last `FROM` on when `last` is
/// set.
fn instructions(name: &str, last: bool) -> Vec<String> {
    let text = std::fs::read_to_string(mover().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let all: Vec<String> = lines
        .join("\n")
        .replace("\\\n", " ")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    let from = all.iter().rposition(|line| line.starts_with("FROM ")).unwrap_or_default();
    all[if last { from } else { 0 }..].to_vec()
}

#[test]
fn the_restore_only_image_is_the_assembled_root_and_nothing_else() {
    let all = instructions("Dockerfile", false);
    assert!(all.iter().any(|i| i.starts_with("RUN mover/image/assemble target/")
        || i.starts_with("RUN mover/image/assemble \"target/")));
    assert!(
        all.iter()
            .any(|i| i.starts_with("RUN ") && i.ends_with("/etc/ssl/certs/ca-certificates.crt /rootfs"))
    );
    let last = instructions("Dockerfile", true);
    assert_eq!(last[0], "FROM scratch");
    let fills: Vec<_> =
        last.iter().filter(|i| ["COPY ", "ADD ", "RUN "].iter().any(|word| i.starts_with(word))).collect();
    assert_eq!(fills, ["COPY --from=build /rootfs/ /"]);
    assert!(!last.iter().any(|i| i.starts_with("USER ")), "the operator expects uid 0 where it sets none");
    assert!(last.contains(&"ENTRYPOINT [\"/mover-kopia/entry.sh\"]".to_owned()));
    let labels = last.iter().find(|i| i.starts_with("LABEL ")).cloned().unwrap_or_default();
    for label in ["title", "description", "licenses", "version", "revision"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=")), "{label}");
    }
    assert!(last.iter().any(|i| i.starts_with("ENV version=")));
}

#[test]
fn the_overlay_keeps_the_stock_script_where_the_mover_looks_for_it() {
    let all = instructions("Dockerfile.overlay", false);
    assert!(all.contains(&"ARG STOCK".to_owned()), "no default: the stock image that is in use");
    let last = instructions("Dockerfile.overlay", true);
    assert_eq!(last[0], "FROM stock");
    let copies: Vec<_> = last.iter().filter(|i| i.starts_with("COPY ")).collect();
    assert_eq!(
        copies,
        [
            "COPY --from=stock /mover-kopia/entry.sh /mover-kopia/stock-entry.sh",
            "COPY --from=rekopia /mover-kopia/entry.sh /mover-kopia/entry.sh",
        ]
    );
    assert!(!last.iter().any(|i| ["USER ", "ENTRYPOINT ", "RUN "].iter().any(|word| i.starts_with(word))));
}
