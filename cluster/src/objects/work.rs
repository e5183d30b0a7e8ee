//! What makes pods: Jobs and Deployments.

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
    /// How often it may try.
    pub spec: JobSpec,
    /// What became of it.
    #[serde(deserialize_with = "nullable")]
    pub status: JobStatus,
}
object!(Job, "Job", "job", "jobs", "batch", "v1", true);

/// How often a Job may try.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobSpec {
    /// Failures before it gives up; 8 for a restore.
    pub backoff_limit: Option<u32>,
}

/// What became of a Job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobStatus {
    /// Pods that are there and not done.
    pub active: Option<u32>,
    /// Pods that failed.
    pub failed: Option<u32>,
    /// Pods that succeeded.
    pub succeeded: Option<u32>,
    /// `Complete`, `Failed`, …
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// When it was complete.
    pub completion_time: Option<Timestamp>,
}

impl Job {
    /// Whether a pod of it succeeded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.holds("Complete") || self.holds("SuccessCriteriaMet")
    }

    /// Whether it has given up.
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
    /// Its name and labels.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: DeploymentSpec,
    /// What became of it.
    #[serde(deserialize_with = "nullable")]
    pub status: DeploymentStatus,
}
object!(Deployment, "Deployment", "deployment", "deployments", "apps", "v1", true);

/// What a Deployment was asked to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeploymentSpec {
    /// Pods wanted; none: one.
    pub replicas: Option<u32>,
    /// The pods.
    pub template: Template,
}

/// The pods of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    /// As a pod's own.
    pub spec: PodSpec,
}

/// What became of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// Pods that can be used.
    pub available_replicas: Option<u32>,
    /// `Available`, `Progressing`, `ReplicaFailure`.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
}

impl Deployment {
    /// Whether its pods mount this claim of its namespace.
    #[must_use]
    pub fn mounts(&self, claim: &str) -> bool {
        self.spec.template.spec.volumes.iter().any(|volume| volume.claim() == Some(claim))
    }

    /// Whether it is asked to have no pods.
    #[must_use]
    pub fn is_scaled_to_nothing(&self) -> bool {
        self.spec.replicas == Some(0)
    }
}
