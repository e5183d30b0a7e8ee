//! `rekopia-mover`: the restore job that VolSync starts, in place of the stock mover's script.
//!
//! Environment ([`mod@env`]) → checked configuration ([`config`]) → engine ([`run`]) → outcome ([`outcome`]).

mod arguments;
mod backend;
mod choice;
mod config;
mod env;
mod handover;
mod identity;
mod log;
mod outcome;
mod run;
mod settings;
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use config::{Config, Operation};
use env::Env;
use outcome::Outcome;
use rekopia::Cancel;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    // First of all: in a pod this is process 1, and for that one a signal that nobody listens for is lost.
    let listening = listen();
    println!("Starting kopia mover container");
    println!("INFO: rekopia-mover {}", std::env!("CARGO_PKG_VERSION"));
    start_log();
    rekopia::raise_open_files();
    let env = Env::of_process();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = config::operation(&env, &arguments);
    // Backup and maintenance hand the session over with everything else.
    let debug = env.text("DEBUG_MOVER") == Some("1")
        && !matches!(asked, Ok(Operation::Backup | Operation::Maintenance));
    let outcome = match listening {
        Err(e) => Outcome::failed(1, "internal", format!("cannot start the runtime: {e}")),
        Ok(listening) if debug => until_stopped(listening, |_| run::debug_session(&env)),
        Ok(listening) => match Config::check(&env, &arguments) {
            Ok(config) => work(&config, &env, listening),
            Err(refused) => refused,
        },
    };
    let operation = asked.map_or("unknown", Operation::name);
    outcome.tell(operation, env.path("REKOPIA_TERMINATION_LOG"));
    ExitCode::from(outcome.exit_code())
}

fn listen() -> std::io::Result<(Runtime, Signal)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build()?;
    let terminate = {
        let _entered = runtime.enter();
        signal(SignalKind::terminate())?
    };
    Ok((runtime, terminate))
}

fn work(config: &Config, env: &Env, listening: (Runtime, Signal)) -> Outcome {
    let outcome = until_stopped(listening, |cancel| async move {
        match config.operation {
            Operation::Restore | Operation::Check => run::restore(config, cancel).await,
            Operation::Backup | Operation::Maintenance => handover::before(config).await,
        }
    });
    match outcome {
        Outcome::HandOver => handover::exec(config, env),
        other => other,
    }
}

/// The outcome of `work`, or [`Outcome::Stopped`] a moment after SIGTERM: what is in flight may drain first, but not for
/// long.
fn until_stopped<F: Future<Output = Outcome>>(
    (runtime, mut terminate): (Runtime, Signal),
    work: impl FnOnce(Cancel) -> F,
) -> Outcome {
    let cancel = Cancel::new();
    let outcome = runtime.block_on(async {
        let stop = async {
            if terminate.recv().await.is_none() {
                return std::future::pending().await;
            }
            println!("INFO: stopping on SIGTERM");
            cancel.cancel();
            tokio::time::sleep(Duration::from_millis(1500)).await;
        };
        tokio::select! {
            outcome = work(cancel.clone()) => outcome,
            () = stop => Outcome::Stopped,
        }
    });
    // A blocked read (a dead mount) must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// Warnings of ours on stderr, nothing of the dependencies below a warning.
fn start_log() {
    let filter =
        tracing_subscriber::EnvFilter::new(std::env::var("REKOPIA_LOG").unwrap_or_else(|_| "warn".into()));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_target(false).without_time().with_ansi(false).init();
}
