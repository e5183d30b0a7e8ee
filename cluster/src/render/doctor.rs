//! `doctor`: evidence, cause, remedy.

use jiff::Timestamp;

use super::table::wrap;
use crate::findings::{Diagnosis, Evidence, Finding, Verdict, age};

/// One application, explained on at most `width` columns. Commands are never broken, so that they can be pasted.
#[must_use]
pub fn explain(one: &Diagnosis<'_>, now: Timestamp, width: usize) -> String {
    let app = &one.app;
    let since = one.since.map(|since| format!(" since {}", age(now, since))).unwrap_or_default();
    let mut text = format!("{}/{}: {}{since}", app.namespace, app.name, one.phase.name());
    match one.verdict() {
        Verdict::Fine => text.push_str(&format!("; fine{}\n", restored(one))),
        Verdict::GoesOn if one.findings.is_empty() => {
            let waits = one.phase.waits_for();
            text.push_str(&format!("; fine so far, waits for {waits}\n"));
        }
        _ => text.push('\n'),
    }
    for finding in &one.findings {
        text.push_str(&explain_finding(finding, now, width));
    }
    text
}

fn restored(one: &Diagnosis<'_>) -> String {
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
    let place = format!("Seen: {} {}{since}:", evidence.object, evidence.field);
    let mut text = wrap(&place, 4, width);
    text.push_str(&wrap(&evidence.text, 6, width));
    text
}
