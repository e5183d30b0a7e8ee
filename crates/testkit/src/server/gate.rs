//! Stands before a storage that believes everybody: takes every bearer token until it is told that those which it has
//! seen have expired, and passes requests on without them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use super::front::{Front, Onward, refuse_in_xml};

/// A running gate.
pub struct Gate {
    /// The front, which records and breaks requests.
    pub front: Front,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: BTreeSet<String>,
    expired: BTreeSet<String>,
    refusal: (u16, &'static str),
}

impl Gate {
    /// Starts a gate before the server at this address; `signature` is put into the query of each request.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(upstream: &str, signature: Option<String>) -> Self {
        let host: HeaderValue = upstream.parse().unwrap();
        let onward = Onward::to(upstream.rsplit_once(':').unwrap().1.parse().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let handler = move |mut head: Parts, body: Bytes| {
            let refusal = shared.lock().unwrap().refusal_of(&mut head);
            let mut path = head.uri.path_and_query().unwrap().to_string();
            if let Some(signature) = &signature {
                path = format!("{path}{}{signature}", if path.contains('?') { '&' } else { '?' });
            }
            head.headers.insert("host", host.clone());
            let onward = onward.clone();
            async move {
                match refusal {
                    Some((status, code)) => refuse_in_xml(status, code),
                    None => onward.pass(head, body, &path).await,
                }
            }
        };
        Gate { front: Front::start(handler, refuse_in_xml).await, state }
    }

    /// Refuses what was seen so far from now on, with this status and code.
    pub fn expire(&self, status: u16, code: &'static str) {
        let mut state = self.state.lock().unwrap();
        let mut seen = std::mem::take(&mut state.seen);
        state.expired.append(&mut seen);
        state.refusal = (status, code);
    }
}

impl State {
    fn refusal_of(&mut self, head: &mut Parts) -> Option<(u16, &'static str)> {
        let token = head.headers.remove("authorization").and_then(|v| v.to_str().map(str::to_owned).ok());
        let Some(token) = token.filter(|token| token.starts_with("Bearer ")) else {
            return Some((401, "NoToken"));
        };
        if self.expired.contains(&token) {
            return Some(self.refusal);
        }
        self.seen.insert(token);
        None
    }
}
