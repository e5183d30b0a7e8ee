//! Inside the crate everything knows only what is below it, no two files know each other, and none is too long: read
//! from the source.

use std::path::{Path, PathBuf};

use rekopia_testkit::layers::{Table, circles, oversized, violations};

/// Module → what it may name of the crate, from the floor to the roof.
const TABLE: Table<'_> = &[
    ("text", ""),
    ("time", ""),
    ("args", "text"),
    ("bar", "text"),
    ("say", "text"),
    ("exit", "say text"),
    ("progress", "args bar say text"),
    ("summary", "args say text"),
    ("connect", "args exit say"),
    ("consent", "args say summary"),
    ("signals", "exit say"),
    ("command", "args connect consent exit progress say signals summary text time"),
    ("", "args command exit say signals"),
];

#[test]
fn modules_name_only_what_is_below_them() {
    let wrong = violations(&of_crate("src"), TABLE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_name_each_other_in_no_circle() {
    let circles = circles(&of_crate("src"));
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn files_and_functions_can_be_read_at_once() {
    let large = ["src", "tests"].map(|folder| oversized(&of_crate(folder))).concat();
    assert!(large.is_empty(), "{}", large.join("\n"));
}

fn of_crate(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}
