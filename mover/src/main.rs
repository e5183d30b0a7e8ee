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

use config::{Config, Operation};
use env::Env;
use outcome::Outcome;

fn main() -> ExitCode {
    println!("Starting kopia mover container");
    println!("INFO: rekopia-mover {}", std::env!("CARGO_PKG_VERSION"));
    start_log();
    let env = Env::of_process();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = config::operation(&env, &arguments);
    // Backup and maintenance hand the session over with everything else.
    let debug = env.text("DEBUG_MOVER") == Some("1")
        && !matches!(asked, Ok(Operation::Backup | Operation::Maintenance));
    let outcome = if debug {
        on_runtime(run::debug_session(&env))
    } else {
        match Config::check(&env, &arguments) {
            Ok(config) => work(&config, &env),
            Err(refused) => refused,
        }
    };
    let operation = asked.map_or("unknown", Operation::name);
    outcome.tell(operation, env.path("REKOPIA_TERMINATION_LOG"));
    ExitCode::from(outcome.exit_code())
}

fn work(config: &Config, env: &Env) -> Outcome {
    let outcome = on_runtime(async {
        match config.operation {
            Operation::Restore | Operation::Check => run::restore(config).await,
            Operation::Backup | Operation::Maintenance => handover::before(config).await,
        }
    });
    match outcome {
        Outcome::HandOver => handover::exec(config, env),
        other => other,
    }
}

fn on_runtime(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => return Outcome::failed(1, "internal", format!("cannot start the runtime: {e}")),
    };
    let outcome = runtime.block_on(work);
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
