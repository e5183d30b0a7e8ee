//! Writes to the destination: nothing else in the engine does.
//!
//! Everything is done through directory handles: a name is one checked component below an open directory, symbolic
//! links are never followed, and what was created is recognised by device and inode when it is opened again. Files are
//! written under their final names, private until finished; what replaces something is made beside it, without a name or
//! as `.rekopia-new-N`, and takes its place in one step.

mod aside;
mod attributes;
mod beside;
mod closed;
mod closing;
mod compare;
mod descent;
mod digest_files;
mod digest_record;
mod digest_walk;
mod digested;
mod error;
mod existing;
mod file;
mod finish_dir;
pub(crate) mod folding;
mod handles;
mod in_the_way;
mod left_over;
mod link;
mod list;
mod look;
mod mark;
mod metadata;
mod mounts;
mod names;
mod node;
mod open_dir;
mod open_files;
mod overlap;
mod patch;
mod remove;
mod remove_extra;
mod reopen;
mod report_file;
mod settle;
mod space;
mod speed;
mod staged;
mod start;
mod state;
mod subject;
mod swallowed;
mod sync;
mod tree_digest;
mod whole_file;

pub use attributes::OwnerPolicy;
pub(crate) use attributes::{AttributePolicy, Attributes, FidelityIssue};
pub(crate) use digest_files::open_to_read;
pub(crate) use digest_record::{NEAREST, depth};
pub(crate) use digested::Hashed;
pub use digested::{DirectoryDigest, TreeDigest};
pub(crate) use error::SinkError;
pub(crate) use existing::{Existing, ExistingBytes, ExistingKind};
pub(crate) use file::LargeFile;
pub(crate) use list::{Listed, ListedKind, Listing};
pub(crate) use look::Want;
pub use mark::clear_incomplete_mark;
pub(crate) use node::DirNode;
pub(crate) use patch::Patch;
pub(crate) use report_file::create_report_file;
pub(crate) use speed::Speed;
pub(crate) use state::{Sink, SinkOptions};
pub(crate) use tree_digest::{DigestRoot, Digesting, digest_tree};
pub use whole_file::put_file;
pub(crate) use whole_file::put_file_in_tree;
