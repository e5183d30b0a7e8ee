//! Defines pods and their containers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::meta::{Condition, Meta, condition, nullable, object};

/// The name of the mover's container; others may have been put beside it.
const MOVER: &str = "kopia";

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Names and owners.
    pub metadata: Meta,
    /// The spec: what was asked for.
    pub spec: PodSpec,
    /// The status: what became of the pod.
    pub status: PodStatus,
}
object!(Pod, "Pod", "pod", "pods", "", "v1", true);

/// The spec of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// The node that the pod was given to.
    #[serde(deserialize_with = "nullable")]
    pub node_name: String,
    /// The containers of the pod.
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<Container>,
    /// The volumes of the pod.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<PodVolume>,
}

/// A container as it was asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    /// The name of the container in the pod.
    pub name: String,
    /// The image of the container.
    #[serde(deserialize_with = "nullable")]
    pub image: String,
    /// The arguments of the container.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<String>,
    /// The `limits` and `requests` by resource.
    #[serde(deserialize_with = "nullable")]
    pub resources: BTreeMap<String, serde_json::Value>,
}

impl Container {
    /// Returns the memory limit as it was written.
    #[must_use]
    pub fn memory_limit(&self) -> Option<&str> {
        self.resources.get("limits")?.get("memory")?.as_str()
    }
}

/// A volume of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodVolume {
    /// The name of the volume in the pod.
    pub name: String,
    /// The claim behind the volume, where it is one.
    pub persistent_volume_claim: Option<ClaimVolume>,
}

/// A claim as a pod names it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimVolume {
    /// The name of the claim, in the pod's namespace.
    pub claim_name: String,
}

/// The status of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// The phase: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    #[serde(deserialize_with = "nullable")]
    pub phase: String,
    /// The reason, in a word, where the whole pod has ended: `Evicted`, …
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// The reason, in a sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// The conditions: scheduled, ready, …
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// The status of each container that the node has heard of.
    #[serde(deserialize_with = "nullable")]
    pub container_statuses: Vec<ContainerStatus>,
    /// The status of each container that runs before the others.
    #[serde(deserialize_with = "nullable")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// The status of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// The name of the container in the pod.
    pub name: String,
    /// The state now.
    #[serde(deserialize_with = "nullable")]
    pub state: ContainerState,
    /// The state before the last restart.
    #[serde(deserialize_with = "nullable")]
    pub last_state: ContainerState,
    /// Whether the container can be used.
    pub ready: bool,
    /// Number of times that the container was started again.
    pub restart_count: u32,
}

/// The state of a container: one of waiting, running, terminated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Set when the container has not started.
    pub waiting: Option<Waiting>,
    /// Set when the container runs.
    pub running: Option<Running>,
    /// Set when the container has ended.
    pub terminated: Option<Terminated>,
}

/// The reason why a container has not started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// The reason, in a word: `ContainerCreating`, `ImagePullBackOff`, `CrashLoopBackOff`, …
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// The message, in a sentence, where there is more to say.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
}

/// The state of a container that runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running {
    /// The time since when the container runs.
    pub started_at: Option<Timestamp>,
}

/// The state of a container that has ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// The exit code: 0 is well; 137 with `OOMKilled` is the kernel.
    pub exit_code: i32,
    /// The reason, in a word: `Completed`, `Error`, `OOMKilled`, …
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// The message that the program left: the mover's JSON.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// The time when the container began.
    pub started_at: Option<Timestamp>,
    /// The time when the container ended.
    pub finished_at: Option<Timestamp>,
}

impl ContainerStatus {
    /// Returns why the node cannot make the pod: mostly a Secret or a key that is not there.
    #[must_use]
    pub fn cannot_be_made(&self) -> Option<&Waiting> {
        let is_one = |why: &&Waiting| why.reason.contains("Container") && why.reason != "ContainerCreating";
        self.state.waiting.as_ref().filter(is_one)
    }
}

impl Pod {
    /// Whether the pod still has something to do.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.status.phase.as_str(), "Pending" | "Running" | "")
            && self.ended().is_none_or(|ended| self.status.phase != "Running" || ended.exit_code == 0)
    }

    /// Returns the status of the main container: the mover's own, else the first.
    #[must_use]
    pub fn main(&self) -> Option<&ContainerStatus> {
        let statuses = &self.status.container_statuses;
        statuses.iter().find(|status| status.name == MOVER).or_else(|| statuses.first())
    }

    /// Returns what the main container was asked to be.
    #[must_use]
    pub fn main_spec(&self) -> Option<&Container> {
        let containers = &self.spec.containers;
        containers.iter().find(|container| container.name == MOVER).or_else(|| containers.first())
    }

    /// Returns how the main container ended, where it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Terminated> {
        self.main()?.state.terminated.as_ref()
    }

    /// Returns since when the main container runs.
    #[must_use]
    pub fn running_since(&self) -> Option<Timestamp> {
        self.main()?.state.running.as_ref()?.started_at
    }

    /// Whether all of the pod can be used.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(|ready| ready.status == "True")
    }

    /// Whether the pod mounts this claim of its namespace.
    #[must_use]
    pub fn mounts(&self, claim: &str) -> bool {
        self.spec.volumes.iter().any(|v| v.claim() == Some(claim))
    }
}

impl PodVolume {
    /// Returns the claim's name, where it is one.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        self.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str())
    }
}
