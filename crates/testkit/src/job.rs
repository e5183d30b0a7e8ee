//! Makes, of Jobs as VolSync's operator made them and the objects that they were made from, what their container sees.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A Job's container.
#[derive(Debug, Clone)]
pub struct Job {
    /// The Job's file, without its ending.
    pub name: String,
    /// The arguments of the container's process.
    pub args: Vec<String>,
    /// The environment, Secrets looked up, the last of a name winning.
    pub env: BTreeMap<String, String>,
    /// The names of all variables, those without a value included.
    pub variables: Vec<String>,
    /// The volumes, parents before their children.
    pub mounts: Vec<Mount>,
    /// The user that the process runs as.
    pub user: u32,
}

/// A mounted volume.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The path where the volume is mounted.
    pub path: String,
    /// `persistentVolumeClaim`, `nfs`, `emptyDir`, `secret` or `configMap`.
    pub kind: String,
    /// The files in the volume when it is made of an object: names, texts, modes.
    pub files: Vec<(String, String, u32)>,
    /// Whether the process cannot write there.
    pub read_only: bool,
}

impl Job {
    /// Returns the names of all Jobs in a folder.
    pub fn names(dir: &Path) -> Vec<String> {
        let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            files.filter_map(|f| Some(f.strip_suffix(".input.json")?.to_owned())).collect();
        names.sort();
        names
    }

    /// Reads `name.json` and `name.input.json`. `change` may put other values into the Secrets: key, value → value.
    pub fn load(dir: &Path, name: &str, change: impl Fn(&str, &str) -> String) -> Job {
        let read = |file: String| -> Value {
            let path = dir.join(file);
            let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let (job, input) = (read(format!("{name}.json")), read(format!("{name}.input.json")));
        let objects = Objects { input: &input, change: &change };
        let spec = match job["kind"].as_str() {
            Some("CronJob") => &job["spec"]["jobTemplate"]["spec"],
            _ => &job["spec"],
        };
        let pod = &spec["template"]["spec"];
        let container = &pod["containers"][0];
        let mut env = BTreeMap::new();
        for source in list(&container["envFrom"]) {
            env.extend(objects.data("Secret", text(&source["secretRef"]["name"])));
        }
        for variable in list(&container["env"]) {
            let value = match variable["value"].as_str() {
                Some(value) => Some(value.to_owned()),
                None => objects.secret_key(name, &variable["valueFrom"]["secretKeyRef"]),
            };
            if let Some(value) = value {
                env.insert(text(&variable["name"]).to_owned(), value);
            }
        }
        let mut mounts: Vec<Mount> =
            list(&container["volumeMounts"]).iter().map(|m| objects.mount(m, &pod["volumes"])).collect();
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
        let user = [&container["securityContext"], &pod["securityContext"]];
        let user = user.iter().find_map(|context| context["runAsUser"].as_u64()).unwrap_or(0);
        Job {
            name: name.to_owned(),
            args: list(&container["args"]).iter().map(|a| text(a).to_owned()).collect(),
            env,
            variables: list(&container["env"]).iter().map(|v| text(&v["name"]).to_owned()).collect(),
            mounts,
            user: u32::try_from(user).unwrap(),
        }
    }

    /// Makes the volumes below `root` and returns the environment with their paths.
    pub fn place(&self, root: &Path) -> BTreeMap<String, String> {
        for mount in &self.mounts {
            let dir = self.path(root, &mount.path);
            std::fs::create_dir_all(&dir).unwrap();
            for (name, text, mode) in &mount.files {
                std::fs::write(dir.join(name), text).unwrap();
                std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(*mode)).unwrap();
            }
        }
        let moved = |(name, value): (&String, &String)| {
            // The path of a source is a name, not a place in this container.
            let moved =
                if name == "KOPIA_SOURCE_PATH_OVERRIDE" { value.clone() } else { self.moved(root, value) };
            (name.clone(), moved)
        };
        self.env.iter().map(moved).collect()
    }

    /// Returns where a path of the container lies below `root`.
    pub fn path(&self, root: &Path, inside: &str) -> PathBuf {
        root.join(inside.trim_start_matches('/'))
    }

    /// Returns a value with the mounts' paths replaced, where one begins the value, a URL's path or a JSON text.
    fn moved(&self, root: &Path, value: &str) -> String {
        let deepest_first = self.mounts.iter().rev();
        for mount in deepest_first {
            for before in ["", "://", "\""] {
                let Some(at) = value.find(&format!("{before}{}", mount.path)) else { continue };
                let (start, end) = (at + before.len(), at + before.len() + mount.path.len());
                let whole = value[end..].is_empty() || value[end..].starts_with(['/', '"']);
                if whole && (start == 0 || !before.is_empty()) {
                    let place = self.path(root, &mount.path);
                    return format!("{}{}{}", &value[..start], place.display(), &value[end..]);
                }
            }
        }
        value.to_owned()
    }
}

struct Objects<'a> {
    input: &'a Value,
    change: &'a dyn Fn(&str, &str) -> String,
}

impl Objects<'_> {
    /// Returns the texts of a Secret or ConfigMap; none when there is no such object.
    fn data(&self, kind: &str, name: &str) -> BTreeMap<String, String> {
        let found = list(&self.input["objects"])
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        let Some(object) = found else { return BTreeMap::new() };
        let texts = ["stringData", "data"].map(|member| object[member].as_object());
        let texts = texts.into_iter().flatten().flatten();
        texts.map(|(key, value)| (key.clone(), (self.change)(key, text(value)))).collect()
    }

    fn secret_key(&self, job: &str, reference: &Value) -> Option<String> {
        let key = text(&reference["key"]);
        let value = self.data("Secret", text(&reference["name"])).remove(key);
        assert!(value.is_some() || reference["optional"] == true, "{job}: the pod would not start: {key}");
        value
    }

    fn mount(&self, mount: &Value, volumes: &Value) -> Mount {
        let volume = list(volumes).iter().find(|v| v["name"] == mount["name"]).unwrap();
        let (kind, source) = volume.as_object().unwrap().iter().find(|(key, _)| *key != "name").unwrap();
        let data = match kind.as_str() {
            "secret" => self.data("Secret", text(&source["secretName"])),
            "configMap" => self.data("ConfigMap", text(&source["name"])),
            _ => BTreeMap::new(),
        };
        let mode = |of: &Value, otherwise| of.as_u64().map_or(otherwise, |m| u32::try_from(m).unwrap());
        let usual = mode(&source["defaultMode"], 0o644);
        let files = match source["items"].as_array() {
            None => data.into_iter().map(|(key, value)| (key, value, usual)).collect(),
            Some(items) => items
                .iter()
                .filter_map(|item| {
                    let value = data.get(text(&item["key"]))?.clone();
                    Some((text(&item["path"]).to_owned(), value, mode(&item["mode"], usual)))
                })
                .collect(),
        };
        Mount {
            path: text(&mount["mountPath"]).to_owned(),
            kind: kind.clone(),
            files,
            read_only: mount["readOnly"] == true || source["readOnly"] == true,
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
