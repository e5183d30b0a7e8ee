//! Reads `kopia.blobcfg`: how long the storage is to retain blobs (§2.9).

use serde::Deserialize;

use crate::json::{null_is_zero, parse_first, repaired};

/// The opened blob `kopia.blobcfg`. A reader has no use for it but to show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobCfg {
    /// Mode and period; `None` when blobs are not retained, also when the blob is missing.
    pub retention: Option<Retention>,
}

/// The protection of blobs from deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The mode in the storage's words: `GOVERNANCE` or `COMPLIANCE`.
    pub mode: String,
    /// The period in nanoseconds, at least a day.
    pub period_ns: u64,
}

/// The settings make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not the JSON that it should be.
    #[error("kopia.blobcfg does not parse: {0}")]
    Json(String),
    /// Only one of mode and period is there, or the period is less than a day.
    #[error(
        "kopia.blobcfg retains in mode {mode:?} for {period_ns} ns, expected both unset or at least a day"
    )]
    Retention {
        /// The mode that was found.
        mode: String,
        /// The period that was found, in nanoseconds.
        period_ns: i64,
    },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    #[serde(deserialize_with = "null_is_zero")]
    retention_mode: String,
    #[serde(deserialize_with = "null_is_zero")]
    retention_period: i64,
}

const DAY_NS: u64 = 86_400_000_000_000;

impl BlobCfg {
    /// Reads the settings from the decrypted JSON.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Retention`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        // both fields are optional: the usual spelling cannot be told from their absence
        let json = repaired(json, &["retentionMode", "retentionPeriod"]);
        let raw: Raw = parse_first(&json).map_err(|e| Error::Json(e.to_string()))?;
        match (raw.retention_mode.as_str(), u64::try_from(raw.retention_period)) {
            ("", Ok(0)) => Ok(BlobCfg { retention: None }),
            (mode, Ok(period_ns)) if !mode.is_empty() && period_ns >= DAY_NS => {
                Ok(BlobCfg { retention: Some(Retention { mode: mode.to_owned(), period_ns }) })
            }
            _ => Err(Error::Retention { mode: raw.retention_mode, period_ns: raw.retention_period }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_format_document() {
        assert_eq!(BlobCfg::parse(b"{}").unwrap().retention, None);
        let governed =
            BlobCfg::parse(br#"{"retentionMode":"GOVERNANCE","retentionPeriod":86400000000000}"#).unwrap();
        assert_eq!(governed.retention, Some(Retention { mode: "GOVERNANCE".to_owned(), period_ns: DAY_NS }));
        assert_eq!(
            BlobCfg::parse(br#"{"RetentionMode":"GOVERNANCE","retentionperiod":86400000000000}"#),
            Ok(governed)
        );
        assert_eq!(BlobCfg::parse(br#"{"retentionMode":null}"#).unwrap(), BlobCfg::default());
    }

    #[test]
    fn half_settings_and_rubbish_are_errors() {
        for bad in [
            r#"{"retentionMode":"GOVERNANCE"}"#,
            r#"{"retentionPeriod":86400000000000}"#,
            r#"{"retentionMode":"GOVERNANCE","retentionPeriod":86399999999999}"#,
            r#"{"retentionMode":"GOVERNANCE","retentionPeriod":-1}"#,
            "",
            "[]",
            "7",
            r#"{"retentionMode":7}"#,
        ] {
            assert!(BlobCfg::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
