//! What a list prints is a valid reference, in every genuine repository and for every strange source.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rekopia::{EntryKind, ErrorKind, Reference, Repository, Selection, Source, VerifyOptions};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::storage::{MemoryBlobs, Request, WatchedBlobs};
use rekopia_testkit::writer::{DirectoryWriter, NewSnapshot, RepositoryWriter, WriterOptions};

use crate::damage::{METADATA, built, file};
use crate::support::{open, open_blobs, quick, resolve, restore, verify};

/// Returns a repository with one snapshot of each source, with the file `name` that holds the source's number.
async fn of_sources(sources: &[(&str, &str, &str)]) -> (MemoryBlobs, Repository) {
    let memory = MemoryBlobs::default();
    let mut w = RepositoryWriter::create(memory.clone(), WriterOptions::default()).unwrap();
    for (n, (user, host, path)) in sources.iter().enumerate() {
        let inner = file(&mut w, "name", n.to_string().as_bytes());
        let mut folder = DirectoryWriter::new(&w);
        folder.add(&mut w, &inner).unwrap();
        let folder = folder.finish(&mut w, b"sub", METADATA).unwrap();
        let mut root = DirectoryWriter::new(&w);
        root.add(&mut w, &inner).unwrap();
        root.add(&mut w, &folder).unwrap();
        let root = root.finish(&mut w, b"root", METADATA).unwrap();
        let source = Source { user: (*user).into(), host: (*host).into(), path: (*path).into() };
        let mut snapshot = NewSnapshot::new(source, (w.now() + n as i64) * 1_000_000_000, root);
        snapshot.tags.insert(format!("tag:number-{n}"), "yes".into());
        snapshot.tags.insert("tag:odd".into(), (n % 2).to_string());
        w.put_snapshot(&snapshot).unwrap();
    }
    w.flush().unwrap();
    let repository = open_blobs(Arc::new(memory.clone()), "test-password").await.unwrap();
    (memory, repository)
}

async fn read(repository: &Repository, reference: &str, selection: &Selection) -> Result<String, ErrorKind> {
    let reference = Reference::parse(reference).map_err(|e| e.kind())?;
    let found = repository.resolve(&reference, selection).await.map_err(|e| e.kind())?;
    assert_eq!(found.entry.kind, EntryKind::File);
    let mut file = repository.open_object(&found.entry.object.unwrap()).await.unwrap();
    Ok(String::from_utf8(file.next_chunk().await.unwrap().unwrap()).unwrap())
}

const STRANGE: [(&str, &str, &str); 12] = [
    ("me", "nas", "/data"),
    ("me", "nas", "/data/deeper"),
    ("me", "nas", "/trailing/"),
    ("first.last@example.org", "nas", "/data"),
    ("a@b@c", "host", "/"),
    ("me", "win", "C:\\Users\\me"),
    ("me", "win", "D:\\"),
    ("default", "default", "nginx/pvc-1"),
    ("default", "default", "plain"),
    ("me", "nas", "/with space/ü"),
    ("me", "nas", "/a:b@c"),
    ("user", "host.example.org", "/data"),
];

#[tokio::test(flavor = "multi_thread")]
async fn listed_sources_are_references_with_names_below_them() {
    let (_, repository) = of_sources(&STRANGE).await;
    let selection = Selection::default();
    for (n, (user, host, path)) in STRANGE.iter().enumerate() {
        let shown = format!("{user}@{host}:{path}");
        let slashes: &[&str] = if path.contains('\\') { &["/", "\\"] } else { &["/"] };
        for slash in slashes {
            for below in ["name", "sub/name"] {
                let below = below.replace('/', slash);
                let glue = if shown.ends_with(['/', '\\']) { "" } else { slash };
                let text = format!("{shown}{glue}{below}");
                // The longest source counts: `/data/deeper` holds no `name` of `/data`.
                assert_eq!(read(&repository, &text, &selection).await, Ok(n.to_string()), "{text}");
            }
        }
    }
    // An ID, and what people paste behind it.
    for snapshot in repository.snapshots().await.unwrap().all() {
        let path = &snapshot.source.path;
        let n = STRANGE
            .iter()
            .position(|s| *s == (&*snapshot.source.user, &*snapshot.source.host, path))
            .unwrap();
        for text in [format!("{}/sub/name", snapshot.id), format!("{}/{path}/sub/name", snapshot.id)] {
            assert_eq!(read(&repository, &text, &selection).await, Ok(n.to_string()), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguity_is_said_and_the_own_identity_decides() {
    let sources = [
        ("a@b", "c", "/x"),
        ("a", "b@c", "/x"),
        ("me", "nas", "/one"),
        ("me", "nas", "/two"),
        ("you", "nas", "/one"),
    ];
    let (_, repository) = of_sources(&sources).await;
    let any = Selection::default();
    assert_eq!(read(&repository, "a@b@c:/x/name", &any).await, Err(ErrorKind::Usage));
    assert_eq!(read(&repository, "/one/name", &any).await, Err(ErrorKind::Usage));
    assert_eq!(read(&repository, "me@nas/name", &any).await, Err(ErrorKind::Usage));
    assert_eq!(read(&repository, "latest/name", &any).await, Err(ErrorKind::Usage));
    let mine = |user: &str| Selection::default().prefer(Some((user.into(), "nas".into())));
    assert_eq!(read(&repository, "/one/name", &mine("me")).await, Ok("2".into()));
    assert_eq!(read(&repository, "latest/name", &mine("you")).await, Ok("4".into()));
    assert_eq!(read(&repository, "latest/name", &mine("me")).await, Err(ErrorKind::Usage));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_narrow_what_is_chosen_from() {
    let (_, repository) = of_sources(&STRANGE).await;
    for (n, (user, host, path)) in STRANGE.iter().enumerate() {
        let text = format!("{user}@{host}:{path}/name");
        for (tags, fits) in [
            (vec![(format!("number-{n}"), None)], true),
            (
                vec![
                    (format!("number-{n}"), Some("yes".to_owned())),
                    ("odd".to_owned(), Some((n % 2).to_string())),
                ],
                true,
            ),
            (vec![(format!("number-{n}"), Some("no".to_owned()))], false),
            (vec![("absent".to_owned(), None)], false),
        ] {
            let selection = Selection::default().tags(tags.clone());
            let expected = if fits { Ok(n.to_string()) } else { Err(ErrorKind::NotFound) };
            assert_eq!(read(&repository, &text, &selection).await, expected, "{text} {tags:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_snapshot_of_every_fixture_is_found_by_what_is_listed() {
    for fixture in Fixture::all() {
        if fixture.expect_open_error {
            continue;
        }
        let (name, repository) = (fixture.name.clone(), open(&fixture).await);
        let Ok(snapshots) = repository.snapshots().await else { continue };
        for (source, of_source) in snapshots.by_source() {
            let Some(newest) = Selection::default().choose(&of_source) else { continue };
            let reference = Reference::parse(&source.to_string()).unwrap();
            let found = repository.resolve(&reference, &Selection::default()).await.unwrap();
            assert_eq!(found.snapshot.unwrap().id, newest.id, "{name} {source}");
        }
        for snapshot in snapshots.all().iter().filter(|s| s.root.is_some()) {
            for text in [snapshot.id.to_string(), snapshot.id.as_str()[..8].to_owned()] {
                let selection = Selection::default().incomplete(true);
                match repository.resolve(&Reference::parse(&text).unwrap(), &selection).await {
                    Ok(found) => assert_eq!(found.snapshot.unwrap().id, snapshot.id, "{name}"),
                    Err(e) => assert_eq!(e.kind(), ErrorKind::Usage, "{name} {text}: {e:?}"),
                }
            }
        }
    }
}

/// Objects of each form: direct, in many contents, compressed as a whole; files and directories.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_id_has_its_true_length() {
    let data: Vec<u8> = (0..400_000u32).map(|n| (n >> 9) as u8).collect();
    for version in [1, 3] {
        let options = WriterOptions {
            splitter: "FIXED-128K".into(),
            compression: Some("zstd".into()),
            ..WriterOptions::of_version(version)
        };
        let memory = MemoryBlobs::default();
        let mut w = RepositoryWriter::create(memory.clone(), options).unwrap();
        let mut objects = Vec::new();
        for len in [0, 1, 1000, 100_000, 400_000] {
            let entry = file(&mut w, "f", &data[..len]);
            objects.push((entry.object.unwrap(), len));
        }
        let inner = file(&mut w, "inner", b"x");
        let mut folder = DirectoryWriter::new(&w);
        folder.add(&mut w, &inner).unwrap();
        let folder = folder.finish(&mut w, b"d", METADATA).unwrap();
        w.flush().unwrap();
        let blobs = WatchedBlobs::new(Arc::new(memory));
        let repository = open_blobs(blobs.clone(), "test-password").await.unwrap();
        // Manifests are not needed.
        blobs.fail_when(|request| {
            matches!(request, Request::Read(id, _) if id.starts_with('m'))
                .then_some(rekopia::blob::BlobErrorKind::Unavailable)
        });
        let dir = tempfile::tempdir().unwrap();
        for (object, len) in objects {
            let text = object.to_string();
            let found =
                repository.resolve(&Reference::parse(&text).unwrap(), &Selection::default()).await.unwrap();
            assert_eq!((found.entry.size, found.entry.name.as_ref().unwrap().as_str()), (len as u64, &*text));
            let target = dir.path().join(&text);
            let report = restore(&repository, &text, &target, &quick()).await.unwrap();
            assert_eq!((report.files, report.directories, report.exit_kind()), (1, 0, None), "{report:?}");
            assert!(std::fs::read(&target).unwrap() == data[..len], "version {version}, {len} bytes");
            // Nobody knows its mode and time: it is its restorer's alone, and of today.
            let meta = std::fs::metadata(&target).unwrap();
            assert_eq!(meta.mode() & 0o7777, 0o600);
            assert!(meta.mtime() > 1_700_000_000, "{}", meta.mtime());
            let onto = restore(&repository, &text, dir.path(), &quick()).await.unwrap_err();
            assert_eq!(onto.kind(), ErrorKind::Usage);
            let slash = restore(&repository, &text, &dir.path().join("new/"), &quick()).await.unwrap_err();
            assert_eq!(slash.kind(), ErrorKind::Usage);
        }
        let text = folder.object.unwrap().to_string();
        let report = restore(&repository, &text, &dir.path().join("folder"), &quick()).await.unwrap();
        assert_eq!((report.files, report.directories), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_include_that_matches_nothing_is_not_found_and_leaves_nothing() {
    let repository = open(&Fixture::load("quickstart")).await;
    let dir = tempfile::tempdir().unwrap();
    for (existing, delete_extra, dry_run) in
        [(false, false, false), (false, false, true), (true, true, false), (true, false, false)]
    {
        let target = dir.path().join(format!("{existing}-{delete_extra}-{dry_run}"));
        if existing {
            std::fs::create_dir(&target).unwrap();
            std::fs::write(target.join("mine.none"), "").unwrap();
        }
        let options = quick().include(vec!["*.none".into()]).delete_extra(delete_extra).dry_run(dry_run);
        let error = restore(&repository, "latest", &target, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert_eq!((target.exists(), target.join("mine.none").exists()), (existing, existing));
    }
    for wrong in ["", "[z-a]", "# nothing"] {
        let options = quick().include(vec![wrong.into()]);
        let error = restore(&repository, "latest", &dir.path().join("t"), &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{wrong:?}");
        assert!(!dir.path().join("t").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_no_name_are_restored_under_another() {
    use crate::damage::built;
    use crate::support::verify;
    for (raw, restored_as, kind) in [
        ("/abs.sql", Some("abs.sql"), None),
        ("//two", Some("two"), None),
        ("a/b", Some("a_b"), Some(ErrorKind::Incomplete)),
        ("/a/b", Some("a_b"), Some(ErrorKind::Incomplete)),
        (".", Some("_"), Some(ErrorKind::Incomplete)),
        ("..", Some("__"), Some(ErrorKind::Incomplete)),
        ("../escape", Some(".._escape"), Some(ErrorKind::Incomplete)),
        ("", None, Some(ErrorKind::Incomplete)),
        ("/", None, Some(ErrorKind::Incomplete)),
        ("nul\0", None, Some(ErrorKind::Incomplete)),
    ] {
        let (_, repository) =
            built(WriterOptions::default(), |w| vec![file(w, "other", b"o"), file(w, raw, b"data")]).await;
        let dir = tempfile::tempdir().unwrap();
        let report = restore(&repository, "u@h", &dir.path().join("t"), &quick()).await.unwrap();
        assert_eq!(report.exit_kind(), kind, "{raw:?}: {report:?}");
        let names: Vec<String> = std::fs::read_dir(dir.path().join("t"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "other")
            .collect();
        assert_eq!(names, restored_as.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{raw:?}");
        if kind.is_none() {
            assert_eq!(report.warnings.len(), 1, "{raw:?}");
        } else if restored_as.is_some() {
            assert!(report.failures()[0].path == raw && report.files == 2, "{report:?}");
        }
        let verified = verify(&repository, "u@h", &VerifyOptions::default()).await.unwrap();
        let expected = if restored_as.is_some() { None } else { Some(ErrorKind::Corrupt) };
        assert_eq!(verified.exit_kind(), expected, "{raw:?}");
    }
    // Another entry has the name already: one of them fails, none is lost silently.
    let (_, repository) =
        built(WriterOptions::default(), |w| vec![file(w, "a_b", b"real"), file(w, "a/b", b"odd")]).await;
    let dir = tempfile::tempdir().unwrap();
    let report = restore(&repository, "u@h", dir.path(), &quick()).await.unwrap();
    assert_eq!((report.files, report.failed), (1, 1));
    assert_eq!(std::fs::read(dir.path().join("a_b")).unwrap(), b"real");
}

/// A report calls a single file as it was named, and one that has no name by its ID.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_is_called_by_what_it_was_named_by() {
    let (memory, repository) = built(WriterOptions::default(), |w| vec![file(w, "f", &[7; 5000])]).await;
    let object = resolve(&repository, "latest/f").await.unwrap().entry.object.unwrap().to_string();
    memory.blobs.lock().unwrap().retain(|name, _| !name.starts_with('p'));
    for (reference, called) in [("latest/f", "f"), (&object, &object)] {
        let report = verify(&repository, reference, &VerifyOptions::default()).await.unwrap();
        assert_eq!(report.failures[0].path, called, "{:?}", report.failures);
    }
}
