//! Diagnoses an application's chain: its phase, and what is broken, with evidence, cause, remedy. Pure: it asks nobody.
//!
//! The first broken link counts. A present state is evidence; an event only explains a state, and only while that state
//! lasts (cluster-objects §3): good runs are full of warnings.

mod application;
mod case;
mod finding;
mod git;
mod phase;
mod pod;
mod populate;
mod refusal;
mod remedies;
mod restore;
mod scenario;
mod snapshot;
mod start;
mod storage;
mod text;

use jiff::Timestamp;

use crate::chain::{Application, Index, TakenFrom};
use crate::objects::{Claim, Deployment, Destination, Kustomization, Object};
use crate::view::{Unseen, View};
use case::Case;

pub use finding::{Evidence, Finding, Remedy, Weight};
pub use phase::{Phase, phase};
pub use scenario::{Row, SCENARIOS, Scenario};
pub use text::{age, bytes_of};

/// The diagnosis of an application.
pub struct Diagnosis<'a> {
    /// The application with the links of its chain.
    pub app: Application<'a>,
    /// The phase of the application's restore.
    pub phase: Phase,
    /// The time since when the restore is in that phase.
    pub since: Option<Timestamp>,
    /// The links that are broken, the first broken link first; none in a good run.
    pub findings: Vec<Finding>,
    /// Whether something could not be seen that might say more.
    pub is_limited: bool,
}

impl Diagnosis<'_> {
    /// Returns the snapshot that the claim's data were, or are being, taken from.
    #[must_use]
    pub fn taken_from(&self) -> Option<TakenFrom> {
        let has_failed = self.findings.first().is_some_and(|finding| finding.scenario.is_failure());
        // What somebody has filled by hand may come from anywhere.
        let is_unknown = self.app.by_hand.is_none() && self.app.is_said_to_be_filled();
        self.app.taken_from().filter(|_| self.phase != Phase::Unrestored && !has_failed && !is_unknown)
    }

    /// Returns what the application waits for, in about five words.
    #[must_use]
    pub fn waits_for(&self) -> &'static str {
        let has_volume = self.app.temporary.is_none_or(Claim::is_bound);
        let runs = self.app.pods.iter().any(|pod| pod.running_since().is_some());
        match (self.findings.first(), self.phase) {
            (Some(finding), _) => finding.scenario.waits_for(),
            // A pod that waits for its volume says that it waits for a node.
            (None, Phase::Scheduling) if !has_volume => Phase::Preparing.waits_for(),
            (None, Phase::Application) if runs => "the app to be ready",
            (None, phase) => phase.waits_for(),
        }
    }

    /// Returns whether the application needs somebody, is on its way, or is done.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.findings.first().map(|finding| finding.weight) {
            Some(Weight::Broken) => Verdict::Broken,
            Some(Weight::Waits) => Verdict::GoesOn,
            None if self.phase.is_end() => Verdict::Fine,
            None => Verdict::GoesOn,
        }
    }
}

/// The verdict that a person wants to know first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is to be done or waited for.
    Fine,
    /// The application is on its way, and needs nobody.
    GoesOn,
    /// The application needs somebody.
    Broken,
}

/// Scenarios that tell why a step is not taken.
const SAYS_WHY: [&str; 8] = [
    "events",
    "pods",
    "jobs",
    "volumesnapshots",
    "volumesnapshotclasses",
    "storageclasses",
    "csidrivers",
    "deployments",
];

/// Diagnoses all applications of a view, by namespace and name.
#[must_use]
pub fn diagnose<'a>(index: &Index<'a>) -> Vec<Diagnosis<'a>> {
    Application::all(index).into_iter().map(|app| diagnose_one(index, app)).collect()
}

/// Whether so little could be seen that nothing found means nothing.
#[must_use]
pub fn is_blind(view: &View, all: &[Diagnosis<'_>]) -> bool {
    let sees_them = view.sees(Claim::KIND) && view.sees(Destination::KIND);
    !sees_them || (all.is_empty() && !view.sees(Kustomization::KIND))
}

fn diagnose_one<'a>(index: &Index<'a>, app: Application<'a>) -> Diagnosis<'a> {
    let (phase, since) = phase(index, &app);
    let case = Case { index, app: &app, phase };
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(git::look(&case));
    findings.extend(match phase {
        Phase::Git => None,
        Phase::Deleting => populate::deleting(&case),
        Phase::NoDestination => populate::no_destination(&case),
        Phase::Operator => start::operator(&case),
        Phase::Refused => refusal::look(&case),
        Phase::Paused => start::paused(&case),
        Phase::Preparing => start::preparing(&case),
        Phase::PodRefused => pod::refused(&case),
        Phase::Scheduling | Phase::Image | Phase::Mount => {
            pod::pending(&case).or_else(|| restore::failed(&case))
        }
        Phase::Restoring => restore::running(&case),
        Phase::Pausing => restore::failed(&case),
        Phase::Snapshot => snapshot::look(&case),
        Phase::Populating => populate::look(&case),
        Phase::Application => application::look(&case),
        Phase::Unrestored => application::unrestored(&case),
        Phase::Unclaimed => populate::unclaimed(&case),
        // A new trigger of a claim that has its data: nobody waits for it, and somebody has asked for it.
        Phase::Done => refusal::look(&case).or_else(|| restore::failed_again(&case)),
        Phase::BackupOnly | Phase::Unseen => None,
    });
    findings.extend(populate::no_volsync(&case));
    if findings.is_empty() {
        findings.extend(start::operator_is_gone(&case));
    }
    let says_why = |unseen: &Unseen| {
        SAYS_WHY.contains(&unseen.resource.as_str()) || unseen.is_of_operator(Deployment::KIND)
    };
    let is_limited = index.view.unseen.iter().any(says_why);
    Diagnosis { app, phase, since, findings, is_limited }
}
