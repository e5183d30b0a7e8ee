//! Asks of each storage, in the same words, what everything above relies on.
//!
//! [`CASES`] need nothing but a [`BlobReader`] and the [`Sample`] that it holds; [`FAULTS`] need a proxy in front of the
//! server that breaks answers. [`conforms`] and [`survives`] run a table and name all that is not so. A storage that
//! cannot do a case says so with a reason, and is told when it can.

mod faults;
mod lists;
mod manners;
mod reads;
mod sample;

use std::sync::Arc;

use rekopia_blob::{BlobError, BlobReader, BoxFuture};

pub use faults::{Broken, FAULTS, Fault, FaultCase, survives};
pub use sample::Sample;

/// A storage that is asked, and what is known of it.
pub struct Subject {
    /// The storage and the layers around it, for messages.
    pub name: String,
    /// The storage itself.
    pub blobs: Arc<dyn BlobReader>,
    /// The blobs that the storage holds, and nothing else but foreign names.
    pub sample: Arc<Sample>,
    /// Cases that the storage cannot do, each with the reason.
    pub cannot: Vec<(&'static str, &'static str)>,
    /// Words that must not be seen.
    pub secrets: Vec<String>,
}

type Asked<'a> = BoxFuture<'a, Result<(), String>>;

/// A promise of [`BlobReader`], and how it is checked.
pub type Case = (&'static str, for<'a> fn(&'a Subject) -> Asked<'a>);

/// All promises that need no fault.
pub const CASES: &[Case] = &[
    ("a whole read gives all bytes, of any length", reads::whole),
    ("a range gives its bytes: at the beginning, in the middle, to the end", reads::ranges),
    ("an empty range gives nothing, also at the end", reads::empty_ranges),
    ("a range over the end is truncated", reads::over_the_end),
    ("a range that begins at the end is truncated", reads::at_the_end),
    ("a missing blob is not found, however it is asked for", reads::missing),
    ("an error names its blob", reads::errors_name_the_blob),
    ("a buffer keeps its capacity", reads::buffers),
    ("many reads at once do not mix", reads::at_once),
    ("a stat gives length and time", lists::stat),
    ("a listing is whole and exact, over all its pages", lists::whole),
    ("a prefix lists what begins so", lists::prefixes),
    ("a listing of nothing is empty", lists::nothing),
    ("any says whether there is one", lists::any),
    ("foreign names are no blobs", lists::foreign),
    ("the profile is sane", manners::profile),
    ("the description says where, and no secret", manners::description),
    ("what is asked is counted", manners::usage),
    ("a dropped request leaves the rest usable", manners::dropped),
    ("a distrusted blob is read anew", manners::distrusted),
    // The last one: from then on other layouts are looked at, too.
    ("looking elsewhere hides nothing", manners::elsewhere),
];

/// Asks all of [`CASES`].
///
/// # Panics
/// When something is not as it should be: with all that is not.
pub async fn conforms(subject: &Subject) {
    let mut wrong = unknown(&subject.cannot, CASES.iter().map(|(name, _)| *name));
    for (name, case) in CASES {
        wrong.extend(verdict(name, case(subject).await, &subject.cannot));
    }
    assert!(wrong.is_empty(), "{} does not conform:\n{}", subject.name, wrong.join("\n"));
}

/// Returns what is wrong with the end of a case, if anything.
fn verdict(name: &str, ended: Result<(), String>, cannot: &[(&str, &str)]) -> Option<String> {
    let excuse = cannot.iter().find(|(case, _)| *case == name).map(|(_, why)| *why);
    match (ended, excuse) {
        (Ok(()), Some(why)) => Some(format!("{name}: it can, although it says that it cannot: {why}")),
        (Err(what), None) => Some(format!("{name}: {what}")),
        _ => None,
    }
}

/// Returns excuses for cases that nobody asks.
fn unknown(cannot: &[(&str, &str)], names: impl Iterator<Item = &'static str>) -> Vec<String> {
    let names: Vec<&str> = names.collect();
    let of_nothing = cannot.iter().filter(|(case, _)| !names.contains(case));
    of_nothing.map(|(case, _)| format!("{case}: there is no such case")).collect()
}

/// Returns `Ok` when `holds`.
fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Returns an answer, or what was asked with the error.
fn answered<T>(answer: Result<T, BlobError>, asked: &str) -> Result<T, String> {
    answer.map_err(|e| format!("{asked}: {:?}: {e}", e.kind()))
}

#[cfg(test)]
mod tests;
