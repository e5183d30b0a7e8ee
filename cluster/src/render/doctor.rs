//! Renders `doctor`: evidence, cause, remedy.

use jiff::Timestamp;

use super::status::how_far;
use super::table::wrap;
use crate::findings::{Diagnosis, Evidence, Finding, Phase, Verdict, age};

/// Seconds that a step may take before it needs a word that nothing says why.
const LONG_SECONDS: i64 = 600;

/// Explains an application on at most `width` columns. Commands are never broken, so that they can be pasted.
#[must_use]
pub fn explain(one: &Diagnosis<'_>, now: Timestamp, width: usize) -> String {
    let app = &one.app;
    let since = one.since.map(|since| format!(" since {}", age(now, since))).unwrap_or_default();
    let head = format!("{}/{}: {}{since}", app.namespace, app.name, one.phase.name());
    let mut text = match one.verdict() {
        Verdict::Fine => wrap(&format!("{head}; fine{}", restored(one)), 0, width),
        Verdict::GoesOn if one.findings.is_empty() => {
            wrap(&format!("{head}; {}", on_its_way(one, now)), 0, width)
        }
        _ => format!("{head}\n"),
    };
    for finding in &one.findings {
        text.push_str(&explain_finding(finding, now, width));
    }
    text
}

/// Returns what is said of a step that nothing is known to be wrong with.
fn on_its_way(one: &Diagnosis<'_>, now: Timestamp) -> String {
    if one.phase == Phase::Unseen {
        return "a right is missing without which nothing can be said".into();
    }
    if let Some(progress) = one.app.progress().filter(|_| one.phase == Phase::Restoring) {
        return format!("fine so far: {}", how_far(&progress));
    }
    let waits = one.waits_for();
    if one.is_limited {
        return format!("waits for {waits}; whether that is right cannot be judged with these rights");
    }
    if is_long(one, now) {
        return format!(
            "waits for {waits}, which is long; nothing says why, and events are kept for an hour only: look at"
        );
    }
    format!("fine so far, waits for {waits}")
}

/// Whether a step lasts longer than it should; a restore takes as long as it takes.
fn is_long(one: &Diagnosis<'_>, now: Timestamp) -> bool {
    let lasts = one.since.is_some_and(|since| now.duration_since(since).as_secs() >= LONG_SECONDS);
    lasts && !matches!(one.phase, Phase::Restoring | Phase::Unseen)
}

fn restored(one: &Diagnosis<'_>) -> String {
    if one.app.by_hand.is_none() && one.app.is_said_to_be_filled() {
        return ": filled by hand, as its annotation says".into();
    }
    if one.app.began_empty() {
        return ": there was nothing to restore, it began empty".into();
    }
    match one.taken_from() {
        Some(taken) => format!(": restored from {} of {}", taken.id, taken.time),
        None => String::new(),
    }
}

fn explain_finding(finding: &Finding, now: Timestamp, width: usize) -> String {
    let mut text = String::new();
    let title = finding.scenario.title();
    let fault = if finding.scenario.is_of_restore() { "" } else { " (not a fault of the restore)" };
    text.push_str(&wrap(&format!("{title}{fault}"), 2, width));
    text.push_str(&wrap(&format!("Why: {}.", finding.cause), 4, width));
    for evidence in &finding.evidence {
        text.push_str(&seen(evidence, now, width));
    }
    for remedy in &finding.remedy {
        text.push_str(&wrap(&format!("Do: {}", remedy.what), 4, width));
        if let Some(command) = &remedy.command {
            text.push_str(&format!("      {command}\n"));
        }
    }
    if !finding.next.is_empty() {
        text.push_str(&wrap(&format!("Then: {}.", finding.next), 4, width));
    }
    text
}

fn seen(evidence: &Evidence, now: Timestamp, width: usize) -> String {
    let since = evidence.since.map(|since| format!(" ({} ago)", age(now, since))).unwrap_or_default();
    let place = format!("Seen: {} {}", evidence.object, evidence.field);
    let place = format!("{}{since}:", place.trim_end());
    let mut text = wrap(&place, 4, width);
    text.push_str(&wrap(&evidence.text, 6, width));
    text
}
