//! Defines classes and drivers of storage.

use serde::Deserialize;

use super::meta::{Meta, nullable, object};

/// A storage class.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageClass {
    /// The name of the class.
    pub metadata: Meta,
    /// The driver of the class.
    #[serde(deserialize_with = "nullable")]
    pub provisioner: String,
    /// The time of binding: `Immediate` or `WaitForFirstConsumer`.
    #[serde(deserialize_with = "nullable")]
    pub volume_binding_mode: String,
}
object!(StorageClass, "StorageClass", "sc", "storageclasses", "storage.k8s.io", "v1", false);

/// A CSI driver that is installed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Driver {
    /// The name of the driver, which a class names as provisioner.
    pub metadata: Meta,
}
object!(Driver, "CSIDriver", "csidriver", "csidrivers", "storage.k8s.io", "v1", false);
