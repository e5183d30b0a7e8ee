//! Shows what the engine does: a bar on a terminal, a line every ten seconds elsewhere, events with `--json`.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rekopia::{Event, Observer, Progress};

use crate::args::Global;
use crate::say::{clear_line, output, say};
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

    /// Does `something` that takes the terminal for itself. The bar is hidden, not locked: signals and progress are
    /// seen meanwhile.
    pub(crate) fn aside<T>(&self, something: impl FnOnce() -> T) -> T {
        let Mode::Bar(bar) = &self.mode else { return something() };
        bar.set_draw_target(ProgressDrawTarget::hidden());
        // What was drawn last stays otherwise, and the first words would stand behind it.
        clear_line();
        let result = something();
        bar.set_draw_target(ProgressDrawTarget::stderr());
        result
    }

    /// Says a line, above the bar where there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.mode {
            Mode::Bar(bar) => bar.suspend(|| say(line)),
            _ => say(line),
        }
    }

    fn progress(&self, p: &Progress) {
        match &self.mode {
            Mode::Bar(bar) => {
                bar.set_length(p.total_bytes.max(1));
                bar.set_position(p.bytes);
                let failed = if p.failures > 0 { format!(", {} failed", p.failures) } else { String::new() };
                let rate = text::size(p.bytes_per_second);
                let left =
                    p.eta_seconds.map_or_else(String::new, |s| format!(" {} left", text::duration(s as f64)));
                bar.set_message(format!("{rate}/s{left}, {}/{}{failed}", p.entries, p.total_entries));
            }
            Mode::Lines => {
                let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
                if last.unwrap_or(self.started).elapsed() < LINE_EVERY {
                    return;
                }
                *last = Some(Instant::now());
                say(&Self::line(p));
            }
            _ => {}
        }
    }

    fn line(p: &Progress) -> String {
        let left = p.eta_seconds.map_or_else(|| "?".to_owned(), |s| text::duration(s as f64));
        let failed = if p.failures > 0 { format!(", {} failed", p.failures) } else { String::new() };
        format!(
            "{} of {} entries, {} of {}, {}/s, {left} left{failed}",
            p.entries,
            p.total_entries,
            text::size(p.bytes),
            text::size(p.total_bytes),
            text::size(p.bytes_per_second),
        )
    }
}

impl Observer for Display {
    fn event(&self, event: Event) {
        if let Mode::Json = self.mode {
            if let Ok(line) = serde_json::to_string(&event) {
                let _ = writeln!(output(), "{line}");
            }
            return;
        }
        match event {
            Event::Progress(p) => self.progress(&p),
            Event::Warning { message } if !self.quiet => {
                self.say(&format!("warning: {}", text::line(&message)))
            }
            Event::Failed { path, message } => {
                let path = text::printable(if path.is_empty() { "." } else { &path });
                self.say(&format!("failed: {path}: {}", text::line(&message)));
            }
            _ => {}
        }
    }
}

fn bar() -> ProgressBar {
    let template = "{bar:20} {percent:>3}% {bytes}/{total_bytes} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(1).with_style(style);
    // It is drawn anew with each event: a thread that ticks would be one more than may be had.
    bar.tick();
    bar
}
