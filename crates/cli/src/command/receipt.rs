//! Writes receipts after a restore, and checks them for `verify --receipt`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rekopia::{Cancel, Observer, Receipt, ReceiptCheck, Report, Repository, Resolved, RestoreOptions};
use serde_json::{Value, json};

use crate::args::Global;
use crate::exit::{self, CommandError};
use crate::progress::Display;
use crate::say::{end_status, give_last_line, say};
use crate::text::{self, count};

/// The exit code for a tree that differs, as for one that differs from a snapshot.
const DIFFERENT: u8 = 3;
/// Number of directories that are named.
const SHOWN: usize = 20;

/// Refuses a receipt that another option would write over.
pub(super) fn check_name(receipt: Option<&Path>, report: Option<&Path>) -> Result<(), CommandError> {
    let whole = |path: &Path| std::path::absolute(path).ok();
    match (receipt, report) {
        (Some(receipt), Some(report)) if whole(receipt) == whole(report) => {
            Err(CommandError::usage("--receipt names the same file as --report"))
        }
        _ => Ok(()),
    }
}

/// Writes the receipt of a restore that ends with `code`, where it has one; returns the code that the restore ends with
/// then.
pub(super) fn write(
    path: &Path,
    repository: &Repository,
    from: &Resolved,
    options: &RestoreOptions,
    report: &Report,
    code: u8,
) -> u8 {
    // A run that was stopped, or could not go on, may have left anything.
    if !matches!(code, 0 | DIFFERENT) {
        return code;
    }
    let program = concat!("rekopia ", env!("CARGO_PKG_VERSION"));
    let Some(receipt) = Receipt::of(program, repository, from, options, report) else {
        say("rekopia: there is no receipt: what was restored was not hashed");
        return exit::FAILURE;
    };
    match receipt.write(path) {
        Ok(()) => code,
        Err(e) => {
            say(&format!("rekopia: {}", exit::one_line(&e.into())));
            exit::FAILURE
        }
    }
}

/// Says what a receipt that was written is worth, for people.
pub(super) fn announce(global: &Global, path: &Path, report: &Report, code: u8) {
    if global.json || global.quiet || !matches!(code, 0 | DIFFERENT) {
        return;
    }
    if let Some(tree) = &report.tree {
        let others = match tree.others.len() {
            0 => String::new(),
            1 => ", without 1 other entry that stands there besides".into(),
            n => format!(", without {} that stand there besides", count(n as u64, "other entry")),
        };
        let path = text::printable(&path.to_string_lossy());
        say(&format!("Tree hash {}{others}; the receipt is {path}.", tree.hash));
    }
}

/// Runs `verify --receipt FILE --against DIR`.
pub(super) async fn check(global: &Global, path: &Path, target: &Path, cancel: &Cancel) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, true);
    let receipt = Receipt::read(path)?;
    let threads = global.threads.unwrap_or(0).into();
    let checked = receipt.check(target, threads, cancel, observer).await?;
    let code = if checked.is_equal { 0 } else { DIFFERENT };
    exit::code_after_output(code, print(global, &receipt, &checked, code))
}

fn print(global: &Global, receipt: &Receipt, checked: &ReceiptCheck, code: u8) -> std::io::Result<()> {
    if global.json {
        return give_last_line(document(receipt, checked, code));
    }
    end_status();
    if !global.quiet {
        lines(receipt, checked).iter().for_each(|line| say(line));
    }
    Ok(())
}

fn document(receipt: &Receipt, checked: &ReceiptCheck, code: u8) -> Value {
    let found = &checked.found;
    json!({
        "event": "receipt",
        "exitCode": code,
        "equal": checked.is_equal,
        "repository": receipt.repository,
        "snapshot": receipt.snapshot,
        "expected": {
            "treeHash": receipt.tree_hash,
            "files": receipt.files,
            "directories": receipt.directories,
            "symlinks": receipt.symlinks,
            "bytes": receipt.bytes,
        },
        "found": {
            "treeHash": found.hash,
            "files": found.files,
            "directories": found.directories,
            "symlinks": found.symlinks,
            "bytes": found.bytes,
        },
        "others": receipt.others.len(),
        "failed": receipt.failed,
        "differences": checked.differences,
    })
}

fn lines(receipt: &Receipt, checked: &ReceiptCheck) -> Vec<String> {
    let found = &checked.found;
    let mut lines = Vec::new();
    for one in checked.differences.iter().take(SHOWN) {
        let path = text::printable(if one.path.is_empty() { "." } else { &one.path });
        lines.push(match one.what {
            "missing" => format!("differs: {path}: missing, with all below it"),
            "extra" => format!("differs: {path}: extra, with all below it"),
            "below" => format!("differs: {path}: something below it"),
            _ => format!("differs: {path}: an entry in it"),
        });
    }
    if let Some(more) = checked.differences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        lines.push(format!("  … and {more} more"));
    }
    let amounts = |files, dirs, links, bytes| {
        let (files, dirs) = (count(files, "file"), count(dirs, "directory"));
        format!("{files}, {dirs} and {} ({})", count(links, "symbolic link"), text::size(bytes))
    };
    let there = amounts(found.files, found.directories, found.symlinks, found.bytes);
    if checked.is_equal {
        lines.push(format!("Equal to the receipt: {there}, tree hash {}.", found.hash));
    } else {
        let expected = amounts(receipt.files, receipt.directories, receipt.symlinks, receipt.bytes);
        lines.push(format!("The receipt is of {expected}, tree hash {}.", receipt.tree_hash));
        lines.push(format!("DIFFERENT: {there}, tree hash {}.", found.hash));
    }
    if receipt.failed > 0 {
        let lost = count(receipt.failed, "entry");
        lines.push(format!(
            "The restore itself was not complete: {lost} of the snapshot could not be restored."
        ));
    }
    if !receipt.others.is_empty() {
        let others = count(receipt.others.len() as u64, "other entry");
        lines.push(format!(
            "Not looked at: {others} that the restore did not bring (\"others\" in the receipt)."
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_file_are_refused() {
        let same = check_name(Some(Path::new("a/./b")), Some(Path::new("a/b")));
        assert!(same.unwrap_err().to_string().contains("the same file"));
        assert!(check_name(Some(Path::new("a")), Some(Path::new("b"))).is_ok());
        assert!(check_name(Some(Path::new("a")), None).is_ok());
    }
}
