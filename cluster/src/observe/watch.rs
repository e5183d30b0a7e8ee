//! Watches a cluster as it changes: each kind is listed once, then watched. A watch that ends is begun where it ended;
//! one whose version is too old, with a new list.

use std::time::Duration;

use futures::TryStreamExt;
use kube::core::WatchEvent;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::access::{Access, connect};
use super::api::{Api, ListError, error, request};
use super::once::{OPERATOR, Scope, part};
use crate::objects::{Deployment, Object, Pod};
use crate::view::{Seen, Unseen, View, for_each_kind};

/// A change of a view.
pub type Change = Box<dyn FnOnce(&mut View) + Send>;

/// The shortest and the longest pause before the API is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Seconds after which the API ends a watch by itself.
const SECONDS: u32 = 290;

/// Watches every kind, until the receiver is gone. Each kind first sends its whole list as one change.
#[must_use]
pub fn watch(api: &Api, access: &Access, scope: &Scope, changes: &UnboundedSender<Change>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    macro_rules! start {
        ($type:ty) => {
            let namespace = scope.of::<$type>().map(str::to_owned);
            tasks.spawn(
                Watched::<$type>::new(access.clone(), namespace, "", changes.clone()).run(api.clone()),
            );
        };
    }
    for_each_kind!(start);
    if matches!(scope, Scope::Namespace(_)) {
        let deployments = Watched::<Deployment>::new(access.clone(), None, OPERATOR, changes.clone());
        tasks.spawn(deployments.run(api.clone()));
        let pods = Watched::<Pod>::new(access.clone(), None, OPERATOR, changes.clone());
        tasks.spawn(pods.run(api.clone()));
    }
    tasks
}

struct Watched<T> {
    access: Access,
    namespace: Option<String>,
    labels: &'static str,
    changes: UnboundedSender<Change>,
    kind: std::marker::PhantomData<fn() -> T>,
}

impl<T: Seen> Watched<T> {
    fn new(
        access: Access,
        namespace: Option<String>,
        labels: &'static str,
        changes: UnboundedSender<Change>,
    ) -> Self {
        Watched { access, namespace, labels, changes, kind: std::marker::PhantomData }
    }

    async fn run(self, mut api: Api) {
        let mut pause = PAUSES.0;
        let mut version = String::new();
        let mut was_seen = false;
        while !self.changes.is_closed() {
            let went = if version.is_empty() {
                self.list(&api, &mut version).await
            } else {
                self.follow(&api, &mut version).await
            };
            match went {
                Ok(()) => (pause, was_seen) = (PAUSES.0, true),
                Err(ListError::Expired) => version.clear(),
                Err(e) => {
                    if matches!(e, ListError::Unauthorized) {
                        // A token has ended: what made it may make another.
                        if let Ok(new) = connect(&self.access).await {
                            api = new;
                        }
                    }
                    self.tell(e, was_seen);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Sends the whole list in the place of what was there.
    async fn list(&self, api: &Api, version: &mut String) -> Result<(), ListError> {
        let listed = api.list::<T>(self.namespace.as_deref(), self.labels).await?;
        *version = listed.version;
        let (is_part, of) = (!self.labels.is_empty(), part(self.labels));
        self.send(Box::new(move |view| {
            let shelf = T::shelf(view);
            if !is_part {
                shelf.clear();
            }
            for object in listed.objects {
                shelf.put(object);
            }
            view.seen::<T>(of);
        }));
        Ok(())
    }

    async fn follow(&self, api: &Api, version: &mut String) -> Result<(), ListError> {
        let path = T::KIND.path(self.namespace.as_deref());
        let labels = utf8_percent_encode(self.labels, NON_ALPHANUMERIC);
        let mut url = format!(
            "{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds={SECONDS}&resourceVersion={version}"
        );
        if !self.labels.is_empty() {
            url.push_str(&format!("&labelSelector={labels}"));
        }
        let events = api.client().request_events::<Versioned<T>>(request(&url)?).await.map_err(error)?;
        let mut events = std::pin::pin!(events);
        let of = part(self.labels);
        self.send(Box::new(move |view| view.seen::<T>(of)));
        while let Some(event) = events.try_next().await.map_err(error)? {
            match event {
                WatchEvent::Added(new) | WatchEvent::Modified(new) => {
                    *version = new.version;
                    self.send(Box::new(move |view| T::shelf(view).put(new.object)));
                }
                WatchEvent::Deleted(old) => {
                    *version = old.version;
                    let meta = old.object.meta().clone();
                    self.send(Box::new(move |view| T::shelf(view).remove(&meta.namespace, &meta.name)));
                }
                WatchEvent::Bookmark(mark) => *version = mark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(error(kube::Error::Api(status))),
            }
        }
        Ok(())
    }

    /// Tells why a kind does not come. What was seen before stays, as the last that is known: an API that restarts has lost
    /// nothing.
    fn tell(&self, e: ListError, was_seen: bool) {
        let of = part(self.labels);
        self.send(Box::new(move |view| {
            view.answered.insert(T::KIND.plural);
            match e {
                ListError::NoSuchGroup => {
                    view.missing_groups.insert(T::KIND.group.to_owned());
                }
                e if was_seen && !matches!(e, ListError::Forbidden(_)) => {
                    view.stale.insert(T::KIND.plural, e.to_string());
                }
                e => {
                    let resource = format!("{}{of}", T::KIND.plural);
                    view.unseen.retain(|unseen| unseen.resource != resource);
                    view.unseen.insert(Unseen { resource, why: e.to_string() });
                }
            }
        }));
    }

    fn send(&self, change: Change) {
        // Nobody listens any more: the loop ends.
        let _ = self.changes.send(change);
    }
}

/// An object with the version that a watch goes on from.
#[derive(Clone)]
struct Versioned<T> {
    object: T,
    version: String,
}

impl<'de, T: Object> serde::Deserialize<'de> for Versioned<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = serde_json::Value::deserialize(from)?;
        let version = raw["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let object = serde_json::from_value(raw).map_err(serde::de::Error::custom)?;
        Ok(Versioned { object, version })
    }
}
