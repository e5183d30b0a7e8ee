//! Runs `status --watch`: redraws as the cluster changes, until all are done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::arguments::{Output, Status};
use super::output::{Failure, is_terminal, missing_rights, print};
use super::select;
use super::shown::{code, shown};
use crate::chain::Index;
use crate::findings::{Diagnosis, Phase, Verdict, diagnose};
use crate::observe::{Access, Api, Change, ListError, Scope, follow, wanted_logs, watch};
use crate::render::{Columns, document, row, summary};
use crate::view::View;

/// Time for which a login may be refused before the watch gives up: what makes tokens may make another.
const LOGIN_PATIENCE: Duration = Duration::from_secs(60);
/// The shortest time between two drawings.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(api: &Api, access: &Access, scope: &Scope, status: &Status) -> Result<u8> {
    let (sender, mut changes) = unbounded_channel::<Change>();
    let _watching = watch(api, access, scope, &sender);
    let mut view = View::default();
    first_look(&mut view, &mut changes).await?;
    let mut logs = Logs { api: api.clone(), followed: BTreeSet::new(), tasks: JoinSet::new() };
    let mut drawn = Drawn::default();
    let mut refused_since = None;
    loop {
        view.now = Timestamp::now();
        check_login(&view, &mut refused_since)?;
        let end = {
            let index = Index::new(&view);
            let all = diagnose(&index);
            logs.follow(&view, &all, &sender);
            let all = select::named(&view, all, &status.applications);
            // An application that is named may still be on its way from Git.
            let all = all.unwrap_or_default();
            drawn.draw(&view, &all, scope, status)?;
            let is_done = !all.is_empty() && all.iter().all(|one| one.verdict() == Verdict::Fine);
            is_done.then(|| code(&view, &all, status.exit_code))
        };
        if let Some(code) = end {
            return Ok(code);
        }
        next_changes(&mut view, &mut changes).await;
    }
}

/// Waits until every kind has been listed once, or has said why not: what has not come must not count as absent.
async fn first_look(view: &mut View, changes: &mut UnboundedReceiver<Change>) -> Result<(), Failure> {
    while view.answered.len() < View::KINDS.len()
        && let Some(change) = changes.recv().await
    {
        change(view);
    }
    // What is missing for want of a right is shown; without an answer there is nothing to show.
    let unanswered = view.unseen.iter().find(|unseen| !unseen.why.contains("forbidden"));
    if let Some(unseen) = unanswered.filter(|_| view.unseen.len() > 1) {
        return Err(Failure::from(ListError::Other(unseen.why.clone())));
    }
    Ok(())
}

/// Ends the watch when a login has ended that nothing renews.
fn check_login(view: &View, since: &mut Option<Instant>) -> Result<(), Failure> {
    let refused = ListError::Unauthorized.to_string();
    if !view.stale.values().any(|why| *why == refused) {
        *since = None;
        return Ok(());
    }
    let began = *since.get_or_insert_with(Instant::now);
    if began.elapsed() >= LOGIN_PATIENCE { Err(Failure::from(ListError::Unauthorized)) } else { Ok(()) }
}

/// Takes what has changed. On a terminal ages grow, too.
async fn next_changes(view: &mut View, changes: &mut UnboundedReceiver<Change>) {
    let until = Instant::now() + PAUSE;
    if !is_terminal()
        && let Some(change) = changes.recv().await
    {
        change(view);
    }
    while let Ok(Some(change)) = timeout_at(until, changes.recv()).await {
        change(view);
    }
}

/// The logs of movers that run.
struct Logs {
    api: Api,
    followed: BTreeSet<(String, String)>,
    tasks: JoinSet<()>,
}

impl Logs {
    fn follow(&mut self, view: &View, all: &[Diagnosis<'_>], changes: &UnboundedSender<Change>) {
        for (namespace, pod) in wanted_logs(view, all.iter().map(|one| &one.app)) {
            if self.followed.insert((namespace.clone(), pod.clone())) {
                self.tasks.spawn(follow(self.api.clone(), namespace, pod, changes.clone()));
            }
        }
    }
}

/// The picture that was drawn last.
#[derive(Default)]
struct Drawn {
    screen: String,
    lines: BTreeMap<(String, String), (Phase, Vec<String>)>,
    sentence: String,
    missing: String,
}

impl Drawn {
    fn draw(&mut self, view: &View, all: &[Diagnosis<'_>], scope: &Scope, status: &Status) -> Result<()> {
        if status.output == Some(Output::Json) {
            return self.draw_json(view, all);
        }
        if is_terminal() { self.draw_screen(view, all, scope, status) } else { self.draw_lines(view, all) }
    }

    /// Draws the whole picture in the place of the last one.
    fn draw_screen(
        &mut self,
        view: &View,
        all: &[Diagnosis<'_>],
        scope: &Scope,
        status: &Status,
    ) -> Result<()> {
        let screen = shown(view, all, scope, status)?;
        if screen != self.screen {
            let lines = screen.replace('\n', "\x1b[K\n");
            print(&format!("\x1b[H{lines}\x1b[J"))?;
            self.screen = screen;
        }
        Ok(())
    }

    /// Draws in a pipe: a line for each application whose state has changed, and the sentence when it has.
    fn draw_lines(&mut self, view: &View, all: &[Diagnosis<'_>]) -> Result<()> {
        let columns = Columns { namespace: true, wide: false, width: 80 };
        let mut text = String::new();
        for one in all {
            let mut cells = row(one, view.now, columns);
            // An age changes by itself.
            cells.remove(3);
            let key = (one.app.namespace.clone(), one.app.name.clone());
            let state = (one.phase, cells);
            if self.lines.get(&key) != Some(&state) {
                let time = view.now.strftime("%Y-%m-%dT%H:%M:%SZ");
                let cells: Vec<&str> =
                    state.1.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
                text.push_str(&format!("{time}  {}\n", cells.join("  ")));
                self.lines.insert(key, state);
            }
        }
        let missing = missing_rights(view, 80);
        if missing != self.missing {
            text.push_str(&missing);
            self.missing = missing;
        }
        let sentence = summary(view, all);
        if sentence != self.sentence {
            text.push_str(&format!("{sentence}\n"));
            self.sentence = sentence;
        }
        print(&text)?;
        Ok(())
    }

    /// Draws a document on a line each time something has changed.
    fn draw_json(&mut self, view: &View, all: &[Diagnosis<'_>]) -> Result<()> {
        let mut document = document(view, all);
        let taken = document["takenAt"].take();
        let state = document.to_string();
        if state != self.screen {
            document["takenAt"] = taken;
            print(&format!("{document}\n"))?;
            self.screen = state;
        }
        Ok(())
    }
}
