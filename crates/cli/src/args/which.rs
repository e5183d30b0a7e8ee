//! What several commands ask for, and the groups that their help has.

use clap::Args as ClapArgs;

/// The groups of options, in every command.
pub(super) const WHAT: &str = "What to read";
pub(super) const TARGET: &str = "Target";
pub(super) const ATTRIBUTES: &str = "Attributes";
pub(super) const REPOSITORY: &str = "Repository";
pub(super) const SALVAGE: &str = "Damaged repositories";
pub(super) const OUTPUT: &str = "Output";

/// What to look at. A reference is a snapshot ID (or a unique prefix of at least
/// 8 digits), an object ID, user@host:/path, user@host or "latest"; each may be
/// followed by /sub/path.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = WHAT)]
pub(crate) struct Which {
    /// The newest snapshot that started at or before this time, which includes
    /// what it leaves out: 2026-11-01 the whole day. Also "2 days ago", oldest
    #[arg(long, value_name = "TIME", alias = "snapshot-time")]
    pub(crate) as_of: Option<String>,
    /// This many complete snapshots before the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) previous: usize,
    /// Allow incomplete snapshots
    #[arg(long)]
    pub(crate) incomplete: bool,
    #[command(flatten)]
    pub(crate) tags: Tags,
}

/// Which snapshots count.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = WHAT)]
pub(crate) struct Tags {
    /// Only snapshots with this tag; several: with all of them
    #[arg(long, value_name = "KEY[:VALUE]", alias = "tags", value_parser = crate::text::parse_tag)]
    pub(crate) tag: Vec<(String, Option<String>)>,
}
