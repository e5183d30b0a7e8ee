//! Defines what makes pods: Jobs and Deployments.

use jiff::Timestamp;
use serde::Deserialize;

use super::meta::{Condition, Meta, condition, nullable, object};
use super::pod::PodSpec;

/// A Job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Names and owners.
    pub metadata: Meta,
    /// The spec: how often the Job may try.
    pub spec: JobSpec,
    /// The status: what became of the Job.
    #[serde(deserialize_with = "nullable")]
    pub status: JobStatus,
}
object!(Job, "Job", "job", "jobs", "batch", "v1", true);

/// The spec of a Job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobSpec {
    /// Number of failures before the Job gives up; 8 for a restore.
    pub backoff_limit: Option<u32>,
}

/// The status of a Job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobStatus {
    /// Number of pods that are there and not done.
    pub active: Option<u32>,
    /// Number of pods that failed.
    pub failed: Option<u32>,
    /// Number of pods that succeeded.
    pub succeeded: Option<u32>,
    /// The conditions: `Complete`, `Failed`, …
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// The time when the Job was complete.
    pub completion_time: Option<Timestamp>,
}

impl Job {
    /// Whether a pod of the Job succeeded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.holds("Complete") || self.holds("SuccessCriteriaMet")
    }

    /// Whether the Job has given up.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.holds("Failed") || self.holds("FailureTarget")
    }

    fn holds(&self, kind: &str) -> bool {
        condition(&self.status.conditions, kind).is_some_and(|condition| condition.status == "True")
    }
}

/// A Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// The name and labels of the Deployment.
    pub metadata: Meta,
    /// The spec: what was asked for.
    pub spec: DeploymentSpec,
    /// The status: what became of the Deployment.
    #[serde(deserialize_with = "nullable")]
    pub status: DeploymentStatus,
}
object!(Deployment, "Deployment", "deployment", "deployments", "apps", "v1", true);

/// The spec of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeploymentSpec {
    /// Number of pods wanted; none: one.
    pub replicas: Option<u32>,
    /// The pods of the Deployment.
    pub template: Template,
}

/// The pods of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    /// The spec of the pods.
    pub spec: PodSpec,
}

/// The status of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// Number of pods that can be used.
    pub available_replicas: Option<u32>,
    /// The conditions: `Available`, `Progressing`, `ReplicaFailure`.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
}

impl Deployment {
    /// Whether the Deployment's pods mount this claim of its namespace.
    #[must_use]
    pub fn mounts(&self, claim: &str) -> bool {
        self.spec.template.spec.volumes.iter().any(|volume| volume.claim() == Some(claim))
    }

    /// Whether the Deployment is asked to have no pods.
    #[must_use]
    pub fn is_scaled_to_nothing(&self) -> bool {
        self.spec.replicas == Some(0)
    }
}
