//! What is broken: evidence, cause, remedy.

use jiff::Timestamp;

use super::scenario::Scenario;
use crate::objects::{Event, Object};
use crate::text::one_line;

/// A broken link of a chain.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its name in the table of scenarios.
    pub scenario: Scenario,
    /// Whether it needs somebody.
    pub weight: Weight,
    /// Where it shows, the strongest first.
    pub evidence: Vec<Evidence>,
    /// Why, in a sentence.
    pub cause: String,
    /// What to do, in this order.
    pub remedy: Vec<Remedy>,
    /// What happens next by itself, and when.
    pub next: String,
}

/// Whether a finding needs somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It does not go on by itself.
    Broken,
    /// It takes its time, or waits for something usual.
    Waits,
}

/// A place where something shows.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// `Kind/NAME`, with the namespace before where it is another.
    pub object: String,
    /// The field, or `event REASON`.
    pub field: String,
    /// What stands there, on one line.
    pub text: String,
    /// Since when, or when it was said last.
    pub since: Option<Timestamp>,
}

impl Evidence {
    /// Something that an object shows.
    pub fn of<T: Object>(object: &T, field: &str, text: impl Into<String>, since: Option<Timestamp>) -> Self {
        let (kind, name) = (T::KIND.name, &object.meta().name);
        Evidence::named(&format!("{kind}/{name}"), field, text, since)
    }

    /// What an event says of an object, cut to about `most` bytes.
    pub fn event<T: Object>(object: &T, event: &Event, most: usize) -> Self {
        Evidence::of(object, &format!("event {}", event.reason), one_line(&event.message, most), event.time())
    }

    /// Something that shows at an object of this name.
    pub fn named(object: &str, field: &str, text: impl Into<String>, since: Option<Timestamp>) -> Self {
        Evidence { object: object.to_owned(), field: field.to_owned(), text: text.into(), since }
    }
}

/// One step of a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What it does.
    pub what: String,
    /// A command that can be pasted, where there is one.
    pub command: Option<String>,
}

impl Remedy {
    /// A step without a command.
    pub fn say(what: impl Into<String>) -> Self {
        Remedy { what: what.into(), command: None }
    }

    /// A step with its command.
    pub fn run(what: impl Into<String>, command: impl Into<String>) -> Self {
        Remedy { what: what.into(), command: Some(command.into()) }
    }
}

impl Finding {
    /// A finding that needs somebody.
    #[must_use]
    pub fn broken(scenario: Scenario, cause: impl Into<String>) -> Self {
        Finding {
            scenario,
            weight: Weight::Broken,
            evidence: Vec::new(),
            cause: cause.into(),
            remedy: Vec::new(),
            next: String::new(),
        }
    }

    /// A finding that only takes its time.
    #[must_use]
    pub fn waits(scenario: Scenario, cause: impl Into<String>) -> Self {
        Finding { weight: Weight::Waits, ..Finding::broken(scenario, cause) }
    }

    /// With more evidence.
    #[must_use]
    pub fn with(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// With a remedy.
    #[must_use]
    pub fn to_do(mut self, remedy: impl IntoIterator<Item = Remedy>) -> Self {
        self.remedy.extend(remedy);
        self
    }

    /// With what happens next by itself.
    #[must_use]
    pub fn then(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}
