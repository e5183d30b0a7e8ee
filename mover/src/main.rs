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

fn main() -> ExitCode {
    println!("Starting kopia mover container");
    println!("INFO: rekopia-mover {}", std::env!("CARGO_PKG_VERSION"));
    start_log();
    let env = Env::of_process();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (operation, outcome) = match Config::check(&env, &arguments) {
        Ok(config) => {
            let operation = config.operation;
            (operation.name(), work(&config, &env))
        }
        Err(refused) => ("unknown", refused),
    };
    if env.text("DEBUG_MOVER") == Some("1") {
        wait_for_debugger();
    }
    outcome.tell(operation, env.path("REKOPIA_TERMINATION_LOG"));
    ExitCode::from(outcome.exit_code())
}

fn work(config: &Config, env: &Env) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => return Outcome::failed(1, "internal", format!("cannot start the runtime: {e}")),
    };
    let outcome = runtime.block_on(async {
        match config.operation {
            Operation::Restore | Operation::Check => run::restore(config).await,
            Operation::Backup | Operation::Maintenance => handover::before(config).await,
        }
    });
    // A blocked read (a dead mount) must not keep the process alive.
    runtime.shutdown_background();
    match outcome {
        Outcome::HandOver => handover::exec(config, env),
        other => other,
    }
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
