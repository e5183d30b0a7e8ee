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
    ("restore::ledger", "error sink restore::clock restore::report restore::slot"),
    ("restore::run_state", "error observer sink restore::ledger restore::options restore::report"),
    ("restore::finish", "error sink restore::ledger restore::run_state restore::slot"),
    ("restore::rehash", "sink"),
    ("restore::verify", ""),
    // The stages. Walk does not look at the destination; plan is pure; fetch and decode open no files.
    (
        "restore::walk",
        "error observer repository sink::Attributes sink::folding restore::clock restore::filter restore::slot",
    ),
    (
        "restore::reconcile",
        "error repository sink restore::ledger restore::options restore::rehash restore::run_state restore::slot \
         restore::walk",
    ),
    ("restore::plan", "repository::index"),
    ("restore::cost", "restore::plan"),
    (
        "restore::fetch",
        "error repository restore::clock restore::cost restore::credits restore::plan restore::slot",
    ),
    ("restore::decode", "error repository restore::plan restore::fetch"),
    ("restore::write", "error observer sink restore::fetch restore::finish restore::ledger restore::slot"),
    (
        "restore::work",
        "error repository sink::FidelityIssue restore::clock restore::plan restore::fetch restore::finish \
         restore::decode restore::ledger restore::slot restore::verify restore::write",
    ),
    ("restore::threads", "restore::work"),
    // What wires them.
    ("restore::extra", "repository::index::spill sink restore::report"),
    (
        "restore::window",
        "error repository sink restore::clock restore::cost restore::fetch restore::ledger restore::options \
         restore::plan restore::reconcile restore::run_state restore::slot restore::walk restore::work",
    ),
    ("restore::pass", "error observer repository sink restore"),
    // What is known before anything is touched, by a walk of its own.
    (
        "restore::prove",
        "error observer repository sink restore::extra restore::filter restore::ledger restore::options \
         restore::pass restore::slot restore::walk restore::window",
    ),
    ("restore::ticker", "observer repository restore::ledger"),
    ("restore::reread", "error repository sink restore"),
    (
        "restore::stages",
        "error observer repository sink restore::clock restore::extra restore::filter restore::ledger restore::options \
         restore::pass restore::prove restore::report restore::reread restore::run_state restore::slot restore::ticker restore::walk \
         text",
    ),
    ("restore::run", "error observer repository sink restore"),
    ("restore", "restore"),
    ("", "error limits observer repository restore sink text"),
];

#[test]
fn modules_name_only_what_is_below_them() {
    let wrong = violations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), TABLE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
