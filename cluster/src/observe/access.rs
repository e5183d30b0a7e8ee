//! Reaches the cluster as `kubectl` does.

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::api::Api;

/// The cluster to reach, and the account to use.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// A kubeconfig; none: `KUBECONFIG`, `~/.kube/config`, or the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; none: the current one.
    pub context: Option<String>,
}

/// Connects as `kubectl` would. Nothing is asked yet.
///
/// # Errors
/// There is no configuration, or it cannot be used.
pub async fn connect(access: &Access) -> Result<Api> {
    let options = KubeConfigOptions { context: access.context.clone(), cluster: None, user: None };
    let mut config = match &access.kubeconfig {
        Some(path) => {
            let read =
                Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))?;
            Config::from_custom_kubeconfig(read, &options)
                .await
                .with_context(|| format!("cannot use {}", path.display()))?
        }
        None if access.context.is_some() => {
            Config::from_kubeconfig(&options).await.context("cannot use the kubeconfig")?
        }
        None => {
            Config::infer().await.context("there is no kubeconfig, and this is no pod; set KUBECONFIG")?
        }
    };
    config.default_retry = true;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).context("cannot use the cluster's configuration")?;
    Ok(Api::new(client, namespace))
}
