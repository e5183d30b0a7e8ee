//! Which snapshot.

use crate::place::{Place, S1, S2, S3};
use crate::stock;
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T01", run(|| newest(&[]))),
    ("T02", run(|| chooses(&[("KOPIA_PREVIOUS", "1")], S2))),
    ("T03", run(|| chooses(&[("KOPIA_PREVIOUS", "0")], S3))),
    ("T04", run(|| refuses(&[("KOPIA_PREVIOUS", "9")], 13, "3 complete of 3 exist"))),
    ("T05", run(|| chooses(&[as_of("2024-02-15T00:00:00Z")], S2))),
    ("T06", run(|| chooses(&[as_of("2024-02-01T00:00:00Z")], S2))),
    ("T07", run(|| refuses(&[as_of("1980-08-10T23:59:59-04:00")], 13, "the oldest of 2024-01-01T00:00:00Z"))),
    ("T08", run(|| chooses(&[as_of("2024-01-31T22:00:00-08:00")], S2))),
    ("T08b", run(|| chooses(&[as_of("2024-02-01T05:00:00+08:00")], S1))),
    ("T09", run(|| chooses(&[as_of("2024-02-15T00:00:00Z"), ("KOPIA_PREVIOUS", "1")], S1))),
    ("T10", run(within_the_second)),
    ("T11", run(|| refuses(&[as_of("yesterday")], 2, "KOPIA_RESTORE_AS_OF: \"yesterday\""))),
    ("T12", run(|| newest(&[("KOPIA_SHALLOW", "1")]))),
    ("T13", run(|| newest(&[("KOPIA_SHALLOW", "9999")]))),
    ("T14", run(|| chooses(&[("KOPIA_SHALLOW", "1"), ("KOPIA_PREVIOUS", "1")], S2))),
    (
        "T14b",
        run(|| refuses(&[("KOPIA_SHALLOW", "1"), ("KOPIA_PREVIOUS", "9")], 13, "3 complete of 3 exist")),
    ),
    ("T22", run(incomplete_newest)),
    ("T23", run(incomplete_only)),
    ("T24", run(|| chooses(&[("KOPIA_SOURCE_PATH_OVERRIDE", "/var/lib/x")], "app-x"))),
    ("T25", run(parent_path)),
    ("T84", run(|| refuses(&[("KOPIA_PREVIOUS", "abc")], 2, "KOPIA_PREVIOUS: \"abc\" is not a number"))),
    ("T85", run(|| refuses(&[("KOPIA_PREVIOUS", "-1")], 2, "KOPIA_PREVIOUS: \"-1\" is not a number"))),
    ("T86", run(shallow_of_nothing)),
    ("T87", run(|| chooses(&[as_of("2024-02-01T00:00:00.000Z")], S2))),
    ("T88b", run(|| chooses(&[as_of("2024-02")], S2))),
    ("T88c", run(|| refuses(&[as_of("2 days ago")], 2, "KOPIA_RESTORE_AS_OF: \"2 days ago\""))),
    ("T88", run(|| refuses(&[as_of("2024-02-01T00:00:00\"Z")], 2, "KOPIA_RESTORE_AS_OF"))),
];

fn as_of(instant: &str) -> (&str, &str) {
    ("KOPIA_RESTORE_AS_OF", instant)
}

fn with(settings: &[(&str, &str)]) -> Place {
    let mut place = Place::new();
    for (name, value) in settings {
        place.set(name, value);
    }
    place
}

fn chooses(settings: &[(&str, &str)], restore: &str) {
    with(settings).restores(restore);
}

fn newest(settings: &[(&str, &str)]) {
    chooses(settings, S3);
}

fn refuses(settings: &[(&str, &str)], code: i32, part: &str) {
    with(settings).refuses(code, part);
}

fn within_the_second() {
    // The snapshot began at …49.589, and lists show …49: a time includes its own second.
    let mut place = Place::of_user("subsec");
    place.set("KOPIA_RESTORE_AS_OF", "2026-11-23T06:37:48Z").refuses(13, "correct restoreAsOf");
    place.set("KOPIA_RESTORE_AS_OF", "2026-11-23T06:37:49.4Z").refuses(13, "correct restoreAsOf");
    place.set("KOPIA_RESTORE_AS_OF", "2026-11-23T06:37:49Z").ends(0, "Snapshot restore completed");
}

fn incomplete_newest() {
    let ended = Place::of_user("inc").restores("inc-complete");
    let skipped = format!("skipping the incomplete snapshot {}", stock::snapshot("inc-newest"));
    assert!(ended.log.contains(&skipped), "{}", ended.log);
}

fn incomplete_only() {
    Place::of_user("onlyinc").refuses(13, "no complete snapshot of onlyinc@ns:/data: 1 incomplete");
}

fn parent_path() {
    let ended = Place::of_user("parent").refuses(13, "onNearMiss: continue");
    assert!(ended.log.contains("\nparent@ns:/ 2024-01-05 00:00:00\n"), "{}", ended.log);
    Place::of_user("parent")
        .set("REKOPIA_ON_NEAR_MISS", "continue")
        .refuses(0, "No eligible snapshots found");
}

fn shallow_of_nothing() {
    let ended = Place::with("KOPIA_SHALLOW", "0").restores(S3);
    assert!(ended.log.contains("WARN: KOPIA_SHALLOW"), "{}", ended.log);
}
