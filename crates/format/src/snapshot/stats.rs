//! Holds what Kopia counted while it took a snapshot.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// The counters of a snapshot run (§6.3). Files that were not read anew are not in `file_count`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kopia's and say what they count")]
#[non_exhaustive]
pub struct Stats {
    #[serde(deserialize_with = "clamped")]
    pub total_size: i64,
    #[serde(deserialize_with = "clamped")]
    pub excluded_total_size: i64,
    #[serde(deserialize_with = "clamped")]
    pub file_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub cached_files: i64,
    #[serde(deserialize_with = "clamped")]
    pub non_cached_files: i64,
    #[serde(deserialize_with = "clamped")]
    pub dir_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub excluded_file_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub excluded_dir_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub ignored_error_count: i64,
    #[serde(deserialize_with = "clamped")]
    pub error_count: i64,
}

/// Reads a number of any size; what does not fit becomes the nearest that does, `null` is 0.
fn clamped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct NumberVisitor;

    impl Visitor<'_> for NumberVisitor {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_i64<E>(self, n: i64) -> Result<i64, E> {
            Ok(n)
        }

        fn visit_u64<E>(self, n: u64) -> Result<i64, E> {
            Ok(i64::try_from(n).unwrap_or(i64::MAX))
        }

        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
        fn visit_f64<E>(self, n: f64) -> Result<i64, E> {
            Ok(n as i64)
        }

        fn visit_unit<E>(self) -> Result<i64, E> {
            Ok(0)
        }
    }

    deserializer.deserialize_any(NumberVisitor)
}
