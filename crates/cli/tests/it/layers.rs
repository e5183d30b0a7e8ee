//! Inside the crate everything knows only what is below it, no two files know each other, and none is too long: read
//! from the source.

use rekopia_testkit::layers::Table;

/// Module → what it may name of the crate, from the floor to the roof.
const TABLE: Table<'_> = &[
    ("text", ""),
    ("args::which", "text"),
    ("args::global", "args::which text"),
    ("args::restore", "args::which text"),
    ("args::verify", "args::which text"),
    ("args::help", ""),
    ("args::usage", "text"),
    ("args", "args"),
    ("bar", "text"),
    ("say", "text"),
    ("exit", "say text"),
    ("progress", "args bar say text"),
    ("summary", "args say text"),
    ("metrics", ""),
    ("connect", "args exit say"),
    ("consent", "args say summary"),
    ("signals", "exit say"),
    ("command", "args connect consent exit metrics progress say signals summary text"),
    ("", "args command exit say signals"),
];

rekopia_testkit::layers_of_this_crate!(TABLE);
