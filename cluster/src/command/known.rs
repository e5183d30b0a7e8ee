//! Gathers what `inventory` and `plan` know of applications: from Git, the cluster, or both.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::arguments::{Global, Known, Renderer};
use super::exit;
use super::output::Failure;
use super::repository::{Given, Secrets, Values, values};
use crate::chain::Index;
use crate::findings::{Diagnosis, diagnose, is_blind};
use crate::git::{self, Rendered};
use crate::inventory::Sides;
use crate::objects::Secret;
use crate::observe::{Access, Api, Scope, connect, look, read_ends};
use crate::text::one_line;
use crate::view::View;

/// Bytes of rendered manifests that are read from standard input.
const LONGEST_INPUT: u64 = 256 << 20;

/// The sources that were found.
pub(super) struct Sources {
    pub(super) git: Option<Tree>,
    pub(super) cluster: Option<(Api, View)>,
    /// A sentence for each source, also for what was not looked at.
    pub(super) said: Vec<String>,
}

/// The applications that Git configures.
pub(super) struct Tree {
    pub(super) view: View,
    pub(super) notes: Vec<String>,
    secrets: BTreeMap<(String, String), Values>,
}

impl Sources {
    /// Returns where the Secrets of its applications come from.
    pub(super) fn secrets(&self) -> Secrets<'_> {
        let of_git = self.git.as_ref().map(|tree| tree.secrets.clone()).unwrap_or_default();
        Secrets { api: self.cluster.as_ref().map(|(api, _)| api), of_git }
    }

    /// Returns the time that ages are counted from.
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.cluster.as_ref().map_or_else(jiff::Timestamp::now, |(_, view)| view.now)
    }
}

/// The sources with their links, and what is wrong in the cluster.
pub(super) struct Linked<'a> {
    git: Option<Index<'a>>,
    cluster: Option<(&'a View, Vec<Diagnosis<'a>>)>,
}

impl Sources {
    /// Finds the links.
    pub(super) fn linked(&self) -> Linked<'_> {
        Linked {
            git: self.git.as_ref().map(|tree| Index::new(&tree.view)),
            cluster: self.cluster.as_ref().map(|(_, view)| (view, diagnose(&Index::new(view)))),
        }
    }
}

impl<'a> Linked<'a> {
    /// Returns both sides; `git_first`: where both know an application, Git's word counts.
    pub(super) fn sides(&'a self, git_first: bool) -> Sides<'a> {
        let cluster = self.cluster.as_ref().map(|(view, all)| (*view, all.as_slice()));
        Sides { git: self.git.as_ref(), cluster, git_first }
    }

    /// Returns the cluster as it was seen.
    pub(super) fn view(&self) -> Option<&'a View> {
        self.cluster.as_ref().map(|(view, _)| *view)
    }

    /// Returns the exit code of a command that found everything right, or not: what could hardly be seen is neither.
    pub(super) fn code(&self, is_right: bool) -> u8 {
        match &self.cluster {
            _ if !is_right => exit::BROKEN,
            Some((view, all)) if is_blind(view, all) => exit::GOING_ON,
            _ => exit::FINE,
        }
    }
}

impl Known {
    /// Whether a repository is named that can be opened without any object.
    pub(super) fn names_repository(&self) -> bool {
        self.secret_file.is_some() || (self.repo.is_some() && self.password_file.is_some())
    }

    /// Returns what a person gives instead of the Secrets.
    pub(super) fn given(&self) -> Given<'_> {
        Given {
            secret_file: self.secret_file.as_deref(),
            repo: self.repo.as_deref(),
            password_file: self.password_file.as_deref(),
        }
    }
}

/// Reads Git and the cluster, as far as they are there. `all`: applications of all namespaces, unless one is named;
/// `alone`: a repository is enough.
///
/// # Errors
/// There is neither; or what was named cannot be read.
pub(super) async fn gather(
    global: &Global,
    known: &Known,
    all: bool,
    alone: bool,
) -> Result<Sources, Failure> {
    let usage = |message: String| Failure { code: exit::USAGE, message };
    known.given().check()?;
    let mut said = Vec::new();
    let git = match render(known)? {
        Some((name, rendered)) => {
            said.push(format!("Git: {name}, {} objects.", rendered.objects.len()));
            Some(Tree::of(rendered))
        }
        None => {
            said.push("Git: not looked at (--git DIR, or -f MANIFESTS).".into());
            None
        }
    };
    let cluster = match cluster(global, known, all).await {
        Ok(Some((api, view, scope))) => {
            said.push(match &scope {
                Scope::All => "Cluster: all namespaces.".into(),
                Scope::Namespace(name) => format!("Cluster: namespace {name}."),
            });
            Some((api, view))
        }
        Ok(None) => {
            said.push("Cluster: not looked at (--no-cluster).".into());
            None
        }
        Err(e) if git.is_some() || (alone && known.names_repository()) => {
            said.push(format!("Cluster: not seen, {}.", e.message));
            None
        }
        Err(e) => return Err(e),
    };
    if git.is_none() && cluster.is_none() && !(alone && known.names_repository()) {
        return Err(usage("nothing to look at: without a cluster name --git DIR or -f MANIFESTS".into()));
    }
    Ok(Sources { git, cluster, said })
}

async fn cluster(global: &Global, known: &Known, all: bool) -> Result<Option<(Api, View, Scope)>, Failure> {
    if known.no_cluster {
        return Ok(None);
    }
    let access: Access = global.access();
    let api = connect(&access).await;
    let api = api.map_err(|e| Failure { code: exit::USAGE, message: format!("{e:#}") })?;
    let scope = match &global.namespace {
        Some(namespace) => Scope::Namespace(namespace.clone()),
        None if all || global.all_namespaces => Scope::All,
        None => Scope::Namespace(api.namespace().to_owned()),
    };
    let mut view = look(&api, &scope).await.map_err(Failure::from)?;
    if view.missing_groups.contains("") {
        let message = "what answers is no Kubernetes API: it knows no claims and no pods".into();
        return Err(Failure { code: exit::API, message });
    }
    // With Git beside it a namespace that is not there is one that is missing.
    if known.git.is_none() && known.rendered.is_none() {
        super::select::check_namespace(&view, &scope)?;
    }
    read_ends(&api, &mut view).await;
    Ok(Some((api, view, scope)))
}

fn render(known: &Known) -> Result<Option<(String, Rendered)>, Failure> {
    let wrong = |e: git::GitError| Failure { code: exit::USAGE, message: e.to_string() };
    if let Some(folder) = &known.git {
        let renderer = match known.renderer {
            Renderer::Auto => git::Renderer::Auto,
            Renderer::Own => git::Renderer::Own,
            Renderer::Kustomize => git::Renderer::Kustomize,
        };
        let rendered = git::tree(folder, renderer).map_err(wrong)?;
        return Ok(Some((folder.display().to_string(), rendered)));
    }
    let Some(path) = &known.rendered else { return Ok(None) };
    let rendered = match path == Path::new("-") {
        true => git::rendered_text(&standard_input()?, Path::new("standard input")),
        false => git::rendered(path).map_err(wrong)?,
    };
    Ok(Some((path.display().to_string(), rendered)))
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST_INPUT).read_to_string(&mut text);
    let wrong = |why: String| Failure { code: exit::USAGE, message: format!("standard input: {why}") };
    match read {
        Ok(bytes) if bytes as u64 == LONGEST_INPUT => Err(wrong("more than 256 MiB".into())),
        Ok(_) => Ok(text),
        Err(e) => Err(wrong(e.to_string())),
    }
}

impl Tree {
    fn of(rendered: Rendered) -> Self {
        // What an inventory does not read need not be right.
        let is_read = |kind: &String| View::KINDS.iter().any(|one| one.name == *kind);
        let mut notes: Vec<String> = rendered
            .notes
            .iter()
            .filter(|note| note.kind.as_ref().is_none_or(is_read))
            .map(|note| one_line(&format!("{}: {}", note.file.display(), note.sentence), 300))
            .collect();
        let (mut view, mut secrets) = (View::default(), BTreeMap::new());
        for mut object in rendered.objects {
            let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
            let kind = text(&object["kind"]);
            let (namespace, name) =
                (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
            // What is not in a cluster has no unique ID; objects are told apart by it.
            object["metadata"]["uid"] = format!("{kind}/{namespace}/{name}").into();
            if let Err(e) = view.put_json(&object) {
                notes.push(format!("{kind} {namespace}/{name} is not what its kind says: {e}"));
            }
            if kind == "Secret"
                && let Ok(secret) = <Secret as serde::Deserialize>::deserialize(&object)
                && let Ok(values) = values(&secret)
            {
                secrets.insert((namespace, name), values);
            }
        }
        Tree { view, notes, secrets }
    }
}
