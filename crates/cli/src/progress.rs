//! Shows what the engine does: one line that redraws on a terminal, a line every ten seconds elsewhere, events with
//! `--json`.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rekopia::{Event, Observer, Phase, Progress};

use crate::args::Global;
use crate::bar::Work;
use crate::say::{give_line, log_status, say, show_status};
use crate::text;

/// Watches a run in the way that the options ask for.
pub(crate) struct Display {
    mode: Mode,
    quiet: bool,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The last line of a terminal.
    Status,
    Lines,
    Json,
    Off,
}

struct State {
    phase: Phase,
    since: Instant,
    progress: Option<Progress>,
    last_line: Instant,
}

/// Time between two looks at the state: work that is over sooner is not shown at all.
const TICK: Duration = Duration::from_millis(200);
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Display {
    /// Makes a display for a command that takes long (`events`: its output with `--json` is a stream of events). It
    /// begins at once, with opening, and ends when the last words are said (`end_status`).
    pub(crate) fn new(global: &Global, events: bool) -> Arc<Self> {
        let mode = if global.json {
            if events { Mode::Json } else { Mode::Off }
        } else if global.no_progress || global.quiet || !events {
            Mode::Off
        } else if std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        {
            Mode::Status
        } else {
            Mode::Lines
        };
        let now = Instant::now();
        let state = State { phase: Phase::Opening, since: now, progress: None, last_line: now };
        let display = Arc::new(Display { mode, quiet: global.quiet, state: Mutex::new(state) });
        if matches!(mode, Mode::Status | Mode::Lines) {
            // A task: a thread would be one more than may be had.
            tokio::spawn(tick(Arc::downgrade(&display)));
        }
        display
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let mut state = self.state();
        let seconds = state.since.elapsed().as_secs();
        let work = Work { phase: state.phase, seconds, progress: state.progress };
        match self.mode {
            Mode::Status => {
                drop(state);
                show_status(|columns| work.fitted(columns));
            }
            Mode::Lines if state.last_line.elapsed() >= LINE_EVERY => {
                state.last_line = Instant::now();
                drop(state);
                log_status(&work.logged());
            }
            _ => {}
        }
    }
}

/// Shows the state a few times a second, as long as the display is in use.
async fn tick(display: Weak<Display>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(display) = display.upgrade() else { return };
        display.show();
    }
}

impl Observer for Display {
    fn event(&self, event: Event) {
        if let Mode::Json = self.mode {
            if let Ok(line) = serde_json::to_value(&event) {
                let _ = give_line(line);
            }
            return;
        }
        match event {
            Event::Phase { phase } => {
                let mut state = self.state();
                if state.phase != phase {
                    (state.phase, state.since, state.progress) = (phase, Instant::now(), None);
                }
            }
            Event::Progress(p) => self.state().progress = Some(p),
            Event::Warning { message } if !self.quiet => say(&format!("warning: {}", text::line(&message))),
            Event::Differs { path, message, .. } => {
                let path = text::printable(if path.is_empty() { "." } else { &path });
                say(&format!("differs: {path}: {}", text::line(&message)));
            }
            Event::Failed { path, message } => {
                let path = text::printable(if path.is_empty() { "." } else { &path });
                say(&format!("failed: {path}: {}", text::line(&message)));
            }
            _ => {}
        }
    }
}
