//! Things in the way: every kind that is wanted, in place of every kind that is there, with every loss. What is there
//! goes when its replacement is complete, and is exactly as it was when that cannot be had.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use rekopia::blob::BlobErrorKind;
use rekopia::{ErrorKind, OnError, Overwrite, Repository, Source};
use rekopia_testkit::storage::{MemoryBlobs, Request, WatchedBlobs};
use rekopia_testkit::tree::Tree;
use rekopia_testkit::writer::{DirectoryWriter, NewSnapshot, RepositoryWriter, WriterOptions};

use crate::damage::{METADATA, file};
use crate::support::{open_blobs, quick, restore};

/// What the snapshot has at `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    File,
    LargeFile,
    Link,
    Folder,
}

/// What the target has at `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Have {
    File,
    Folder,
    Link,
    Pipe,
}

/// What is wrong with the pack that `x` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    None,
    Missing,
    Flipped,
    Short,
    Refused,
}

const WANTS: [Want; 4] = [Want::File, Want::LargeFile, Want::Link, Want::Folder];
const HAVES: [Have; 4] = [Have::File, Have::Folder, Have::Link, Have::Pipe];
const LOSSES: [Loss; 5] = [Loss::None, Loss::Missing, Loss::Flipped, Loss::Short, Loss::Refused];

/// Writes a snapshot with `other` and `x`; returns it with the packs that only `x` needs.
fn written(want: Want) -> (MemoryBlobs, Vec<String>) {
    let memory = MemoryBlobs::default();
    let options = WriterOptions { splitter: "FIXED-128K".into(), ..WriterOptions::default() };
    let mut w = RepositoryWriter::create(memory.clone(), options).unwrap();
    let names =
        |memory: &MemoryBlobs| -> BTreeSet<String> { memory.blobs.lock().unwrap().keys().cloned().collect() };
    let other = file(&mut w, "other", b"is restored in any case");
    w.finish_packs().unwrap();
    let before = names(&memory);
    let x = match want {
        Want::File => file(&mut w, "x", b"wanted"),
        Want::LargeFile => file(&mut w, "x", &(0..400_000u32).map(|n| (n >> 5) as u8).collect::<Vec<_>>()),
        Want::Link => w.put_symlink(b"x".to_vec(), METADATA, b"where/it/leads").unwrap(),
        Want::Folder => {
            let inner = file(&mut w, "inner", b"wanted");
            let mut folder = DirectoryWriter::new(&w);
            folder.add(&mut w, &inner).unwrap();
            folder.finish(&mut w, b"x", METADATA).unwrap()
        }
    };
    w.finish_packs().unwrap();
    let packs: Vec<String> = names(&memory).difference(&before).cloned().collect();
    // The listing is what counts for a folder.
    let packs = packs.into_iter().filter(|name| want != Want::Folder || name.starts_with('q')).collect();
    let mut root = DirectoryWriter::new(&w);
    for entry in [&other, &x] {
        root.add(&mut w, entry).unwrap();
    }
    let root = root.finish(&mut w, b"p", METADATA).unwrap();
    let source = Source { user: "u".into(), host: "h".into(), path: "/p".into() };
    w.put_snapshot(&NewSnapshot::new(source, w.now() * 1_000_000_000, root)).unwrap();
    w.flush().unwrap();
    (memory, packs)
}

async fn opened(memory: &MemoryBlobs, packs: &[String], loss: Loss) -> Repository {
    let copy = MemoryBlobs { blobs: Arc::new(memory.blobs.lock().unwrap().clone().into()) };
    for pack in packs {
        let mut blobs = copy.blobs.lock().unwrap();
        match loss {
            Loss::Missing => drop(blobs.remove(pack)),
            Loss::Flipped => blobs.get_mut(pack).unwrap().iter_mut().for_each(|byte| *byte ^= 0x55),
            Loss::Short => blobs.get_mut(pack).unwrap().truncate(20),
            Loss::None | Loss::Refused => {}
        }
    }
    let watched = WatchedBlobs::new(Arc::new(copy));
    if loss == Loss::Refused {
        let packs = packs.to_vec();
        watched.fail_when(move |request| match request {
            Request::Read(blob, _) if packs.contains(blob) => Some(BlobErrorKind::Unavailable),
            _ => None,
        });
    }
    open_blobs(watched, "test-password").await.unwrap()
}

fn put(have: Have, x: &Path) {
    match have {
        Have::File => std::fs::write(x, "mine").unwrap(),
        Have::Folder => {
            std::fs::create_dir_all(x.join("deep/er")).unwrap();
            std::fs::write(x.join("deep/er/file"), "mine").unwrap();
            symlink("nowhere", x.join("link")).unwrap();
        }
        Have::Link => symlink("elsewhere", x).unwrap(),
        Have::Pipe => rustix::fs::mknodat(
            rustix::fs::CWD,
            x,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap(),
    }
}

/// Returns the entries at and below `x`, without the times of folders: a rename changes that of the parent.
fn at_x(target: &Path) -> Vec<(String, String)> {
    let tree = Tree::read(target);
    let below = tree.entries.into_iter().filter(|(path, _)| path == "x" || path.starts_with("x/"));
    below.map(|(path, entry)| (path, format!("{entry:?}"))).collect()
}

/// Reads a tree without opening pipes.
fn names(target: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(target).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn is_wanted(want: Want, x: &Path) -> bool {
    let kind = std::fs::symlink_metadata(x).unwrap().file_type();
    match want {
        Want::File => kind.is_file() && std::fs::read(x).unwrap() == b"wanted",
        Want::LargeFile => kind.is_file() && std::fs::metadata(x).unwrap().len() == 400_000,
        Want::Link => kind.is_symlink() && std::fs::read_link(x).unwrap() == Path::new("where/it/leads"),
        Want::Folder => kind.is_dir() && names(x).contains("inner"),
    }
}

/// Whether the two are of kinds that replace each other without `--delete-extra`.
fn goes_together(want: Want, have: Have) -> bool {
    matches!(
        (want, have),
        (_, Have::Link) | (Want::File | Want::LargeFile, Have::File) | (Want::Folder, Have::Folder)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_goes_only_for_what_is_complete() {
    for want in WANTS {
        let (memory, packs) = written(want);
        for loss in LOSSES {
            let repository = opened(&memory, &packs, loss).await;
            for have in HAVES {
                for delete_extra in [false, true] {
                    let case = format!("{want:?} for {have:?}, {loss:?}, delete_extra {delete_extra}");
                    let dir = tempfile::tempdir().unwrap();
                    let x = dir.path().join("x");
                    put(have, &x);
                    let before = at_x(dir.path());
                    let options = quick().delete_extra(delete_extra);
                    let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
                    assert!(dir.path().join("other").exists(), "{case}");
                    let fits = goes_together(want, have) || delete_extra;
                    if loss == Loss::None && fits {
                        assert!(report.is_complete(), "{case}: {:?}", report.failures());
                        assert!(is_wanted(want, &x), "{case}");
                        let dropped = if goes_together(want, have) {
                            0
                        } else if have == Have::Folder {
                            5
                        } else {
                            1
                        };
                        let extras =
                            if delete_extra && (want, have) == (Want::Folder, Have::Folder) { 4 } else { 0 };
                        assert_eq!(report.deleted, dropped + extras, "{case}");
                    } else {
                        assert_eq!(report.exit_kind(), Some(ErrorKind::Incomplete), "{case}: {report:?}");
                        let concerns_x = |f: &rekopia::Failure| f.path == "x" || f.path.starts_with("x/");
                        assert!(report.failures().iter().all(concerns_x), "{case}: {:?}", report.failures());
                        let listing_lost = want == Want::Folder && have == Have::Folder;
                        if !listing_lost {
                            assert_eq!(at_x(dir.path()), before, "{case}");
                        }
                        assert_eq!(report.deleted, 0, "{case}");
                    }
                    let left = BTreeSet::from(["other".to_owned(), "x".to_owned()]);
                    assert_eq!(names(dir.path()), left, "{case}: something was left behind");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_touches_nothing_when_a_pack_is_known_to_be_lost() {
    for want in WANTS {
        let (memory, packs) = written(want);
        for loss in [Loss::Missing, Loss::Short] {
            let repository = opened(&memory, &packs, loss).await;
            for have in HAVES {
                let dir = tempfile::tempdir().unwrap();
                put(have, &dir.path().join("x"));
                let before = at_x(dir.path());
                for dry_run in [true, false] {
                    let options = quick().delete_extra(true).on_error(OnError::Stop).dry_run(dry_run);
                    let error = restore(&repository, "u@h", dir.path(), &options).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{want:?} {have:?} {loss:?}");
                    assert!(error.to_string().contains('x'), "{error}");
                    assert_eq!(at_x(dir.path()), before);
                    assert_eq!(names(dir.path()).len(), 1);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn never_keeps_every_kind_and_does_not_fail_for_it() {
    for want in WANTS {
        let (memory, packs) = written(want);
        for loss in LOSSES {
            let repository = opened(&memory, &packs, loss).await;
            for (have, delete_extra) in HAVES.iter().flat_map(|have| [(*have, false), (*have, true)]) {
                if (want, have) == (Want::Folder, Have::Folder) {
                    continue;
                }
                let case = format!("{want:?} for {have:?}, {loss:?}, delete_extra {delete_extra}");
                let dir = tempfile::tempdir().unwrap();
                put(have, &dir.path().join("x"));
                let before = at_x(dir.path());
                let options = quick().overwrite(Overwrite::Never).delete_extra(delete_extra);
                let report = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
                assert_eq!(at_x(dir.path()), before, "{case}");
                // A folder whose listing is lost is a loss whatever is there.
                let unreadable = want == Want::Folder && loss != Loss::None;
                assert_eq!(report.is_complete(), !unreadable, "{case}: {:?}", report.failures());
                assert_eq!(report.deleted, 0, "{case}");
            }
        }
    }
}

/// A dry run says what the run after it does, and touches nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_the_restore_then_does() {
    for want in WANTS {
        let (memory, packs) = written(want);
        for loss in [Loss::None, Loss::Missing, Loss::Short] {
            let repository = opened(&memory, &packs, loss).await;
            for have in HAVES {
                for (delete_extra, overwrite) in [
                    (false, Overwrite::Always),
                    (true, Overwrite::Always),
                    (true, Overwrite::IfChanged),
                    (true, Overwrite::Never),
                ] {
                    let case = format!("{want:?} for {have:?}, {loss:?}, {delete_extra} {overwrite:?}");
                    let dir = tempfile::tempdir().unwrap();
                    put(have, &dir.path().join("x"));
                    std::fs::write(dir.path().join("extra"), "").unwrap();
                    let before = at_x(dir.path());
                    let options = quick().delete_extra(delete_extra).overwrite(overwrite).dry_run(true);
                    let would = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
                    assert_eq!((at_x(dir.path()), names(dir.path()).len()), (before, 2), "{case}");
                    let options = options.dry_run(false);
                    let did = restore(&repository, "u@h", dir.path(), &options).await.unwrap();
                    assert_eq!(would.exit_kind(), did.exit_kind(), "{case}: {would:?} {did:?}");
                    let planned = would.planned.unwrap();
                    assert_eq!(planned.deletion.entries, did.deleted, "{case}: {planned:?}");
                    assert_eq!((would.files, would.failed), (did.files, did.failed), "{case}");
                }
            }
        }
    }
}
