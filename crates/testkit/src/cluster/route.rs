//! Finds the answer to a request: rights first, then what is there.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName};
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::answers::{Answer, aggregated, discovery, json_answer, recorded, status, text, unknown_path};
use super::kinds::Kind;
use super::list::{Wish, get, list};
use super::log::log;
use super::request::{Query, Target, Wanted};
use super::state::{Shared, State};
use super::watch::Watch;

/// The token that the server knows.
pub(super) const TOKEN: &str = "test-token";
/// The account that the token stands for.
const USER: &str = "system:serviceaccount:default:reader";
const ANONYMOUS: &str = "system:anonymous";

/// The way in which a request is answered.
pub(super) enum Reply {
    /// The whole answer is sent.
    Whole(Answer),
    /// The half of this body is sent; then the connection ends.
    Cut(Bytes),
    /// Lines are sent, as long as the watch goes on.
    Watch(Box<Watch>),
}

/// Returns the answer to a request.
pub(super) fn reply(shared: &Arc<Shared>, head: &Parts) -> Reply {
    if let Some(answer) = shared.lock().faulty_answer() {
        return Reply::Whole(answer);
    }
    let target = Target::parse(head.uri.path());
    let query = Query::parse(head.uri.query().unwrap_or_default());
    if let Some(refusal) = refusal(&shared.lock(), head, &target, &query) {
        return Reply::Whole(refusal);
    }
    let accept = header(head, ACCEPT);
    let wanted = match target {
        Target::Document(path) => return Reply::Whole(document(&shared.lock(), &path, accept)),
        Target::Objects(wanted) => wanted,
    };
    let kind = served(&shared.lock(), &wanted);
    let Some(kind) = kind else { return Reply::Whole(unknown_path()) };
    let wish = Wish::of(accept);
    let answer = match (wanted.name.as_deref(), wanted.part.as_deref()) {
        (_, None) if query.is_on("watch") => {
            return match Watch::open(shared, &wanted, &kind, &query, wish) {
                Ok(watch) => Reply::Watch(Box::new(watch)),
                Err(answer) => Reply::Whole(*answer),
            };
        }
        (None, _) => {
            let answer = list(shared, &wanted, &kind, &query, wish);
            if answer.status().is_success() && shared.lock().cuts_list() {
                return Reply::Cut(answer.into_body());
            }
            answer
        }
        (Some(name), Some("log")) if wanted.resource.plural == "pods" => {
            log(&shared.lock(), &wanted, name, &query)
        }
        (Some(name), None | Some("status")) => get(&shared.lock(), &wanted, &kind, name, wish),
        (Some(_), Some(_)) => unknown_path(),
    };
    Reply::Whole(answer)
}

/// Returns the kind, if the path is one under which its objects are.
fn served(state: &State, wanted: &Wanted) -> Option<Kind> {
    let kind = state.kinds.get(&wanted.resource, &wanted.version)?;
    let fits = match &wanted.namespace {
        Some(_) => kind.namespaced,
        None => !kind.namespaced || wanted.name.is_none(),
    };
    (fits && !state.hidden_groups.contains(&wanted.resource.group)).then(|| kind.clone())
}

/// Returns why the request is refused, if it is.
fn refusal(state: &State, head: &Parts, target: &Target, query: &Query) -> Option<Answer> {
    let authorization = header(head, AUTHORIZATION);
    let user = match authorization.strip_prefix("Bearer ") {
        Some(TOKEN) => USER,
        Some(_) => return Some(recorded("wrong token")),
        None => ANONYMOUS,
    };
    if head.method != Method::GET {
        return Some(refused_method(head, target, user));
    }
    match target {
        Target::Objects(wanted) if user == ANONYMOUS || state.refuses(wanted) => {
            let verb = match (query.is_on("watch"), &wanted.name) {
                (true, _) => "watch",
                (false, None) => "list",
                (false, Some(_)) => "get",
            };
            Some(forbidden(user, verb, wanted))
        }
        Target::Document(path) if user == ANONYMOUS && path.starts_with("/api") => {
            let message = format!("forbidden: User \"{user}\" cannot get path \"{path}\"");
            Some(status(403, "Forbidden", &message, json!({})))
        }
        _ => None,
    }
}

/// Refuses a method that changes something; questions about one's own rights, which are POSTs, are refused as rights
/// are.
fn refused_method(head: &Parts, target: &Target, user: &str) -> Answer {
    match target {
        Target::Objects(wanted)
            if head.method == Method::POST
                && ["selfsubjectrulesreviews", "selfsubjectaccessreviews"]
                    .contains(&wanted.resource.plural.as_str()) =>
        {
            forbidden(user, "create", wanted)
        }
        _ => {
            let message = "the server does not allow this method on the requested resource";
            status(405, "MethodNotAllowed", message, json!({}))
        }
    }
}

fn forbidden(user: &str, verb: &str, wanted: &Wanted) -> Answer {
    let (group, plural) = (&wanted.resource.group, &wanted.resource.plural);
    let mut details = json!({"kind": plural});
    if !group.is_empty() {
        details["group"] = group.clone().into();
    }
    let mut object = wanted.resource.with_group();
    if let Some(name) = &wanted.name {
        object += &format!(" \"{name}\"");
        details["name"] = name.clone().into();
    }
    let scope = match &wanted.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let right = wanted.right();
    let message = format!(
        "{object} is forbidden: User \"{user}\" cannot {verb} resource \"{right}\" in API group \"{group}\" {scope}"
    );
    status(403, "Forbidden", &message, details)
}

/// Returns what the server says about itself.
fn document(state: &State, path: &str, accept: &str) -> Answer {
    if ["/healthz", "/livez", "/readyz"].contains(&path) {
        return text(200, "text/plain; charset=utf-8", "ok");
    }
    let is_aggregated = accept.contains("as=APIGroupDiscoveryList") && ["/api", "/apis"].contains(&path);
    let (kind, mut document) = match path.strip_prefix("/apis/") {
        Some(rest) if state.hidden_groups.contains(rest.split('/').next().unwrap_or_default()) => {
            return unknown_path();
        }
        Some(group) if !group.contains('/') => ("application/json", group_document(group)),
        _ if is_aggregated => (
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            aggregated()[path]["body"].clone(),
        ),
        _ => ("application/json", discovery()[path].clone()),
    };
    if document.is_null() {
        return unknown_path();
    }
    let hidden = |group: &Value| {
        let name = group.pointer("/name").or(group.pointer("/metadata/name")).and_then(Value::as_str);
        name.is_some_and(|name| state.hidden_groups.contains(name))
    };
    for field in ["groups", "items"] {
        if let Some(Value::Array(groups)) = document.get_mut(field) {
            groups.retain(|group| !hidden(group));
        }
    }
    let mut answer = json_answer(200, &document);
    answer.headers_mut().insert("content-type", kind.parse().expect("a media type"));
    answer
}

/// Returns the document `/apis/GROUP`, made of its entry in `/apis`.
fn group_document(group: &str) -> Value {
    let groups = discovery()["/apis"]["groups"].as_array().into_iter().flatten();
    let Some(entry) = groups.into_iter().find(|entry| entry["name"] == group) else { return Value::Null };
    let mut document = entry.clone();
    document["kind"] = "APIGroup".into();
    document["apiVersion"] = "v1".into();
    document
}

fn header(head: &Parts, name: HeaderName) -> &str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
