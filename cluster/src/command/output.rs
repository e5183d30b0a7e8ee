//! Prints, as the one place that does; and holds a failure with its exit code.

use std::io::{ErrorKind, IsTerminal, Write};

use crate::observe::ListError;
use crate::render::{judged_without, wrap};
use crate::view::View;

/// A failure with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code, from the table.
    pub code: u8,
    /// The message: what failed, and what to do.
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

/// Returns the columns of the terminal; 80 where there is none.
pub(super) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|width| *width >= 40).unwrap_or(80)
}

/// Returns what could not be seen, and what cannot be judged without it, on at most `width` columns.
pub(super) fn missing_rights(view: &View, width: usize) -> String {
    let mut text = String::new();
    if let Some(first) = view.unseen.iter().next() {
        let names: Vec<&str> = view.unseen.iter().map(|unseen| unseen.resource.as_str()).collect();
        let mut without: Vec<&str> =
            view.unseen.iter().map(|unseen| judged_without(&unseen.resource)).collect();
        without.sort_unstable();
        without.dedup();
        let (names, without) = (names.join(", "), without.join("; "));
        text.push_str(&wrap(&format!("not seen: {names}"), 0, width));
        text.push_str(&wrap(&format!("so nothing is said about {without}"), 2, width));
        text.push_str(&wrap(&format!("the API says: {}", first.why), 2, width));
    }
    if let Some((resource, why)) = view.stale.iter().next() {
        let others = view.stale.len() - 1;
        let more = if others == 0 { String::new() } else { format!(" and {others} other kinds") };
        let said = format!(
            "not new: the API does not give {resource}{more} at the moment ({why}); this is what it said last"
        );
        text.push_str(&wrap(&said, 0, width));
    }
    text
}
