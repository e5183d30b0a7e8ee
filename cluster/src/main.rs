//! `kubectl-rekopia`: a plugin of `kubectl` that is also started alone.

use std::io::Write;
use std::process::ExitCode;

use rekopia_cluster::command::help::{self, Instead};
use rekopia_cluster::command::{Failure, exit, is_closed_output, run};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let arguments = match help::read() {
        Ok(arguments) => arguments,
        Err(Instead::Asked(help)) => {
            let _ = help.print();
            return ExitCode::from(exit::FINE);
        }
        Err(Instead::Wrong(what)) => {
            let _ = writeln!(std::io::stderr(), "{what}");
            return ExitCode::from(exit::USAGE);
        }
    };
    start_log();
    // Several libraries below could each choose one; this program has one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ran = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let ran = runtime.block_on(async {
                tokio::select! {
                    ran = run(arguments) => ran,
                    _ = tokio::signal::ctrl_c() => Ok(130),
                }
            });
            runtime.shutdown_background();
            ran
        }
        Err(e) => Err(e.into()),
    };
    match ran {
        Ok(code) => ExitCode::from(code),
        Err(e) if is_closed_output(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let code = e.downcast_ref::<Failure>().map_or(exit::BROKEN, |failure| failure.code);
            let _ = writeln!(std::io::stderr(), "error: {e:#}");
            ExitCode::from(code)
        }
    }
}

/// Starts our log where `REKOPIA_LOG` asks for it. Libraries say nothing: what they say in detail holds tokens and
/// bodies.
fn start_log() {
    let asked = std::env::var("REKOPIA_LOG").ok().and_then(|level| level.parse::<LevelFilter>().ok());
    let filter = Targets::new().with_target("rekopia", asked.unwrap_or(LevelFilter::WARN));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).without_time();
    tracing_subscriber::registry().with(log.with_ansi(false).with_filter(filter)).init();
}
