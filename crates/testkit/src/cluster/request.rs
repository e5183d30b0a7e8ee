//! Reads what a request asks for.

use percent_encoding::percent_decode_str;

use super::kinds::Resource;

/// The target that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A document in which the server speaks of itself: `/version`, `/api`, `/apis/batch/v1`.
    Document(String),
    /// Objects of one resource.
    Objects(Wanted),
}

/// Objects of one resource: all, those of a namespace, one, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) resource: Resource,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// The part of the object that is wanted: `log`.
    pub(super) part: Option<String>,
}

/// The parameters of a request, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Target {
    /// Reads the path of a request.
    pub(super) fn parse(path: &str) -> Target {
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(|part| decoded(part, false)).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let wanted = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => Wanted::parse("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => Wanted::parse(group, version, rest),
            _ => None,
        };
        wanted.map_or_else(|| Target::Document(format!("/{}", parts.join("/"))), Target::Objects)
    }
}

impl Wanted {
    fn parse(group: &str, version: &str, rest: &[&str]) -> Option<Wanted> {
        let (namespace, rest) = match rest {
            // A status and a finalize are parts of the namespace itself, not resources inside of it.
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, part) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some((*name).to_owned()), None),
            [plural, name, part] => (plural, Some((*name).to_owned()), Some((*part).to_owned())),
            _ => return None,
        };
        let resource = Resource { group: group.to_owned(), plural: (*plural).to_owned() };
        Some(Wanted { resource, version: version.to_owned(), namespace, name, part })
    }

    /// Returns what rights are given for: `pods`, `pods/log`.
    pub(super) fn right(&self) -> String {
        let part = self.part.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
        format!("{}{part}", self.resource.plural)
    }
}

impl Query {
    /// Reads what follows the question mark.
    pub(super) fn parse(query: &str) -> Query {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        };
        Query(query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    /// Returns the value of a parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// Returns a number; an error is the API server's message.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let wrong = |value: &str| format!("strconv.ParseInt: parsing {value:?}: invalid syntax");
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }
}

fn decoded(text: &str, is_query: bool) -> String {
    let text = if is_query { text.replace('+', " ") } else { text.to_owned() };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
