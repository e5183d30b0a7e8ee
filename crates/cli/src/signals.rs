//! Handles signals: the first asks the work to stop, the second leaves at once, and nobody stays longer than three
//! seconds.

use std::process::exit;
use std::time::Duration;

use rekopia::Cancel;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{self, Stopped};
use crate::say::{end_status_at_once, say};

/// The behaviour after the first signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Farewell {
    /// The time that the command has for its report. What hangs then (a dead mount, a terminal that nobody reads) is
    /// left behind.
    pub(crate) patience: Duration,
    /// Whether the report is a document on standard output.
    pub(crate) json: bool,
}

/// Time that the last words get.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Does work that has no report and leaves nothing behind: a signal drops it where it stands.
pub(crate) async fn stoppable<T>(
    cancel: &Cancel,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Stopped.into()))
}

/// Listens from now on, in the runtime that is entered. The signal sets `cancel` and is the exit code of the program.
pub(crate) fn watch(cancel: &Cancel, farewell: Farewell) {
    let listen = |kind| signal(kind).ok();
    let (interrupt, terminate, hangup) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()));
    let cancel = cancel.clone();
    tokio::spawn(async move {
        let (mut interrupt, mut terminate, mut hangup) = (interrupt, terminate, hangup);
        loop {
            let code = tokio::select! {
                () = heard(&mut interrupt) => 130,
                () = heard(&mut terminate) => 143,
                () = heard(&mut hangup) => 129,
            };
            if cancel.is_cancelled() {
                end_status_at_once();
                exit(code.into());
            }
            exit::note_signal(code);
            // First of all: saying it may take long where the terminal has gone away.
            cancel.cancel();
            beside(move || leave(farewell));
            beside(|| say("rekopia: stopping (once more to leave at once)"));
        }
    });
}

async fn heard(signal: &mut Option<Signal>) {
    let heard = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending().await
    }
}

/// Does the work in a thread of its own, which nothing that hangs can hold up; or here, where no thread is to be had.
fn beside(work: impl FnOnce() + Clone + Send + 'static) {
    if std::thread::Builder::new().spawn(work.clone()).is_err() {
        drop(tokio::task::spawn_blocking(work));
    }
}

/// Ends the process when the time is over.
fn leave(farewell: Farewell) {
    std::thread::sleep(farewell.patience);
    let code = exit::code(rekopia::ErrorKind::Cancelled);
    // The output may be held for good by somebody else: it is not waited for.
    let say = move || {
        let what = "what had begun did not end in time; what was written is not synced";
        exit::print_error(&anyhow::anyhow!(what).context(Stopped), code, farewell.json);
    };
    if std::thread::Builder::new().spawn(say).is_ok() {
        std::thread::sleep(LAST_WORDS);
    }
    exit(code.into());
}
