//! Defines exit codes, beside those of the table that all programs share.

/// The exit code when all is fine, or there is nothing that this command judges.
pub const FINE: u8 = 0;
/// The exit code when something is broken, and of any other failure.
pub const BROKEN: u8 = 1;
/// The exit code of a command line that is wrong.
pub const USAGE: u8 = 2;
/// The exit code while something is still going on, or when a right is missing without which nothing can be said.
pub const GOING_ON: u8 = 3;
/// The exit code when there is no such application.
pub const NOT_FOUND: u8 = 13;
/// The exit code when the API cannot be reached, or refuses.
pub const API: u8 = 15;
