//! Shows what the engine does: a bar on a terminal, a line every ten seconds elsewhere, events with `--json`.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rekopia::{Event, Observer, Progress};

use crate::args::Global;
use crate::text;

/// Watches a run in the way that the options ask for.
pub(crate) struct Display {
    mode: Mode,
    quiet: bool,
    started: Instant,
    last_line: Mutex<Option<Instant>>,
}

enum Mode {
    Bar(ProgressBar),
    Lines,
    Json,
    Off,
}

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Display {
    /// A display for a command that takes long (`events`: its output with `--json` is a stream of events).
    pub(crate) fn new(global: &Global, events: bool) -> Arc<Self> {
        let mode = if global.json {
            if events { Mode::Json } else { Mode::Off }
        } else if global.no_progress || global.quiet || !events {
            Mode::Off
        } else if std::io::stderr().is_terminal() {
            Mode::Bar(bar())
        } else {
            Mode::Lines
        };
        let quiet = global.quiet;
        Arc::new(Display { mode, quiet, started: Instant::now(), last_line: Mutex::new(None) })
    }

    /// Takes the bar away before the final report.
    pub(crate) fn finish(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.mode {
            Mode::Bar(bar) => bar.suspend(|| eprintln!("{line}")),
            _ => eprintln!("{line}"),
        }
    }

    fn progress(&self, p: &Progress) {
        match &self.mode {
            Mode::Bar(bar) => {
                bar.set_length(p.total_bytes.max(1));
                bar.set_position(p.bytes);
                let failed = if p.failures > 0 { format!(", {} failed", p.failures) } else { String::new() };
                bar.set_message(format!("{}/{} entries{failed}", p.entries, p.total_entries));
            }
            Mode::Lines => {
                let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
                if last.unwrap_or(self.started).elapsed() < LINE_EVERY {
                    return;
                }
                *last = Some(Instant::now());
                eprintln!("{}", self.line(p));
            }
            _ => {}
        }
    }

    fn line(&self, p: &Progress) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = p.bytes as f64 / seconds.max(0.001);
        let left = p.total_bytes.saturating_sub(p.bytes) as f64 / rate.max(1.0);
        let failed = if p.failures > 0 { format!(", {} failed", p.failures) } else { String::new() };
        format!(
            "{} of {} entries, {} of {}, {}/s, {} left{failed}",
            p.entries,
            p.total_entries,
            text::size(p.bytes),
            text::size(p.total_bytes),
            text::size(rate as u64),
            text::duration(left),
        )
    }
}

impl Observer for Display {
    fn event(&self, event: Event) {
        if let Mode::Json = self.mode {
            if let Ok(line) = serde_json::to_string(&event) {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            return;
        }
        match event {
            Event::Progress(p) => self.progress(&p),
            Event::Warning { message } if !self.quiet => self.say(&format!("warning: {message}")),
            Event::Failed { path, message } => {
                self.say(&format!(
                    "failed: {}: {message}",
                    text::printable(if path.is_empty() { "." } else { &path })
                ));
            }
            _ => {}
        }
    }
}

fn bar() -> ProgressBar {
    let template = "{bar:24} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(1).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
