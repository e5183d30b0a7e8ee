//! How a crate is built, read from its source: who names whom, and how long its parts are.
//!
//! A crate says in a [`Table`], from the floor to the roof, which modules it has and what each of them may name.
//! [`violations`] finds names that the table does not allow, names of what stands further up in it, and what the table
//! has and nobody needs. [`circles`] needs no table: it finds files that name each other. [`oversized`] finds what has
//! grown too long.
//!
//! Names are paths that begin with `crate`, `super` or a module that the file declares, wherever they stand: imports,
//! expressions, macros. Paths in comments and documentation do not count.

mod circles;
mod files;
mod names;
mod sizes;
mod table;

pub use circles::circles;
pub use sizes::oversized;
pub use table::{Table, violations, violations_in};
