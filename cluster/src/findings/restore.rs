//! Finds why the mover runs, and fails (cluster-objects §4.3).

use jiff::{SignedDuration, Timestamp};

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::Phase;
use super::remedies::secret_of;
use super::scenario::Scenario;
use crate::chain::Report;
use crate::objects::{Destination, Job, Node, Object, Pod, condition};
use crate::text::one_line;

/// Number of failures after which the Job gives up, and the operator begins anew.
const BACKOFF_LIMIT: u32 = 8;

/// Finds how the mover runs: on a node that answers, and after how many failures.
pub(super) fn running(case: &Case<'_, '_>) -> Option<Finding> {
    let gone = case.app.mover().and_then(|pod| node_gone(case, pod));
    gone.or_else(|| case.app.destination.and_then(debugged)).or_else(|| failed(case))
}

/// Finds a mover that is there to be debugged: it restores nothing until somebody ends that.
fn debugged(destination: &Destination) -> Option<Finding> {
    const ANNOTATION: &str = "volsync.backube/enable-debug-mover";
    let meta = &destination.metadata;
    let value = meta.annotations.get(ANNOTATION)?;
    let (namespace, name) = (&meta.namespace, &meta.name);
    Some(
        Finding::broken(
            Scenario::DebugMover,
            "an annotation makes the mover wait for somebody who debugs it; it restores nothing",
        )
        .with([Evidence::of(
            destination,
            &format!("metadata.annotations[{ANNOTATION}]"),
            value.as_str(),
            None,
        )])
        .to_do([Remedy::run(
            "take the annotation away",
            format!("kubectl -n {namespace} annotate replicationdestination {name} {ANNOTATION}-"),
        )])
        .then("the operator makes a new Job, which restores"),
    )
}

/// Finds that a new restore beside what runs already has failed.
pub(super) fn failed_again(case: &Case<'_, '_>) -> Option<Finding> {
    // The restore beside a claim that was filled in another way goes on for nobody.
    let is_asked_for = |destination: &&Destination| case.app.wanted.is_some() && !destination.is_done();
    case.app.destination.filter(is_asked_for).and_then(|_| failed(case))
}

/// Finds that the last mover that has ended has failed.
pub(super) fn failed(case: &Case<'_, '_>) -> Option<Finding> {
    let next = next_try(case);
    let failed = case.app.report().filter(|(report, _)| report.exit_code != 0);
    if let Some((report, pod)) = failed {
        return Some(of_pod(case, &report, pod).then(next));
    }
    let before = case.app.destination.and_then(last_failure);
    // A pod that somebody deleted counts as failed, too; the next one may work.
    let pauses = case.phase == Phase::Pausing;
    let evidence_of_job = case.app.job.filter(|job| pauses && job.status.failed.is_some_and(|n| n > 0));
    match (before, evidence_of_job) {
        (Some((report, evidence)), _) => Some(explained(case, &report, evidence).then(next)),
        (None, Some(job)) => {
            let failed = job.status.failed.unwrap_or_default();
            let counted = Evidence::of(job, "status.failed", format!("{failed} pods"), None);
            let ended = case.app.movers.iter().rev().find_map(|pod| ended_whole(pod));
            let cause = match ended {
                Some(_) => "the mover's pod was ended from outside",
                None => "movers have failed, and nothing is left that says why",
            };
            let was_ended = ended.is_some();
            let finding = Finding::broken(Scenario::Fails, cause).with(ended).with([counted]);
            let room =
                was_ended.then(|| Remedy::say("look at the node: its memory and disk, and who emptied it"));
            Some(finding.to_do(room).to_do([log_of(job)]).then(next))
        }
        (None, None) => None,
    }
}

/// Returns the evidence of a pod that was ended as a whole, without a word of its container: evicted, or its node shut
/// down.
fn ended_whole(pod: &Pod) -> Option<Evidence> {
    let status = &pod.status;
    let text = one_line(&format!("{}: {}", status.reason, status.message), 400);
    (status.phase == "Failed" && !status.reason.is_empty())
        .then(|| Evidence::of(pod, "status.reason", text, None))
}

fn of_pod(case: &Case<'_, '_>, report: &Report, pod: &Pod) -> Finding {
    let ended = pod.ended();
    let at = ended.and_then(|ended| ended.finished_at);
    let reason = ended.map_or("", |ended| ended.reason.as_str());
    let what = if report.outcome.is_empty() { reason } else { &report.outcome };
    let text = format!("exit {}, {what}", report.exit_code);
    let field = "status.containerStatuses[0].state.terminated";
    let evidence = Evidence::of(pod, field, text, at);
    if reason == "OOMKilled" {
        return oom(pod, evidence);
    }
    explained(case, report, evidence)
}

fn oom(pod: &Pod, evidence: Evidence) -> Finding {
    let limit = pod.main_spec().and_then(|container| container.memory_limit());
    let limit =
        limit.map(|limit| Evidence::of(pod, "spec.containers[0].resources.limits.memory", limit, None));
    Finding::broken(Scenario::Oom, "the kernel killed the mover: it may use too little memory")
        .with([evidence])
        .with(limit)
        .to_do([Remedy::say(
            "raise the memory limit in spec.kopia.moverResources (the mover needs 256Mi for usual repositories), or \
             set \"memory\" in the Secret's KOPIA_MANUAL_CONFIG lower",
        )])
}

/// Returns the finding of a mover's report, by its exit code and outcome.
fn explained(case: &Case<'_, '_>, report: &Report, evidence: Evidence) -> Finding {
    let (scenario, cause) = meaning(report);
    let mut finding = Finding::broken(scenario, cause).with([evidence]);
    if !report.message.is_empty() {
        let of = case.app.report().map(|(_, pod)| format!("Pod/{}", pod.metadata.name));
        let object = of.unwrap_or_else(|| "the last mover".into());
        finding.evidence.push(Evidence::named(
            &object,
            "the mover's message",
            one_line(&report.message, 1500),
            None,
        ));
    }
    // A stock mover leaves no message: the end of its log is all there is.
    if let (true, Some(log)) = (report.message.is_empty(), case.app.log) {
        let last: Vec<&str> = log.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        let text = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
        finding.evidence.push(Evidence::named("the mover's log", "last lines", one_line(&text, 900), None));
    }
    finding.to_do(remedy(case, scenario))
}

fn meaning(report: &Report) -> (Scenario, &'static str) {
    match (report.exit_code, report.outcome.as_str()) {
        (2, _) => (Scenario::Settings, "the mover does not accept its settings"),
        (3, _) => {
            (Scenario::Losses, "the snapshot was restored with files missing, and that is not accepted")
        }
        (10, "wrong-repository") => {
            (Scenario::NoRepository, "another repository is at the place that is named")
        }
        (10, _) => (Scenario::NoRepository, "no repository is at the place that the Secret names"),
        (12, _) => (Scenario::WrongPassword, "the password in the Secret does not fit the repository"),
        (13, "near-miss") => (
            Scenario::Moved,
            "no backup has this application's name; the message names one that may be meant",
        ),
        (13, _) => (Scenario::NoSnapshot, "the repository has no snapshot as it is asked for"),
        (14, _) => (Scenario::Damaged, "the repository is damaged"),
        (15, _) => (Scenario::Storage, "the repository's storage cannot be reached, or refuses the keys"),
        (16, _) => (Scenario::Full, "the volume does not take the snapshot: too small, or not writable"),
        (18, "refused-shrunk") => (
            Scenario::Shrunk,
            "the newest snapshot has lost most of its files: the application may have been backed up empty",
        ),
        (18, _) => (Scenario::RefusedByPolicy, "the settings forbid this restore"),
        (137, _) => (
            Scenario::Fails,
            "the mover was killed from outside: its node was emptied or went down, or somebody did",
        ),
        _ => (Scenario::Fails, "the mover fails"),
    }
}

fn remedy(case: &Case<'_, '_>, scenario: Scenario) -> Vec<Remedy> {
    let namespace = &case.app.namespace;
    let Some(destination) = case.app.destination else { return Vec::new() };
    let secret = secret_of(destination);
    let name = &destination.metadata.name;
    let keys = || {
        Remedy::run(
            format!("correct the Secret {secret} where it is made; the next try reads it"),
            format!("kubectl -n {namespace} describe secret {secret}"),
        )
    };
    let edit = |what: &str| {
        Remedy::run(
            format!("{what}; a changed ReplicationDestination gets a new Job at once"),
            format!("kubectl -n {namespace} edit replicationdestination {name}"),
        )
    };
    match scenario {
        Scenario::WrongPassword => vec![keys()],
        Scenario::Storage => vec![
            Remedy::say(
                "look at the storage: endpoint, name resolution, network policy, keys and their rights",
            ),
            keys(),
        ],
        Scenario::NoRepository => vec![
            keys(),
            Remedy::say(
                "if there never was one: the first backup makes it; see onNoRepository in the mover's README",
            ),
        ],
        Scenario::Moved => vec![edit("set spec.kopia.sourceIdentity as the mover's message says")],
        Scenario::NoSnapshot => vec![edit("correct spec.kopia.restoreAsOf, .previous or .sourceIdentity")],
        Scenario::Shrunk => {
            vec![edit("set spec.kopia.restoreAsOf as the mover's message says, to take the last good one")]
        }
        Scenario::RefusedByPolicy | Scenario::Settings => {
            vec![Remedy::say("the mover's message names the setting"), keys()]
        }
        Scenario::Full => {
            vec![edit("raise spec.kopia.capacity, and the claim's own size, above what the message says")]
        }
        Scenario::Losses => vec![
            Remedy::say("look at what is lost: the mover's message and log name it"),
            Remedy::say(
                "repair the repository, or accept the losses: onMissing or acceptMissing in KOPIA_MANUAL_CONFIG",
            ),
        ],
        Scenario::Damaged => vec![
            Remedy::say("let `rekopia doctor` look at the repository: it says what is lost and what helps"),
            Remedy::say("onDamage: salvage in KOPIA_MANUAL_CONFIG restores what can be proven"),
        ],
        _ => case.app.job.map(log_of).into_iter().collect(),
    }
}

fn log_of(job: &Job) -> Remedy {
    let meta = &job.metadata;
    let command =
        format!("kubectl -n {} logs -l batch.kubernetes.io/job-name={} --tail=50", meta.namespace, meta.name);
    Remedy::run("see the mover's log", command)
}

/// Returns what the operator keeps of a Job that has given up: its outcome and exit code stand in the last line.
fn last_failure(destination: &Destination) -> Option<(Report, Evidence)> {
    let kept = &destination.status.as_ref()?.latest_mover_status;
    if kept.result != "Failed" {
        return None;
    }
    let line = kept.logs.lines().rev().find(|line| line.contains(", exit ")).unwrap_or_default();
    let report = said_in(line).unwrap_or_else(|| Report { exit_code: 1, ..Report::default() });
    let text = one_line(if line.is_empty() { &kept.logs } else { line }, 600);
    Some((report, Evidence::of(destination, "status.latestMoverStatus", format!("Failed: {text}"), None)))
}

/// Reads `… (OUTCOME, exit CODE): MESSAGE`.
fn said_in(line: &str) -> Option<Report> {
    let (before, after) = line.split_once(", exit ")?;
    let (_, outcome) = before.rsplit_once('(')?;
    let (code, message) = after.split_once(')')?;
    let message = message.trim_start_matches([':', ' ']).to_owned();
    Some(Report { outcome: outcome.to_owned(), exit_code: code.parse().ok()?, message, ..Report::default() })
}

/// Finds that the node does not answer: the pod still says that it runs.
pub(super) fn node_gone(case: &Case<'_, '_>, pod: &Pod) -> Option<Finding> {
    let view = case.index.view;
    let name = pod.spec.node_name.as_str();
    let node = view.nodes.get("", name);
    let ready = node.and_then(|node| condition(&node.status.conditions, "Ready"));
    let by_node = ready.filter(|ready| ready.status != "True").and_then(|ready| {
        Some(Evidence::of(
            node?,
            "status.conditions[Ready]",
            format!("{}: {}", ready.status, one_line(&ready.message, 200)),
            ready.last_transition_time,
        ))
    });
    let by_event = || {
        let event = case.index.event(&pod.metadata.uid, &["NodeNotReady"])?;
        let still = !view.sees(Node::KIND) && !pod.is_ready();
        still.then(|| Evidence::event(pod, event, 200))
    };
    let evidence = by_node.or_else(by_event)?;
    Some(
        Finding::broken(
            Scenario::NodeGone,
            format!("the node {name} does not answer; the pod may run on it, or not"),
        )
        .with([evidence])
        .to_do([Remedy::run("look at the node", format!("kubectl describe node {name}"))])
        .then("after 5 minutes the pod is deleted, and its Job makes another on a node that answers"),
    )
}

/// Says when the next mover comes: pauses double from 10 s to 10 min; after the ninth failure the operator begins anew.
fn next_try(case: &Case<'_, '_>) -> String {
    let Some(job) = case.app.job else { return "the operator makes the next Job by itself".into() };
    // The Job counts a pod a while after it has ended.
    let ended = case.app.movers.iter().filter(|pod| pod.ended().is_some_and(|ended| ended.exit_code != 0));
    let failed = job.status.failed.unwrap_or_default().max(u32::try_from(ended.count()).unwrap_or(u32::MAX));
    if let Some(mover) = case.app.mover().filter(|pod| pod.ended().is_none() && pod.is_active()) {
        return format!("the next try is on its way: {}", mover.metadata.name);
    }
    if job.is_failed() || failed > job.spec.backoff_limit.unwrap_or(BACKOFF_LIMIT) {
        return "the Job has given up; the operator makes the next one within seconds, for ever".into();
    }
    let last = case.app.movers.iter().filter_map(|pod| pod.ended()?.finished_at).max();
    let Some(at) = last.and_then(|last| next_at(last, failed)) else {
        return "the next mover comes by itself, after a pause of up to 10 minutes".into();
    };
    let seconds = at.duration_since(case.index.view.now).as_secs();
    let when = match seconds {
        ..=0 => return "the next mover is due now".into(),
        1..120 => format!("{seconds} s"),
        _ => format!("{} min", (seconds + 59) / 60),
    };
    format!("the next mover comes by itself in about {when} ({failed} of 9 have failed)")
}

fn next_at(last: Timestamp, failed: u32) -> Option<Timestamp> {
    let pause = 10u32.checked_shl(failed.saturating_sub(1).min(6)).unwrap_or(600).min(600);
    last.checked_add(SignedDuration::from_secs(i64::from(pause))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let at = |failed| next_at(Timestamp::UNIX_EPOCH, failed).unwrap().as_second();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(at), [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn the_last_line_of_a_log_names_outcome_and_code() {
        let report = said_in("ERROR: restore failed (storage, exit 15): cannot read (14 tries), x").unwrap();
        assert_eq!((report.outcome.as_str(), report.exit_code), ("storage", 15));
        assert_eq!(report.message, "cannot read (14 tries), x");
        assert!(said_in("ERROR: something else").is_none());
    }
}
