//! Writes everything that is known for programs: one document, version 1. Field names in camelCase, times in RFC 3339,
//! units in the name.

use serde_json::{Value, json};

use super::sentence::{judged_without, summary};
use crate::findings::{Diagnosis, Evidence, Finding, Phase, Verdict, Weight};
use crate::view::View;

/// Makes one document of everything that is known.
#[must_use]
pub fn document(view: &View, all: &[Diagnosis<'_>]) -> Value {
    let count = |verdict: Verdict| all.iter().filter(|one| one.verdict() == verdict).count();
    let restores: Vec<_> = all.iter().filter(|one| one.phase != Phase::BackupOnly).collect();
    json!({
        "version": 1,
        "takenAt": view.now.to_string(),
        "summary": {
            "sentence": summary(view, all),
            "applications": restores.len(),
            "restored": restores.iter().filter(|one| one.phase.is_restored() && !one.app.began_empty()).count(),
            "empty": restores.iter().filter(|one| one.phase.is_restored() && one.app.began_empty()).count(),
            "fine": count(Verdict::Fine),
            "goingOn": count(Verdict::GoesOn),
            "broken": count(Verdict::Broken),
        },
        "applications": all.iter().map(application).collect::<Vec<_>>(),
        "unseen": view.unseen.iter().map(|unseen| json!({
            "resource": unseen.resource,
            "why": unseen.why,
            "cannotBeJudged": judged_without(&unseen.resource),
        })).collect::<Vec<_>>(),
    })
}

/// Returns what an application needs, in one word.
pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fine => "fine",
        Verdict::GoesOn => "going-on",
        Verdict::Broken => "broken",
    }
}

fn application(one: &Diagnosis<'_>) -> Value {
    let app = &one.app;
    let progress = app.progress().map(|progress| {
        json!({
            "files": progress.files.0,
            "totalFiles": progress.files.1,
            "bytes": progress.bytes.0,
            "totalBytes": progress.bytes.1,
            "etaSeconds": progress.eta_seconds,
        })
    });
    let report = app.report().map(|(report, pod)| {
        json!({
            "pod": pod.metadata.name,
            "outcome": report.outcome,
            "exitCode": report.exit_code,
            "message": report.message,
            "files": report.files,
            "bytes": report.bytes,
            "losses": report.losses,
        })
    });
    json!({
        "namespace": app.namespace,
        "name": app.name,
        "phase": one.phase.name(),
        "since": one.since.map(|since| since.to_string()),
        "verdict": verdict(one.verdict()),
        "waitsFor": one.waits_for(),
        "beganEmpty": app.began_empty(),
        "claim": app.claim.map(|claim| json!({ "name": claim.metadata.name, "phase": claim.status.phase })),
        "destination": app.destination.map(|destination| destination.metadata.name.as_str()).or(app.wanted),
        "source": app.source.map(|source| source.metadata.name.as_str()),
        "kustomization": app.kustomization.map(|k| format!("{}/{}", k.metadata.namespace, k.metadata.name)),
        "pods": app.pods.iter().map(|pod| pod.metadata.name.as_str()).collect::<Vec<_>>(),
        "takenFrom": one.taken_from().map(|taken| json!({ "id": taken.id, "time": taken.time })),
        "progress": progress,
        "mover": report,
        "findings": one.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "scenario": finding.scenario.name(),
        "title": finding.scenario.title(),
        "faultOfRestore": finding.scenario.is_of_restore(),
        "weight": match finding.weight { Weight::Broken => "broken", Weight::Waits => "waits" },
        "evidence": finding.evidence.iter().map(evidence).collect::<Vec<_>>(),
        "cause": finding.cause,
        "remedy": finding.remedy.iter().map(|remedy| json!({ "what": remedy.what, "command": remedy.command })).collect::<Vec<_>>(),
        "next": finding.next,
    })
}

fn evidence(evidence: &Evidence) -> Value {
    json!({
        "object": evidence.object,
        "field": evidence.field,
        "text": evidence.text,
        "since": evidence.since.map(|since| since.to_string()),
    })
}
