//! What a cluster shows and no recording does: recordings with something changed.

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::{Verdict, diagnose};
use rekopia_cluster::render::summary;
use rekopia_cluster::view::View;
use rekopia_testkit::cluster::Scenario;
use serde_json::{Value, json};

use crate::seen::view;

/// A stage of which each object may be changed, or taken away.
fn changed(name: &str, stage: &str, change: impl Fn(&mut Value) -> bool) -> View {
    let scenario = Scenario::load(name);
    let mut stage = scenario.stage(stage).clone();
    stage.objects.retain_mut(|object| change(object));
    view(&scenario, &stage)
}

/// Phase, findings and verdict of the first application.
fn first(view: &View) -> (&'static str, Vec<&'static str>, Verdict) {
    let index = Index::new(view);
    let all = diagnose(&index);
    let names = all[0].findings.iter().map(|finding| finding.scenario.name()).collect();
    (all[0].phase.name(), names, all[0].verdict())
}

fn is(object: &Value, kind: &str, name: &str) -> bool {
    object["kind"] == kind && object["metadata"]["name"].as_str().is_some_and(|own| own.starts_with(name))
}

#[test]
fn a_restore_without_a_claim_is_not_an_application_on_restored_data() {
    let view = changed("recreated", "01", |object| {
        !is(object, "PersistentVolumeClaim", "paperless")
            && !is(object, "Pod", "paperless")
            && !is(object, "Deployment", "paperless")
    });
    assert_eq!(first(&view), ("unclaimed", vec!["no-claim"], Verdict::GoesOn));
    let index = Index::new(&view);
    assert_eq!(summary(&view, &diagnose(&index)), "0 of 1 run on restored data, 1 without a claim");
}

#[test]
fn a_claim_that_was_filled_by_hand_long_ago_is_right() {
    let no_job = |object: &mut Value| object["kind"] != "Job" && !is(object, "Pod", "paperless-manual");
    let mut view = changed("break-glass", "04", no_job);
    view.now += jiff::SignedDuration::from_mins(5);
    assert_eq!(first(&view).0, "unrestored");
    let view = changed("bound", "01", |object| {
        if is(object, "PersistentVolumeClaim", "paperless") {
            object["metadata"]["annotations"]["rekopia/filled"] = "by-hand".into();
        }
        true
    });
    assert_eq!(first(&view), ("done", vec![], Verdict::Fine));
    let index = Index::new(&view);
    assert_eq!(diagnose(&index)[0].taken_from(), None);
}

#[test]
fn an_application_on_a_dead_node_is_said_to_be_there() {
    let view = changed("media", "06", |object| {
        let conditions =
            if object["kind"] == "Node" || is(object, "Pod", "paperless") || is(object, "Pod", "immich") {
                object["status"]["conditions"].as_array_mut()
            } else {
                None
            };
        for condition in conditions.into_iter().flatten().filter(|condition| condition["type"] == "Ready") {
            condition["status"] = "Unknown".into();
        }
        true
    });
    assert_eq!(first(&view), ("application", vec!["node-gone"], Verdict::Broken));
}

#[test]
fn a_deployment_without_a_pod_is_not_done() {
    let failure = json!({ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: pods" });
    let view = changed("media", "06", |object| {
        if object["kind"] == "Deployment" && object["metadata"]["namespace"] == "media" {
            object["status"] = json!({ "conditions": [failure] });
        }
        object["kind"] != "Pod" || object["metadata"]["namespace"] != "media"
    });
    assert_eq!(first(&view), ("application", vec!["app-refused"], Verdict::Broken));
}

#[test]
fn a_provisioner_that_has_just_been_asked_is_not_missing() {
    let view = changed("no-driver", "01", |object| {
        if object["kind"] == "PersistentVolumeClaim" {
            object["metadata"]["creationTimestamp"] = "2026-11-29T16:51:10Z".into();
        }
        true
    });
    assert_eq!(first(&view).1, Vec::<&str>::new());
}

#[test]
fn a_stock_mover_is_known_by_its_exit_code_and_its_log() {
    let mut view = changed("wrong-password", "04", |object| {
        if let Some(ended) = object.pointer_mut("/status/containerStatuses/0/state/terminated") {
            ended["message"] = "".into();
            ended["exitCode"] = 1.into();
        }
        true
    });
    let pods: Vec<String> = view.pods.of("wrong-password").map(|pod| pod.metadata.name.clone()).collect();
    for pod in pods {
        view.logs.insert(format!("wrong-password/{pod}"), "ERROR: invalid repository password\n".into());
    }
    let index = Index::new(&view);
    let all = diagnose(&index);
    let finding = &all[0].findings[0];
    assert_eq!(finding.scenario.name(), "restore-fails");
    assert!(
        finding.evidence.iter().any(|evidence| evidence.text.contains("invalid repository password")),
        "{finding:#?}"
    );
}

#[test]
fn a_new_trigger_that_is_refused_is_said_beside_what_runs() {
    let view = changed("media", "06", |object| {
        if is(object, "ReplicationDestination", "immich") {
            object["status"]["conditions"] = json!([{ "type": "Synchronizing", "status": "False", "reason": "Error",
                "message": "Secret \"immich-volsync-secret\" not found", "lastTransitionTime": "2026-11-29T16:58:00Z" }]);
        }
        true
    });
    assert_eq!(first(&view), ("done", vec!["no-secret"], Verdict::Broken));
}

#[test]
fn without_volsync_what_runs_is_not_fine() {
    let mut view = changed("media", "06", |object| object["apiVersion"] != "volsync.backube/v1alpha1");
    view.missing_groups.insert("volsync.backube".into());
    assert_eq!(first(&view).1, ["no-volsync"]);
}

#[test]
fn the_pause_counts_every_mover_that_has_failed() {
    let view = changed("wrong-password", "04", |object| {
        if object["kind"] == "Job" && object["status"]["failed"] == 7 {
            object["status"]["failed"] = 6.into();
        }
        true
    });
    let index = Index::new(&view);
    let next = &diagnose(&index)[0].findings[0].next;
    assert!(next.contains("(7 of 9 have failed)") && next.contains("about 10 min"), "{next}");
}
