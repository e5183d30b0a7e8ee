//! Watches: one line for each change, as long as a client listens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::answers::{Refusal, bad_request, recorded_line, status, text};
use super::contents::{Change, key, keys};
use super::kinds::{Kind, Resource};
use super::list::{Wish, whole_form};
use super::object::{Form, Object};
use super::request::{Query, Wanted};
use super::selector::Selector;
use super::state::{Shared, State};

const BOOKMARK_EVERY: Duration = Duration::from_secs(1);
/// Objects that are sent at once.
const BATCH: usize = 500;
const TOO_OLD: &str = "watch from a version that is too old";

/// An open watch.
pub(super) struct Watch {
    shared: Arc<Shared>,
    ticks: watch::Receiver<u64>,
    resource: Resource,
    namespace: Option<String>,
    /// The only object that is watched, if it was named in the path.
    only: Option<String>,
    selector: Selector,
    form: Form,
    /// The version up to which everything was sent.
    position: u64,
    /// What is sent first, as if it had just been added.
    initial: std::vec::IntoIter<Arc<Object>>,
    announces_end: bool,
    next_bookmark: Option<Instant>,
    /// What a bookmark of this kind has besides its metadata: the empty fields of a built-in kind.
    empty_fields: &'static str,
    end: Instant,
    cuts: u64,
    expiries: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Breaking,
    Ended,
}

enum Part {
    Send(Bytes),
    Break,
    End,
    Wait,
}

impl Watch {
    /// Begins a watch, or says what is wrong with the request for it.
    pub(super) fn open(
        shared: &Arc<Shared>,
        wanted: &Wanted,
        kind: &Kind,
        query: &Query,
        wish: Wish,
    ) -> Result<Watch, Refusal> {
        wish.fits(false)?;
        let selector = Selector::parse(&wanted.resource, query).map_err(bad_request)?;
        let from = query.number("resourceVersion").map_err(bad_request)?.unwrap_or(0);
        let seconds = query.number("timeoutSeconds").map_err(bad_request)?;
        let streams_list = streams_list(query)?;
        let state = shared.lock();
        if from > 0 && !streams_list && from < state.oldest {
            return Err(text(200, "application/json", recorded_line(TOO_OLD)).into());
        }
        let whole = from == 0 || streams_list;
        let mut watch = Watch {
            shared: Arc::clone(shared),
            ticks: shared.ticks.subscribe(),
            resource: wanted.resource.clone(),
            namespace: wanted.namespace.clone(),
            only: wanted.name.as_ref().map(|name| key(wanted.namespace.as_deref(), name)),
            selector,
            form: whole_form(wanted, kind, wish),
            position: if whole { state.version } else { from },
            initial: Vec::new().into_iter(),
            announces_end: streams_list,
            next_bookmark: query.is_on("allowWatchBookmarks").then(|| Instant::now() + BOOKMARK_EVERY),
            empty_fields: if wish == Wish::Whole { empty_fields(&kind.name) } else { "" },
            end: Instant::now() + Duration::from_secs(seconds.unwrap_or(3600)),
            cuts: state.cuts,
            expiries: state.expiries,
            phase: Phase::Running,
        };
        if whole {
            watch.initial = watch.all(&state).into_iter();
        }
        shared.open_watches.fetch_add(1, Ordering::Relaxed);
        Ok(watch)
    }

    /// Returns the next part of the body, and the watch that goes on after it; `None`: the body is complete.
    pub(super) async fn next(mut self) -> Option<(Result<Bytes, io::Error>, Watch)> {
        loop {
            match self.part() {
                Part::Send(lines) => return Some((Ok(lines), self)),
                Part::Break => {
                    // A moment later, so that what was sent before is on its way.
                    sleep(Duration::from_millis(30)).await;
                    return Some((Err(io::Error::other("broken on command")), self));
                }
                Part::End => return None,
                Part::Wait => {}
            }
            let until = self.next_bookmark.map_or(self.end, |bookmark| bookmark.min(self.end));
            tokio::select! {
                _ = self.ticks.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    fn part(&mut self) -> Part {
        match self.phase {
            Phase::Running => {}
            Phase::Breaking => {
                self.phase = Phase::Ended;
                return Part::Break;
            }
            Phase::Ended => return Part::End,
        }
        if let Some(last) = self.ended_on_command() {
            return Part::Send(last);
        }
        let now = Instant::now();
        let lines = self.lines();
        if !lines.is_empty() {
            Part::Send(lines.into())
        } else if now >= self.end {
            self.phase = Phase::Ended;
            Part::End
        } else if self.next_bookmark.is_some_and(|bookmark| now >= bookmark) {
            self.next_bookmark = Some(now + BOOKMARK_EVERY);
            Part::Send(self.bookmark("").into())
        } else {
            Part::Wait
        }
    }

    /// Returns the last bytes, if a fault has ended the watch.
    fn ended_on_command(&mut self) -> Option<Bytes> {
        let (cuts, expiries) = {
            let state = self.shared.lock();
            (state.cuts, state.expiries)
        };
        if cuts > self.cuts {
            self.phase = Phase::Breaking;
            return Some(Bytes::from_static(b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Po"));
        }
        if expiries > self.expiries {
            self.phase = Phase::Ended;
            return Some(recorded_line(TOO_OLD).into());
        }
        None
    }

    /// Returns what there is to say now: first what is there, then that this is all, then what changes.
    fn lines(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        for object in self.initial.by_ref().take(BATCH) {
            line(&mut lines, "ADDED", &object, object.version, &self.form);
        }
        if !lines.is_empty() {
            return lines;
        }
        if std::mem::take(&mut self.announces_end) {
            return self.bookmark(",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}");
        }
        let state = self.shared.lock();
        for change in state.changes_after(&self.resource, self.position) {
            self.tell(&mut lines, change);
        }
        self.position = self.position.max(state.version);
        lines
    }

    fn tell(&self, lines: &mut Vec<u8>, change: &Change) {
        let inside = match (&self.only, &self.namespace) {
            (Some(only), _) => change.key == *only,
            (None, Some(namespace)) => change.key.split_once('/').is_some_and(|(of, _)| of == namespace),
            (None, None) => true,
        };
        if !inside {
            return;
        }
        // To a client that selects, an object appears and vanishes when it begins and ceases to fit.
        let wanted = |object: &&Arc<Object>| self.selector.wants(object);
        let event = match (change.old.as_ref().filter(wanted), change.new.as_ref().filter(wanted)) {
            (None, Some(new)) => ("ADDED", new),
            (Some(_), Some(new)) => ("MODIFIED", new),
            (Some(old), None) => ("DELETED", old),
            (None, None) => return,
        };
        line(lines, event.0, event.1, change.version, &self.form);
    }

    /// Returns all objects that are watched, as they are now.
    fn all(&self, state: &State) -> Vec<Arc<Object>> {
        let objects = state.contents.of(&self.resource);
        let inside = objects.range(keys(self.namespace.as_deref(), None));
        let inside = inside.filter(|(key, _)| self.only.as_ref().is_none_or(|only| only == *key));
        inside.map(|(_, object)| Arc::clone(object)).filter(|object| self.selector.wants(object)).collect()
    }

    fn bookmark(&self, annotations: &str) -> Vec<u8> {
        let (head, version, fields) = (self.form.head(), self.position, self.empty_fields);
        format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{{head}\"metadata\":{{\"resourceVersion\":\"{version}\"{annotations}}}{fields}}}}}\n"
        )
        .into_bytes()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.open_watches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the watch begins with a whole list and says where it ends.
fn streams_list(query: &Query) -> Result<bool, Refusal> {
    let wanted = query.is_on("sendInitialEvents");
    if wanted && query.get("resourceVersionMatch") != Some("NotOlderThan") {
        let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents \
                       requires setting resourceVersionMatch to NotOlderThan";
        return Err(status(422, "Invalid", message, Value::Null).into());
    }
    Ok(wanted)
}

fn line(lines: &mut Vec<u8>, event: &str, object: &Object, version: u64, form: &Form) {
    lines.extend_from_slice(format!("{{\"type\":\"{event}\",\"object\":").as_bytes());
    object.write(lines, form, version);
    lines.extend_from_slice(b"}\n");
}

fn empty_fields(kind: &str) -> &'static str {
    match kind {
        "Pod" => ",\"spec\":{\"containers\":null},\"status\":{}",
        "PersistentVolume" => ",\"spec\":{},\"status\":{}",
        "PersistentVolumeClaim" => ",\"spec\":{\"resources\":{}},\"status\":{}",
        "Job" => ",\"spec\":{\"template\":{\"metadata\":{},\"spec\":{\"containers\":null}}},\"status\":{}",
        "Event" => {
            ",\"involvedObject\":{},\"source\":{},\"firstTimestamp\":null,\"lastTimestamp\":null,\"eventTime\":null,\
             \"reportingComponent\":\"\",\"reportingInstance\":\"\""
        }
        _ => "",
    }
}
