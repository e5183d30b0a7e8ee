//! What the operator makes of the log: its filter and its cut, restated from the contract (§3.5), and what is left then.

use std::collections::BTreeMap;

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::writer::{
    DirectorySink, DirectoryWriter, Metadata, NewSnapshot, RepositoryWriter, Source, WriterOptions,
};

use crate::mount::{can_mount, in_namespace};
use crate::place::{Ended, Place, S3};
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T71", run(full_disk)),
    ("T73", run(success)),
    ("T74", run(many_identities)),
    ("T75", run(long_names)),
];

/// Bytes of filtered log that the status keeps.
const KEPT: usize = 1024;
/// A longer line ends the operator's reading.
const LONGEST_LINE: usize = 64 << 10;

/// `status.latestMoverStatus.logs` of a ReplicationDestination.
pub(crate) fn status(log: &str) -> String {
    let read = log.lines().take_while(|line| line.len() <= LONGEST_LINE);
    let text = read.filter(|line| is_kept(line)).collect::<Vec<_>>().join("\n");
    // The operator cuts bytes, perhaps in the middle of a character.
    let from = text.len().saturating_sub(KEPT);
    String::from_utf8_lossy(&text.as_bytes()[from..]).into_owned()
}

fn is_kept(line: &str) -> bool {
    let lower = line.to_lowercase();
    let said = ["error", "failed", "unable to"].iter().any(|word| lower.contains(word));
    let known = [
        "=== Discovery Mode",
        "Available Snapshots",
        "No snapshots found",
        "Snapshot created successfully",
        "Snapshot restore completed",
        "Repository connected",
        "No eligible snapshots",
    ];
    let json = line.contains("\"userName\"") && line.contains("\"hostName\"");
    said || json || known.iter().any(|token| line.contains(token)) || dated(line).is_some()
}

/// `<user>@<host>:<path> YYYY-MM-DD…` from the start of the line → identity, date.
fn dated(line: &str) -> Option<(&str, &str)> {
    let at = line.find('@')?;
    let colon = at + line[at..].find(':')?;
    let is_date = |text: &str| {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        text.get(..10).is_some_and(|d| {
            let parts: Vec<_> = d.split('-').collect();
            matches!(parts.as_slice(), [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2
                && digits(y) && digits(m) && digits(d))
        })
    };
    let space = line[colon..].match_indices(' ').map(|(i, _)| colon + i).find(|i| is_date(&line[i + 1..]))?;
    Some((&line[..space], &line[space + 1..]))
}

/// `status.kopia.availableIdentities` of a failed Job: identity → snapshots, from lines with a date and a time.
fn available(status: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (identity, date) in status.lines().filter_map(dated) {
        if date.len() >= 19 && date.as_bytes()[10] == b' ' {
            *found.entry(identity.to_owned()).or_default() += 1;
        }
    }
    found
}

/// `status.kopia.requestedIdentity`, where the log names it.
fn requested(status: &str) -> Option<&str> {
    status.lines().find_map(|line| line.split_once("No snapshots found for ")).map(|(_, identity)| identity)
}

/// Checks that the status alone says how the run ended and what to do; the last line is the verdict.
#[track_caller]
fn shows(ended: &Ended, code: i32, parts: &[&str]) -> String {
    assert_eq!(ended.code, code, "{}", ended.log);
    let status = status(&ended.log);
    assert!(status.len() <= KEPT + 3, "{}", status.len());
    for part in parts {
        assert!(status.contains(part), "{part:?} is not in the status: {status}\nof: {}", ended.log);
    }
    let last = status.lines().last().unwrap_or_default();
    let verdict =
        ["INFO: Snapshot restore completed", "INFO: No eligible snapshots found", "ERROR: restore failed ("];
    assert!(verdict.iter().any(|v| last.starts_with(v)), "the last line is no verdict: {status}");
    status
}

fn success() {
    let ended = Place::new().restores(S3);
    let status = shows(
        &ended,
        0,
        &[
            "Snapshot restore completed successfully: snapshot 653c8414562cc525332301b71778981c of 2024-03-01T00:00:00Z",
            "7 files",
            "bytes",
            " s,",
        ],
    );
    assert!(status.lines().count() <= 2, "{status}");
    let times = ended.log.lines().find(|l| l.starts_with("INFO: TIMING: ")).unwrap();
    let parts = ["key derivation ", "open ", "select ", "sync ", "restore "];
    let places: Vec<_> =
        parts.iter().map(|part| times.find(part).unwrap_or_else(|| panic!("{part}: {times}"))).collect();
    assert!(places.is_sorted(), "{times}");
}

#[test]
fn nothing_there_and_nothing_like_it() {
    let status = shows(
        &Place::of_user("fresh").run(),
        0,
        &["No eligible snapshots found: nothing of fresh@ns:/data in repository "],
    );
    assert_eq!(requested(&status), Some("fresh@ns:/data"));
    // A user of the same name makes backups elsewhere: not an error, but it has to be seen.
    let mut place = Place::of_user("subsec");
    place.set("KOPIA_OVERRIDE_HOSTNAME", "new");
    shows(&place.run(), 0, &["the same name makes backups as subsec@ns:/data"]);
}

#[test]
fn near_misses() {
    let status = shows(
        &Place::of_user("App-src").run(),
        13,
        &["near-miss, exit 13", "sourceName \"app\"", "sourceNamespace \"ns\"", "onNearMiss: continue"],
    );
    assert_eq!(requested(&status), Some("App-src@ns:/data"));
    let available = available(&status);
    assert_eq!(available.keys().collect::<Vec<_>>(), ["app@ns:/data", "app@ns:/var/lib/x"]);
    // An application that moved, and whose backups stopped long ago.
    let mut place = Place::of_user("web");
    let status =
        shows(&place.set("KOPIA_OVERRIDE_HOSTNAME", "new-ns").run(), 13, &["sourceNamespace \"prod\""]);
    assert_eq!(self::available(&status).keys().collect::<Vec<_>>(), ["web@prod:/data"]);
}

#[test]
fn wrong_passwords_and_places() {
    let mut place = Place::with("KOPIA_PASSWORD", "not-this-one");
    shows(&place.run(), 12, &["invalid repository password", "check KOPIA_PASSWORD in the Secret"]);
    let long = "x".repeat(200);
    let missing = place.dir.path().join(&long).join(&long);
    std::fs::create_dir(missing.parent().unwrap()).unwrap();
    place.at(&missing);
    shows(
        &place.run(),
        10,
        &["no-repository, exit 10", "'{\"rekopia\":{\"onNoRepository\":\"continue\"}}' to the Secret"],
    );
    let mut place = Place::with("KOPIA_REPOSITORY", "s3://backups");
    place.set("AWS_S3_ENDPOINT", "http://127.0.0.1:1").set("KOPIA_PREVIOUS", "few");
    shows(&place.run(), 2, &["KOPIA_PREVIOUS: \"few\" is not a number"]);
}

#[test]
fn damaged_packs() {
    let mut place = Place::new();
    let repo = Damaged::in_place(&place.copied());
    for pack in repo.blobs("p") {
        repo.delete(&pack);
    }
    shows(
        &place.run(),
        3,
        &[
            "in pack p",
            "ERROR: failed after ",
            " files, ",
            "entries are not as in the snapshot",
            "repair the cause, or set onMissing: accept",
        ],
    );
    place.set("REKOPIA_ON_MISSING", "accept");
    shows(&place.run(), 0, &["accepted losses"]);
}

fn full_disk() {
    // A file that must not grow is what a test without any rights can have; a small file system is the real thing.
    let limited = Place::new();
    let small = limited.command_after("trap '' XFSZ\nulimit -f 8");
    let ended = limited.end(small);
    shows(
        &ended,
        if ended.code == 3 { 3 } else { 16 },
        &["sub/deep/lines-3.txt", "File too large", "failed after"],
    );
    if can_mount() {
        // The volume is too small from the start; or full in the middle, because every file takes whole blocks.
        for (size, cause) in [("16k", "are free in the target"), ("24k", "No space left on device")] {
            let place = Place::new();
            let mount = format!("mount -t tmpfs -o size={size} tmpfs '{}'", place.data().display());
            let ended = place.end(in_namespace(&place, &mount));
            shows(&ended, 16, &["(destination, exit 16)", cause, "check the volume: its size"]);
        }
    }
}

const OWNER: Metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime_ns: 1_700_000_000_000_000_000 };

fn writer(place: &Place) -> (std::path::PathBuf, RepositoryWriter) {
    let path = place.folder("made");
    let options = WriterOptions { password: "secret".into(), ..WriterOptions::default() };
    let writer = RepositoryWriter::create(DirectorySink::create(&path).unwrap(), options).unwrap();
    (path, writer)
}

fn many_identities() {
    let mut place = Place::of_user("my-app");
    let (repository, mut writer) = writer(&place);
    let names = [
        "myapp",
        "My.App",
        "my_app",
        "MyApp-src",
        "myapp-dst",
        "my-app-backup",
        "other",
        "another",
        "third",
        "fourth",
    ];
    for n in 0..100 {
        let mut directory = DirectoryWriter::new(&writer);
        let file = writer.put_file(b"who".to_vec(), OWNER, format!("{n}").as_bytes()).unwrap();
        directory.add(&mut writer, &file).unwrap();
        let root = directory.finish(&mut writer, Vec::new(), OWNER).unwrap();
        let source = Source { user: names[n % 10].into(), host: "ns".into(), path: "/data".into() };
        let start = 1_700_000_000_000_000_000 + i64::try_from(n).unwrap() * 3_600_000_000_000;
        writer.put_snapshot(&NewSnapshot::new(source, start, root)).unwrap();
    }
    writer.flush().unwrap();
    place.at(&repository);
    let status = shows(&place.run(), 13, &["near-miss, exit 13", "onNearMiss: continue"]);
    assert_eq!(requested(&status), Some("my-app@ns:/data"));
    let available = available(&status);
    assert!(available.len() >= 4 && available.contains_key("my-app-backup@ns:/data"), "{status}");
    assert!(!status.contains("third"), "others' identities are nobody's business: {status}");
    // A restore that fails for another reason.
    place.set("KOPIA_OVERRIDE_USERNAME", "myapp").set("KOPIA_PREVIOUS", "99");
    shows(&place.run(), 13, &["10 complete of 10 exist", "correct restoreAsOf or previous"]);
}

fn long_names() {
    let mut place = Place::new();
    let (repository, mut writer) = writer(&place);
    let name = |depth: usize| format!("{depth:03}\n\u{1b}[31m{}", "n".repeat(240)).into_bytes();
    let mut inner = None;
    for depth in (0..40).rev() {
        let mut directory = DirectoryWriter::new(&writer);
        if let Some(entry) = inner.take() {
            directory.add(&mut writer, &entry).unwrap();
        }
        let mut named = b"file-".to_vec();
        named.extend(name(depth));
        let file = writer.put_file(named, OWNER, format!("data {depth}").as_bytes()).unwrap();
        directory.add(&mut writer, &file).unwrap();
        inner = Some(directory.finish(&mut writer, name(depth), OWNER).unwrap());
    }
    let source = Source { user: "app".into(), host: "ns".into(), path: "/data".into() };
    writer.put_snapshot(&NewSnapshot::new(source, 1_700_000_000_000_000_000, inner.unwrap())).unwrap();
    writer.flush().unwrap();
    place.at(&repository);
    let whole = place.run();
    assert_eq!(whole.code, 0, "{}", whole.log);
    let repo = Damaged::in_place(&repository);
    for pack in repo.blobs("p") {
        repo.delete(&pack);
    }
    std::fs::remove_dir_all(place.data()).unwrap();
    std::fs::create_dir(place.data()).unwrap();
    // Place::end holds every line to 8 KiB; and a name cannot write lines of its own.
    let ended = place.run();
    shows(
        &ended,
        3,
        &["40 entries are not as in the snapshot", "repair the cause, or set onMissing: accept"],
    );
    assert!(!ended.log.contains('\u{1b}') && ended.log.matches("ERROR: failed: ").count() >= 40);
}
