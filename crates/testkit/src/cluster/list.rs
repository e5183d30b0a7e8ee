//! Lists, page by page, and single objects.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::{Answer, Refusal, bad_request, expired, recorded, status, text};
use super::contents::{Contents, Objects, key, keys};
use super::kinds::{Kind, api_version};
use super::object::Form;
use super::request::{Query, Wanted};
use super::selector::Selector;
use super::state::{Shared, State};

/// The place where a list goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    v: String,
    rv: u64,
    start: String,
}

/// The form in which a client wants what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The object as it is.
    Whole,
    /// Only the metadata of an object, or of each object of a watch.
    Metadata,
    /// Only the metadata of each object of a list.
    MetadataList,
}

impl Wish {
    /// Reads the header `Accept`: the first of its forms that is known here.
    pub(super) fn of(accept: &str) -> Wish {
        let first = accept.split(',').find(|form| form.trim().starts_with("application/json"));
        let is = |field: &str| first.is_some_and(|form| form.split(';').any(|part| part.trim() == field));
        match () {
            () if is("as=PartialObjectMetadataList") => Wish::MetadataList,
            () if is("as=PartialObjectMetadata") => Wish::Metadata,
            () => Wish::Whole,
        }
    }

    /// Refuses a form that does not fit what is asked for: a list, or one object.
    pub(super) fn fits(self, a_list: bool) -> Result<(), Refusal> {
        let (form, not) = match (self, a_list) {
            (Wish::Metadata, true) => ("PartialObjectMetadata", "is a list"),
            (Wish::MetadataList, false) => ("PartialObjectMetadataList", "is not a list"),
            _ => return Ok(()),
        };
        let message = format!("you requested {form}, but the requested object {not}");
        Err(status(406, "NotAcceptable", &message, Value::Null).into())
    }
}

/// Returns the objects that are wanted, or one page of them.
pub(super) fn list(shared: &Shared, wanted: &Wanted, kind: &Kind, query: &Query, wish: Wish) -> Answer {
    page(shared, wanted, kind, query, wish).unwrap_or_else(|refusal| *refusal)
}

fn page(shared: &Shared, wanted: &Wanted, kind: &Kind, query: &Query, wish: Wish) -> Result<Answer, Refusal> {
    wish.fits(true)?;
    let selector = Selector::parse(&wanted.resource, query).map_err(bad_request)?;
    let limit = query.number("limit").map_err(bad_request)?.filter(|limit| *limit > 0);
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // A large list takes a while to write: the lock is not held meanwhile.
    let moment = moment(&shared.lock(), query);
    let (version, contents, start) = moment?;
    let page = Page { wanted, kind, version, wish, limit };
    Ok(page.answer(&contents.of(&wanted.resource), &selector, start))
}

/// Returns the version that a list shows, what was held then, and where the page starts.
fn moment(state: &State, query: &Query) -> Result<(u64, Arc<Contents>, Option<String>), Refusal> {
    let asked = query.number("resourceVersion").map_err(bad_request)?.unwrap_or(0);
    if let Some(token) = query.get("continue") {
        if asked != 0 {
            return Err(bad_request("specifying resource version is not allowed when using continue").into());
        }
        let token = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok();
        let token = token.and_then(|token| serde_json::from_slice::<Token>(&token).ok());
        let token = token.ok_or_else(|| recorded("bad continue token"))?;
        let message = "The provided continue parameter is too old to display a consistent list result. You must \
                       start a new list without the continue parameter.";
        let contents = state.at(token.rv).ok_or_else(|| expired(message))?;
        return Ok((token.rv, contents, Some(token.start)));
    }
    if asked > state.version {
        return Err(too_large(asked, state.version).into());
    }
    if query.get("resourceVersionMatch") == Some("Exact") {
        let message = format!("The resourceVersion for the provided list is too old: {asked}");
        return Ok((asked, state.at(asked).ok_or_else(|| expired(&message))?, None));
    }
    Ok((state.version, Arc::clone(&state.contents), None))
}

fn too_large(asked: u64, current: u64) -> Answer {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    status(504, "Timeout", &message, json!({"causes": [cause], "retryAfterSeconds": 1}))
}

struct Page<'a> {
    wanted: &'a Wanted,
    kind: &'a Kind,
    version: u64,
    wish: Wish,
    limit: usize,
}

impl Page<'_> {
    fn answer(&self, objects: &Objects, selector: &Selector, start: Option<String>) -> Answer {
        let form = item_form(self.wanted, self.kind, self.wish);
        let mut rest = objects.range(keys(self.wanted.namespace.as_deref(), start));
        let (mut items, mut count, mut last) = (Vec::new(), 0, "");
        while count < self.limit
            && let Some((key, object)) = rest.next()
        {
            last = key;
            if selector.wants(object) {
                if count > 0 {
                    items.push(b',');
                }
                object.write(&mut items, &form, object.version);
                count += 1;
            }
        }
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        let remaining = rest.count();
        if remaining > 0 {
            let start = format!("{last}\0");
            let token = json!(Token { v: "meta.k8s.io/v1".to_owned(), rv: self.version, start });
            metadata["continue"] = URL_SAFE_NO_PAD.encode(token.to_string()).into();
            // How many of the rest a selector wants is unknown to a real server, too.
            if selector.is_empty() {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
        let mut body = self.head(&metadata).into_bytes();
        body.append(&mut items);
        body.extend_from_slice(b"]}");
        text(200, "application/json", body)
    }

    fn head(&self, metadata: &Value) -> String {
        let (kind, api_version) = match self.wish {
            Wish::Whole => {
                let group = &self.wanted.resource.group;
                (format!("{}List", self.kind.name), api_version(group, &self.wanted.version))
            }
            _ => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[")
    }
}

/// Returns the form of an object that is asked for by its name, or watched.
pub(super) fn whole_form(wanted: &Wanted, kind: &Kind, wish: Wish) -> Form {
    match wish {
        Wish::Whole => Form::whole(&kind.name, &api_version(&wanted.resource.group, &wanted.version)),
        _ => Form::metadata_only(),
    }
}

/// Returns the form of an item of a list: a typed list leaves kind and version out, one of custom resources has them.
fn item_form(wanted: &Wanted, kind: &Kind, wish: Wish) -> Form {
    match wish {
        Wish::Whole if !wanted.resource.is_custom() => Form::bare(),
        _ => whole_form(wanted, kind, wish),
    }
}

/// Returns an object by its name.
pub(super) fn get(state: &State, wanted: &Wanted, kind: &Kind, name: &str, wish: Wish) -> Answer {
    if let Err(refusal) = wish.fits(false) {
        return *refusal;
    }
    let objects = state.contents.of(&wanted.resource);
    let Some(object) = objects.get(&key(wanted.namespace.as_deref(), name)) else {
        return missing(wanted, name);
    };
    let mut body = Vec::new();
    object.write(&mut body, &whole_form(wanted, kind, wish), object.version);
    text(200, "application/json", body)
}

/// Returns the answer to a request for an object that is not there.
pub(super) fn missing(wanted: &Wanted, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", wanted.resource.with_group());
    let mut details = json!({"name": name, "kind": wanted.resource.plural});
    if !wanted.resource.group.is_empty() {
        details["group"] = wanted.resource.group.clone().into();
    }
    status(404, "NotFound", &message, details)
}
