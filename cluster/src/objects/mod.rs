//! Defines the objects of a cluster, as far as a diagnosis reads them: everything else in them is skipped while they
//! are read.
//!
//! Every field may be missing or null: what is there depends on who wrote the object, and when (cluster-objects §2, §6).

mod core;
mod event;
mod flux;
mod meta;
mod pod;
mod snapshots;
mod storage;
mod volsync;
mod work;

pub use core::{Claim, ClaimSpec, DataSource, Namespace, Node, Secret, Volume};
pub use event::Event;
pub use flux::{ExternalSecret, GitRepository, Kustomization};
pub use meta::{Condition, Kind, Meta, Object, Owner, condition, nullable};
pub use pod::{
    Container, ContainerState, ContainerStatus, Pod, PodSpec, PodVolume, Running, Terminated, Waiting,
};
pub use snapshots::{Snapshot, SnapshotClass, SnapshotStatus};
pub use storage::{Driver, StorageClass};
pub use volsync::{Destination, DestinationStatus, Image, KopiaSpec, MoverStatus, Source};
pub use work::{Deployment, Job};
