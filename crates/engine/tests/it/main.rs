//! Integration tests of the engine: genuine repositories, damage, destinations, costs.

mod cost;
mod damage;
mod golden;
mod support;
mod target;
