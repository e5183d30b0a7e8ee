//! Nothing to restore: a new application, or a mistake.

use rekopia_testkit::fixture::copy_dir;
use rekopia_testkit::writer::{DirectorySink, RepositoryWriter, WriterOptions};

use crate::cloud::Cloud;
use crate::place::{Ended, Place, S3};
use crate::stock;
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T15", run(unknown_identity)),
    ("T16", run(empty_repository)),
    ("T17", run(no_repository)),
    ("T17b", run(no_directory)),
    ("T17c", run(no_place)),
];

fn says_empty(ended: &Ended, identity: &str) {
    for part in [
        "No eligible snapshots found",
        &format!("No snapshots found for {identity}"),
        "=== No data will be restored ===",
    ] {
        assert!(ended.log.contains(part), "{part:?} is not in: {}", ended.log);
    }
}

fn unknown_identity() {
    let ended = Place::of_user("other").refuses(0, "OPERATION_RESULT: SUCCESS");
    says_empty(&ended, "other@ns:/data");
    // A person who mistyped the name sees the right one.
    let named = ended.log.split("of the same host or user there are ").nth(1).unwrap();
    let named: Vec<&str> = named.lines().next().unwrap().trim_end_matches(", …").split(", ").collect();
    assert!(named.len() == 5 && named.iter().all(|id| id.contains("@ns:/")), "{named:?}");
    Place::of_user("other").set("REKOPIA_ON_EMPTY", "fail").refuses(13, "onEmpty is fail");
}

fn empty_repository() {
    let mut place = Place::new();
    let repository = place.folder("made");
    let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
    let mut writer = RepositoryWriter::create(DirectorySink::create(&repository).unwrap(), options).unwrap();
    writer.flush().unwrap();
    says_empty(&place.at(&repository).refuses(0, "OPERATION_RESULT: SUCCESS"), "app@ns:/data");
}

fn no_repository() {
    let mut place = Place::new();
    let empty = place.folder("empty");
    place.at(&empty).refuses(10, "onNoRepository");
    // What lies around it is named.
    copy_dir(&stock::repository(), &place.dir.path().join("meant"));
    let meant = format!("there is one at {}/meant; check URL", place.dir.path().display());
    place.refuses(10, &meant);
    place.set("KOPIA_MANUAL_CONFIG", r#"{"rekopia":{"onNoRepository":"continue"}}"#);
    place.refuses(0, "No eligible snapshots found");
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "something was made");

    let cloud = Cloud::holding(&["volsync/", "volsync/old/"]);
    for (url, found) in [
        ("s3://backups/volsink", "there is one at s3://backups/volsync/;"),
        ("s3://backups", "there is one at s3://backups/volsync/;"),
        ("s3://backups/volsync/new", "there are some at s3://backups/volsync/, s3://backups/volsync/old/;"),
        ("s3://backups/elsewhere/x/y", "; check URL"),
    ] {
        let ended = cloud.place(url).refuses(10, "no Kopia repository at s3://backups");
        assert!(ended.log.contains(found), "{url}: {}", ended.log);
    }
    let written =
        cloud.server.take_requests().into_iter().filter(|(method, ..)| method != "GET" && method != "HEAD");
    assert_eq!(written.count(), 0, "something was written");
}

/// What is not there at all is no empty place, whatever is set; and a copy in another layout is no empty one either.
fn no_place() {
    let mut place = Place::new();
    place.set("KOPIA_MANUAL_CONFIG", r#"{"rekopia":{"onNoRepository":"continue"}}"#);
    let base = place.dir.path().to_path_buf();
    std::os::unix::fs::symlink(base.join("unmounted"), base.join("dangling")).unwrap();
    for name in ["missing/repository", "dangling", "dangling/repository"] {
        place.at(&base.join(name)).refuses(10, "the place itself is not there");
    }
    place.at(&base.join("last-folder-missing")).refuses(0, "No eligible snapshots found");

    let copied = place.folder("copied");
    for (name, file) in rekopia_testkit::server::blobs_of(&stock::repository()) {
        std::fs::copy(file, copied.join(name)).unwrap();
    }
    place.at(&copied).restores(S3);
}

fn no_directory() {
    let mut place = Place::new();
    let missing = place.dir.path().join("no/such/place");
    place.at(&missing).refuses(10, "onNoRepository");
    assert!(!place.dir.path().join("no").exists());
}
