//! Integration tests of the engine: genuine repositories, damage, destinations, costs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod cost;
mod damage;
mod far;
mod fuse;
mod fuse_attributes;
mod golden;
mod layers;
mod replaced;
mod shapes;
mod support;
mod target;
