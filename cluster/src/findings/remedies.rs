//! Holds remedies that several rules name.

use serde_json::{Value, json};

use super::finding::Remedy;
use crate::objects::Destination;

/// Returns the Secret that names the repository.
pub(super) fn secret_of(destination: &Destination) -> &str {
    destination.spec.kopia.as_ref().map_or("", |kopia| kopia.repository.as_str())
}

/// Returns a change that means nothing, so that the operator looks at once.
pub(super) fn nudge(destination: &Destination) -> Remedy {
    let meta = &destination.metadata;
    let (namespace, name) = (&meta.namespace, &meta.name);
    let command = format!(
        "kubectl -n {namespace} annotate replicationdestination {name} rekopia/looked-at=\"$(date +%s)\" --overwrite"
    );
    Remedy::run("so that the operator looks at once", command)
}

/// Returns a command that changes these fields of a restore's `spec`.
pub(super) fn patch(destination: &Destination, spec: &Value) -> String {
    let meta = &destination.metadata;
    let patch = json!({ "spec": spec });
    format!(
        "kubectl -n {} patch replicationdestination {} --type=merge -p '{patch}'",
        meta.namespace, meta.name
    )
}

/// Returns what happens by itself to a restore that needs a new trigger.
pub(super) fn until_trigger(destination: &Destination) -> &'static str {
    let is_scheduled = destination.spec.trigger.schedule.is_some();
    if is_scheduled {
        "the next scheduled restore makes a new one"
    } else {
        "nothing, until the trigger changes"
    }
}

/// Returns the remedy of a changed trigger, which begins a new restore.
pub(super) fn trigger(destination: &Destination) -> Remedy {
    let Some(old) = destination.spec.trigger.manual.as_deref() else {
        return Remedy::say(
            "wait for the next scheduled restore, or set spec.trigger.manual in place of the schedule",
        );
    };
    let new = old.strip_suffix("-again").map_or_else(|| format!("{old}-again"), str::to_owned);
    let command = patch(destination, &json!({ "trigger": { "manual": new } }));
    Remedy::run("change the trigger (VOLSYNC_RESTORE_ID in Git): that begins a new restore", command)
}
