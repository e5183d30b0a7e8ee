//! `rekopia-mover`: the restore job that VolSync starts, in place of the stock mover's script.
//!
//! Environment ([`mod@env`]) → checked configuration ([`config`]) → engine ([`run`]) → outcome ([`outcome`]).

// A log that nobody takes makes the printing macros panic; everything is written in `say`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod backend;
mod choice;
mod config;
mod env;
mod handover;
mod identity;
mod log;
mod outcome;
mod recorded;
mod run;
mod say;
mod settings;
mod signals;
mod verdict;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use config::{Config, Operation};
use env::Env;
use outcome::{Outcome, stoppable, termination_log};
use rekopia::Cancel;
use say::{one_line, say};
use tokio::runtime::Runtime;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    // First of all: in a pod this is process 1, and for that one a signal that nobody listens for is lost.
    let listening = listen();
    say("Starting kopia mover container");
    say(&format!("INFO: rekopia-mover {}", std::env!("CARGO_PKG_VERSION")));
    start_log();
    rekopia::raise_open_files();
    let env = Env::of_process();
    if !env.trimmed().is_empty() {
        say(&format!("INFO: white space around {} was dropped", env.trimmed().join(", ")));
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = config::operation(&env, &arguments);
    // Backup and maintenance hand the session over with everything else.
    let debug = env.text("DEBUG_MOVER") == Some("1")
        && !matches!(asked, Ok(Operation::Backup | Operation::Maintenance));
    let outcome = match &listening {
        Err(e) => Outcome::failed(1, "internal", format!("cannot start: {e}")),
        Ok((runtime, cancel)) => rekopia::off_first_thread(runtime, || {
            guarded(|| {
                if debug {
                    return runtime.block_on(stoppable(cancel, run::debug_session(&env)));
                }
                match Config::check(&env, &arguments) {
                    Ok(config) => work(&config, &env, runtime, cancel),
                    Err(refused) => refused,
                }
            })
        }),
    };
    if let Ok((runtime, _)) = listening {
        // A blocked read (a dead mount) must not keep the process alive.
        runtime.shutdown_background();
    }
    let operation = asked.map_or("unknown", Operation::name);
    ExitCode::from(outcome.tell(operation, &termination_log(&env)))
}

fn listen() -> std::io::Result<(Runtime, Cancel)> {
    let runtime = rekopia::start_runtime()?;
    let cancel = Cancel::new();
    {
        let _entered = runtime.enter();
        signals::watch(&cancel, tell_stopped)?;
    }
    Ok((runtime, cancel))
}

/// Tells that the run was stopped, for one that does not come to an end by itself.
fn tell_stopped() -> u8 {
    let env = Env::of_process();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let operation = config::operation(&env, &arguments).map_or("unknown", Operation::name);
    Outcome::Stopped(None).tell(operation, &termination_log(&env))
}

fn work(config: &Config, env: &Env, runtime: &Runtime, cancel: &Cancel) -> Outcome {
    let outcome = runtime.block_on(async {
        match config.operation {
            Operation::Restore | Operation::Check => run::restore(config, cancel).await,
            Operation::Backup | Operation::Maintenance => stoppable(cancel, handover::before(config)).await,
        }
    });
    match outcome {
        Outcome::HandOver => handover::exec(config, env),
        other => other,
    }
}

/// The outcome of `work`; a panic in it is one, too, so that the last lines and the termination message say so.
fn guarded(work: impl FnOnce() -> Outcome) -> Outcome {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it says nothing");
        let message = format!("a defect of this program, please report it: {}", one_line(what, 300));
        Outcome::failed(1, "internal", message)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_outcome() {
        let outcome = guarded(|| panic!("index out of\nbounds"));
        assert_eq!((outcome.exit_code(), outcome.name()), (1, "internal"));
        assert!(format!("{outcome:?}").contains("please report it: index out of?bounds"), "{outcome:?}");
        let (runtime, cancel) = listen().unwrap();
        let outcome = rekopia::off_first_thread(&runtime, || {
            guarded(|| {
                runtime.block_on(async {
                    assert!(cancel.is_cancelled(), "not cancelled");
                    Outcome::Stopped(None)
                })
            })
        });
        assert_eq!(outcome.name(), "internal");
    }
}
