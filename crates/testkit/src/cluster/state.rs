//! Holds the state of the server: its objects, what it was told to refuse and to break, and what was asked of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::answers::{Answer, recorded, status};
use super::contents::{Change, Contents};
use super::kinds::{Kinds, Resource};
use super::recording::Logs;
use super::request::Wanted;

/// The first version: older ones count as forgotten, as in a cluster that has been running for a while.
const FIRST_VERSION: u64 = 1000;
/// Number of contents that are kept for the further pages of lists.
const KEPT_CONTENTS: usize = 8;

/// A way in which the API server fails, for a limited number of answers or at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next requests get 429 with `retry-after: 1` and a Status.
    TooManyRequests {
        /// Number of requests that fail.
        times: usize,
    },
    /// The next requests get an error of the server: 500 and 503 by turns, 503 last.
    ServerError {
        /// Number of requests that fail.
        times: usize,
    },
    /// The next requests get 401, as with a token that is no longer valid.
    Unauthorized {
        /// Number of requests that fail.
        times: usize,
    },
    /// Each answer waits this long, until another time is set; 0 ends it.
    Slow {
        /// Time that an answer waits, in milliseconds.
        millis: u64,
    },
    /// The connection ends in the middle of the next lists.
    CutList {
        /// Number of lists that are cut.
        times: usize,
    },
    /// The connections of all open watches end now, in the middle of a line.
    CutWatch,
    /// All open watches get an ERROR with 410 and end. Versions from before, of lists and watches, are refused with 410.
    ExpiredWatch,
}

/// The state that all connections share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Counts up whenever a watch may have something to send.
    pub(super) ticks: watch::Sender<u64>,
    pub(super) open_watches: AtomicUsize,
}

/// Everything that may change while the server runs.
pub(super) struct State {
    pub(super) kinds: Kinds,
    pub(super) version: u64,
    /// The oldest version that a watch may begin at.
    pub(super) oldest: u64,
    pub(super) contents: Arc<Contents>,
    pub(super) logs: Arc<Logs>,
    pub(super) requests: Vec<String>,
    pub(super) refused: BTreeSet<String>,
    pub(super) refused_cluster_wide: BTreeSet<String>,
    pub(super) hidden_groups: BTreeSet<String>,
    /// Number of times that all open watches were cut, and that they expired.
    pub(super) cuts: u64,
    pub(super) expiries: u64,
    kept: VecDeque<(u64, Arc<Contents>)>,
    changes: BTreeMap<Arc<Resource>, Vec<Change>>,
    too_many: usize,
    server_errors: usize,
    unauthorized: usize,
    cut_lists: usize,
    slow: Duration,
}

impl Shared {
    /// Makes the state of an empty cluster.
    pub(super) fn new() -> Self {
        let contents = Arc::new(Contents::default());
        let state = State {
            kinds: Kinds::recorded(),
            version: FIRST_VERSION,
            oldest: FIRST_VERSION,
            contents: Arc::clone(&contents),
            logs: Arc::default(),
            requests: Vec::new(),
            refused: BTreeSet::new(),
            refused_cluster_wide: BTreeSet::new(),
            hidden_groups: BTreeSet::new(),
            cuts: 0,
            expiries: 0,
            kept: VecDeque::from([(FIRST_VERSION, contents)]),
            changes: BTreeMap::new(),
            too_many: 0,
            server_errors: 0,
            unauthorized: 0,
            cut_lists: 0,
            slow: Duration::ZERO,
        };
        Shared { state: Mutex::new(state), ticks: watch::Sender::new(0), open_watches: AtomicUsize::new(0) }
    }

    /// Returns the state, for this moment.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Wakes all open watches.
    pub(super) fn tick(&self) {
        self.ticks.send_modify(|tick| *tick += 1);
    }
}

impl State {
    /// Holds these objects and logs instead of what was held.
    pub(super) fn show(&mut self, objects: &[Value], logs: &Logs) {
        let State { kinds, version, contents, .. } = self;
        let (contents, changes) = contents.replaced(objects, kinds, version);
        for (resource, changed) in changes {
            self.changes.entry(resource).or_default().extend(changed);
        }
        self.contents = Arc::new(contents);
        self.logs = Arc::new(logs.clone());
        self.keep();
    }

    fn keep(&mut self) {
        self.kept.push_back((self.version, Arc::clone(&self.contents)));
        while self.kept.len() > KEPT_CONTENTS {
            self.kept.pop_front();
        }
    }

    /// Returns what was held at a version; `None`: it is forgotten.
    pub(super) fn at(&self, version: u64) -> Option<Arc<Contents>> {
        let held = |(kept, _): &&(u64, Arc<Contents>)| *kept <= version;
        let found = self.kept.iter().rev().find(held);
        found.filter(|_| version >= self.oldest).map(|(_, contents)| Arc::clone(contents))
    }

    /// Returns what changed of a resource after a version.
    pub(super) fn changes_after(&self, resource: &Resource, version: u64) -> &[Change] {
        let changes = self.changes.get(resource).map_or(&[][..], Vec::as_slice);
        &changes[changes.partition_point(|change| change.version <= version)..]
    }

    /// Begins to fail in this way.
    pub(super) fn behave(&mut self, fault: Fault) {
        match fault {
            Fault::TooManyRequests { times } => self.too_many = times,
            Fault::ServerError { times } => self.server_errors = times,
            Fault::Unauthorized { times } => self.unauthorized = times,
            Fault::CutList { times } => self.cut_lists = times,
            Fault::Slow { millis } => self.slow = Duration::from_millis(millis),
            Fault::CutWatch => self.cuts += 1,
            Fault::ExpiredWatch => {
                self.expiries += 1;
                self.version += 1;
                self.oldest = self.version;
                self.changes.clear();
                self.kept.clear();
                self.keep();
            }
        }
    }

    /// Returns how long the next answer waits.
    pub(super) fn pause(&self) -> Duration {
        self.slow
    }

    /// Returns the answer that a fault gives in place of the right one.
    pub(super) fn faulty_answer(&mut self) -> Option<Answer> {
        if taken(&mut self.unauthorized) {
            return Some(recorded("wrong token"));
        }
        if taken(&mut self.too_many) {
            return Some(recorded("a CRD has just changed"));
        }
        let turn = self.server_errors % 2;
        taken(&mut self.server_errors).then(|| match turn {
            0 => status(500, "InternalError", "Internal error occurred: on command", Value::Null),
            _ => {
                let message = "the server is currently unable to handle the request";
                status(503, "ServiceUnavailable", message, Value::Null)
            }
        })
    }

    /// Whether the list that is about to be sent is cut.
    pub(super) fn cuts_list(&mut self) -> bool {
        taken(&mut self.cut_lists)
    }

    /// Whether the account lacks the right.
    pub(super) fn refuses(&self, wanted: &Wanted) -> bool {
        let named = |rights: &BTreeSet<String>| {
            let right = wanted.right();
            rights.contains(&format!("{right}.{}", wanted.resource.group)) || rights.contains(&right)
        };
        let cluster_wide = wanted.namespace.is_none() && wanted.name.is_none();
        named(&self.refused) || cluster_wide && named(&self.refused_cluster_wide)
    }
}

fn taken(times: &mut usize) -> bool {
    let some = *times > 0;
    *times -= usize::from(some);
    some
}
