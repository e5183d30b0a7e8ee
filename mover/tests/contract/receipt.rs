//! The setting `receipt`: the hash in log and termination message, the file in the volume or beside it.

use rekopia::{Cancel, Receipt, Silent};
use serde_json::Value;

use crate::place::{Place, S3};

/// Makes a place whose termination message can be read.
fn place(receipt: &str) -> (Place, std::path::PathBuf) {
    let mut place = Place::with("REKOPIA_RECEIPT", receipt);
    let message = place.dir.path().join("termination-log");
    std::fs::write(&message, "").unwrap();
    place.set("REKOPIA_TERMINATION_LOG", message.to_str().unwrap());
    (place, message)
}

fn hash_in(message: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(message).unwrap();
    assert!(text.len() <= 4096);
    serde_json::from_str::<Value>(&text).unwrap()["treeHash"].clone()
}

fn is_equal(receipt: &std::path::Path, place: &Place) -> bool {
    let receipt = Receipt::read(receipt).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let silent = std::sync::Arc::new(Silent);
    runtime.block_on(receipt.check(&place.data(), 0, &Cancel::new(), silent)).unwrap().is_equal
}

#[test]
fn a_digest_is_told_and_nothing_is_told_without() {
    let (digest, message) = place("digest");
    let ended = digest.restores(S3);
    let hash = hash_in(&message);
    let line = format!("INFO: Tree hash of what was restored: {} (0 other entries)", hash.as_str().unwrap());
    assert!(hash.as_str().unwrap().len() == 64 && ended.log.contains(&line), "{}", ended.log);
    let (off, message) = place("off");
    off.restores(S3);
    assert_eq!(hash_in(&message), Value::Null);
    // `check` restores nothing.
    let (mut check, message) = place("digest");
    check.args = vec!["check".into()];
    check.refuses(0, "would be completed");
    assert_eq!(hash_in(&message), Value::Null);
    let scoped = r#"{"rekopia":{"identities":{"app@ns":{"receipt":"digest"}}}}"#;
    let (mut member, message) = place("");
    member.set("KOPIA_MANUAL_CONFIG", scoped).restores(S3);
    assert_eq!(hash_in(&message), hash);
}

#[test]
fn a_receipt_beside_the_volume_and_in_it() {
    let (mut beside, message) = place("");
    let receipt = beside.folder("receipts").join("app.json");
    let ended = beside.set("REKOPIA_RECEIPT", receipt.to_str().unwrap()).restores(S3);
    assert!(ended.log.contains(&format!("INFO: Receipt written to {}", receipt.display())), "{}", ended.log);
    assert!(is_equal(&receipt, &beside));
    let read = Receipt::read(&receipt).unwrap();
    assert_eq!(hash_in(&message), read.tree_hash.as_str());
    assert!(read.program.starts_with("rekopia-mover ") && read.snapshot.unwrap().source == "app@ns:/data");

    let (mut inside, message) = place("");
    let receipt = inside.data().join(".receipt.json");
    inside.set("REKOPIA_RECEIPT", receipt.to_str().unwrap());
    for _ in 0..2 {
        inside.set("KOPIA_ENABLE_FILE_DELETION", "true").ends(0, "Snapshot restore completed");
        assert_eq!(Receipt::read(&receipt).unwrap().others, [".receipt.json"]);
        assert!(is_equal(&receipt, &inside));
        assert_eq!(hash_in(&message), read.tree_hash.as_str(), "it is no part of the tree");
    }
    std::fs::write(inside.data().join("more"), "").unwrap();
    assert!(!is_equal(&receipt, &inside));
}

/// The volume is complete: a warning, which the operator's filter lets pass. A mistake in the setting is one before anything.
#[test]
fn a_receipt_that_cannot_be_written() {
    let (mut nowhere, message) = place("/proc/no/such/folder");
    let ended = nowhere.restores(S3);
    let said = "WARN: no error, but: cannot write the receipt /proc/no/such/folder";
    assert!(ended.log.contains(said), "{}", ended.log);
    assert!(hash_in(&message).is_string());
    for wrong in ["yes", "receipt.json", "/receipts/"] {
        nowhere = Place::with("REKOPIA_RECEIPT", wrong);
        nowhere.refuses(2, "REKOPIA_RECEIPT");
    }
    let mut place = Place::new();
    let inside = place.copied().join("receipt.json");
    place.set("REKOPIA_RECEIPT", inside.to_str().unwrap()).refuses(2, "lies in the repository");
}
