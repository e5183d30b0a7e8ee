//! Defines events, in their two shapes (cluster-objects §6.1).

use jiff::Timestamp;
use serde::Deserialize;

use super::meta::{Meta, nullable, object};

/// An event: what somebody said about an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    /// The metadata; an event's own name says nothing.
    pub metadata: Meta,
    /// The object that it is about.
    pub involved_object: Involved,
    /// The reason, in one word.
    #[serde(deserialize_with = "nullable")]
    pub reason: String,
    /// The message, in a sentence.
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// The type: `Normal` or `Warning`; a warning proves nothing by itself.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    series: Option<Series>,
}
object!(Event, "Event", "events", "events", "", "v1", true, Event::may_be_read);

/// The object that an event is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Involved {
    /// The unique ID of the object: names come back, this does not.
    #[serde(deserialize_with = "nullable")]
    pub uid: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<Timestamp>,
}

impl Event {
    /// Returns when the event was said last: the newest of all times that are set.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time);
        let times = [self.first_timestamp, self.last_timestamp, self.event_time, series];
        times.into_iter().flatten().max().or(self.metadata.creation_timestamp)
    }

    /// Whether the event may be read: nearly all normal ones tell of what the objects themselves show.
    fn may_be_read(&self) -> bool {
        let told = ["WaitForFirstConsumer", "ExternalProvisioning", "FailedBinding", "Provisioning"];
        self.kind == "Warning" || told.contains(&self.reason.as_str())
    }
}
