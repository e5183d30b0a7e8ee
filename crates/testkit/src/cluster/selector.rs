//! Label and field selectors: which objects of a list are wanted.

use super::kinds::Resource;
use super::object::{Object, selectable};
use super::request::Query;

/// A choice of objects by labels and fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    labels: Vec<Label>,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    key: String,
    /// The values of which one is wanted, or none; without any, the key alone counts.
    values: Option<Vec<String>>,
    wanted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    value: String,
    wanted: bool,
}

impl Selector {
    /// Reads both selectors of a request about `resource`; an error is the API server's message.
    pub(super) fn parse(resource: &Resource, query: &Query) -> Result<Self, String> {
        let text = |name: &str| query.get(name).unwrap_or_default();
        Self::of(resource, text("labelSelector"), text("fieldSelector"))
    }

    fn of(resource: &Resource, labels: &str, fields: &str) -> Result<Self, String> {
        let labels = split(labels).into_iter().map(label).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let known = |name: &str| {
            name == "metadata.name" || name == "metadata.namespace" || selectable(resource).contains(&name)
        };
        match fields.iter().find(|field| !known(&field.name)) {
            Some(field) => Err(format!("field label not supported: {}", field.name)),
            None => Ok(Selector { labels, fields }),
        }
    }

    /// Whether everything is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether this object is wanted.
    pub(super) fn wants(&self, object: &Object) -> bool {
        let label = |label: &Label| match (object.labels.get(&label.key), &label.values) {
            (found, None) => found.is_some() == label.wanted,
            // Kubernetes takes `!=` and `notin` so: they want objects without the label, too.
            (None, Some(_)) => !label.wanted,
            (Some(found), Some(values)) => values.contains(found) == label.wanted,
        };
        let field = |field: &Field| {
            object.field(&field.name).is_some_and(|value| (value == field.value) == field.wanted)
        };
        self.labels.iter().all(label) && self.fields.iter().all(field)
    }
}

/// Returns the requirements between commas, which do not count inside of parentheses.
fn split(selector: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = selector.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn label(text: &str) -> Result<Label, String> {
    if let Some((key, list)) = text.split_once(" in ").or(text.split_once(" notin ")) {
        let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
        let list = list.ok_or_else(|| format!("unable to parse requirement: {text}"))?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let wanted = !text[key.len()..].starts_with(" notin ");
        return Ok(Label { key: key.trim().to_owned(), values: Some(values), wanted });
    }
    let (key, value, wanted) = match comparison(text) {
        Some((key, value, wanted)) => (key, Some(vec![value.to_owned()]), wanted),
        None => (text.trim_start_matches('!'), None, !text.starts_with('!')),
    };
    let key = key.trim().to_owned();
    if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "=!()".contains(c)) {
        return Err(format!("unable to parse requirement: {text}"));
    }
    Ok(Label { key, values: value, wanted })
}

fn field(text: &str) -> Result<Field, String> {
    let (name, value, wanted) =
        comparison(text).ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{text}'"))?;
    Ok(Field { name: name.trim().to_owned(), value: value.to_owned(), wanted })
}

/// Returns what is compared with what, and whether it shall be equal.
fn comparison(text: &str) -> Option<(&str, &str, bool)> {
    let (left, right) = text.split_once('=')?;
    match left.strip_suffix('!') {
        Some(left) => Some((left.trim(), right.trim(), false)),
        None => Some((left.trim(), right.strip_prefix('=').unwrap_or(right).trim(), true)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_choose_as_kubernetes_does() {
        let pods = Resource { group: String::new(), plural: "pods".to_owned() };
        let pod = json!({
            "metadata": {"name": "a", "namespace": "media", "labels": {"app": "paperless", "tier": ""}},
            "status": {"phase": "Running"},
        });
        let pod = Object::new(pod.as_object().unwrap(), &pods);
        let chosen = |labels, fields| Selector::of(&pods, labels, fields).unwrap().wants(&pod);
        for labels in [
            "",
            "app=paperless",
            "app==paperless",
            "app!=immich",
            "other!=x",
            "app",
            "!other",
            "tier=",
            "app in (immich, paperless),tier",
            "app notin (immich)",
            "other notin (x)",
        ] {
            assert!(chosen(labels, ""), "{labels}");
        }
        for labels in ["app=immich", "app!=paperless", "other", "!app", "app in (immich)", "app,other"] {
            assert!(!chosen(labels, ""), "{labels}");
        }
        assert!(chosen("", "metadata.name=a,status.phase!=Failed,metadata.namespace==media"));
        assert!(!chosen("", "status.phase=Failed"));
        assert!(Selector::of(&pods, "a b", "").is_err());
        let error = Selector::of(&pods, "", "spec.image=x").unwrap_err();
        assert_eq!(error, "field label not supported: spec.image");
    }
}
