//! The questions find what is wrong: storages in memory with one flaw each.

use std::sync::Arc;

use rekopia_blob::BlobErrorKind;

use super::sample::{MIDDLING, MISSING};
use super::{CASES, Sample, Subject, unknown, verdict};
use crate::storage::{MemoryBlobs, Request, WatchedBlobs};

/// What memory cannot do: it has no clock and counts nothing.
const OF_MEMORY: [&str; 3] = [
    "a stat gives length and time",
    "a listing is whole and exact, over all its pages",
    "what is asked is counted",
];

/// Returns the cases that fail when the storage has this flaw.
async fn failing(flaw: impl FnOnce(&MemoryBlobs, &WatchedBlobs)) -> Vec<&'static str> {
    let sample = Arc::new(Sample::with(20, None));
    let memory = MemoryBlobs::default();
    *memory.blobs.lock().unwrap() = sample.blobs.clone();
    let blobs = WatchedBlobs::new(Arc::new(memory.clone()));
    flaw(&memory, &blobs);
    let (name, secrets) = ("memory".to_owned(), vec!["memo".to_owned()]);
    let subject = Subject { name, blobs, sample, cannot: Vec::new(), secrets };
    let mut failing = Vec::new();
    for (name, case) in CASES {
        if case(&subject).await.is_err() && !OF_MEMORY.contains(name) {
            failing.push(*name);
        }
    }
    failing
}

#[tokio::test]
async fn each_flaw_is_found() {
    let secret = "the description says where, and no secret";
    assert_eq!(failing(|_, _| ()).await, [secret]);
    let flipped =
        failing(|_, watched| watched.change_when(|_, bytes| bytes.iter_mut().for_each(|b| *b ^= 1)));
    let flipped = flipped.await;
    assert!(flipped.iter().any(|case| case.starts_with("a whole read")), "{flipped:?}");
    assert!(flipped.iter().any(|case| case.starts_with("a range gives")), "{flipped:?}");
    let short = failing(|_, watched| watched.change_when(|_, bytes| bytes.truncate(5))).await;
    assert!(short.iter().any(|case| case.starts_with("a range gives")), "{short:?}");
    let hidden = failing(|memory, _| drop(memory.blobs.lock().unwrap().remove(MIDDLING))).await;
    assert!(hidden.contains(&"a prefix lists what begins so"), "{hidden:?}");
    let more = failing(|memory, _| drop(memory.blobs.lock().unwrap().insert("README".into(), Vec::new())));
    assert!(more.await.contains(&"foreign names are no blobs"));
    let there = failing(|memory, _| drop(memory.blobs.lock().unwrap().insert(MISSING.into(), vec![1; 10])));
    assert!(there.await.contains(&"a missing blob is not found, however it is asked for"));
    let wrong_kind = |request: &Request| match request {
        Request::Read(name, _) if name == MISSING => Some(BlobErrorKind::Unavailable),
        _ => None,
    };
    let wrong = failing(|_, watched| watched.fail_when(wrong_kind)).await;
    assert!(wrong.contains(&"a missing blob is not found, however it is asked for"), "{wrong:?}");
}

#[test]
fn excuses_are_for_what_fails() {
    let cannot = [("a", "it has none")];
    assert_eq!(verdict("a", Err("no".into()), &cannot), None);
    assert!(verdict("a", Ok(()), &cannot).is_some_and(|said| said.contains("it can")));
    assert!(verdict("b", Err("no".into()), &cannot).is_some_and(|said| said == "b: no"));
    assert_eq!(unknown(&cannot, ["b"].into_iter()), ["a: there is no such case"]);
}
