//! Inside the crate everything knows only what is below it, no two files know each other, and none is too long: read
//! from the source.

use rekopia_testkit::layers::Table;

/// Module → what it may name of the crate, from the floor to the roof.
const TABLE: Table<'_> = &[
    ("say", ""),
    ("scratch", ""),
    ("secrets", ""),
    ("findings", ""),
    ("env", ""),
    ("identity", ""),
    ("settings", "env"),
    ("arguments", "settings"),
    ("destination", "arguments"),
    ("backend", "env say"),
    ("signals", "say"),
    ("recorded", "say"),
    ("receipt", "say"),
    ("outcome", "env recorded say signals"),
    ("config", "arguments backend env outcome say settings"),
    ("log", "outcome say"),
    ("choice", "config findings identity outcome recorded say"),
    ("verdict", "config env outcome recorded say"),
    ("run", "choice config findings log outcome receipt recorded say verdict"),
    ("handover", "config env outcome run say verdict"),
    ("outside", "config env outcome scratch"),
    ("check", "config env findings log outcome outside run say scratch secrets"),
    ("catalogue", "check config env findings identity log outcome outside recorded run say verdict"),
    ("program", "config env findings handover outcome run say signals"),
    ("", "catalogue check destination findings program"),
];

rekopia_testkit::layers_of_this_crate!(TABLE);
