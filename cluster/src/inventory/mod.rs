//! Joins Git, cluster and repositories: what is configured, what is backed up, what is restored, a row for each
//! application.
//!
//! [`collect`] makes the rows of Git and cluster; the repositories are asked then, by whoever may; [`judge`] says what is
//! wrong with each row, and which identities of the repositories belong to no row.

mod due;
mod mark;
mod row;

pub use mark::{Mark, Orphan, judge};
pub use row::{Held, Row, Sees, Sides, collect};
