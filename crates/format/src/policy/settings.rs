//! Holds what a policy says about how long snapshots are kept.

use serde::Deserialize;

use crate::json::null_is_zero;

/// The fields of a policy that are read.
///
/// All others concern the program that takes snapshots alone: which files it takes, when, how it compresses them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Numbers of snapshots that are kept; `None` means: as the more general policy says.
    #[serde(deserialize_with = "null_is_zero")]
    pub retention: Retention,
    /// Whether nothing more general applies, not even the defaults.
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent: bool,
}

/// The numbers of snapshots that are kept, by kind of period (§6.6).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct Retention {
    pub keep_latest: Option<i64>,
    pub keep_hourly: Option<i64>,
    pub keep_daily: Option<i64>,
    pub keep_weekly: Option<i64>,
    pub keep_monthly: Option<i64>,
    pub keep_annual: Option<i64>,
    pub ignore_identical_snapshots: Option<bool>,
}

/// Every field name, for the tolerant second attempt.
pub(super) const NAMES: &[&str] = &[
    "retention",
    "keepLatest",
    "keepHourly",
    "keepDaily",
    "keepWeekly",
    "keepMonthly",
    "keepAnnual",
    "ignoreIdenticalSnapshots",
    "noParent",
];
