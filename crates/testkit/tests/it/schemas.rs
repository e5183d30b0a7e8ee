//! docs/json.md and docs/schema say the same, and every schema is asked by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rekopia_testkit::{exit_codes, schema};
use serde_json::{Value, json};

/// The fields of a document by path; whether each is always there.
type Fields = BTreeMap<String, bool>;

/// By schema, what the tables of docs/json.md have. Of several tables for one schema a field may be in each.
fn documented() -> BTreeMap<String, Fields> {
    let text = std::fs::read_to_string(schema::docs().join("json.md")).unwrap();
    let mut all: BTreeMap<String, Fields> = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        if line.starts_with("## ") {
            name = None;
        }
        if let Some(link) = line.strip_prefix("Schema: [schema/") {
            name = Some(link.split(".json").next().unwrap().to_owned());
        }
        let Some(name) = &name else { continue };
        let fields = all.entry(name.clone()).or_default();
        let cells: Vec<&str> = line.split(" | ").collect();
        if let Some(path) = cells[0].strip_prefix("| `").and_then(|cell| cell.strip_suffix('`')) {
            assert_eq!(cells.len(), 5, "{line}");
            fields.insert(path.to_owned(), cells[3] == "always");
        }
    }
    all
}

/// Reads the fields of a schema as those of a table.
fn defined(schema: &Value) -> Fields {
    let mut fields = Fields::new();
    walk(schema, "", &mut fields);
    fields
}

fn walk(schema: &Value, path: &str, fields: &mut Fields) {
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        walk(one, path, fields);
    }
    if schema["items"].is_object() {
        // The array that a command prints has no name.
        let path = if path.is_empty() { String::new() } else { format!("{path}[]") };
        walk(&schema["items"], &path, fields);
    }
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        fields.insert(path.clone(), required.contains(&name.as_str()));
        assert!(field["description"].is_string(), "{path}: no description");
        walk(field, &path, fields);
    }
}

#[test]
fn every_field_of_the_tables_is_in_its_schema_and_the_reverse() {
    let documented = documented();
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), schema::names());
    for (name, fields) in documented {
        assert_eq!(fields, defined(&schema::schema(&name)), "{name}: left: docs/json.md, right: the schema");
    }
}

/// Names are camelCase, and say their unit; but for what Kopia has a name for, and the mover's `times`.
#[test]
fn names_say_their_unit() {
    let text = std::fs::read_to_string(schema::docs().join("json.md")).unwrap();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells[0].trim_matches(['|', ' ', '`']).rsplit('.').next().unwrap();
        let is_camel = name.trim_end_matches("[]").chars().all(char::is_alphanumeric);
        let end = match cells.get(2) {
            _ if ["size", "maxPackSize", "times"].contains(&name) => "",
            Some(&"bytes") => "bytes",
            Some(&"seconds") => "seconds",
            Some(&"bytes per second") => "bytespersecond",
            _ => "",
        };
        let is_field = cells.len() == 5;
        assert!(!is_field || is_camel && name.to_lowercase().ends_with(end), "{line}");
    }
}

/// What is ours takes no other field: only objects of Kopia, and maps, are open.
#[test]
fn schemas_are_strict() {
    fn strict(schema: &Value, path: &str, open: &mut Vec<String>) {
        if let Value::Object(members) = schema {
            if members.contains_key("properties") && schema["additionalProperties"] != false {
                open.push(path.to_owned());
            }
            members.iter().for_each(|(name, value)| strict(value, &format!("{path}/{name}"), open));
        } else if let Value::Array(items) = schema {
            items.iter().for_each(|item| strict(item, path, open));
        }
    }
    for name in schema::names() {
        let mut open = Vec::new();
        strict(&schema::schema(&name), "", &mut open);
        let allowed: &[&str] = if name == "snapshots" { &["/items/oneOf"] } else { &[] };
        assert_eq!(open, allowed, "{name}");
    }
}

#[test]
fn what_is_wrong_is_noticed() {
    let right = json!({"version": 1, "event": "error", "error": "x", "exitCode": 14});
    schema::check("error", &right);
    assert_eq!(schema::unnoticed("error", &right), BTreeSet::new());
    for (field, wrong) in [("version", json!(2)), ("exitCode", json!("14")), ("event", json!("report"))] {
        let mut changed = right.clone();
        changed[field] = wrong;
        assert!(schema::fault("error", &changed).is_some(), "{field}");
    }
    let entry = |mtime: &str| json!([{"version": 1, "path": "a", "type": "f", "mode": "0644", "size": 1, "mtime": mtime, "uid": 0, "gid": 0, "obj": null}]);
    schema::check("ls", &entry("2026-11-01T00:00:00.5Z"));
    assert!(schema::fault("ls", &entry("2026-11-01 00:00:00")).is_some());
}

/// The classes of errors are those of docs/exit-codes.md, in both documents.
#[test]
fn kinds_are_those_of_the_exit_codes() {
    let mut kinds: Vec<&str> = exit_codes::rows().iter().flat_map(|row| row.kinds.clone()).collect();
    kinds.sort_unstable();
    let of_report =
        &schema::schema("report")["properties"]["failures"]["items"]["properties"]["kind"]["enum"];
    assert_eq!(*of_report, json!(kinds));
    let text = std::fs::read_to_string(schema::docs().join("json.md")).unwrap();
    let listed = text.split("Classes of errors (`kind`): ").nth(1).unwrap().split(';').next().unwrap();
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>().join(" "), format!("`{}`", kinds.join("`, `")));
}

/// Each is named where a program's real output is checked.
#[test]
fn every_schema_is_used() {
    let root = schema::docs().join("..");
    let mut sources = String::new();
    for tests in ["crates/cli/tests", "mover/tests", "cluster/tests"] {
        read(&root.join(tests), &mut sources);
    }
    for name in schema::names() {
        assert!(sources.contains(&format!("check(\"{name}\", ")), "no test checks anything against {name}");
    }
}

fn read(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
