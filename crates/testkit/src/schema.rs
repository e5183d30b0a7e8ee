//! The schemas of what programs read of ours (`docs/schema`), for tests of that output.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Panics when `document` is not what the schema `name` (`docs/schema/NAME.json`) allows.
#[track_caller]
pub fn check(name: &str, document: &Value) {
    if let Some(fault) = fault(name, document) {
        panic!("{name}: {fault}\n{document:#}");
    }
}

/// What is wrong with a document; `None`: nothing.
pub fn fault(name: &str, document: &Value) -> Option<String> {
    let place = format!("https://rekopia.invalid/{name}.json");
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    // A time that is none is a fault.
    compiler.enable_format_assertions();
    compiler.add_resource(&place, schema(name)).unwrap();
    let index = compiler.compile(&place, &mut schemas).unwrap_or_else(|e| panic!("{name}: {e:#}"));
    schemas.validate(document, index).err().map(|e| format!("{e:#}"))
}

/// The changed copies of a valid document that its schema allows as well: each names the object that took a field which
/// nobody knows, or went without one that it had.
pub fn unnoticed(name: &str, document: &Value) -> BTreeSet<String> {
    let mut pointers = Vec::new();
    objects(document, String::new(), &mut pointers);
    let mut found = BTreeSet::new();
    for pointer in pointers {
        let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            let mut copy = document.clone();
            change(copy.pointer_mut(&pointer).and_then(Value::as_object_mut).unwrap());
            copy
        };
        let more = changed(&|fields| drop(fields.insert("unheardOf".into(), json!(1))));
        if fault(name, &more).is_none() {
            found.insert(format!("{pointer} + unheardOf"));
        }
        let fields: Vec<&String> = document.pointer(&pointer).unwrap().as_object().unwrap().keys().collect();
        for field in fields {
            let less = changed(&|fields| drop(fields.remove(field)));
            if fault(name, &less).is_none() {
                found.insert(format!("{pointer} - {field}"));
            }
        }
    }
    found
}

/// Where objects stand in a document.
fn objects(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                objects(value, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
            found.push(pointer);
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| objects(item, format!("{pointer}/{n}"), found));
        }
        _ => {}
    }
}

/// The names of all schemas.
pub fn names() -> BTreeSet<String> {
    let files = std::fs::read_dir(docs().join("schema")).unwrap();
    files
        .map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".json").unwrap().to_owned()
        })
        .collect()
}

/// The text of a schema.
pub fn schema(name: &str) -> Value {
    let path = docs().join("schema").join(format!("{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The folder of the documents.
pub fn docs() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))
}
