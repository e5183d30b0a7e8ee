//! Finds which objects belong to which, by unique ID.

use std::collections::HashMap;

use crate::objects::{Claim, Deployment, Event, Job, Object, Pod};
use crate::view::View;

/// A view with its links.
pub struct Index<'a> {
    /// The view with the objects.
    pub view: &'a View,
    events: HashMap<&'a str, Vec<&'a Event>>,
    pods: HashMap<&'a str, Vec<&'a Pod>>,
    jobs: HashMap<&'a str, Vec<&'a Job>>,
    claims: HashMap<&'a str, Vec<&'a Claim>>,
    users: HashMap<(&'a str, &'a str), Vec<&'a Pod>>,
    workloads: HashMap<(&'a str, &'a str), Vec<&'a Deployment>>,
}

impl<'a> Index<'a> {
    /// Finds the links of a view.
    #[must_use]
    pub fn new(view: &'a View) -> Self {
        let mut events: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in view.events.all() {
            events.entry(&event.involved_object.uid).or_default().push(event);
        }
        let mut users: HashMap<(&str, &str), Vec<&Pod>> = HashMap::new();
        for pod in view.pods.all() {
            for claim in pod.spec.volumes.iter().filter_map(|volume| volume.claim()) {
                users.entry((&pod.metadata.namespace, claim)).or_default().push(pod);
            }
        }
        let mut workloads: HashMap<(&str, &str), Vec<&Deployment>> = HashMap::new();
        for deployment in view.deployments.all() {
            for claim in deployment.spec.template.spec.volumes.iter().filter_map(|volume| volume.claim()) {
                workloads.entry((&deployment.metadata.namespace, claim)).or_default().push(deployment);
            }
        }
        Index {
            view,
            events,
            pods: owned(view.pods.all()),
            jobs: owned(view.jobs.all()),
            claims: owned(view.claims.all()),
            users,
            workloads,
        }
    }

    /// Returns what was said about an object, oldest first.
    #[must_use]
    pub fn events(&self, uid: &str) -> Vec<&'a Event> {
        let mut events = self.events.get(uid).cloned().unwrap_or_default();
        events.sort_by_key(|event| event.time());
        events
    }

    /// Returns the newest event of an object with one of these reasons.
    #[must_use]
    pub fn event(&self, uid: &str, reasons: &[&str]) -> Option<&'a Event> {
        self.events(uid).into_iter().rfind(|event| reasons.contains(&event.reason.as_str()))
    }

    /// Returns the pods of a Job, oldest first.
    #[must_use]
    pub fn pods_of(&self, uid: &str) -> Vec<&'a Pod> {
        let mut pods = self.pods.get(uid).cloned().unwrap_or_default();
        pods.sort_by_key(|pod| (pod.metadata.creation_timestamp, pod.running_since()));
        pods
    }

    /// Returns the Jobs of an owner, oldest first.
    #[must_use]
    pub fn jobs_of(&self, uid: &str) -> Vec<&'a Job> {
        let mut jobs = self.jobs.get(uid).cloned().unwrap_or_default();
        jobs.sort_by_key(|job| job.metadata.creation_timestamp);
        jobs
    }

    /// Returns the claims of an owner.
    #[must_use]
    pub fn claims_of(&self, uid: &str) -> &[&'a Claim] {
        self.claims.get(uid).map_or(&[], Vec::as_slice)
    }

    /// Returns the pods that mount a claim.
    #[must_use]
    pub fn users_of<'s>(&'s self, namespace: &'s str, claim: &'s str) -> &'s [&'a Pod] {
        self.users.get(&(namespace, claim)).map_or(&[], Vec::as_slice)
    }

    /// Returns the Deployments whose pods mount a claim.
    #[must_use]
    pub fn workloads_of<'s>(&'s self, namespace: &'s str, claim: &'s str) -> &'s [&'a Deployment] {
        self.workloads.get(&(namespace, claim)).map_or(&[], Vec::as_slice)
    }
}

fn owned<'a, T: Object>(all: impl Iterator<Item = &'a T>) -> HashMap<&'a str, Vec<&'a T>> {
    let mut owned: HashMap<&str, Vec<&T>> = HashMap::new();
    for object in all {
        for owner in &object.meta().owner_references {
            owned.entry(owner.uid.as_str()).or_default().push(object);
        }
    }
    owned
}
