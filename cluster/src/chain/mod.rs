//! Makes of the objects one application for each claim, with the links of its chain (cluster-objects §1). Pure: it asks
//! nobody.

mod application;
mod index;
mod report;

pub use application::Application;
pub use index::Index;
pub use report::{Progress, Report, TakenFrom};
