//! The logs of pods.

use serde_json::{Value, json};

use super::answers::{Answer, bad_request, json_answer, text};
use super::contents::key;
use super::kinds::Resource;
use super::list::missing;
use super::object::Form;
use super::recording::Log;
use super::request::{Query, Wanted};
use super::state::State;

/// Returns the log of one container of a pod, or why there is none.
///
/// The recorded texts bear no times: `sinceSeconds` and `sinceTime` leave nothing out, `timestamps` adds nothing,
/// `follow` ends with the text.
pub(super) fn log(state: &State, wanted: &Wanted, name: &str, query: &Query) -> Answer {
    let namespace = wanted.namespace.as_deref();
    let pods = state.contents.of(&Resource { group: String::new(), plural: "pods".to_owned() });
    let key = key(namespace, name);
    let Some(pod) = pods.get(&key) else { return missing(wanted, name) };
    let mut body = Vec::new();
    pod.write(&mut body, &Form::bare(), pod.version);
    let pod: Value = serde_json::from_slice(&body).expect("the server's own JSON");
    let container = match container(&pod, name, query.get("container")) {
        Ok(container) => container,
        Err(message) => return bad_request(message),
    };
    if query.is_on("previous") {
        return bad_request(format!(
            "previous terminated container \"{container}\" in pod \"{name}\" not found"
        ));
    }
    match state.logs.get(&key).and_then(|logs| logs.get(&container)) {
        Some(Log::Text(log)) => part_of(log, query),
        Some(Log::Failed { error }) => failed(error),
        None => unlogged(&pod, name, &container),
    }
}

/// Returns the container that is meant.
fn container(pod: &Value, name: &str, asked: Option<&str>) -> Result<String, String> {
    let names = |field: &str| -> Vec<String> {
        let containers = pod["spec"][field].as_array().into_iter().flatten();
        containers.filter_map(|container| Some(container["name"].as_str()?.to_owned())).collect()
    };
    let (usual, initial) = (names("containers"), names("initContainers"));
    match (asked, usual.as_slice()) {
        (Some(asked), _) if usual.iter().chain(&initial).any(|name| name == asked) => Ok(asked.to_owned()),
        (Some(asked), _) => Err(format!("container {asked} is not valid for pod {name}")),
        (None, [only]) => Ok(only.clone()),
        (None, _) => {
            let mut message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                usual.join(" ")
            );
            if !initial.is_empty() {
                message += &format!(" or one of the init containers: [{}]", initial.join(" "));
            }
            Err(message)
        }
    }
}

/// Returns the log as the query cuts it: first its last lines, then of these the first bytes.
fn part_of(log: &str, query: &Query) -> Answer {
    let (lines, bytes) = match (query.number("tailLines"), query.number("limitBytes")) {
        (Ok(lines), Ok(bytes)) => (lines, bytes),
        (Err(message), _) | (_, Err(message)) => return bad_request(message),
    };
    let lines = lines.map_or(usize::MAX, |lines| usize::try_from(lines).unwrap_or(usize::MAX));
    let all: Vec<&str> = log.split_inclusive('\n').collect();
    let tail = all[all.len().saturating_sub(lines)..].concat().into_bytes();
    let bytes =
        bytes.map_or(tail.len(), |bytes| tail.len().min(usize::try_from(bytes).unwrap_or(usize::MAX)));
    text(200, "text/plain", tail[..bytes].to_vec())
}

/// Returns the recorded error.
fn failed(error: &str) -> Answer {
    let body: Value = serde_json::from_str(error).unwrap_or_else(|_| json!({"message": error, "code": 500}));
    let code = body["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
    json_answer(code, &body)
}

/// Returns what a container gives that has no log, by its state.
fn unlogged(pod: &Value, name: &str, container: &str) -> Answer {
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        // No node can be asked: an answer without content.
        return text(204, "text/plain", "");
    }
    let fields = ["containerStatuses", "initContainerStatuses"];
    let states = fields.iter().flat_map(|field| pod["status"][*field].as_array().into_iter().flatten());
    let Some(state) = states.into_iter().find(|state| state["name"] == container) else {
        let message = format!("container \"{container}\" in pod \"{name}\" is not available");
        return bad_request(message);
    };
    let ran = state["lastState"]["terminated"].is_object();
    let Some(reason) = state["state"]["waiting"]["reason"].as_str().filter(|_| !ran) else {
        return text(200, "text/plain", "");
    };
    let why = match reason {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    let message = format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}");
    bad_request(message)
}
