//! Reads policies as stored: whom they are for, and what they say.

use std::collections::BTreeMap;

use super::settings::{NAMES, Settings};
use crate::json::{parse_first, repaired};
use crate::manifest::ManifestEntry;
use crate::snapshot::Source;
use crate::time::Time;

/// A stored policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The target of the policy.
    pub target: PolicyTarget,
    /// The time when the policy was stored, in nanoseconds since 1970.
    pub modified: Time,
    /// The settings of the policy.
    pub settings: Settings,
}

/// The target of a policy, from general to specific.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyTarget {
    /// The policy is for all sources.
    Global,
    /// The policy is for all sources of a host.
    Host {
        /// The name of the host.
        host: String,
    },
    /// The policy is for all sources of a user on a host.
    User {
        /// The name of the user.
        user: String,
        /// The name of the host.
        host: String,
    },
    /// The policy is for a source, and everything below its path.
    Path(Source),
}

/// The reason why the manifest is not a policy's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document is not the JSON that it should be.
    #[error("policy manifest: {0}")]
    Json(String),
    /// The labels name no target.
    #[error("policy manifest is of type {policy_type:?}, or lacks a label that this type needs")]
    Target {
        /// The value of the label `policyType`.
        policy_type: String,
    },
}

impl Policy {
    /// Reads a policy from a manifest whose label `type` is `policy`.
    ///
    /// # Errors
    /// When labels or document cannot be understood.
    pub fn parse(manifest: &ManifestEntry) -> Result<Self, Error> {
        let target = PolicyTarget::parse(&manifest.labels)?;
        // all fields are optional: the usual spelling cannot be told from their absence
        let json = repaired(manifest.data.get().as_bytes(), NAMES);
        let settings = parse_first(&json).map_err(|e| Error::Json(e.to_string()))?;
        Ok(Policy { target, modified: manifest.modified, settings })
    }
}

impl PolicyTarget {
    fn parse(labels: &BTreeMap<String, String>) -> Result<Self, Error> {
        let label = |name: &str| labels.get(name).filter(|value| !value.is_empty()).cloned();
        let (user, host, path) = (label("username"), label("hostname"), label("path"));
        let policy_type = label("policyType").unwrap_or_default();
        match (policy_type.as_str(), user, host, path) {
            ("global", ..) => Ok(PolicyTarget::Global),
            ("host", _, Some(host), _) => Ok(PolicyTarget::Host { host }),
            ("user", Some(user), Some(host), _) => Ok(PolicyTarget::User { user, host }),
            ("path", Some(user), Some(host), Some(path)) => {
                Ok(PolicyTarget::Path(Source { user, host, path }))
            }
            _ => Err(Error::Target { policy_type }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifests;

    fn parse(labels: &str, data: &str) -> Result<Policy, Error> {
        let mut manifests = Manifests::default();
        let json = format!(
            r#"{{"entries":[{{"id":"0c","labels":{labels},"modified":"1970-01-01T00:00:01Z","data":{data}}}]}}"#
        );
        manifests.add(json.as_bytes()).unwrap();
        Policy::parse(&manifests.finish()[0])
    }

    #[test]
    fn targets_come_from_labels() {
        let target = |labels: &str| parse(labels, "{}").map(|p| p.target);
        assert_eq!(target(r#"{"policyType":"global"}"#), Ok(PolicyTarget::Global));
        assert_eq!(
            target(r#"{"policyType":"host","hostname":"h"}"#),
            Ok(PolicyTarget::Host { host: "h".into() })
        );
        let user = PolicyTarget::User { user: "u".into(), host: "h".into() };
        assert_eq!(target(r#"{"policyType":"user","hostname":"h","username":"u"}"#), Ok(user));
        let path = PolicyTarget::Path(Source { user: "u".into(), host: "h".into(), path: "/p".into() });
        assert_eq!(target(r#"{"policyType":"path","hostname":"h","username":"u","path":"/p"}"#), Ok(path));
        for bad in [
            "{}",
            "null",
            r#"{"policyType":"host"}"#,
            r#"{"policyType":"path","hostname":"h","username":"u"}"#,
        ] {
            assert!(matches!(target(bad), Err(Error::Target { .. })), "{bad}");
        }
    }

    #[test]
    fn fields_parse_in_any_case_and_null_is_unset() {
        let policy = parse(
            r#"{"policyType":"global"}"#,
            r#"{"retention":{"keepLatest":0,"keepHourly":null,"KeepDaily":3},"files":{"ignore":["*.tmp"]},"upload":null,"noParent":true}"#,
        );
        let Policy { settings: s, modified, .. } = policy.unwrap();
        let kept = (s.retention.keep_latest, s.retention.keep_hourly, s.retention.keep_daily);
        assert_eq!(
            (kept, s.no_parent, modified),
            ((Some(0), None, Some(3)), true, Time::from_unix_seconds(1))
        );
    }

    #[test]
    fn broken_documents_are_errors() {
        for bad in ["null", "7", "[]", r#"{"retention":7}"#, r#"{"retention":{"keepLatest":"x"}}"#] {
            assert!(matches!(parse(r#"{"policyType":"global"}"#, bad), Err(Error::Json(_))), "{bad}");
        }
    }
}
