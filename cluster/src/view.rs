//! Holds what was seen of a cluster at one moment, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::objects::{
    Claim, Deployment, Destination, Driver, Event, ExternalSecret, GitRepository, Job, Kind, Kustomization,
    Namespace, Node, Object, Pod, Snapshot, SnapshotClass, Source, StorageClass, Volume,
};

/// Objects of one kind, by namespace and name.
#[derive(Debug, Clone)]
pub struct Shelf<T>(BTreeMap<String, BTreeMap<String, T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf(BTreeMap::new())
    }
}

impl<T: Object> Shelf<T> {
    /// Returns the object of this name; the namespace is empty for what belongs to the whole cluster.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        self.0.get(namespace)?.get(name)
    }

    /// Returns the objects of one namespace, by name.
    pub fn of<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a T> + use<'a, T> {
        self.0.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// Returns all objects, by namespace and name.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values().flat_map(BTreeMap::values)
    }

    /// Puts an object in the place of the one of its name.
    pub fn put(&mut self, object: T) {
        if object.is_kept() {
            let meta = object.meta();
            let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
            self.0.entry(namespace).or_default().insert(name, object);
        }
    }

    /// Takes an object away.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(names) = self.0.get_mut(namespace) {
            names.remove(name);
        }
    }

    /// Takes all objects away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns how many objects there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }
}

impl Unseen {
    /// Whether only the operator's own objects of this kind could not be seen.
    #[must_use]
    pub fn is_of_operator(&self, kind: Kind) -> bool {
        self.resource.strip_prefix(kind.plural) == Some(OF_OPERATOR)
    }
}

/// A kind of objects that a view holds.
pub trait Seen: Object {
    /// Returns the objects of this kind.
    fn shelf(view: &mut View) -> &mut Shelf<Self>;
}

/// The text behind a kind in [`Unseen::resource`] when only the operator's own objects are meant.
pub const OF_OPERATOR: &str = " of VolSync's operator";

/// Something that could not be seen, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unseen {
    /// The name that roles use: `pods`, `pods/log`.
    pub resource: String,
    /// The reason, in the API's own sentence.
    pub why: String,
}

macro_rules! view {
    ($($(#[$doc:meta])* $field:ident: $type:ident,)*) => {
        /// A cluster at one moment.
        #[derive(Debug, Clone, Default)]
        pub struct View {
            /// The time when the cluster was seen; ages are counted from here.
            pub now: Timestamp,
            $($(#[$doc])* pub $field: Shelf<$type>,)*
            /// The kinds that could not be seen. A diagnosis must not take it for absent.
            pub unseen: BTreeSet<Unseen>,
            /// API groups that are not installed.
            pub missing_groups: BTreeSet<String>,
            /// The kinds that have answered, while the others are still waited for.
            pub answered: BTreeSet<&'static str>,
            /// Kinds whose newest state is not known at the moment, and why: the last one that was seen stands.
            pub stale: BTreeMap<&'static str, String>,
            /// Ends of logs, by `NAMESPACE/POD`.
            pub logs: BTreeMap<String, String>,
        }

        $(impl Seen for $type {
            fn shelf(view: &mut View) -> &mut Shelf<Self> {
                &mut view.$field
            }
        })*

        impl View {
            /// Every kind that a view holds.
            pub const KINDS: &[Kind] = &[$(<$type as Object>::KIND),*];

            /// Takes an object in its JSON, as `kubectl get -o json` gives it; a kind that no view holds is passed over.
            ///
            /// # Errors
            /// The object is not what its kind says.
            pub fn put_json(&mut self, object: &serde_json::Value) -> serde_json::Result<()> {
                match object["kind"].as_str().unwrap_or_default() {
                    $(kind if kind == <$type as Object>::KIND.name => {
                        self.$field.put(<$type as serde::Deserialize>::deserialize(object)?);
                    })*
                    _ => {}
                }
                Ok(())
            }

            /// Takes an object away, in its JSON as [`View::put_json`] takes it.
            pub fn remove_json(&mut self, object: &serde_json::Value) {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
                match object["kind"].as_str().unwrap_or_default() {
                    $(kind if kind == <$type as Object>::KIND.name => {
                        self.$field.remove(text("namespace"), text("name"));
                    })*
                    _ => {}
                }
            }
        }

        /// Does something with every kind that a view holds, in one place.
        macro_rules! for_each_kind {
            ($do:ident) => {
                $($do!($crate::objects::$type);)*
            };
        }
        pub(crate) use for_each_kind;
    };
}

view! {
    /// Claims of volumes.
    claims: Claim,
    /// Restores.
    destinations: Destination,
    /// Backups.
    sources: Source,
    /// Pods.
    pods: Pod,
    /// Jobs.
    jobs: Job,
    /// Deployments.
    deployments: Deployment,
    /// Snapshots of volumes.
    snapshots: Snapshot,
    /// Events: what was said about objects.
    events: Event,
    /// Volumes.
    volumes: Volume,
    /// Classes of storage.
    storage_classes: StorageClass,
    /// Classes of snapshots.
    snapshot_classes: SnapshotClass,
    /// Drivers of storage.
    drivers: Driver,
    /// Nodes.
    nodes: Node,
    /// Namespaces.
    namespaces: Namespace,
    /// Kustomizations of Flux.
    kustomizations: Kustomization,
    /// Git repositories of Flux.
    git_repositories: GitRepository,
    /// Secrets that come from elsewhere.
    external_secrets: ExternalSecret,
}

impl View {
    /// Whether this kind could be seen: only then does its absence say anything.
    #[must_use]
    pub fn sees(&self, kind: Kind) -> bool {
        !self.unseen.iter().any(|unseen| unseen.resource == kind.plural)
    }

    /// Notes that a kind answers: what was wrong with it is over. `of` says which part of it, as in [`Unseen::resource`].
    pub fn seen<T: Seen>(&mut self, of: &str) {
        self.unseen.retain(|unseen| unseen.resource.strip_prefix(T::KIND.plural) != Some(of));
        self.missing_groups.remove(T::KIND.group);
        self.stale.remove(T::KIND.plural);
        self.answered.insert(T::KIND.plural);
    }

    /// Whether VolSync's operator could be looked for: it lives in a namespace of its own.
    #[must_use]
    pub fn sees_operator(&self) -> bool {
        self.sees(Deployment::KIND)
            && !self.unseen.iter().any(|unseen| unseen.is_of_operator(Deployment::KIND))
    }

    /// Whether this API group is installed, as far as could be seen.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        !self.missing_groups.contains(group)
    }
}
