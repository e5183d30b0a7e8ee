//! `rekopia-mover`: the restore job that VolSync starts, in place of the stock mover's script.
//!
//! Environment ([`mod@env`]) → checked configuration ([`config`]) → engine ([`run`]) → outcome ([`outcome`]).

mod arguments;
mod backend;
mod config;
mod env;
mod handover;
mod identity;
mod outcome;
mod run;
mod settings;

use std::process::ExitCode;

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
    let env = Env::of_process();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (operation, outcome) = match Config::check(&env, &arguments) {
        Ok(config) => {
            let operation = config.operation;
            let outcome = match listening {
                Ok((runtime, terminate)) => work(&config, &env, runtime, terminate),
                Err(e) => Outcome::failed(1, "internal", format!("cannot start the runtime: {e}")),
            };
            (operation.name(), outcome)
        }
        Err(refused) => ("unknown", refused),
    };
    if env.text("DEBUG_MOVER") == Some("1") {
        wait_for_debugger();
    }
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

fn work(config: &Config, env: &Env, runtime: Runtime, terminate: Signal) -> Outcome {
    let cancel = Cancel::new();
    let outcome = runtime.block_on(async {
        let stop = stopped(terminate, cancel.clone());
        let work = async {
            match config.operation {
                Operation::Restore | Operation::Check => run::restore(config, cancel).await,
                Operation::Backup | Operation::Maintenance => handover::before(config).await,
            }
        };
        tokio::select! {
            outcome = work => outcome,
            () = stop => Outcome::Stopped,
        }
    });
    // A blocked read (a dead mount) must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Outcome::HandOver => handover::exec(config, env),
        other => other,
    }
}

/// Ends a moment after SIGTERM: what is in flight may drain first, but not for long.
async fn stopped(mut terminate: Signal, cancel: Cancel) {
    if terminate.recv().await.is_none() {
        return std::future::pending().await;
    }
    println!("INFO: stopping on SIGTERM");
    cancel.cancel();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
}

/// The stock mover's protocol: whoever removes the file ends the session. The result stays what it was.
fn wait_for_debugger() {
    let marker = std::path::Path::new("/tmp/exit-debug-if-removed");
    if std::fs::write(marker, b"").is_err() {
        println!("WARN: DEBUG_MOVER is set, but {} cannot be made", marker.display());
        return;
    }
    println!("INFO: DEBUG_MOVER is set: waiting until {} is removed", marker.display());
    while marker.exists() {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

/// Warnings of ours on stderr, nothing of the dependencies below a warning.
fn start_log() {
    let filter =
        tracing_subscriber::EnvFilter::new(std::env::var("REKOPIA_LOG").unwrap_or_else(|_| "warn".into()));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_target(false).without_time().with_ansi(false).init();
}
