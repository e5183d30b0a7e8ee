//! Inside the crate everything knows only what is below it, no two files know each other, and none is too long: read
//! from the source.

use rekopia_testkit::layers::Table;

/// Module → what it may name of the crate, from the floor to the roof.
const TABLE: Table<'_> = &[
    ("git", ""),
    ("forecast", ""),
    ("objects", ""),
    ("text", ""),
    ("view", "objects"),
    ("chain", "objects text view"),
    ("findings", "chain objects text view"),
    ("inventory", "chain findings objects view"),
    ("render", "chain findings forecast inventory text view"),
    ("observe", "chain objects view"),
    ("command", "chain findings forecast git inventory objects observe render text view"),
    ("", ""),
];

rekopia_testkit::layers_of_this_crate!(TABLE);
