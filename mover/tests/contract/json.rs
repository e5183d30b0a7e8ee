//! The termination message of every outcome, against docs/schema/termination-message.json.

use rekopia_testkit::damage::Damaged;
use rekopia_testkit::schema;
use serde_json::Value;

use crate::place::Place;

/// What the place's run tells the kubelet, and its exit code.
fn told(place: &mut Place) -> (Value, i32) {
    let path = place.dir.path().join("termination-log");
    std::fs::write(&path, "").unwrap();
    place.set("REKOPIA_TERMINATION_LOG", path.to_str().unwrap());
    let code = place.run().code;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() <= 4096, "{text}");
    let message: Value = serde_json::from_str(&text).unwrap();
    schema::check("termination-message", &message);
    // Readers that look at the first fields alone find them where they were.
    assert!(text.ends_with(r#","version":1}"#), "{text}");
    (message, code)
}

/// A place whose repository has lost its file data.
fn without_packs(mut place: Place) -> Place {
    let repo = Damaged::in_place(&place.copied());
    repo.blobs("p").iter().for_each(|blob| repo.delete(blob));
    place
}

#[test]
fn the_message_of_every_outcome() {
    let mut check = Place::with("REKOPIA_RECEIPT", "off");
    check.args = vec!["check".into()];
    let lost = without_packs(Place::new());
    let accepted = without_packs(Place::with("REKOPIA_ON_MISSING", "accept"));
    let mut nowhere = Place::with("REKOPIA_ON_NO_REPOSITORY", "continue");
    let empty = nowhere.folder("empty");
    nowhere.at(&empty);
    for (mut place, outcome, code) in [
        (Place::new(), "restored", 0),
        (Place::with("REKOPIA_RECEIPT", "digest"), "restored", 0),
        (check, "restored", 0),
        (lost, "incomplete", 3),
        (accepted, "restored-with-losses", 0),
        (Place::of_user("somebody-else-altogether"), "empty", 0),
        (nowhere, "no-repository", 0),
        (Place::with("KOPIA_PASSWORD", "not it"), "wrong-password", 12),
        (Place::with("REKOPIA_ON_MISSING", "perhaps"), "settings", 2),
        (Place::with("KOPIA_PREVIOUS", "9"), "no-such-snapshot", 13),
    ] {
        let (message, ended) = told(&mut place);
        assert_eq!((&message["outcome"], ended), (&outcome.into(), code), "{message:#}");
        assert_eq!(message["exitCode"], code);
        let open = schema::unnoticed("termination-message", &message);
        assert!(open.iter().all(|one| one.contains(" - ") || one.starts_with("/times")), "{open:?}");
    }
}

#[test]
fn the_receipt_of_the_mover() {
    let mut place = Place::new();
    let receipt = place.folder("receipts").join("app.json");
    place.set("REKOPIA_RECEIPT", receipt.to_str().unwrap());
    let (message, code) = told(&mut place);
    let written: Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
    schema::check("receipt", &written);
    assert_eq!((&message["treeHash"], code), (&written["treeHash"], 0));
}
