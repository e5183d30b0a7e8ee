//! Runs the program over the library: signals, the debug session, hand-over, and the last lines of the log.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use rekopia::Cancel;
use tokio::runtime::Runtime;

use crate::config::{self, Config, Operation};
use crate::env::Env;
use crate::findings::Findings;
use crate::outcome::{Outcome, stoppable, termination_log};
use crate::say::{one_line, say, say_to};
use crate::{handover, run, signals};

/// What a person reads who starts the mover by hand.
pub const HELP: &str = "\
rekopia-mover restores a volume in a job that VolSync starts.

Usage: rekopia-mover restore|check

  restore    restore the volume, as the environment says
  check      find out whether a restore would work; change nothing

All else is set by environment variables, which VolSync takes from the
ReplicationDestination: KOPIA_REPOSITORY, KOPIA_PASSWORD, DATA_DIR and others.
A person restores with `rekopia`, not with this program.
";

/// Whether these arguments ask for help and not for a run.
#[must_use]
pub fn is_help(arguments: &[String]) -> bool {
    matches!(arguments, [one] if ["-h", "--help", "help"].contains(&one.as_str()))
}

/// Runs the mover of this process's environment and arguments: a restore, `check`, a hand-over or a debug session.
///
/// The lines of the pod's log go to `log_line`; `start_log` starts the log of what the libraries have to say.
pub fn run(log_line: fn(&str), start_log: fn()) -> ExitCode {
    say_to(log_line);
    // Before all else: in a pod this is process 1, and for that one a signal that nobody listens for is lost.
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
                    return runtime.block_on(stoppable(cancel, debug_session(&env)));
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
            Operation::Restore | Operation::Check => {
                run::restore(config, cancel, &mut Findings::default()).await
            }
            Operation::Backup | Operation::Maintenance => stoppable(cancel, handover::before(config)).await,
        }
    });
    match outcome {
        Outcome::HandOver => handover::exec(config, env),
        other => other,
    }
}

/// Returns the outcome of `work`; a panic in it is one, too, so that the last lines and the termination message say so.
fn guarded(work: impl FnOnce() -> Outcome) -> Outcome {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it says nothing");
        let message = format!("a defect of this program, please report it: {}", one_line(what, 300));
        Outcome::failed(1, "internal", message)
    })
}

/// Follows the stock mover's protocol: nothing is done until somebody removes the file. The session does not count as a
/// restore: the operator would publish a volume that nobody filled.
async fn debug_session(env: &Env) -> Outcome {
    let marker = env.path("TMPDIR").unwrap_or_else(|| "/tmp".into()).join("exit-debug-if-removed");
    if let Err(e) = std::fs::write(&marker, b"") {
        let what = format!("DEBUG_MOVER is set, but {} cannot be made: {e}", marker.display());
        return Outcome::failed(1, "debug", what);
    }
    say(&format!("INFO: DEBUG_MOVER is set: waiting until {} is removed", marker.display()));
    say("INFO: to restore in this session: DEBUG_MOVER=0 /mover-kopia/entry.sh restore");
    while marker.exists() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let what = "a debug session is not a restore; remove the annotation volsync.backube/enable-debug-mover";
    Outcome::failed(1, "debug", what)
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
