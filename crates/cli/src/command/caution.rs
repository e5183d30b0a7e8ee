//! Says what to know about a snapshot before it is trusted: recorded errors, what is incomplete, a time that cannot be.

use jiff::{Timestamp, ToSpan};
use rekopia::{Event, Observer, Snapshot, Zone};
use serde_json::{Value, json};

/// Errors and paths of one snapshot that are shown.
const SHOWN: usize = 10;

/// Says what is wrong with a snapshot, and returns the errors that it recorded for the report.
pub(super) fn caution(snapshot: &Snapshot, observer: &dyn Observer) -> Option<Value> {
    for message in cautions(snapshot, Timestamp::now()) {
        observer.event(Event::Warning { message });
    }
    let (count, first) = snapshot.recorded_errors();
    let first = first.iter().take(SHOWN).map(|e| json!({"path": e.path, "error": e.error}));
    let first: Vec<Value> = first.collect();
    (count > 0).then(|| json!({"snapshot": snapshot.id.as_str(), "count": count, "first": first}))
}

fn cautions(snapshot: &Snapshot, now: Timestamp) -> Vec<String> {
    let when = Zone::system().show(snapshot.start);
    let named = format!("snapshot {} of {when}", snapshot.id);
    let mut cautions = Vec::new();
    if let Some(why) = &snapshot.incomplete {
        cautions.push(format!("{named} is incomplete ({why}): it lacks what was not read by then"));
    }
    let (count, first) = snapshot.recorded_errors();
    if count > 0 {
        let shown = first.iter().take(SHOWN);
        let named_errors: Vec<String> = shown.map(|e| format!("{}: {}", e.path, e.error)).collect();
        let more = if count > named_errors.len() as u64 && !named_errors.is_empty() { "; …" } else { "" };
        let colon = if named_errors.is_empty() { "" } else { ": " };
        let errors = crate::text::count(count, "error");
        cautions.push(format!(
            "{named} recorded {errors} when it was taken{colon}{}{more}",
            named_errors.join("; ")
        ));
    }
    let latest = now.checked_add(5.minutes()).unwrap_or(Timestamp::MAX);
    if i128::from(snapshot.start.unix_nanos()) > latest.as_nanosecond() {
        cautions.push(format!("{named} is dated in the future: a clock was or is wrong"));
    }
    cautions
}
