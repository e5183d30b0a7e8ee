//! Integration tests of the engine: genuine repositories, damage, destinations, costs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod against;
mod bad_index;
mod boundaries;
mod cost;
mod damage;
mod doctor;
mod endless;
mod ends;
mod estimate;
mod exit_codes;
mod far;
mod fuse;
mod fuse_attributes;
mod golden;
mod in_the_way;
mod layers;
mod losses;
mod matrix;
mod mirror;
mod mounted;
mod overwrite;
mod promises;
mod receipt;
mod receipt_around;
mod reference;
mod replaced;
mod salvage;
mod set;
mod set_runs;
mod shapes;
mod stored_file;
mod support;
mod target;
