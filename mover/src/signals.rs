//! Handles signals: the first asks the work to stop, the second leaves at once, and nobody stays longer than three
//! seconds.
//!
//! However the process leaves, the termination message has been written.

use std::process::exit;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rekopia::Cancel;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::say::say;

/// Time that a run has to end by itself after the first signal. What hangs then (a dead mount, a log that nobody reads)
/// is left behind.
const PATIENCE: Duration = Duration::from_millis(2700);

/// Time that the last lines of the log get.
const LAST_WORDS: Duration = Duration::from_millis(200);

static STOPPED_BY: AtomicU8 = AtomicU8::new(143);

/// Returns the exit code of a run that a signal has stopped.
pub(crate) fn code() -> u8 {
    STOPPED_BY.load(Ordering::Relaxed)
}

/// Listens from now on, in the runtime that is entered. The signal sets `cancel`. `tell` tells how the run ended, unless
/// that was told, and gives its exit code.
///
/// # Errors
/// When signals cannot be listened for.
pub(crate) fn watch(cancel: &Cancel, tell: fn() -> u8) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let cancel = cancel.clone();
    tokio::spawn(async move {
        loop {
            let (name, code) = tokio::select! {
                () = heard(&mut terminate) => ("SIGTERM", 143),
                () = heard(&mut interrupt) => ("SIGINT", 130),
                () = heard(&mut hangup) => ("SIGHUP", 129),
            };
            if cancel.is_cancelled() {
                beside(move || leave(Duration::ZERO, tell));
                continue;
            }
            STOPPED_BY.store(code, Ordering::Relaxed);
            // First of all: saying it may take long where nobody takes the log.
            cancel.cancel();
            beside(move || leave(PATIENCE, tell));
            beside(move || say(&format!("INFO: stopping on {name}")));
        }
    });
    Ok(())
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending().await
    }
}

/// Does the work in a thread of its own, which nothing that hangs can hold up; or as soon as there is one.
fn beside(work: impl FnOnce() + Clone + Send + 'static) {
    if std::thread::Builder::new().spawn(work.clone()).is_err() {
        drop(tokio::task::spawn_blocking(work));
    }
}

/// Ends the process when the time is over.
fn leave(patience: Duration, tell: fn() -> u8) {
    std::thread::sleep(patience);
    // The log may be held for good by whoever waits to write it: telling is not waited for.
    if std::thread::Builder::new().spawn(move || exit(tell().into())).is_ok() {
        std::thread::sleep(LAST_WORDS);
    }
    exit(code().into());
}
