//! `rekopia-mover`: the restore job that VolSync starts, in place of the stock mover's script.
//!
//! All that it does is in the library; here is what belongs to a process: its two streams.

// A log that nobody takes makes the printing macros panic.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::process::ExitCode;

use rekopia_mover::program;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
    if program::is_help(&arguments) {
        write_line(program::HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    program::run(write_line, start_log)
}

/// Writes a line to the pod's log. One that nobody takes is no reason to fail: a thread that panics over it would leave
/// the volume half-filled.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Warnings on stderr, and more of ours where `REKOPIA_LOG` asks for it. What others write in detail holds tokens and
/// keys: whatever is asked for, they only warn.
fn start_log() {
    let directives = std::env::var("REKOPIA_LOG").ok().filter(|directives| !directives.is_empty());
    let is_fit = filter_fn(|what| what.target().starts_with("rekopia") || *what.level() <= Level::WARN);
    let filter = directives
        .unwrap_or_else(|| "warn".into())
        .parse::<Targets>()
        .unwrap_or_else(|_| Targets::new().with_default(Level::WARN))
        .and(is_fit);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Otherwise what cannot be logged is printed, and a closed log ends the thread that wanted to say it.
    let log = log.with_target(false).without_time().with_ansi(false).log_internal_errors(false);
    tracing_subscriber::registry().with(log.with_filter(filter)).init();
}
