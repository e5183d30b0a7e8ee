//! Finds why the objects do not come from Git (cluster-objects §4.2).

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::Phase;
use super::scenario::Scenario;
use super::text;
use crate::objects::{Condition, GitRepository, Kustomization, Object, condition};
use crate::text::one_line;

/// Number of dependencies that are followed at most.
const DEEPEST: usize = 16;

/// Finds what keeps the application's objects, or their newest state, from the cluster.
pub(super) fn look(case: &Case<'_, '_>) -> Option<Finding> {
    let kustomization = case.app.kustomization?;
    if kustomization.spec.suspend {
        return (case.phase == Phase::Git).then(|| suspended(kustomization));
    }
    let said = kustomization.ready().filter(|ready| ready.status != "True")?;
    let needs_it = case.phase == Phase::Git || !case.phase.is_restored();
    match said.reason.as_str() {
        "ArtifactFailed" => needs_it.then(|| source(case, kustomization, said)),
        "DependencyNotReady" => needs_it.then(|| dependency(case, kustomization, said)),
        "BuildFailed" => Some(build(kustomization, said)),
        "ReconciliationFailed" => Some(apply(kustomization, said)),
        // Everything was applied: the objects themselves say what is wrong.
        _ => None,
    }
}

fn ready_of(kustomization: &Kustomization, said: &Condition) -> Evidence {
    let text = one_line(&format!("{}: {}", said.reason, said.message), 700);
    Evidence::named(&place(kustomization), "status.conditions[Ready]", text, said.last_transition_time)
}

fn place(kustomization: &Kustomization) -> String {
    let meta = &kustomization.metadata;
    format!("{}/Kustomization/{}", meta.namespace, meta.name)
}

fn reconcile(kustomization: &Kustomization) -> Remedy {
    let meta = &kustomization.metadata;
    Remedy::run(
        "let Flux try again at once",
        format!("flux -n {} reconcile kustomization {} --with-source", meta.namespace, meta.name),
    )
}

fn suspended(kustomization: &Kustomization) -> Finding {
    let meta = &kustomization.metadata;
    Finding::broken(Scenario::FluxSuspended, "the Kustomization is suspended: nothing of it is applied")
        .with([Evidence::named(&place(kustomization), "spec.suspend", "true", None)])
        .to_do([Remedy::run(
            "let it go on",
            format!("flux -n {} resume kustomization {}", meta.namespace, meta.name),
        )])
        .then("nothing, until it is resumed; its conditions are those of before")
}

fn source(case: &Case<'_, '_>, kustomization: &Kustomization, said: &Condition) -> Finding {
    let (git, name) = git(case, kustomization);
    let ready = git.and_then(|git| condition(&git.status.conditions, "Ready"));
    let (cause, evidence) = match (git, ready) {
        (Some(git), Some(ready)) if ready.status != "True" => (
            format!("the GitRepository {name} cannot be fetched"),
            Some(Evidence::of(
                git,
                "status.conditions[Ready]",
                one_line(&format!("{}: {}", ready.reason, ready.message), 600),
                ready.last_transition_time,
            )),
        ),
        (Some(git), None) => (
            format!(
                "the GitRepository {name} has no status: the source-controller does not run, or has not looked"
            ),
            Some(Evidence::of(git, "status.conditions", "empty", git.metadata.creation_timestamp)),
        ),
        (Some(_), Some(_)) => (format!("the GitRepository {name} was fetched a moment ago"), None),
        (None, _) if !case.index.view.sees(GitRepository::KIND) => {
            (format!("its source {name} has nothing; the right to see why is missing"), None)
        }
        (None, _) => (format!("its source {name} is not there"), None),
    };
    let namespace = source_namespace(kustomization);
    Finding::broken(Scenario::FluxSource, cause)
        .with([ready_of(kustomization, said)])
        .with(evidence)
        .to_do([Remedy::run("look at the source", format!("flux -n {namespace} get sources git {name}"))])
        .then("Flux tries again by itself, every 30 s and with each interval of the source")
}

fn source_namespace(kustomization: &Kustomization) -> &str {
    let reference = &kustomization.spec.source_ref;
    if reference.namespace.is_empty() { &kustomization.metadata.namespace } else { &reference.namespace }
}

fn git<'a>(case: &Case<'_, 'a>, kustomization: &'a Kustomization) -> (Option<&'a GitRepository>, &'a str) {
    let name = kustomization.spec.source_ref.name.as_str();
    (case.index.view.git_repositories.get(source_namespace(kustomization), name), name)
}

/// Follows what is waited for to the one that is itself broken.
fn dependency(case: &Case<'_, '_>, kustomization: &Kustomization, said: &Condition) -> Finding {
    let mut chain = vec![ready_of(kustomization, said)];
    let (mut at, mut root) = (kustomization, None);
    while let Some(next) = not_ready(case, at).filter(|_| chain.len() < DEEPEST) {
        let said = next.ready();
        chain.extend(said.map(|said| ready_of(next, said)));
        if said.is_none_or(|said| said.reason != "DependencyNotReady") {
            root = Some(next);
            break;
        }
        at = next;
    }
    let name = root.map_or_else(
        || text::quoted(&said.message.replace('\'', "\"")).unwrap_or("another").to_owned(),
        place,
    );
    let said_of_root = said_last(case, root);
    Finding::broken(Scenario::FluxDependency, format!("it waits for {name}, which is not ready"))
        .with(chain)
        .with(said_of_root)
        .to_do([Remedy::say(format!("mend {name}"))])
        .then("within its retry interval after that Flux goes on by itself")
}

/// Returns the last failure of a Kustomization, which stands only in its events while it is at it again.
fn said_last(case: &Case<'_, '_>, root: Option<&Kustomization>) -> Option<Evidence> {
    let root = root.filter(|root| root.ready().is_none_or(|ready| ready.status == "Unknown"))?;
    let reasons = ["BuildFailed", "ReconciliationFailed", "ArtifactFailed", "HealthCheckFailed"];
    let event = case.index.event(&root.metadata.uid, &reasons)?;
    Some(Evidence::named(
        &place(root),
        &format!("event {}", event.reason),
        one_line(&event.message, 600),
        event.time(),
    ))
}

fn not_ready<'a>(case: &Case<'_, 'a>, of: &Kustomization) -> Option<&'a Kustomization> {
    of.spec.depends_on.iter().find_map(|wanted| {
        let namespace = if wanted.namespace.is_empty() { &of.metadata.namespace } else { &wanted.namespace };
        let found = case.index.view.kustomizations.get(namespace, &wanted.name)?;
        found.ready().is_none_or(|ready| ready.status != "True").then_some(found)
    })
}

fn build(kustomization: &Kustomization, said: &Condition) -> Finding {
    let path = &kustomization.spec.path;
    Finding::broken(
        Scenario::FluxBuild,
        format!("what is in Git under {path} cannot be built; nothing of it is applied"),
    )
    .with([ready_of(kustomization, said)])
    .to_do([
        Remedy::say("correct in Git what the message names (a path, a component, a file that is no YAML)"),
        reconcile(kustomization),
    ])
    .then("Flux tries again by itself, with its retry interval and each commit")
}

fn apply(kustomization: &Kustomization, said: &Condition) -> Finding {
    let message = said.message.as_str();
    let (cause, remedy) = if message.contains("Invalid value: \"null\"") {
        (
            "a variable has no value (the field in the message becomes empty), and one refused object keeps all others back",
            "set the variable in postBuild: VOLSYNC_CAPACITY for spec.kopia.capacity",
        )
    } else if message.contains("spec is immutable after creation") {
        (
            "a claim that exists would change, which no claim can; one refused object keeps all others back",
            "put back in Git what the claim was made with; to make it anew with its newest data: mover/README.md, Recreating a claim later",
        )
    } else if message.contains("no matches for kind") {
        (
            "the cluster does not know a kind of object: what brings it is not installed yet",
            "let the Kustomization depend on what installs it (VolSync, the snapshot CRDs)",
        )
    } else {
        (
            "the cluster refuses one object, and that keeps all others of the Kustomization back",
            "correct in Git what the message names",
        )
    };
    Finding::broken(Scenario::FluxApply, cause)
        .with([ready_of(kustomization, said)])
        .to_do([Remedy::say(remedy), reconcile(kustomization)])
        .then("Flux tries again by itself, with its retry interval and each commit")
}
