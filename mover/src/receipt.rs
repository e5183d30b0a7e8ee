//! Tells of a volume that was hashed, and writes the receipt of it.

use rekopia::{ErrorKind, Receipt, Receipting, Report, Repository, Resolved, RestoreOptions};

use crate::say::{one_line, say};

/// Tells the hash, and writes the receipt where that is wanted; returns what to say aloud when it cannot be written.
/// The volume has all it should have then, and another run would do no better: it is no failure.
pub(crate) fn receipt(
    repository: &Repository,
    from: &Resolved,
    options: &RestoreOptions,
    report: &Report,
) -> Option<String> {
    let tree = report.tree.as_ref()?;
    say(&format!(
        "INFO: Tree hash of what was restored: {} ({} other entries)",
        tree.hash,
        tree.others.len()
    ));
    let Receipting::File(path) = &options.receipt else { return None };
    // A run that was stopped, or could not go on, may have left anything.
    if !matches!(report.exit_kind(), None | Some(ErrorKind::Incomplete)) {
        return None;
    }
    let program = concat!("rekopia-mover ", env!("CARGO_PKG_VERSION"));
    let receipt = Receipt::of(program, repository, from, options, report)?;
    match receipt.write(path) {
        Ok(()) => {
            say(&format!("INFO: Receipt written to {}", one_line(&path.to_string_lossy(), 300)));
            None
        }
        Err(e) => Some(one_line(&e.chain(), 400)),
    }
}
