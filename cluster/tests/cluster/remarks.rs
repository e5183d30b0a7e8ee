//! Every remark of an inventory has its cause, and nothing else has it.

use std::collections::BTreeMap;

use rekopia_cluster::chain::Index;
use rekopia_cluster::findings::diagnose;
use rekopia_cluster::inventory::{Held, Mark, Row, Sides, collect, judge};
use rekopia_cluster::view::{Unseen, View};
use rekopia_mover::{Backups, Catalogue, Choice};
use rekopia_testkit::cluster::Scenario;
use serde_json::{Value, json};

use crate::seen;

const NOW: &str = "2026-11-30T12:00:00Z";

fn backup(name: &str, spec: &Value) -> Value {
    let mut object = json!({
        "kind": "ReplicationSource",
        "metadata": { "namespace": "apps", "name": name },
        "spec": { "sourcePVC": name, "trigger": { "schedule": "0 3 * * *" }, "kopia": { "repository": "secret" } },
    });
    merge(&mut object["spec"], spec);
    object
}

fn restore(name: &str, kopia: &Value) -> Value {
    let mut object = json!({
        "kind": "ReplicationDestination",
        "metadata": { "namespace": "apps", "name": format!("{name}-dst"), "uid": format!("rd-{name}") },
        "spec": { "trigger": { "manual": "once" }, "kopia": {
            "repository": "secret", "sourceIdentity": { "sourceName": name }, "capacity": "5Gi",
        } },
    });
    merge(&mut object["spec"]["kopia"], kopia);
    object
}

pub(crate) fn claim(name: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim",
        "metadata": { "namespace": "apps", "name": name, "uid": format!("pvc-{name}") },
        "spec": {
            "dataSourceRef": { "apiGroup": "volsync.backube", "kind": "ReplicationDestination", "name": format!("{name}-dst") },
            "resources": { "requests": { "storage": "5Gi" } },
        },
    })
}

fn merge(into: &mut Value, more: &Value) {
    for (key, value) in more.as_object().unwrap() {
        into[key] = value.clone();
    }
}

fn whole(name: &str) -> Vec<Value> {
    vec![backup(name, &json!({})), restore(name, &json!({})), claim(name)]
}

fn view(objects: &[Vec<Value>]) -> View {
    let mut view = View { now: NOW.parse().unwrap(), ..View::default() };
    objects.iter().flatten().for_each(|object| view.put_json(object).unwrap());
    view
}

fn choice(id: &str, start: &str, files: u64, bytes: u64) -> Choice {
    Choice { id: id.into(), start: start.into(), files, bytes }
}

/// Complete snapshots, the newest of them this morning.
fn good() -> Backups {
    let newest = Some(choice("k9", "2026-11-30T03:00:01Z", 100, 1 << 20));
    Backups { complete: 3, newest, ended: "2026-11-30T03:01:00Z".into(), ..Backups::default() }
}

/// The remarks on each application, by its name, and the orphans.
fn judged(
    git: Option<&View>,
    cluster: Option<&View>,
    held: &[(&str, Backups)],
) -> (BTreeMap<String, Vec<Mark>>, Vec<String>) {
    let git = git.map(Index::new);
    let index = cluster.map(Index::new);
    let all = index.as_ref().map(diagnose);
    let mut rows =
        collect(Sides { git: git.as_ref(), cluster: cluster.zip(all.as_deref()), git_first: false });
    let sources: BTreeMap<String, Backups> =
        held.iter().map(|(name, backups)| (format!("{name}@apps:/data"), backups.clone())).collect();
    let catalogue = Catalogue { repository: "r1".into(), sources, doubt: None };
    for row in &mut rows {
        let own = catalogue.sources.get(row.identity().unwrap_or_default()).cloned();
        row.held = Held::Known("r1".into(), own.unwrap_or_default());
    }
    let (marks, orphans) = judge(&rows, &[catalogue], None, NOW.parse().unwrap());
    let name = |row: &Row<'_>| match row.source.filter(|_| row.is_second) {
        Some(second) => format!("{} ({})", row.name, second.metadata.name),
        None => row.name.clone(),
    };
    let named = rows.iter().map(name).zip(marks).collect();
    (named, orphans.into_iter().map(|orphan| orphan.identity).collect())
}

fn paused(mut object: Value) -> Value {
    object["spec"]["paused"] = true.into();
    object
}

/// Applications, each with one thing wrong with it, as far as their objects say.
fn odd_ones() -> View {
    let other = restore("other", &json!({ "sourceIdentity": { "sourceName": "somebody" } }));
    let with = |name: &str, spec: Value| vec![backup(name, &spec), restore(name, &json!({})), claim(name)];
    view(&[
        whole("fine"),
        vec![backup("no-restore", &json!({}))],
        vec![backup("lost-restore", &json!({})), claim("lost-restore")],
        vec![restore("no-backup", &json!({})), claim("no-backup")],
        whole("never"),
        whole("incomplete"),
        whole("stale"),
        whole("empty"),
        whole("shrunk"),
        whole("errors"),
        with("odd", json!({ "trigger": { "schedule": "now and then" } })),
        with("paused", json!({ "paused": true })),
        vec![backup("other", &json!({})), other, claim("other")],
        with("by-hand", json!({ "trigger": { "manual": "x" } })),
        vec![
            backup("direct", &json!({})),
            restore("direct", &json!({ "copyMethod": "Direct" })),
            claim("direct"),
        ],
        vec![backup("half", &json!({})), restore("half", &json!({ "username": "half" })), claim("half")],
        vec![backup("small", &json!({})), restore("small", &json!({ "capacity": "9Gi" })), claim("small")],
        vec![backup("pinned", &json!({})), restore("pinned", &json!({ "previous": 2 })), claim("pinned")],
        vec![backup("held", &json!({})), paused(restore("held", &json!({}))), claim("held")],
        vec![
            backup(
                "twin",
                &json!({ "kopia": { "repository": "s", "username": "fine", "hostname": "apps" } }),
            ),
            claim("twin"),
        ],
        vec![backup("fine-b2", &json!({ "sourcePVC": "fine" }))],
    ])
}

#[test]
fn every_remark_has_its_cause() {
    let both = odd_ones();
    let with = |change: fn(&mut Backups)| {
        let mut backups = good();
        change(&mut backups);
        backups
    };
    let mut held = vec![
        ("incomplete", Backups { incomplete: 2, ..Backups::default() }),
        ("stale", with(|b| b.newest = Some(choice("k1", "2026-11-28T03:00:01Z", 100, 1 << 20)))),
        ("empty", with(|b| b.newest = Some(choice("k1", "2026-11-30T03:00:01Z", 0, 0)))),
        ("shrunk", with(|b| b.fuller = Some(choice("k2", "2026-11-27T03:00:01Z", 5000, 1 << 30)))),
        ("errors", with(|b| b.errors = 2)),
        ("by-hand", with(|b| b.newest = Some(choice("k1", "2026-01-01T00:00:00Z", 1, 1)))),
    ];
    let all_good = ["fine", "no-restore", "lost-restore", "no-backup", "odd", "paused", "other", "gone"];
    held.extend(["direct", "half", "small", "pinned", "held"].map(|name| (name, good())));
    held.extend(all_good.map(|name| (name, good())));
    let (marks, orphans) = judged(Some(&both), Some(&both), &held);
    let shared = |name: &str| Mark::SharedIdentity(format!("apps/{name}"));
    let refused = |why: &str| Mark::Refused(why.into());
    let expected: Vec<(&str, Vec<Mark>)> = vec![
        ("fine", vec![shared("twin")]),
        ("fine (fine-b2)", vec![Mark::NeverBackedUp]),
        ("twin", vec![Mark::LostRestore("twin-dst".into()), shared("fine")]),
        ("direct", vec![refused("copyMethod Direct leaves no snapshot that a claim could be filled from")]),
        ("half", vec![refused("spec.kopia: username and hostname are needed both, or neither of them")]),
        ("small", vec![refused("the claim asks for 5Gi, less than the 9Gi that are restored")]),
        ("pinned", vec![Mark::Pinned("previous 2".into())]),
        ("held", vec![Mark::RestorePaused]),
        ("no-restore", vec![Mark::NoRestore]),
        ("lost-restore", vec![Mark::LostRestore("lost-restore-dst".into())]),
        ("no-backup", vec![Mark::NoBackup]),
        ("never", vec![Mark::NeverBackedUp]),
        ("incomplete", vec![Mark::OnlyIncomplete]),
        ("stale", vec![Mark::Stale("2 d".into())]),
        ("empty", vec![Mark::Empty]),
        ("shrunk", vec![Mark::Shrunk("2026-11-27T03:00:01Z".into(), "k2".into())]),
        ("errors", vec![Mark::Errors(2)]),
        ("odd", vec![Mark::UnknownSchedule("now and then".into())]),
        ("paused", vec![Mark::Paused]),
        ("other", vec![Mark::OtherIdentity("somebody@apps:/data".into(), "other@apps:/data".into())]),
        ("by-hand", vec![Mark::NoSchedule]),
    ];
    assert_eq!(marks.len(), expected.len());
    for (name, expected) in expected {
        assert_eq!(marks.get(name), Some(&expected), "{name}");
    }
    assert_eq!(orphans, ["gone@apps:/data"]);
    for mark in marks.values().flatten() {
        assert!(!mark.text().is_empty() && !mark.name().contains(' '), "{mark:?}");
    }
}

#[test]
fn what_only_one_side_knows_is_said() {
    let (git, cluster) = (view(&[whole("a"), whole("b")]), view(&[whole("b"), whole("c")]));
    let held = ["a", "b", "c"].map(|name| (name, good()));
    let (marks, orphans) = judged(Some(&git), Some(&cluster), &held);
    assert_eq!(marks["a"], [Mark::Missing]);
    assert_eq!(marks["b"], []);
    assert_eq!(marks["c"], [Mark::NotInGit]);
    assert_eq!(orphans, Vec::<String>::new());
    // Without the other side nothing can be missing there.
    for (git, cluster) in [(Some(&git), None), (None, Some(&git))] {
        let (marks, orphans) = judged(git, cluster, &held);
        assert!(marks.len() == 2 && marks.values().all(Vec::is_empty), "{marks:?}");
        assert_eq!(orphans, ["c@apps:/data"]);
    }
}

#[test]
fn what_differs_between_git_and_cluster_is_named() {
    let other = vec![
        backup("a", &json!({ "trigger": { "schedule": "@yearly" } })),
        restore("a", &json!({ "sourceIdentity": { "sourceName": "b" }, "repository": "elsewhere" })),
        claim("a"),
    ];
    let (git, cluster) = (view(&[other]), view(&[whole("a")]));
    let (marks, _) = judged(Some(&git), Some(&cluster), &[("a", good())]);
    assert_eq!(
        marks["a"],
        [Mark::Drift(vec!["schedule", "identity of the restore", "repository of the restore"])]
    );
}

/// What may not be listed is not missing.
#[test]
fn rights_that_are_missing_make_no_remark() {
    for (unseen, known) in [("replicationsources", false), ("replicationdestinations", false), ("pods", true)]
    {
        let mut seen = view(&[vec![claim("a")], whole("b")]);
        if unseen == "replicationsources" {
            seen.sources.clear();
        }
        if unseen == "replicationdestinations" {
            seen.destinations.clear();
        }
        seen.unseen.insert(Unseen { resource: unseen.into(), why: "forbidden".into() });
        let (marks, _) = judged(None, Some(&seen), &[("b", good())]);
        let alarms = marks.values().flatten().filter(|mark| match unseen {
            "replicationsources" => **mark == Mark::NoBackup,
            "replicationdestinations" => matches!(mark, Mark::NoRestore | Mark::LostRestore(_)),
            _ => false,
        });
        assert_eq!(alarms.count(), 0, "{unseen}: {marks:?}");
        assert_eq!(
            marks["a"].contains(&Mark::NoBackup),
            known || unseen == "replicationdestinations",
            "{unseen}"
        );
    }
}

#[test]
fn backups_of_another_kind_and_of_charts_claims() {
    let mut restic = backup("restic", &json!({}));
    restic["spec"] = json!({ "sourcePVC": "restic", "restic": { "repository": "x" } });
    let git = view(&[vec![restic, backup("chart", &json!({ "sourcePVC": "data-chart-0" }))]]);
    let (marks, _) = judged(Some(&git), None, &[("chart", good())]);
    assert_eq!(marks.keys().collect::<Vec<_>>(), ["data-chart-0"]);
    assert_eq!(marks["data-chart-0"], [Mark::NoRestore]);
}

/// Every application of every recorded stage has a row, and only those.
#[test]
fn recorded_clusters_have_a_row_for_each_application() {
    for name in ["fleet", "media", "new-application", "wrong-password"] {
        let scenario = Scenario::load(name);
        for stage in &scenario.stages {
            let view = seen::view(&scenario, stage);
            let index = Index::new(&view);
            let all = diagnose(&index);
            let rows: Vec<Row<'_>> = collect(Sides { cluster: Some((&view, &all)), ..Sides::default() });
            for one in all.iter().filter(|one| one.app.destination.is_some() || one.app.source.is_some()) {
                let row =
                    rows.iter().find(|row| row.namespace == one.app.namespace && row.name == one.app.name);
                let row = row.unwrap_or_else(|| panic!("{name} {}: {}", stage.name, one.app.name));
                assert!(row.in_cluster == Some(true) && row.in_git.is_none() && row.identity().is_some());
                assert_eq!(row.phase, Some(one.phase));
            }
        }
    }
}
