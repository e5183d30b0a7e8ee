//! Renders what is known: text for a person on 80 columns, JSON for a program.

mod doctor;
mod inventory;
mod json;
mod plan;
mod sentence;
mod status;
mod table;

pub use doctor::explain;
pub use inventory::Inventory;
pub use json::document;
pub use plan::{Planned, Room, plan_json, plan_text};
pub use sentence::{judged_without, summary};
pub use status::{Columns, row, rows};
pub use table::wrap;
