//! Chooses the applications that a person means.

use super::arguments::Global;
use super::exit;
use super::output::Failure;
use crate::findings::{Diagnosis, is_blind};
use crate::objects::{Namespace, Object};
use crate::observe::Scope;
use crate::view::View;

/// Returns the scope of a command line.
pub(super) fn scope(global: &Global, default: &str) -> Scope {
    if global.all_namespaces {
        return Scope::All;
    }
    Scope::Namespace(global.namespace.clone().unwrap_or_else(|| default.to_owned()))
}

/// Refuses a namespace that does not exist, where that can be seen: an empty list says nothing of it.
pub(super) fn check_namespace(view: &View, scope: &Scope) -> Result<(), Failure> {
    let Scope::Namespace(name) = scope else { return Ok(()) };
    if !view.sees(Namespace::KIND) || view.namespaces.get("", name).is_some() {
        return Ok(());
    }
    Err(Failure { code: exit::NOT_FOUND, message: format!("there is no namespace {name}; all: -A") })
}

/// Keeps the applications of these names; with none, all.
pub(super) fn named<'a>(
    view: &View,
    all: Vec<Diagnosis<'a>>,
    names: &[String],
) -> Result<Vec<Diagnosis<'a>>, Failure> {
    if names.is_empty() {
        return Ok(all);
    }
    for name in names {
        let called: Vec<&Diagnosis<'_>> = all.iter().filter(|one| one.app.is_called(name)).collect();
        let exact = called.iter().any(|one| one.app.name == *name);
        if called.is_empty() {
            return Err(unknown(view, name, &all));
        }
        if !exact && called.len() > 1 {
            let names: Vec<&str> = called.iter().map(|one| one.app.name.as_str()).collect();
            let message = format!("{name} leads to several claims: {}; name one of them", names.join(", "));
            return Err(Failure { code: exit::USAGE, message });
        }
    }
    let is_meant =
        |one: &Diagnosis<'_>| names.iter().any(|name| one.app.name == *name || one.app.is_called(name));
    Ok(all.into_iter().filter(is_meant).collect())
}

/// Returns the applications that a target of `doctor` means.
pub(super) fn target<'a>(
    view: &View,
    all: Vec<Diagnosis<'a>>,
    target: &str,
) -> Result<Vec<Diagnosis<'a>>, Failure> {
    let Some((kind, name)) = target.split_once('/') else { return named(view, all, &[target.to_owned()]) };
    let is_meant = |one: &Diagnosis<'_>| match kind {
        "pvc" | "persistentvolumeclaim" | "persistentvolumeclaims" => {
            let own = [one.app.claim, one.app.temporary, one.app.prime].into_iter().flatten();
            own.chain(one.app.caches.iter().copied()).any(|claim| claim.metadata.name == name)
        }
        "pod" | "pods" | "po" => {
            one.app.pods.iter().chain(&one.app.movers).any(|pod| pod.metadata.name == name)
        }
        "job" | "jobs" => one.app.job.is_some_and(|job| job.metadata.name == name),
        "rd" | "replicationdestination" | "replicationdestinations" => {
            one.app.destination.is_some_and(|destination| destination.metadata.name == name)
                || one.app.wanted == Some(name)
        }
        _ => false,
    };
    if !["pvc", "pod", "po", "job", "rd"].contains(&kind) && !kind.starts_with(['p', 'j', 'r']) {
        let message = format!("{target}: a target is APP, pvc/NAME, pod/NAME, job/NAME or rd/NAME");
        return Err(Failure { code: exit::USAGE, message });
    }
    let unknown = unknown(view, target, &all);
    let meant: Vec<Diagnosis<'a>> = all.into_iter().filter(is_meant).collect();
    if meant.is_empty() { Err(unknown) } else { Ok(meant) }
}

fn unknown(view: &View, name: &str, all: &[Diagnosis<'_>]) -> Failure {
    if is_blind(view, all) {
        let message =
            format!("{name} cannot be looked up with these rights: claims or restores may not be listed");
        return Failure { code: exit::GOING_ON, message };
    }
    let mut names: Vec<&str> = all.iter().map(|one| one.app.name.as_str()).collect();
    names.truncate(10);
    let known = if names.is_empty() {
        "no claim here is filled by a restore".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Failure {
        code: exit::NOT_FOUND,
        message: format!(
            "nothing that is restored here is called {name}: {known}; another namespace: -n NS, all: -A"
        ),
    }
}
