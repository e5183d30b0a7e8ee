//! Reads policies: how long a snapshot is kept (§6.4).
//!
//! A restore obeys no policy. They are read to show why a snapshot is still there, and until when.

mod effective;
mod retention;
mod settings;
mod stored;

pub use effective::effective_retention;
pub use retention::retention_reasons;
pub use settings::{Retention, Settings};
pub use stored::{Error, Policy, PolicyTarget};
