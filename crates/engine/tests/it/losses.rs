//! Tells of a damaged file, range by range, what is lost, and keeps what is left of it beside it.

use std::path::Path;

use rekopia_testkit::storage::MemoryBlobs;
use rekopia_testkit::writer::WriterOptions;

use crate::damage::{built, file};
use crate::support::{quick, restore};

const CHUNK: usize = 4096;
const CHUNKS: usize = 10;

fn data(seed: u8) -> Vec<u8> {
    // No two chunks are equal: they would be one content.
    (0..CHUNK * CHUNKS).map(|n| (n as u8).wrapping_mul(31) ^ (n / CHUNK) as u8 ^ (seed << 4)).collect()
}

/// Two files of ten contents each, each content in a pack of its own.
async fn two_files() -> (MemoryBlobs, rekopia::Repository) {
    let options = WriterOptions {
        chunk_size: Some(CHUNK),
        max_pack_size: 1,
        ecc_percent: 0,
        key_algo: "pbkdf2-sha256-600000".into(),
        ..WriterOptions::default()
    };
    let (memory, repository) = built(options, |w| vec![file(w, "a", &data(1)), file(w, "b", &data(2))]).await;
    (memory, repository)
}

fn report_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_ranges_are_listed_and_the_rest_is_kept_beside_the_file() {
    let (memory, repository) = two_files().await;
    let names = Vec::from_iter(memory.blobs.lock().unwrap().keys().cloned());
    let packs = Vec::from_iter(names.into_iter().filter(|name| name.starts_with('p')));
    assert!(packs.len() >= 2 * CHUNKS, "{}", packs.len());
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for pack in packs.iter().take(3) {
        let bytes = memory.blobs.lock().unwrap().remove(pack).unwrap();
        let (target, report_file) =
            (dir.path().join(format!("t{seen}")), dir.path().join(format!("r{seen}")));
        std::fs::create_dir(&target).unwrap();
        // A name that is taken is left alone.
        std::fs::write(target.join("a.damaged"), b"mine").unwrap();
        std::fs::write(target.join("b.damaged"), b"mine").unwrap();
        let options = quick().fill_holes(true).report_file(Some(report_file.clone()));
        let report = restore(&repository, "u@h", &target, &options).await.unwrap();
        assert_eq!((report.files, report.failed, report.lost_bytes), (1, 1, CHUNK as u64), "{report:?}");
        let failed = report.failures()[0].path.clone();
        let whole = if failed == "a" { data(1) } else { data(2) };
        assert!(!target.join(&failed).exists());
        assert_eq!(std::fs::read(target.join("a.damaged")).unwrap(), b"mine");
        let left = std::fs::read(target.join(format!("{failed}.damaged-2"))).unwrap();
        let lines = report_lines(&report_file);
        let lost = Vec::from_iter(lines.iter().filter(|line| !line["lost"].is_null()));
        assert_eq!(lost.len(), 1, "{lines:?}");
        assert_eq!((&lost[0]["entry"], &lost[0]["pack"]), (&failed.into(), &pack.clone().into()));
        let from = lost[0]["lost"]["offsetBytes"].as_u64().unwrap() as usize;
        assert_eq!(lost[0]["lost"]["lengthBytes"], CHUNK as u64);
        let mut wanted = whole;
        wanted[from..from + CHUNK].fill(0);
        assert!(left == wanted, "what is left is in its place, with zeros for the rest");
        memory.blobs.lock().unwrap().insert(pack.clone(), bytes);
        seen += 1;
    }
    assert_eq!(seen, 3);
}
