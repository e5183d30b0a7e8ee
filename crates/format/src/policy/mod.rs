//! Policies: what a snapshot takes, and how long it is kept (§6.4).
//!
//! A restore obeys no policy. They are read to show why a snapshot is still there, and until when.

mod effective;
mod retention;
mod settings;
mod stored;

pub use effective::effective;
pub use retention::retention_reasons;
pub use settings::{
    Compression, ErrorHandling, Files, MetadataCompression, Retention, Scheduling, Settings, Splitter,
    TimeOfDay, Upload,
};
pub use stored::{Error, Policy, PolicyTarget};
