//! Holds what a real cluster held while one thing was done to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::packed;

/// The variable that names a folder whose recordings are used in place of those of `testdata/cluster`.
const FOLDER: &str = "REKOPIA_RECORDINGS";

/// The answer to a request for the log of one container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Log {
    /// The log's text.
    Text(String),
    /// The API server gave an error.
    Failed {
        /// The body of the error's answer: a Status as JSON.
        error: String,
    },
}

/// The logs of a cluster's pods: `namespace/pod` → container → log.
pub type Logs = BTreeMap<String, BTreeMap<String, Log>>;

/// A scenario: what a cluster held before, while and after one thing was done to it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name of the scenario and of its folder: `wrong-password`.
    pub name: String,
    /// A sentence or two about what was done.
    pub about: String,
    /// The namespaces that were recorded whole.
    pub namespaces: Vec<String>,
    /// The moments at which everything was read, in order; never empty.
    pub stages: Vec<Stage>,
    /// The document `scenario.json` whole: `timeouts`, `answerToApply`, when it started and ended.
    pub facts: Value,
    /// Further files by name: `tree-01.json`, … hold what Git had.
    pub others: BTreeMap<String, Value>,
    /// The lines of `watch.jsonl`.
    watch: String,
}

/// A stage: everything that a tool may ask a cluster for, at one moment.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The stage's name with its number: `01-failed-pods-1`.
    pub name: String,
    /// The moment of the stage, in RFC 3339.
    pub taken: String,
    /// A note on what had happened until then.
    pub note: String,
    /// All objects, each with `kind` and `apiVersion`.
    pub objects: Vec<Value>,
    /// The logs of the pods that had any.
    pub logs: Logs,
}

/// A change as a watch delivered it.
#[derive(Debug, Clone, Deserialize)]
pub struct WatchLine {
    /// The time when the change arrived, in RFC 3339.
    pub received: String,
    /// The kind that was watched: `Pod`.
    pub kind: String,
    /// The type of the change: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`.
    #[serde(rename = "type")]
    pub event: String,
    /// The object afterwards; of a deleted one, its last state.
    pub object: Value,
}

#[derive(Deserialize)]
struct Facts {
    scenario: String,
    about: String,
    namespaces: Vec<String>,
    stages: Vec<StageFacts>,
}

#[derive(Deserialize)]
struct StageFacts {
    file: String,
    taken: String,
    note: Option<String>,
}

impl Scenario {
    /// Returns the names of all scenarios, sorted; those of the folder that `REKOPIA_RECORDINGS` names, if it is set.
    ///
    /// # Panics
    /// When the folder cannot be read.
    pub fn names() -> Vec<String> {
        folder().map_or_else(packed::packed_names, |dir| packed::folder_names(&dir))
    }

    /// Reads one scenario by its name, from where [`Scenario::names`] looks.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn load(name: &str) -> Scenario {
        match folder() {
            Some(dir) => Self::load_dir(dir.join(name)),
            None => Self::from_files(name, packed::unpack(name)),
        }
    }

    /// Reads a scenario whose files are in a folder, uncompressed, in the shape of `testdata/cluster/README.md`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn load_dir(path: impl AsRef<Path>) -> Scenario {
        let path = path.as_ref();
        Self::from_files(&path.display().to_string(), packed::read_folder(path))
    }

    /// Finds a stage by its number (`01`), its name (`failed`) or both (`01-failed`).
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn stage(&self, name_or_prefix: &str) -> &Stage {
        let fits = |stage: &&Stage| {
            let (number, name) = stage.name.split_once('-').unwrap_or((&stage.name, ""));
            [&stage.name, number, name].contains(&name_or_prefix)
        };
        self.stages.iter().find(fits).unwrap_or_else(|| {
            let names: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
            panic!("{} has no stage {name_or_prefix:?}, but {names:?}", self.name)
        })
    }

    /// Returns every change from the first to the last stage, in the order of arrival; empty where nothing was watched.
    ///
    /// # Panics
    /// When a line is no JSON of this shape.
    pub fn watch(&self) -> Vec<WatchLine> {
        self.watch.lines().map(|line| serde_json::from_str(line).expect("a line of a watch")).collect()
    }

    /// Reads a scenario from its files.
    pub(super) fn from_files(name: &str, mut files: Map<String, Value>) -> Scenario {
        let facts = files.remove("scenario.json").unwrap_or_else(|| panic!("{name} has no scenario.json"));
        let known = Facts::deserialize(&facts).unwrap_or_else(|e| panic!("scenario.json of {name}: {e}"));
        let stages: Vec<Stage> = known.stages.into_iter().map(|stage| stage.read(name, &mut files)).collect();
        assert!(!stages.is_empty(), "{name} has no stages");
        let watch = match files.remove("watch.jsonl") {
            Some(Value::String(lines)) => lines,
            _ => String::new(),
        };
        let (name, about, namespaces) = (known.scenario, known.about, known.namespaces);
        Scenario { name, about, namespaces, stages, facts, others: files.into_iter().collect(), watch }
    }
}

impl StageFacts {
    fn read(self, scenario: &str, files: &mut Map<String, Value>) -> Stage {
        let name = self.file.trim_end_matches(".json").to_owned();
        let mut list = files.remove(&self.file).unwrap_or_else(|| panic!("{scenario} has no {}", self.file));
        let Some(Value::Array(objects)) = list.get_mut("items").map(Value::take) else {
            panic!("{} of {scenario} is no list", self.file)
        };
        let logs = files.remove(&format!("{name}.logs.json")).map(serde_json::from_value);
        let logs = logs.transpose().unwrap_or_else(|e| panic!("logs of {name} of {scenario}: {e}"));
        let note = self.note.unwrap_or_default();
        Stage { name, taken: self.taken, note, objects, logs: logs.unwrap_or_default() }
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}
