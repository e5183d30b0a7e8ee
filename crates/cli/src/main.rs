//! `rekopia`: gets files out of a Kopia repository, without Kopia.

// A closed terminal or pipe makes the printing macros panic; everything is written in `say`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod bar;
mod command;
mod connect;
mod consent;
mod exit;
mod metrics;
mod progress;
mod say;
mod signals;
mod summary;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Context, Result};
use rekopia::Cancel;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let args = match args::Args::read(std::env::args_os(), |name| std::env::var_os(name)) {
        Ok(args) => args,
        Err(instead) => return show(instead),
    };
    start_log(&args.global);
    rekopia::raise_open_files();
    let json = args.global.json;
    let ran = catch_unwind(AssertUnwindSafe(|| run(args)));
    match ran.unwrap_or_else(|panic| Err(exit::defect(&*panic))) {
        Ok(code) => ExitCode::from(code),
        Err(e) if say::is_closed_output(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let code = exit::code_of(&e);
            exit::print_error(&e, code, json);
            ExitCode::from(code)
        }
    }
}

/// Shows what there is to say instead of running a command; gives the exit code.
fn show(instead: args::Instead) -> ExitCode {
    match instead {
        args::Instead::Asked(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        args::Instead::FirstContact => say::say(args::help::FIRST_CONTACT.trim_end()),
        args::Instead::Wrong { line, advice } => {
            say::say(&format!("rekopia: {line}"));
            say::say(&format!("  {advice}"));
        }
    }
    ExitCode::from(exit::USAGE)
}

fn run(args: args::Args) -> Result<u8> {
    let runtime = rekopia::start_runtime().context("cannot start")?;
    let cancel = Cancel::new();
    let farewell = signals::Farewell { patience: command::patience(&args.command), json: args.global.json };
    {
        let _entered = runtime.enter();
        signals::watch(&cancel, farewell);
    }
    let result = rekopia::off_first_thread(&runtime, || runtime.block_on(command::run(args, &cancel)));
    // A blocked read (a dead mount) must not keep the process alive.
    runtime.shutdown_background();
    result
}

/// Starts the log on stderr: warnings by default, ours alone with `-v`, everything as `REKOPIA_LOG` says.
fn start_log(global: &args::Global) {
    let ours = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let directives = std::env::var("REKOPIA_LOG").ok().filter(|directives| !directives.is_empty());
    // Our own error says what is wrong with a certificate.
    let directives = directives.unwrap_or_else(|| {
        format!("warn,rustls_platform_verifier=off,rekopia={ours},rekopia_blob={ours},rekopia_format={ours}")
    });
    // What others write in detail holds tokens and keys: whatever is asked for, they only warn.
    let is_fit = filter_fn(|what| what.target().starts_with("rekopia") || *what.level() <= Level::WARN);
    let filter = directives
        .parse::<Targets>()
        .unwrap_or_else(|_| Targets::new().with_default(Level::WARN))
        .and(is_fit);
    // Otherwise what cannot be logged is printed, and a closed terminal ends the thread that wanted to say it.
    let log = tracing_subscriber::fmt::layer().with_writer(|| say::Log).with_target(false);
    // Without colours: a pipe has none, and not all of them can be read on every background.
    let log = log.without_time().with_ansi(false).log_internal_errors(false).with_filter(filter);
    tracing_subscriber::registry().with(log).init();
}
