//! Pods and their containers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::meta::{Condition, Meta, condition, nullable, object};

/// The mover's container; others may have been put beside it.
const MOVER: &str = "kopia";

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Names and owners.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: PodSpec,
    /// What became of it.
    pub status: PodStatus,
}
object!(Pod, "Pod", "pod", "pods", "", "v1", true);

/// What a pod was asked to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// The node that it was given to.
    #[serde(deserialize_with = "nullable")]
    pub node_name: String,
    /// Its containers.
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<Container>,
    /// Its volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<PodVolume>,
}

/// A container as it was asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// Its image.
    #[serde(deserialize_with = "nullable")]
    pub image: String,
    /// What it is asked to do.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<String>,
    /// `limits` and `requests` by resource.
    #[serde(deserialize_with = "nullable")]
    pub resources: BTreeMap<String, serde_json::Value>,
}

impl Container {
    /// The memory limit as it was written.
    #[must_use]
    pub fn memory_limit(&self) -> Option<&str> {
        self.resources.get("limits")?.get("memory")?.as_str()
    }
}

/// A volume of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodVolume {
    /// Its name in the pod.
    pub name: String,
    /// The claim behind it, where it is one.
    pub persistent_volume_claim: Option<ClaimVolume>,
}

/// A claim as a pod names it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimVolume {
    /// In the pod's namespace.
    pub claim_name: String,
}

/// What became of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    #[serde(deserialize_with = "nullable")]
    pub phase: String,
    /// Why, in a word, where the whole pod has ended: `Evicted`, …
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// Scheduled, ready, …
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// One for each container that the node has heard of.
    #[serde(deserialize_with = "nullable")]
    pub container_statuses: Vec<ContainerStatus>,
    /// One for each container that runs before the others.
    #[serde(deserialize_with = "nullable")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// How a container is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name in the pod.
    pub name: String,
    /// Now.
    #[serde(deserialize_with = "nullable")]
    pub state: ContainerState,
    /// Before its last restart.
    #[serde(deserialize_with = "nullable")]
    pub last_state: ContainerState,
    /// Whether it can be used.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: u32,
}

/// One of waiting, running, terminated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// The container has not started.
    pub waiting: Option<Waiting>,
    /// The container runs.
    pub running: Option<Running>,
    /// The container has ended.
    pub terminated: Option<Terminated>,
}

/// Why a container has not started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `ContainerCreating`, `ImagePullBackOff`, `CrashLoopBackOff`, …
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// A sentence, where there is more to say.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
}

/// Since when a container runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running {
    /// Since when.
    pub started_at: Option<Timestamp>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// 0 is well; 137 with `OOMKilled` is the kernel.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, …
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// What the program left: the mover's JSON.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl ContainerStatus {
    /// Why its node cannot make it: mostly a Secret or a key that is not there.
    #[must_use]
    pub fn cannot_be_made(&self) -> Option<&Waiting> {
        let is_one = |why: &&Waiting| why.reason.contains("Container") && why.reason != "ContainerCreating";
        self.state.waiting.as_ref().filter(is_one)
    }
}

impl Pod {
    /// Whether it still has something to do.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.status.phase.as_str(), "Pending" | "Running" | "")
            && self.ended().is_none_or(|ended| self.status.phase != "Running" || ended.exit_code == 0)
    }

    /// How its main container is: the mover's own, else the first.
    #[must_use]
    pub fn main(&self) -> Option<&ContainerStatus> {
        let statuses = &self.status.container_statuses;
        statuses.iter().find(|status| status.name == MOVER).or_else(|| statuses.first())
    }

    /// What its main container was asked to be.
    #[must_use]
    pub fn main_spec(&self) -> Option<&Container> {
        let containers = &self.spec.containers;
        containers.iter().find(|container| container.name == MOVER).or_else(|| containers.first())
    }

    /// How its main container ended, where it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Terminated> {
        self.main()?.state.terminated.as_ref()
    }

    /// Since when its main container runs.
    #[must_use]
    pub fn running_since(&self) -> Option<Timestamp> {
        self.main()?.state.running.as_ref()?.started_at
    }

    /// Whether all of it can be used.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(|ready| ready.status == "True")
    }

    /// Whether it mounts this claim of its namespace.
    #[must_use]
    pub fn mounts(&self, claim: &str) -> bool {
        self.spec.volumes.iter().any(|v| v.claim() == Some(claim))
    }
}

impl PodVolume {
    /// The claim's name, where it is one.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        self.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str())
    }
}
