//! The one place where something is printed; and what a failure's exit code is.

use std::io::{ErrorKind, IsTerminal, Write};

use crate::observe::ListError;
use crate::view::View;

/// A failure with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// From the table.
    pub code: u8,
    /// What failed, and what to do.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ListError> for Failure {
    fn from(e: ListError) -> Self {
        Failure { code: super::exit::API, message: format!("cannot read the cluster: {e}") }
    }
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether an error only says that nobody reads on.
#[must_use]
pub fn is_closed_output(e: &anyhow::Error) -> bool {
    e.chain().any(|e| e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe))
}

/// Whether a person looks at standard output.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns of the terminal; 80 where there is none.
pub(super) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|width| *width >= 40).unwrap_or(80)
}

/// What could not be seen, a sentence each.
pub(super) fn missing_rights(view: &View) -> String {
    let sentence = |unseen: &crate::view::Unseen| {
        let without = crate::render::judged_without(&unseen.resource);
        format!("not seen: {}, so nothing is said about {without} ({})\n", unseen.resource, unseen.why)
    };
    let stale = view.stale.iter().next().map(|(resource, why)| {
        let others = view.stale.len() - 1;
        let more = if others == 0 { String::new() } else { format!(" and {others} other kinds") };
        format!("not new: the API does not give {resource}{more} at the moment; this is what it said last ({why})\n")
    });
    view.unseen.iter().map(sentence).chain(stale).collect()
}
