//! Remedies that several rules name.

use super::finding::Remedy;
use crate::objects::Destination;

/// The Secret that names the repository.
pub(super) fn secret_of(destination: &Destination) -> &str {
    destination.spec.kopia.as_ref().map_or("", |kopia| kopia.repository.as_str())
}

/// A change that means nothing, so that the operator looks at once.
pub(super) fn nudge(destination: &Destination) -> Remedy {
    let meta = &destination.metadata;
    let (namespace, name) = (&meta.namespace, &meta.name);
    let command = format!(
        "kubectl -n {namespace} annotate replicationdestination {name} rekopia/looked-at=\"$(date +%s)\" --overwrite"
    );
    Remedy::run("so that the operator looks at once", command)
}

/// A changed trigger begins a new restore.
pub(super) fn trigger(destination: &Destination) -> Remedy {
    let meta = &destination.metadata;
    let old = destination.spec.trigger.manual.as_deref().unwrap_or("restore");
    let new = format!("{}-again", old.trim_end_matches("-again"));
    let command = format!(
        "kubectl -n {} patch replicationdestination {} --type=merge -p '{{\"spec\":{{\"trigger\":{{\"manual\":\"{new}\"}}}}}}'",
        meta.namespace, meta.name
    );
    Remedy::run("change the trigger (VOLSYNC_RESTORE_ID in Git): that begins a new restore", command)
}
