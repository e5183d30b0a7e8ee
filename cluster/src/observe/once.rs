//! Looks at a cluster once: every kind is listed once.

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;

use super::api::{Api, ListError};
use crate::objects::{Deployment, Object, Pod};
use crate::view::{OF_OPERATOR, Seen, Unseen, View, for_each_kind};

/// Returns which part of a kind these labels choose, as in [`Unseen::resource`].
pub(super) fn part(labels: &str) -> &'static str {
    if labels.is_empty() { "" } else { OF_OPERATOR }
}

/// The label of the operator's own objects.
pub(super) const OPERATOR: &str = "app.kubernetes.io/name=volsync";
/// Number of lists at once: a page of each is in memory.
const AT_ONCE: usize = 4;

/// The applications that are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The applications of all namespaces.
    All,
    /// The applications of one namespace.
    Namespace(String),
}

impl Scope {
    /// Returns where a kind is listed: what brings applications from Git lives beside them.
    pub(super) fn of<T: Object>(&self) -> Option<&str> {
        match self {
            Scope::All => None,
            Scope::Namespace(_) if T::KIND.group.ends_with("toolkit.fluxcd.io") => None,
            Scope::Namespace(namespace) => Some(namespace),
        }
    }
}

type Added = Result<Box<dyn FnOnce(&mut View) + Send>, ListError>;

/// Lists every kind that a diagnosis reads.
///
/// # Errors
/// Nobody is logged in, or the API cannot be reached. A missing right is no error: it stands in the view.
pub async fn look(api: &Api, scope: &Scope) -> Result<View, ListError> {
    let mut lists: Vec<BoxFuture<'_, Added>> = Vec::new();
    macro_rules! list {
        ($type:ty) => {
            lists.push(Box::pin(add::<$type>(api, scope.of::<$type>(), "")));
        };
    }
    for_each_kind!(list);
    if matches!(scope, Scope::Namespace(_)) {
        lists.push(Box::pin(add::<Deployment>(api, None, OPERATOR)));
        lists.push(Box::pin(add::<Pod>(api, None, OPERATOR)));
    }
    let mut view = View::default();
    let mut waiting = lists.into_iter();
    let mut running: FuturesUnordered<_> = waiting.by_ref().take(AT_ONCE).collect();
    while let Some(added) = running.next().await {
        added?(&mut view);
        running.extend(waiting.next());
    }
    view.now = Timestamp::now();
    Ok(view)
}

async fn add<T: Seen>(api: &Api, namespace: Option<&str>, labels: &'static str) -> Added {
    let listed = api.list::<T>(namespace, labels).await;
    Ok(match listed {
        Ok(listed) => Box::new(move |view: &mut View| {
            for object in listed.objects {
                T::shelf(view).put(object);
            }
            if listed.unreadable > 0 {
                let why = format!("{} of them are not what their kind says", listed.unreadable);
                view.unseen.insert(Unseen { resource: T::KIND.plural.to_owned(), why });
            }
        }),
        Err(ListError::NoSuchGroup) => Box::new(|view: &mut View| {
            view.missing_groups.insert(T::KIND.group.to_owned());
        }),
        Err(e @ ListError::Unauthorized) => return Err(e),
        Err(e @ (ListError::Other(_) | ListError::Late(_))) if super::api::is_essential(T::KIND) => {
            return Err(e);
        }
        Err(e) => Box::new(move |view: &mut View| {
            // What is missing of the operator's own is not missing of the applications'.
            let of = part(labels);
            view.unseen.insert(Unseen { resource: format!("{}{of}", T::KIND.plural), why: e.to_string() });
        }),
    })
}
