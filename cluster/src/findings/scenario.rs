//! Holds the table of scenarios: every way in which a chain breaks (cluster-objects §4, §5), by name.

macro_rules! scenarios {
    ($($variant:ident $name:literal $fault:ident $waits:literal $title:literal,)*) => {
        /// A way in which a chain breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each has its sentence in the table")]
        pub enum Scenario {
            $($variant,)*
        }

        /// The rows of all scenarios.
        pub const SCENARIOS: &[Row] = &[$(Row {
            scenario: Scenario::$variant,
            name: $name,
            is_of_restore: scenarios!(@$fault),
            waits_for: $waits,
            title: $title,
        },)*];
    };
    (@restore) => { true };
    (@other) => { false };
}

/// The facts that the table says of a scenario.
#[derive(Debug)]
pub struct Row {
    /// The scenario of the row.
    pub scenario: Scenario,
    /// The scenario's name for programs.
    pub name: &'static str,
    /// Whether it is the restore that is broken, and not something beside it.
    pub is_of_restore: bool,
    /// What the application waits for, in at most five words and 22 letters.
    pub waits_for: &'static str,
    /// The scenario in a sentence.
    pub title: &'static str,
}

scenarios! {
    FluxSource "flux-source" other "a source of Flux" "Flux has nothing to apply: its source does not come",
    FluxDependency "flux-dependency" other "another Kustomization" "Flux waits for another Kustomization",
    FluxBuild "flux-build" other "a build of Flux" "Flux cannot build what is in Git",
    FluxApply "flux-apply" other "a right object in Git" "the cluster refuses what is in Git",
    FluxSuspended "flux-suspended" other "Flux to be resumed" "Flux is suspended",
    NoVolsync "no-volsync" restore "VolSync" "VolSync is not installed",
    Operator "operator" restore "VolSync's operator" "VolSync's operator has not seen the restore",
    NoSnapshotApi "no-snapshot-api" restore "the snapshot API" "the snapshot API is not installed, and VolSync's operator needs it",
    NoSnapshotController "no-snapshot-controller" restore "a snapshot controller" "nobody takes snapshots",
    NoSecret "no-secret" restore "its Secret" "the repository's Secret is missing",
    ExternalSecret "external-secret" restore "its ExternalSecret" "the repository's Secret does not come from its store",
    NoKey "no-key" restore "a key in its Secret" "the repository's Secret lacks a key",
    HalfIdentity "half-identity" restore "user and host, both" "the restore names a username or a hostname, and not both",
    NoMethod "no-method" restore "exactly one method" "the restore names no method, or two",
    QuotaClaims "quota-claims" restore "quota for a claim" "a quota forbids the temporary volume",
    Refused "operator-refuses" restore "a right restore" "the operator refuses the restore",
    QuotaPods "quota-pods" restore "quota for a pod" "a quota forbids the mover's pod",
    Restricted "restricted" restore "a permitted pod" "the namespace forbids the mover's pod",
    PodRefused "pod-refused" restore "a permitted pod" "the cluster refuses the mover's pod",
    NoClass "no-class" restore "a storage class" "the storage class does not exist",
    NoDriver "no-driver" restore "a storage driver" "no driver answers for the storage class",
    CsiFails "csi-fails" restore "the storage" "the storage cannot make the temporary volume",
    Image "image" restore "the mover's image" "the mover's image cannot be pulled",
    Unschedulable "unschedulable" restore "a node that fits" "no node takes the mover",
    Resources "resources" restore "room on a node" "no node has room for the mover",
    NodeGone "node-gone" other "the node" "the node does not answer",
    MountFails "mount-fails" restore "a mount on the node" "the node cannot mount the mover's volume",
    DebugMover "debug-mover" restore "the end of debugging" "the mover only waits to be debugged",
    Paused "paused" restore "a new trigger" "the restore was held, and counts as done",
    Names "names" restore "a shorter name" "the claim's name is too long",
    WrongPassword "wrong-password" restore "the right password" "the password does not fit the repository",
    Storage "storage" restore "the storage" "the repository cannot be reached, or refuses",
    NoRepository "no-repository" restore "a repository" "there is no repository at the place that is named",
    Moved "moved" restore "the right identity" "the backups are under another name",
    NoSnapshot "no-such-snapshot" restore "a snapshot" "there is no such snapshot",
    Shrunk "shrunk" restore "a decision: shrunk" "the newest snapshot has lost most of its files",
    RefusedByPolicy "refused-by-policy" restore "other settings" "the settings forbid this restore",
    Full "full" restore "a larger volume" "the volume is too small",
    Oom "oom" restore "more memory" "the mover was killed: too little memory",
    Losses "losses" restore "lost files" "some files could not be restored",
    Damaged "damaged" restore "a whole repository" "the repository is damaged",
    Settings "settings" restore "right settings" "the restore's settings are wrong",
    Fails "restore-fails" restore "a mover that works" "the restore fails",
    NoDestination "no-destination" restore "its restore" "the claim names a restore that is not there",
    NoSnapshotClass "no-snapshot-class" restore "a snapshot class" "the snapshot class does not exist",
    SnapshotFails "snapshot-fails" restore "the snapshot (fails)" "the storage cannot take the snapshot",
    SnapshotSlow "snapshot-slow" restore "the snapshot (slow)" "the snapshot takes its time",
    SnapshotGone "snapshot-gone" restore "a new trigger" "the snapshot of the restored volume is gone",
    PopulateFails "populate-fails" restore "the storage" "the storage cannot make a volume of the snapshot",
    CsiFull "csi-full" restore "a larger claim" "the claim is smaller than the snapshot",
    Direct "direct" restore "copyMethod Snapshot" "copyMethod Direct cannot fill a claim",
    NoClassApp "no-class-app" restore "a storage class" "the claim's own storage class does not exist",
    Late "late" restore "a pod that uses it" "the claim waits for a pod that uses it",
    ProvisionFails "provision-fails" restore "the storage" "the storage cannot make the claim's volume",
    NoClaim "no-claim" other "a claim" "restored, and no claim asks for it",
    Bound "bound" restore "a claim made anew" "the claim has a volume that was not restored",
    Deleting "deleting" restore "what holds the claim" "the claim cannot be deleted",
    Lost "lost" other "a claim made anew" "the claim has lost its volume",
    AppUnschedulable "app-unschedulable" other "a node for the app" "no node takes the application",
    OtherClaim "other-claim" other "another claim" "the application waits for another claim",
    Multus "multus" other "its network" "the application waits for its network",
    AppRefused "app-refused" other "a pod of the app" "the application gets no pod",
    AppImage "app-image" other "the app's image" "the application's image cannot be pulled",
    AppMount "app-mount" other "a mount for the app" "the node cannot mount the application's volumes",
    AppFails "app-fails" other "the app (it crashes)" "the application itself fails",
}

impl Scenario {
    fn row(self) -> &'static Row {
        // The table is made of the enum: every value has its row.
        &SCENARIOS[self as usize]
    }

    /// Returns the scenario's name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether it is the restore that is broken, and not something beside it.
    #[must_use]
    pub fn is_of_restore(self) -> bool {
        self.row().is_of_restore
    }

    /// Whether a mover has run, and failed.
    #[must_use]
    pub fn is_failure(self) -> bool {
        (Scenario::WrongPassword..=Scenario::Fails).contains(&self)
    }

    /// Returns what the application waits for, in at most five words.
    #[must_use]
    pub fn waits_for(self) -> &'static str {
        self.row().waits_for
    }

    /// Returns what the scenario is, in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().title
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_its_row() {
        for row in SCENARIOS {
            assert_eq!(row.scenario.name(), row.name);
            assert!(row.waits_for.len() <= 22 && row.waits_for.split(' ').count() <= 5, "{row:?}");
        }
        let mut names: Vec<&str> = SCENARIOS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
