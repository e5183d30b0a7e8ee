//! The one place where the program writes: what it says to a person, and what it gives out.

use std::fmt;
use std::io::{self, Write};

use crate::text;

/// A line may hold a path, and a path from a snapshot may be as long as it likes.
const LONGEST_LINE: usize = 4000;

/// Says a line on standard error. A terminal that has gone away is no reason to fail: a thread that panics over it
/// would leave the restore half done.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", text::shortened(line, LONGEST_LINE));
}

/// Asks for something, without ending the line.
pub(crate) fn prompt(question: &str) {
    let mut err = io::stderr();
    let _ = err.write_all(question.as_bytes());
    let _ = err.flush();
}

/// Empties the line of the terminal on which the cursor is.
pub(crate) fn clear_line() {
    prompt("\r\x1b[2K");
}

/// Standard output, whose errors are told apart from all others: a pipe that the reader closed ends a listing quietly,
/// while a connection that the storage closed is a failure.
pub(crate) struct Output(io::Stdout);

/// Standard output of this process.
pub(crate) fn output() -> Output {
    Output(io::stdout())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(marked)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(marked)
    }
}

fn marked(e: io::Error) -> io::Error {
    match e.kind() {
        // Not a failure: the writer tries again.
        io::ErrorKind::Interrupted => e,
        kind => io::Error::new(kind, OutputError(e)),
    }
}

/// Standard output could not be written.
#[derive(Debug)]
struct OutputError(io::Error);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for OutputError {}

/// Whether an error says that nobody reads standard output any more.
pub(crate) fn is_closed_output(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|e| {
        e.kind() == io::ErrorKind::BrokenPipe && e.get_ref().is_some_and(|inner| inner.is::<OutputError>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_output_closes_quietly() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_output(&anyhow::Error::from(marked(broken())).context("a listing")));
        assert!(!is_closed_output(&anyhow::Error::from(broken()).context("the server")));
        let full = marked(io::Error::from(io::ErrorKind::StorageFull));
        assert!(full.to_string().starts_with("cannot write to standard output: "), "{full}");
        assert!(!is_closed_output(&full.into()));
    }
}
