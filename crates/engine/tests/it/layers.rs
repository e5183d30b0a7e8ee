//! Inside the engine everything flows one way: who may name whom, read from the source.

use std::path::Path;

use rekopia_testkit::layers::{Table, violations};

/// Module → what it may name of the crate. A path allows everything below it.
///
/// The stages stand in their order; each may name earlier ones, never a later one. All of them enter what they did in the
/// `ledger` and ask the `run_state` whether to go on, so these name no stage.
const TABLE: Table<'_> = &[
    ("error", ""),
    ("limits", ""),
    ("observer", ""),
    ("text", ""),
    ("repository", "error observer"),
    ("sink", "error"),
    // What the stages share: plain values and counters.
    ("restore::clock", ""),
    ("restore::report", "error restore::clock"),
    ("restore::options", "observer::Cancel sink::OwnerPolicy restore::report::Deletion"),
    ("restore::credits", ""),
    ("restore::filter", "error"),
    ("restore::slot", "error sink"),
    ("restore::tree", "error repository::reference sink::DirNode restore::slot"),
    ("restore::destination", "sink"),
    ("restore::sinks", "sink"),
    ("restore::ledger", "error sink::create_report_file restore::clock restore::report restore::slot"),
    ("restore::run_state", "error observer sink::SinkError restore::ledger restore::options restore::report"),
    ("restore::ticker", "observer repository restore::ledger"),
    (
        "restore::finish",
        "error sink::FidelityIssue restore::destination restore::ledger restore::run_state \
         restore::slot",
    ),
    ("restore::compare_disk", "sink"),
    ("restore::verify_source", ""),
    // The stages of a pass. Walk does not look at the destination; plan is pure; fetch and decode open no files.
    ("restore::names", "sink::folding"),
    ("restore::walked", "error repository::objects restore::slot"),
    (
        "restore::walk",
        "error observer repository restore::clock restore::filter restore::names restore::slot \
         restore::walked",
    ),
    (
        "restore::walking",
        "error observer repository restore::clock restore::filter restore::options restore::tree \
         restore::walk restore::walked",
    ),
    (
        "restore::reconcile",
        "error repository sink restore::compare_disk restore::ledger restore::options \
         restore::run_state restore::slot restore::walked",
    ),
    ("restore::plan", "repository::index"),
    ("restore::cost", "restore::plan"),
    (
        "restore::fetch",
        "error repository restore::clock restore::cost restore::credits restore::plan restore::slot",
    ),
    ("restore::decode", "error repository restore::fetch restore::plan"),
    (
        "restore::write",
        "error observer sink restore::destination restore::fetch restore::finish restore::ledger \
         restore::slot",
    ),
    (
        "restore::workers",
        "error repository sink::FidelityIssue restore::clock restore::decode restore::fetch \
         restore::finish restore::ledger restore::plan restore::slot restore::verify_source \
         restore::write",
    ),
    ("restore::worker_threads", "restore::workers"),
    (
        "restore::window",
        "error repository restore::clock restore::cost restore::destination restore::fetch \
         restore::ledger restore::options restore::plan restore::reconcile restore::run_state \
         restore::slot restore::walked restore::workers",
    ),
    // What wires them.
    (
        "restore::pass",
        "error repository restore::cost restore::credits restore::destination restore::fetch \
         restore::finish restore::ledger restore::options restore::plan restore::run_state \
         restore::slot restore::tree restore::walking restore::window restore::worker_threads \
         restore::workers restore::write",
    ),
    // What is known before anything is touched, by a walk of its own.
    ("restore::extras", "error repository::index::spill sink restore::report"),
    ("restore::proof", "error repository restore::extras"),
    (
        "restore::survey",
        "error repository sink restore::extras restore::filter restore::ledger restore::options \
         restore::proof restore::slot restore::walked",
    ),
    (
        "restore::prove",
        "error observer repository sink restore::ledger restore::options restore::proof restore::survey \
         restore::tree restore::walking",
    ),
    // The stages of a run, each a value that the next one takes.
    (
        "restore::run",
        "error observer repository sink restore::destination restore::ledger restore::options \
         restore::pass restore::report restore::run_state restore::ticker restore::tree",
    ),
    (
        "restore::delete_extra",
        "error observer sink restore::extras restore::ledger restore::pass restore::prove \
         restore::report restore::run",
    ),
    (
        "restore::verify_target",
        "error repository sink restore::compare_disk restore::destination restore::finish \
         restore::ledger restore::options restore::run_state restore::slot restore::tree \
         restore::walked restore::walking",
    ),
    (
        "restore::tidied",
        "error observer sink restore::clock restore::options restore::report restore::run \
         restore::verify_target",
    ),
    (
        "restore::passed",
        "error observer sink restore::delete_extra restore::destination restore::extras restore::pass \
         restore::proof restore::run restore::tidied",
    ),
    (
        "restore::proven",
        "error observer text restore::delete_extra restore::destination restore::extras restore::passed \
         restore::proof restore::report restore::run restore::sinks",
    ),
    (
        "restore::prepared",
        "error repository sink restore::filter restore::options restore::prove restore::proven \
         restore::run restore::sinks restore::slot",
    ),
    (
        "restore::compose",
        "error observer repository sink::DirNode restore::destination restore::options \
         restore::prepared restore::report restore::run restore::tree",
    ),
    ("restore", "restore"),
    ("", "error limits observer repository restore sink text"),
];

#[test]
fn modules_name_only_what_is_below_them() {
    let wrong = violations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), TABLE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
