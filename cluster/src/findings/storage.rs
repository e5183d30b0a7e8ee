//! Finds why a claim gets no volume: its class, its driver, what the driver says.

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::scenario::Scenario;
use super::text::is_conflict;
use crate::objects::{Claim, Driver, Object, StorageClass};

/// Drivers that are part of Kubernetes, and have no `CSIDriver`.
const BUILT_IN: &str = "kubernetes.io/";

impl<'a> Case<'_, 'a> {
    /// Returns the class that a claim names, where it names one that does not exist.
    pub(super) fn missing_class(&self, claim: &'a Claim) -> Option<&'a str> {
        let name = claim.spec.storage_class_name.as_deref().filter(|name| !name.is_empty())?;
        let view = self.index.view;
        let said = self.index.event(&claim.metadata.uid, &["ProvisioningFailed"]);
        let is_said = said.is_some_and(|event| {
            event.message.contains("storageclass") && event.message.contains("not found")
        });
        let is_seen = view.sees(StorageClass::KIND) && view.storage_classes.get("", name).is_none();
        (is_seen || (!view.sees(StorageClass::KIND) && is_said)).then_some(name)
    }

    /// Returns the class of a claim whose class exists, and whose driver does not.
    pub(super) fn missing_driver(&self, claim: &Claim) -> Option<&'a StorageClass> {
        let view = self.index.view;
        let class = view.storage_classes.get("", claim.spec.storage_class_name.as_deref()?)?;
        let provisioner = class.provisioner.as_str();
        let is_missing = view.sees(Driver::KIND)
            && !provisioner.starts_with(BUILT_IN)
            && view.drivers.get("", provisioner).is_none();
        let said = |reason: &str| self.index.event(&claim.metadata.uid, &[reason]);
        let age = self.age(claim.metadata.creation_timestamp)?;
        let waits = (said("ExternalProvisioning").is_some() && age >= 30) || age >= 120;
        // A provisioner without CSI has no CSIDriver either; one that works has answered.
        let works =
            said("Provisioning").is_some_and(|event| event.message.contains("is provisioning volume"));
        let answers = works || said("ProvisioningFailed").is_some();
        (is_missing && waits && !answers).then_some(class)
    }

    /// Returns what the storage's driver has said last of a claim that it made no volume for.
    pub(super) fn provisioning_failed(&self, claim: &Claim) -> Option<Evidence> {
        let event = self.index.event(&claim.metadata.uid, &["ProvisioningFailed"])?;
        Some(Evidence::event(claim, event, 600))
    }

    /// Finds a claim that names no class, in a cluster that has no default.
    fn no_default_class(&self, claim: &Claim, scenario: Scenario) -> Option<Finding> {
        let names_one = claim.spec.storage_class_name.as_deref().is_some_and(|name| !name.is_empty());
        let said = self.index.event(&claim.metadata.uid, &["FailedBinding"]).filter(|_| !names_one)?;
        let name = &claim.metadata.name;
        let cause = format!("the claim {name} names no storage class, and the cluster has no default");
        Some(
            Finding::broken(scenario, cause)
                .with([Evidence::event(claim, said, 400)])
                .to_do([
                    Remedy::run("see which classes there are", "kubectl get storageclass"),
                    Remedy::say("make one the default, or name one (VOLSYNC_STORAGECLASS)"),
                ])
                .then("as soon as there is a default the claim gets its volume by itself"),
        )
    }

    /// Finds why a claim of the restore gets no volume.
    pub(super) fn no_volume(&self, claim: &'a Claim, no_class: Scenario, fails: Scenario) -> Option<Finding> {
        if claim.is_bound() {
            return None;
        }
        let (namespace, name) = (&claim.metadata.namespace, &claim.metadata.name);
        let said = self.provisioning_failed(claim);
        if let Some(class) = self.missing_class(claim) {
            return Some(missing_class(claim, class, no_class).with(said));
        }
        if let Some(finding) = self.no_default_class(claim, no_class) {
            return Some(finding);
        }
        if let Some(class) = self.missing_driver(claim) {
            return Some(missing_driver(claim, class));
        }
        let is_noise = |text: &str| is_conflict(text) || is_unready_snapshot(text);
        let said = said.filter(|evidence| !is_noise(&evidence.text))?;
        let cause = format!("the storage's driver says why it cannot make the volume of the claim {name}");
        Some(
            Finding::broken(fails, cause)
                .with([said])
                .to_do([
                    Remedy::say("look at the storage: room, quota, the driver's own pods and logs"),
                    Remedy::run("see what it says", format!("kubectl -n {namespace} describe pvc {name}")),
                ])
                .then("the driver is asked again by itself, with pauses of up to 5 minutes"),
        )
    }
}

/// Whether a driver only says that a snapshot is not ready yet: usual once or twice in good runs.
pub(super) fn is_unready_snapshot(text: &str) -> bool {
    text.contains("is not Ready") || text.contains("not ready to use")
}

/// Whether a node only says that it does not know yet what a new pod needs: usual for a moment.
pub(super) fn is_young_pod(text: &str) -> bool {
    let usual = ["no relationship found between node", "not registered", "failed to sync", "kube-api-access"];
    usual.iter().any(|words| text.contains(words))
}

fn missing_class(claim: &Claim, class: &str, scenario: Scenario) -> Finding {
    let (namespace, name) = (&claim.metadata.namespace, &claim.metadata.name);
    let cause = format!("the claim {name} asks for the storage class {class}, which does not exist");
    let is_temporary = claim.metadata.owner("ReplicationDestination").is_some();
    let else_do = if is_temporary {
        Remedy::say("or name another class in spec.kopia.storageClassName: a changed restore begins anew")
    } else {
        Remedy::run(
            "or make the claim again with another class, which cannot be changed (if it hangs: doctor says what holds it)",
            format!("kubectl -n {namespace} delete pvc {name} --wait=false"),
        )
    };
    Finding::broken(scenario, cause)
        .with([Evidence::of(claim, "spec.storageClassName", class, claim.metadata.creation_timestamp)])
        .to_do([
            Remedy::run("see which classes there are", "kubectl get storageclass"),
            Remedy::say(format!("make the class {class}")),
            else_do,
        ])
        .then("as soon as the class is there the claim gets its volume by itself")
}

fn missing_driver(claim: &Claim, class: &StorageClass) -> Finding {
    let (class_name, driver) = (&class.metadata.name, &class.provisioner);
    let cause = format!(
        "the class {class_name} names the provisioner {driver}: no CSI driver of that name is installed, and no other \
         provisioner has answered"
    );
    Finding::broken(Scenario::NoDriver, cause)
        .with([
            Evidence::of(
                claim,
                "status.phase",
                "Pending; nobody says why",
                claim.metadata.creation_timestamp,
            ),
            Evidence::of(class, "provisioner", driver.as_str(), None),
        ])
        .to_do([
            Remedy::run("see which drivers there are", "kubectl get csidriver"),
            Remedy::say("install the driver, see that its provisioner runs, or correct the class"),
        ])
        .then("as soon as the driver is there the claim gets its volume by itself")
}
