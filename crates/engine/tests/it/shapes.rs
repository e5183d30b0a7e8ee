//! Trees of unusual shapes.

use rekopia::{ErrorKind, OnError, Overwrite, VerifyOptions};
use rekopia_testkit::writer::{DirectoryWriter, WriterOptions};

use crate::damage::{METADATA, built, file};
use crate::support::{is_full, quick, restore, verify};

/// No walk, drop or deletion recurses: ten thousand levels are more than a stack holds. With time, as deep as is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_directories_that_no_stack_holds() {
    let levels = if is_full() { 99_999 } else { 9_999 };
    let (memory, repository) = built(WriterOptions { deduplicate: false, ..WriterOptions::default() }, |w| {
        let mut inner = file(w, "bottom", b"reached");
        for _ in 0..levels {
            let mut directory = DirectoryWriter::new(w);
            directory.add(w, &inner).unwrap();
            inner = directory.finish(w, b"d", METADATA).unwrap();
        }
        vec![inner]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("t");
    let report = restore(&repository, "u@h", &target, &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures().first());
    assert_eq!((report.files, report.directories), (1, levels + 1));
    let mirror = quick().delete_extra(true);
    let again = restore(&repository, "u@h", &target, &mirror).await.unwrap();
    assert_eq!((again.exit_kind(), again.written_bytes, again.kept_bytes), (None, 0, 7));
    // The file at the bottom is lost, and the run stops there: what is on the stack is dropped.
    memory.blobs.lock().unwrap().retain(|name, _| !name.starts_with('p'));
    let stop = quick().on_error(OnError::Stop);
    let error = restore(&repository, "u@h", &dir.path().join("u"), &stop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.chain().len() < 3000);
    // An empty snapshot takes all of it away again.
    let (_, empty) = built(WriterOptions::default(), |_| Vec::new()).await;
    let report = restore(&empty, "u@h", &target, &mirror).await.unwrap();
    assert_eq!((report.exit_kind(), report.deleted), (None, levels + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deeper_than_allowed_fails_that_entry() {
    if !is_full() {
        return;
    }
    let levels = 100_003;
    let (_, repository) = built(WriterOptions { deduplicate: false, ..WriterOptions::default() }, |w| {
        let mut inner = file(w, "bottom", b"too deep");
        for _ in 0..levels {
            let mut directory = DirectoryWriter::new(w);
            directory.add(w, &inner).unwrap();
            inner = directory.finish(w, b"d", METADATA).unwrap();
        }
        vec![inner, file(w, "other", b"x")]
    })
    .await;
    let report = verify(&repository, "u@h", &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.failed, report.files), (1, 1));
    assert!(report.failures()[0].message.contains("too deeply"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_large_files_at_once_than_may_be_open() {
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    // Interleaved parts, so that all files are begun before the first one is finished.
    let data =
        |i: usize| -> Vec<u8> { (0..300_000u32).map(|n| ((n as usize * (i + 3)) >> 7) as u8).collect() };
    let (_, repository) =
        built(options, |w| (0..400).map(|i| file(w, &format!("f{i}"), &data(i))).collect()).await;
    let dir = tempfile::tempdir().unwrap();
    let report = restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures().first());
    for i in [0, 1, 200, 399] {
        assert!(std::fs::read(dir.path().join(format!("f{i}"))).unwrap() == data(i), "f{i}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_become_holes_when_asked() {
    use std::os::unix::fs::MetadataExt;
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let mut data = vec![0u8; 3 << 20];
    data[1 << 20..(1 << 20) + 100].fill(7);
    let small = [vec![0; 70_000], vec![1; 10]].concat();
    let (_, repository) = built(options, |w| {
        vec![file(w, "big", &data), file(w, "zeros", &vec![0; 1 << 20]), file(w, "small", &small)]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let options = quick().sparse(true);
    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures().first());
    for (name, data) in [("big", &data), ("small", &small)] {
        let path = dir.path().join(name);
        assert!(std::fs::read(&path).unwrap() == *data, "{name}");
        assert!(std::fs::metadata(&path).unwrap().blocks() * 512 <= 8192, "{name}");
    }
    assert_eq!(std::fs::metadata(dir.path().join("zeros")).unwrap().blocks(), 0);
}

/// Returns a file so large that its parts are compared with the target one after the other, while the first are
/// written.
fn many_parts() -> Vec<u8> {
    (0..40u32 << 18).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_half_of_a_file_is_not_taken_for_an_existing_one() {
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let data = many_parts();
    let (_, repository) = built(options, |w| vec![file(w, "big", &data)]).await;
    for (overwrite, delete_extra) in [(Overwrite::Never, false), (Overwrite::Always, true)] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "kept").unwrap();
        if delete_extra {
            std::fs::create_dir_all(dir.path().join("big/in/the/way")).unwrap();
        }
        let options = quick().overwrite(overwrite).delete_extra(delete_extra).memory_bytes(16 << 20);
        let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
        assert!(report.is_complete(), "{overwrite:?}: {:?}", report.failures().first());
        assert_eq!((report.files, report.skipped), (1, 0), "{overwrite:?}");
        assert!(std::fs::read(dir.path().join("big")).unwrap() == data, "{overwrite:?}");
        assert_eq!(dir.path().join("mine").exists(), !delete_extra);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_below_the_depth_is_not_extra() {
    let (_, repository) = built(WriterOptions::default(), |w| {
        let mut directory = DirectoryWriter::new(w);
        let inner = file(w, "inner", b"data");
        directory.add(w, &inner).unwrap();
        vec![directory.finish(w, b"d", METADATA).unwrap(), file(w, "top", b"data")]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    let options = quick().delete_extra(true).max_depth(Some(0));
    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
    assert_eq!((report.is_complete(), report.deleted), (true, 0));
    assert_eq!(std::fs::read(dir.path().join("d/inner")).unwrap(), b"data");
    // A part of a snapshot says nothing of the rest, and makes no directories that it does not need.
    std::fs::remove_dir_all(dir.path().join("d")).unwrap();
    let options = quick().delete_extra(true).include(vec!["top".into()]);
    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
    assert_eq!((report.deleted, report.warnings.len()), (0, 0));
    assert!(!dir.path().join("d").exists());
}
