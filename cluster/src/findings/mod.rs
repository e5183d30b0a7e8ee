//! An application's chain → its phase, and what is broken: evidence, cause, remedy. Pure: it asks nobody.
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
mod start;
mod storage;
mod text;

use jiff::Timestamp;

use crate::chain::{Application, Index, TakenFrom};
use case::Case;

pub use finding::{Evidence, Finding, Remedy, Weight};
pub use phase::{Phase, phase};
pub use scenario::{Row, SCENARIOS, Scenario};
pub use text::{age, bytes_of};

/// What is known of one application.
pub struct Diagnosis<'a> {
    /// The links of its chain.
    pub app: Application<'a>,
    /// Where its restore stands.
    pub phase: Phase,
    /// Since when it stands there.
    pub since: Option<Timestamp>,
    /// What is broken, the first broken link first; none in a good run.
    pub findings: Vec<Finding>,
}

impl Diagnosis<'_> {
    /// The snapshot that the claim's data were, or are being, taken from.
    #[must_use]
    pub fn taken_from(&self) -> Option<TakenFrom> {
        self.app.taken_from().filter(|_| self.phase != Phase::Unrestored)
    }

    /// Whether it needs somebody, is on its way, or is done.
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

/// What a person wants to know first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is to be done or waited for.
    Fine,
    /// It is on its way, and needs nobody.
    GoesOn,
    /// It needs somebody.
    Broken,
}

/// Diagnoses all applications of a view, by namespace and name.
#[must_use]
pub fn diagnose<'a>(index: &Index<'a>) -> Vec<Diagnosis<'a>> {
    Application::all(index).into_iter().map(|app| diagnose_one(index, app)).collect()
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
        Phase::Snapshot => populate::snapshot(&case),
        Phase::Populating => populate::look(&case),
        Phase::Application => application::look(&case),
        Phase::Unrestored => application::unrestored(&case),
        Phase::Done | Phase::BackupOnly | Phase::Unseen => None,
    });
    if findings.is_empty() {
        findings.extend(start::operator_is_gone(&case));
    }
    Diagnosis { app, phase, since, findings }
}
