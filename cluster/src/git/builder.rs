//! Builds a folder: with this program's own renderer, or an installed one.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::GitError;
use super::files::Files;
use super::kustomization::Work;
use super::object::Item;
use super::program::{LIMIT, Program};
use super::rendered::{Note, Rendered, Renderer};
use super::yaml;

/// The objects that a folder has become.
#[derive(Default)]
pub(super) struct Built {
    pub(super) items: Vec<Item>,
    pub(super) notes: Vec<Note>,
}

/// Builds folders of a tree.
pub(super) struct Builder<'a> {
    files: &'a Files,
    how: Renderer,
    program: Option<Program>,
}

impl<'a> Builder<'a> {
    /// Makes a builder of folders of a tree; a program is looked for in `PATH`.
    pub(super) fn new(files: &'a Files, how: Renderer) -> Self {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let program = if how == Renderer::Own { None } else { Program::find(&folders) };
        Builder { files, how, program }
    }

    /// Builds one folder. `more` holds fields that are set or appended in its kustomization file first, as Flux does.
    pub(super) fn build(&self, folder: &Path, more: &Map<String, Value>) -> Built {
        if self.how == Renderer::Kustomize {
            return self
                .by_program(folder, more)
                .unwrap_or_else(|why| self.failed(folder, why, Built::default()));
        }
        let mut work = Work::new(self.files);
        let items = work.build(folder, more);
        let is_wanted = self.how == Renderer::Auto && work.could_be_better() && self.program.is_some();
        let own = Built { items, notes: work.notes };
        if !is_wanted {
            return own;
        }
        self.by_program(folder, more).unwrap_or_else(|why| self.failed(folder, why, own))
    }

    fn failed(&self, folder: &Path, why: String, mut built: Built) -> Built {
        built.notes.push(Note { file: self.files.shown(folder), sentence: why, kind: None });
        built
    }

    /// Has the program build the folder as it lies there; what Flux adds is laid over its output.
    fn by_program(&self, folder: &Path, more: &Map<String, Value>) -> Result<Built, String> {
        let program = self.program.as_ref().ok_or(
            "neither kustomize nor kubectl is in PATH: install one of them, or let the folder be rendered without",
        )?;
        let mut work = Work::new(self.files);
        if self.files.kustomization(folder).is_none() {
            // No program knows such a folder: Flux writes a kustomization file, and the folders in it are built here.
            let items = work.build(folder, more);
            return Ok(Built { items, notes: work.notes });
        }
        let text = program.build(folder, LIMIT)?;
        let documents = yaml::documents(&text).map_err(|why| why.to_string())?;
        let mut items = documents.into_iter().map(|value| Item::new(value, None)).collect();
        work.lay_over(folder, more, &mut items);
        Ok(Built { items, notes: work.notes })
    }
}

/// Builds one folder of a tree as `kustomize build` does, before any substitution. The folder is named from the tree's root.
///
/// # Errors
/// The root or the folder cannot be read. What could not be built exactly is in the notes.
pub fn build(root: &Path, folder: &str) -> Result<Rendered, GitError> {
    let files = Files::new(root)?;
    let resolved = files.resolve(files.root(), folder);
    let folder = resolved.map_err(|why| GitError::Unreadable(root.to_owned(), why))?;
    let built = Builder::new(&files, Renderer::Own).build(&folder, &Map::new());
    let objects = built.items.into_iter().map(|item| item.value).collect();
    Ok(Rendered { objects, notes: built.notes, reads: files.reads() })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    /// Returns the names of what a folder with this kustomization becomes where a program prints a claim, or fails.
    fn built(how: Renderer, kustomization: &str, script: &str) -> (Vec<String>, Vec<Note>) {
        let Ok(folder) = tempfile::tempdir() else { return Default::default() };
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        let own = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: own}}";
        let all = [("kustomize", script), ("kustomization.yaml", kustomization), ("claim.yaml", own)];
        assert!(all.into_iter().all(|(name, text)| write(name, text).is_ok()));
        let path = folder.path().join("kustomize");
        assert!(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).is_ok());
        let Ok(files) = Files::new(folder.path()) else { return Default::default() };
        let builder = Builder { files: &files, how, program: Program::find(folder.path().as_os_str()) };
        let more = json!({"namespace": "media"});
        let built = builder.build(files.root(), more.as_object().unwrap_or(&Map::new()));
        let name = |item: &Item| {
            format!("{}/{}", item.value["metadata"]["namespace"], item.value["metadata"]["name"])
        };
        (built.items.iter().map(|item| name(item).replace('"', "")).collect(), built.notes)
    }

    const PRINTS: &str =
        "#!/bin/sh\necho '{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: printed}}'\n";
    const FAILS: &str = "#!/bin/sh\necho broken >&2\nexit 1\n";
    const PLAIN: &str = "resources: [claim.yaml]\n";
    const CHART: &str = "resources: [claim.yaml]\nhelmCharts: [{name: chart}]\n";

    #[test]
    fn a_program_helps_where_this_one_cannot() {
        for (how, kustomization, script, name, notes) in [
            (Renderer::Own, CHART, PRINTS, "media/own", 1),
            (Renderer::Auto, PLAIN, PRINTS, "media/own", 0),
            (Renderer::Auto, CHART, PRINTS, "media/printed", 0),
            (Renderer::Auto, CHART, FAILS, "media/own", 2),
            (Renderer::Kustomize, PLAIN, PRINTS, "media/printed", 0),
        ] {
            let (names, said) = built(how, kustomization, script);
            assert_eq!((names, said.len()), (vec![name.to_owned()], notes), "{how:?} {said:?}");
        }
        assert_eq!(built(Renderer::Kustomize, PLAIN, FAILS).0, [""; 0]);
    }

    #[test]
    fn a_program_is_not_started_for_what_lies_elsewhere() {
        for name in ["https://example.com/x.yaml", "/etc/passwd"] {
            let kustomization = format!("resources: [claim.yaml, '{name}']\nhelmCharts: []\n");
            assert_eq!(built(Renderer::Auto, &kustomization, PRINTS).0, ["media/own"], "{name}");
        }
    }
}
