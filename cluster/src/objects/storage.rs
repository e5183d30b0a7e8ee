//! Classes and drivers of storage.

use serde::Deserialize;

use super::meta::{Meta, nullable, object};

/// A storage class.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageClass {
    /// Its name.
    pub metadata: Meta,
    /// The driver.
    #[serde(deserialize_with = "nullable")]
    pub provisioner: String,
    /// `Immediate` or `WaitForFirstConsumer`.
    #[serde(deserialize_with = "nullable")]
    pub volume_binding_mode: String,
}
object!(StorageClass, "StorageClass", "sc", "storageclasses", "storage.k8s.io", "v1", false);

/// A CSI driver that is installed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Driver {
    /// Its name is what a class names as provisioner.
    pub metadata: Meta,
}
object!(Driver, "CSIDriver", "csidriver", "csidrivers", "storage.k8s.io", "v1", false);
