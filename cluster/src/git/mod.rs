//! Renders what a Git tree or rendered manifests configure, without a cluster.
//!
//! ```text
//! tree ─► scan ─► pass ─► flux ─► builder ─► kustomization ─► changes ─► patch ─► target
//!        (Flux's  (each,  (one)      │              │
//!          own)   in the   │         └─► program    └─► generator
//!                 parent's ├─► variables
//!                 shape)   └─► substitute         below all: files ─► yaml, and object, rendered
//! ```
//!
//! A tree is foreign: nothing outside of it is read, nothing is fetched, and sizes, numbers and depths are bounded. What
//! cannot be rendered exactly becomes a [`Note`]; the rest is rendered all the same.

mod builder;
mod changes;
mod error;
mod files;
mod flux;
mod generator;
mod kustomization;
mod object;
mod pass;
mod patch;
mod program;
mod rendered;
mod scan;
mod substitute;
mod target;
mod tree;
mod variables;
mod yaml;

pub use builder::build;
pub use error::GitError;
pub use rendered::{Note, Reads, Rendered, Renderer};
pub use substitute::{Unresolved, Variables, substitute};
pub use tree::{rendered, rendered_text, tree};
pub use yaml::documents;
