//! Reads logs: the ends of those that run, and what comes after.

use futures::{StreamExt, TryStreamExt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc::UnboundedSender;

use super::api::{Api, ListError};
use super::watch::Change;
use crate::chain::{Application, Index, Report};
use crate::objects::Pod;
use crate::view::{Unseen, View};

/// Lines of a log that are read: the newest progress stands among the last.
const LINES: usize = 60;
/// Bytes of a log that are kept while it is followed.
const KEPT: usize = 16 << 10;
/// Number of logs that are read at once.
const AT_ONCE: usize = 8;

/// Returns the pods whose log says something: movers that run or have failed without a message, and the operator where
/// a restore was never seen.
#[must_use]
pub fn wanted<'i, 'a: 'i>(
    view: &View,
    apps: impl Iterator<Item = &'i Application<'a>>,
) -> Vec<(String, String)> {
    let silent = |pod: &&Pod| {
        let report = pod.ended().map(Report::of);
        report.is_some_and(|report| report.exit_code != 0 && report.outcome.is_empty())
    };
    let says = |pod: &&Pod| pod.running_since().is_some() || silent(pod);
    let movers = apps.filter_map(Application::mover).filter(says);
    let mut wanted: Vec<_> =
        movers.map(|pod| (pod.metadata.namespace.clone(), pod.metadata.name.clone())).collect();
    if view.destinations.all().any(|destination| destination.status.is_none()) {
        let operator = view.pods.all().filter(|pod| pod.metadata.is_of_operator());
        wanted.extend(operator.map(|pod| (pod.metadata.namespace.clone(), pod.metadata.name.clone())));
    }
    wanted
}

/// Reads the ends of the logs that say something into the view: one request for each.
pub async fn read_ends(api: &Api, view: &mut View) {
    let wanted = wanted(view, Application::all(&Index::new(view)).iter());
    let read = wanted.into_iter().map(|(namespace, pod)| async move {
        let text = api.body(&url(&namespace, &pod, false)).await;
        (format!("{namespace}/{pod}"), text)
    });
    let ends: Vec<_> = futures::stream::iter(read).buffer_unordered(AT_ONCE).collect().await;
    for (pod, text) in ends {
        match text {
            Ok(text) => {
                view.logs.insert(pod, String::from_utf8_lossy(&text).into_owned());
            }
            Err(ListError::Forbidden(why)) => {
                view.unseen.insert(Unseen { resource: "pods/log".into(), why });
            }
            // A container that has not started has no log, and one that has gone neither.
            Err(_) => {}
        }
    }
}

fn url(namespace: &str, pod: &str, follow: bool) -> String {
    let pod = utf8_percent_encode(pod, NON_ALPHANUMERIC);
    let follow = if follow { "&follow=true" } else { "" };
    format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={LINES}{follow}")
}

/// Sends what a pod says, as long as it says something.
pub async fn follow(api: Api, namespace: String, pod: String, changes: UnboundedSender<Change>) {
    let Ok(lines) = api.lines(&url(&namespace, &pod, true)).await else { return };
    let mut lines = std::pin::pin!(lines);
    while let Ok(Some(line)) = lines.try_next().await {
        let pod = format!("{namespace}/{pod}");
        let change: Change = Box::new(move |view| {
            let log = view.logs.entry(pod).or_default();
            log.push_str(&line);
            log.push('\n');
            if log.len() > KEPT {
                let from = log.ceil_char_boundary(log.len() - KEPT / 2);
                log.drain(..from);
            }
        });
        if changes.send(change).is_err() {
            return;
        }
    }
}
