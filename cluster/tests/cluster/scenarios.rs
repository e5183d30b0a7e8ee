//! Each recorded scenario at each stage: phase and findings of every application, the first broken link first.

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::{Diagnosis, diagnose};
use rekopia_testkit::cluster::Scenario;

use crate::seen::{found, view};

/// An application, its phase, its findings.
type Wanted = (&'static str, &'static str, &'static str);

/// Scenario, stage, and for each application its phase and what is found. Good runs, full of warnings as they are, have
/// no finding.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &[Wanted])] = &[
    ("app-fails", "01-crashing", &[("paperless", "application", "app-fails")]),
    ("app-unschedulable", "01-pending", &[("freshrss", "application", "app-unschedulable")]),
    ("bound", "01-running", &[("paperless", "unrestored", "bound")]),
    ("break-glass", "01-failing", &[("paperless", "mount", "wrong-password")]),
    ("break-glass", "02-claim-terminating", &[("paperless", "deleting", "deleting")]),
    ("break-glass", "03-claim-deleted", &[("paperless", "pausing", "wrong-password")]),
    ("break-glass", "04-running", &[("paperless", "done", "")]),
    ("csi-fails", "01-pending", &[("paperless", "scheduling", "csi-fails")]),
    ("csi-fails", "02-pending-long", &[("paperless", "scheduling", "csi-fails")]),
    ("csi-full", "01-pending", &[("paperless", "populating", "csi-full")]),
    ("denied", "01-failed-pods-1", &[("paperless", "mount", "storage")]),
    ("denied", "02-failed-pods-3", &[("paperless", "pausing", "storage")]),
    ("denied", "03-job-failed", &[("paperless", "mount", "storage")]),
    ("denied", "04-started-over", &[("paperless", "pausing", "storage")]),
    ("direct", "01-pending", &[("paperless", "populating", "direct")]),
    ("external-secret", "01-missing", &[("paperless", "refused", "external-secret")]),
    ("fleet", "01-mixed", &[("freshrss", "done", ""), ("gitea", "refused", "no-secret"), ("grafana", "no-destination", "no-destination"), ("immich", "done", ""), ("jellyfin", "scheduling", "no-class"), ("mealie", "backup-only", ""), ("paperless", "done", ""), ("vaultwarden", "pausing", "wrong-password")]),
    ("flux", "01-no-artifact", &[("paperless", "git", "flux-source")]),
    ("flux", "02-source-fails", &[("paperless", "git", "flux-source")]),
    ("flux", "03-dependency", &[("paperless", "git", "flux-dependency")]),
    ("flux", "04-build-fails", &[("paperless", "git", "flux-build")]),
    ("flux", "05-variable-missing", &[("paperless", "git", "flux-apply")]),
    ("flux", "06-suspended", &[("paperless", "git", "flux-suspended")]),
    ("flux", "07-progressing", &[("paperless", "snapshot", "")]),
    ("flux", "08-ready", &[("paperless", "done", "")]),
    ("flux", "09-unhealthy", &[("paperless", "application", "app-unschedulable")]),
    ("flux", "10-immutable", &[("paperless", "application", "flux-apply app-unschedulable")]),
    ("flux-waits", "01-unhealthy", &[("paperless", "pausing", "wrong-password")]),
    ("full", "01-failed-pods-2", &[("paperless", "mount", "full")]),
    ("half-identity", "01-refused", &[("paperless", "refused", "half-identity")]),
    ("image", "01-back-off", &[("paperless", "image", "image")]),
    ("image", "02-back-off-long", &[("paperless", "image", "image")]),
    ("image", "03-remedied", &[("paperless", "done", "")]),
    ("late", "01-no-consumer", &[("paperless", "populating", "late")]),
    ("late", "02-running", &[("paperless", "done", "")]),
    ("losses", "01-failed-pods-2", &[("paperless", "pausing", "losses")]),
    ("maintenance", "01-done", &[]),
    ("media", "01-empty", &[]),
    ("media", "02-applied", &[("immich", "preparing", ""), ("paperless", "mount", "")]),
    ("media", "03-restoring", &[("immich", "restoring", ""), ("paperless", "restoring", "")]),
    ("media", "04-image", &[("immich", "application", ""), ("paperless", "populating", "")]),
    ("media", "05-running", &[("immich", "done", ""), ("paperless", "done", "")]),
    ("media", "06-settled", &[("immich", "done", ""), ("paperless", "done", "")]),
    ("mount-fails", "01-creating", &[("paperless", "mount", "mount-fails")]),
    ("moved", "01-failed-pods-1", &[("plex", "mount", "moved")]),
    ("moved", "02-failed-pods-3", &[("plex", "pausing", "moved")]),
    ("moved", "03-job-failed", &[("plex", "mount", "moved")]),
    ("moved", "04-started-over", &[("plex", "pausing", "moved")]),
    ("moved", "05-remedied", &[("plex", "done", "")]),
    ("multus", "01-creating", &[("paperless", "application", "multus")]),
    ("names", "01-running", &[("*", "populating", "names")]),
    ("new-application", "01-running", &[("freshrss", "done", "")]),
    ("no-class", "01-pending", &[("paperless", "scheduling", "no-class")]),
    ("no-class", "02-pending-long", &[("paperless", "scheduling", "no-class")]),
    ("no-class-app", "01-pending", &[("paperless", "populating", "no-class-app")]),
    ("no-destination", "01-pending", &[("paperless", "no-destination", "no-destination")]),
    ("no-destination", "02-remedied", &[("paperless", "done", "")]),
    ("no-driver", "01-pending", &[("paperless", "scheduling", "no-driver")]),
    ("no-key", "01-missing", &[("paperless", "refused", "no-key")]),
    ("no-key", "02-remedied", &[("paperless", "done", "")]),
    ("no-secret", "01-missing", &[("paperless", "refused", "no-secret")]),
    ("no-secret", "02-remedied", &[("paperless", "done", "")]),
    ("no-snapshot-api", "01-waiting", &[("paperless", "operator", "no-snapshot-api")]),
    ("no-snapshot-api", "02-crashed", &[("paperless", "operator", "no-snapshot-api")]),
    ("no-snapshot-api", "03-back-off", &[("paperless", "operator", "no-snapshot-api")]),
    ("no-snapshot-api", "04-no-controller", &[("paperless", "snapshot", "no-snapshot-controller")]),
    ("no-snapshot-api", "05-remedied", &[("paperless", "done", "")]),
    ("no-snapshot-class", "01-pending", &[("paperless", "mount", "")]),
    ("no-snapshot-class", "02-pending-long", &[("paperless", "snapshot", "no-snapshot-class")]),
    ("no-snapshot-class", "03-remedied", &[("paperless", "done", "")]),
    ("node-gone", "01-not-ready", &[("paperless", "restoring", "node-gone")]),
    ("node-gone", "02-remedied", &[("paperless", "done", "")]),
    ("observability", "01-running", &[("prometheus", "done", "")]),
    ("oom", "01-failed-pods-2", &[("paperless", "mount", "oom")]),
    ("operator", "01-no-operator", &[("paperless", "operator", "operator")]),
    ("operator", "02-remedied", &[("paperless", "done", "")]),
    ("other-claim", "01-pending", &[("paperless", "application", "other-claim")]),
    ("paused", "01-paused", &[("paperless", "paused", "paused")]),
    ("paused", "02-resumed", &[("paperless", "paused", "paused")]),
    ("paused", "03-remedied", &[("paperless", "done", "")]),
    ("populate-fails", "01-pending", &[("paperless", "populating", "populate-fails")]),
    ("quota-claims", "01-refused", &[("paperless", "refused", "quota-claims")]),
    ("quota-pods", "01-refused", &[("paperless", "pod-refused", "quota-pods")]),
    ("quota-pods", "02-remedied", &[("paperless", "done", "")]),
    ("recreated", "01-running", &[("paperless", "done", "")]),
    ("recreated", "02-recreated", &[("paperless", "done", "")]),
    ("refused", "01-failed-pods-1", &[("paperless", "mount", "no-repository")]),
    ("refused", "02-failed-pods-3", &[("paperless", "pausing", "no-repository")]),
    ("refused", "03-job-failed", &[("paperless", "mount", "no-repository")]),
    ("refused", "04-started-over", &[("paperless", "pausing", "no-repository")]),
    ("resources", "01-pending", &[("paperless", "scheduling", "resources")]),
    ("restricted", "01-refused", &[("paperless", "pod-refused", "restricted")]),
    ("restricted", "02-remedied", &[("paperless", "populating", "")]),
    ("shrunk", "01-failed-pods-2", &[("paperless", "mount", "shrunk")]),
    ("snapshot-fails", "01-pending", &[("paperless", "populating", "snapshot-fails")]),
    ("snapshot-fails", "02-pending-long", &[("paperless", "populating", "snapshot-fails")]),
    ("snapshot-gone", "01-pending", &[("paperless", "populating", "snapshot-gone")]),
    ("snapshot-gone", "02-remedied", &[("paperless", "done", "")]),
    ("snapshot-slow", "01-not-ready", &[("paperless", "populating", "snapshot-slow")]),
    ("snapshot-slow", "02-ready", &[("paperless", "done", "")]),
    ("two-runs", "01-running", &[("paperless", "done", "")]),
    ("unreachable", "01-failed-pods-1", &[("paperless", "mount", "storage")]),
    ("unreachable", "02-failed-pods-2", &[("paperless", "pausing", "storage")]),
    ("unreachable", "03-failed-pods-4", &[("paperless", "pausing", "storage")]),
    ("unreachable", "04-failed-pods-7", &[("paperless", "pausing", "storage")]),
    ("unreachable", "05-job-failed", &[("paperless", "mount", "storage")]),
    ("unreachable", "06-started-over", &[("paperless", "pausing", "storage")]),
    ("unschedulable", "01-pending", &[("paperless", "scheduling", "unschedulable")]),
    ("wrong-password", "01-failed-pods-1", &[("paperless", "mount", "wrong-password")]),
    ("wrong-password", "02-failed-pods-2", &[("paperless", "mount", "wrong-password")]),
    ("wrong-password", "03-failed-pods-4", &[("paperless", "pausing", "wrong-password")]),
    ("wrong-password", "04-failed-pods-7", &[("paperless", "pausing", "wrong-password")]),
    ("wrong-password", "05-job-failed", &[("paperless", "mount", "wrong-password")]),
    ("wrong-password", "06-started-over", &[("paperless", "pausing", "wrong-password")]),
    ("wrong-password", "07-remedied", &[("paperless", "done", "")]),
];

#[test]
fn every_stage_is_what_the_table_says() {
    let mut rows = 0;
    for name in Scenario::names() {
        let scenario = Scenario::load(&name);
        for stage in &scenario.stages {
            let row = TABLE.iter().find(|row| row.0 == name && row.1 == stage.name);
            let Some((.., wanted)) = row else { panic!("{name} {} is not in the table", stage.name) };
            let found = found(&scenario, stage);
            let found: Vec<_> =
                found.iter().map(|f| (f.app.as_str(), f.phase, f.findings.join(" "))).collect();
            assert_eq!(found.len(), wanted.len(), "{name} {}: {found:?}", stage.name);
            for ((app, phase, findings), (wanted, in_phase, with)) in found.iter().zip(*wanted) {
                assert!(*wanted == "*" || app == wanted, "{name} {}: {app}", stage.name);
                assert_eq!((*phase, findings.as_str()), (*in_phase, *with), "{name} {} {app}", stage.name);
            }
            rows += 1;
        }
    }
    assert_eq!(rows, TABLE.len());
}

/// What somebody needs who is told of it: where it shows, why, what to do, what happens next.
#[test]
fn every_finding_has_evidence_cause_and_remedy() {
    let mut seen = 0;
    for name in Scenario::names() {
        let scenario = Scenario::load(&name);
        for stage in &scenario.stages {
            let view = view(&scenario, stage);
            let index = Index::new(&view);
            for one in diagnose(&index) {
                seen += one.findings.len();
                is_complete(&one, &format!("{name} {}", stage.name));
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

fn is_complete(one: &Diagnosis<'_>, place: &str) {
    assert!(one.since.is_some(), "{place}: {} has no beginning", one.app.name);
    for finding in &one.findings {
        assert!(!finding.evidence.is_empty() && !finding.remedy.is_empty(), "{place}: {finding:?}");
        assert!(!finding.cause.is_empty() && !finding.next.is_empty(), "{place}: {finding:?}");
        for evidence in &finding.evidence {
            assert!(!evidence.text.contains(['\n', '\u{1b}']), "{place}: {evidence:?}");
        }
        for remedy in finding.remedy.iter().filter_map(|remedy| remedy.command.as_ref()) {
            assert!(remedy.starts_with("kubectl ") || remedy.starts_with("flux "), "{place}: {remedy}");
        }
    }
}
