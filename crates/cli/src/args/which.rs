//! What several commands ask for, and the groups that their help has.

use clap::Args as ClapArgs;

/// The groups of options, in every command.
pub(super) const WHAT: &str = "What to read";
pub(super) const TARGET: &str = "Target";
pub(super) const ATTRIBUTES: &str = "Attributes";
pub(super) const REPOSITORY: &str = "Repository";
pub(super) const SALVAGE: &str = "Damaged repositories";
pub(super) const SPEED: &str = "Speed and memory";
pub(super) const OUTPUT: &str = "Output";

/// Options of commands that look into one snapshot.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = WHAT)]
pub(crate) struct Which {
    /// The newest snapshot at this time or before it
    ///
    /// A time includes what it leaves out: 2026-11-01 is the whole day, "2026-11-01 16:29"
    /// the whole minute. Local time, unless it ends in Z, UTC or an offset. Also "2 days
    /// ago", yesterday, oldest. What counts is when a snapshot started.
    #[arg(long, value_name = "TIME", alias = "snapshot-time")]
    pub(crate) as_of: Option<String>,
    /// This many snapshots before the newest [default: 0]
    ///
    /// Only complete snapshots are counted.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) previous: usize,
    /// Allow snapshots that are incomplete
    ///
    /// Kopia keeps these when it was stopped.
    #[arg(long, hide_short_help = true)]
    pub(crate) incomplete: bool,
    #[command(flatten)]
    pub(crate) tags: Tags,
}

/// Which snapshots count.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = WHAT)]
pub(crate) struct Tags {
    /// Only snapshots with this tag
    ///
    /// May be given several times: only snapshots with all of the tags.
    #[arg(long, value_name = "KEY[:VALUE]", alias = "tags", value_parser = crate::text::parse_tag, hide_short_help = true)]
    pub(crate) tag: Vec<(String, Option<String>)>,
}
