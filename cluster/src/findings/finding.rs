//! Defines what is broken: evidence, cause, remedy.

use jiff::Timestamp;

use super::scenario::Scenario;
use crate::objects::{Event, Object};
use crate::text::one_line;

/// A broken link of a chain.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The finding's name in the table of scenarios.
    pub scenario: Scenario,
    /// Whether the finding needs somebody.
    pub weight: Weight,
    /// The places where it shows, the strongest first.
    pub evidence: Vec<Evidence>,
    /// The cause, in a sentence.
    pub cause: String,
    /// The steps to take, in this order.
    pub remedy: Vec<Remedy>,
    /// The next thing that happens by itself, and when.
    pub next: String,
}

/// Whether a finding needs somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The chain does not go on by itself.
    Broken,
    /// The chain takes its time, or waits for something usual.
    Waits,
}

/// A place where something shows.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The object, `Kind/NAME`, with the namespace before where it is another.
    pub object: String,
    /// The field of the object, or `event REASON`.
    pub field: String,
    /// The text that stands there, on one line.
    pub text: String,
    /// The time since when it stands there, or when it was said last.
    pub since: Option<Timestamp>,
}

impl Evidence {
    /// Makes evidence of something that an object shows.
    pub fn of<T: Object>(object: &T, field: &str, text: impl Into<String>, since: Option<Timestamp>) -> Self {
        let (kind, name) = (T::KIND.name, &object.meta().name);
        Evidence::named(&format!("{kind}/{name}"), field, text, since)
    }

    /// Makes evidence of what an event says of an object, cut to about `most` bytes.
    pub fn event<T: Object>(object: &T, event: &Event, most: usize) -> Self {
        Evidence::of(object, &format!("event {}", event.reason), one_line(&event.message, most), event.time())
    }

    /// Makes evidence of something that shows at an object of this name.
    pub fn named(object: &str, field: &str, text: impl Into<String>, since: Option<Timestamp>) -> Self {
        Evidence { object: object.to_owned(), field: field.to_owned(), text: text.into(), since }
    }
}

/// A step of a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// The purpose of the step.
    pub what: String,
    /// A command that can be pasted, where there is one.
    pub command: Option<String>,
}

impl Remedy {
    /// Makes a step without a command.
    pub fn say(what: impl Into<String>) -> Self {
        Remedy { what: what.into(), command: None }
    }

    /// Makes a step with its command.
    pub fn run(what: impl Into<String>, command: impl Into<String>) -> Self {
        Remedy { what: what.into(), command: Some(command.into()) }
    }
}

impl Finding {
    /// Makes a finding that needs somebody.
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

    /// Makes a finding that only takes its time.
    #[must_use]
    pub fn waits(scenario: Scenario, cause: impl Into<String>) -> Self {
        Finding { weight: Weight::Waits, ..Finding::broken(scenario, cause) }
    }

    /// Adds evidence.
    #[must_use]
    pub fn with(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub fn to_do(mut self, remedy: impl IntoIterator<Item = Remedy>) -> Self {
        self.remedy.extend(remedy);
        self
    }

    /// Adds what happens next by itself.
    #[must_use]
    pub fn then(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}
