//! What a policy says.

use serde::Deserialize;

use crate::json::null_is_zero;

/// The fields of a policy. `None`, and an empty list, mean: as the more general policy says.
///
/// Actions, volume shadow copies and logging concern the program that takes snapshots alone; they are not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// How many snapshots are kept.
    #[serde(deserialize_with = "null_is_zero")]
    pub retention: Retention,
    /// Which files are taken.
    #[serde(deserialize_with = "null_is_zero")]
    pub files: Files,
    /// Which errors are ignored.
    #[serde(deserialize_with = "null_is_zero")]
    pub error_handling: ErrorHandling,
    /// When snapshots are taken.
    #[serde(deserialize_with = "null_is_zero")]
    pub scheduling: Scheduling,
    /// How file contents are compressed.
    #[serde(deserialize_with = "null_is_zero")]
    pub compression: Compression,
    /// How directories are compressed.
    #[serde(deserialize_with = "null_is_zero")]
    pub metadata_compression: MetadataCompression,
    /// How files are split.
    #[serde(deserialize_with = "null_is_zero")]
    pub splitter: Splitter,
    /// How much happens at a time.
    #[serde(deserialize_with = "null_is_zero")]
    pub upload: Upload,
    /// Nothing more general applies, not even the defaults.
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent: bool,
}

/// How many snapshots are kept, by kind of period (§6.6).
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

/// Which files are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct Files {
    #[serde(deserialize_with = "null_is_zero")]
    pub ignore: Vec<String>,
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent_ignore: bool,
    #[serde(deserialize_with = "null_is_zero")]
    pub ignore_dot_files: Vec<String>,
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent_dot_files: bool,
    pub ignore_cache_dirs: Option<bool>,
    /// Bytes; 0 means no limit.
    pub max_file_size: Option<i64>,
    pub one_file_system: Option<bool>,
}

/// Which errors are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct ErrorHandling {
    pub ignore_file_errors: Option<bool>,
    pub ignore_directory_errors: Option<bool>,
    pub ignore_unknown_types: Option<bool>,
}

/// When snapshots are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct Scheduling {
    pub interval_seconds: Option<i64>,
    #[serde(deserialize_with = "null_is_zero")]
    pub time_of_day: Vec<TimeOfDay>,
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent_time_of_day: bool,
    pub manual: Option<bool>,
    #[serde(deserialize_with = "null_is_zero")]
    pub cron: Vec<String>,
    pub run_missed: Option<bool>,
}

/// A time of the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TimeOfDay {
    pub hour: i64,
    pub min: i64,
}

/// How file contents are compressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct Compression {
    pub compressor_name: Option<String>,
    #[serde(deserialize_with = "null_is_zero")]
    pub only_compress: Vec<String>,
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent_only_compress: bool,
    #[serde(deserialize_with = "null_is_zero")]
    pub never_compress: Vec<String>,
    #[serde(deserialize_with = "null_is_zero")]
    pub no_parent_never_compress: bool,
    /// Bytes.
    pub min_size: Option<i64>,
    /// Bytes; 0 means no limit.
    pub max_size: Option<i64>,
}

/// How directories are compressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct MetadataCompression {
    pub compressor_name: Option<String>,
}

/// How files are split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct Splitter {
    pub algorithm: Option<String>,
}

/// How much happens at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say it")]
pub struct Upload {
    pub max_parallel_snapshots: Option<i64>,
    pub max_parallel_file_reads: Option<i64>,
    /// Bytes.
    pub parallel_upload_above_size: Option<i64>,
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
    "files",
    "ignore",
    "noParentIgnore",
    "ignoreDotFiles",
    "noParentDotFiles",
    "ignoreCacheDirs",
    "maxFileSize",
    "oneFileSystem",
    "errorHandling",
    "ignoreFileErrors",
    "ignoreDirectoryErrors",
    "ignoreUnknownTypes",
    "scheduling",
    "intervalSeconds",
    "timeOfDay",
    "hour",
    "min",
    "noParentTimeOfDay",
    "manual",
    "cron",
    "runMissed",
    "compression",
    "compressorName",
    "onlyCompress",
    "noParentOnlyCompress",
    "neverCompress",
    "noParentNeverCompress",
    "minSize",
    "maxSize",
    "metadataCompression",
    "splitter",
    "algorithm",
    "upload",
    "maxParallelSnapshots",
    "maxParallelFileReads",
    "parallelUploadAboveSize",
    "noParent",
];
