//! Exit codes, beside those of the table that all programs share.

/// Fine, or nothing that this command judges.
pub const FINE: u8 = 0;
/// Something is broken, or another failure.
pub const BROKEN: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// Still going on, or a right is missing without which nothing can be said.
pub const GOING_ON: u8 = 3;
/// No such application.
pub const NOT_FOUND: u8 = 13;
/// The API cannot be reached, or refuses.
pub const API: u8 = 15;
