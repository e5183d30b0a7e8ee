//! What is printed of a view, and the exit code of what was found.

use anyhow::Result;

use super::arguments::{Output, Status};
use super::exit;
use super::output::{is_terminal, missing_rights, width};
use crate::findings::{Diagnosis, Verdict};
use crate::observe::Scope;
use crate::render::{Columns, document, rows, summary};
use crate::view::View;

/// What is printed of a view.
pub(super) fn shown(view: &View, all: &[Diagnosis<'_>], scope: &Scope, status: &Status) -> Result<String> {
    if status.output == Some(Output::Json) {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&document(view, all))?));
    }
    let columns = Columns {
        namespace: *scope == Scope::All,
        wide: status.output == Some(Output::Wide),
        width: if is_terminal() { width() } else { 80 },
    };
    let mut text = format!("{}\n", summary(all));
    if !all.is_empty() {
        text.push_str(&format!("\n{}", rows(all, view.now, columns)));
    }
    let missing = missing_rights(view);
    if !missing.is_empty() {
        text.push_str(&format!("\n{missing}"));
    }
    Ok(text)
}

/// 0 fine, 1 broken, 3 still going on.
pub(super) fn code(all: &[Diagnosis<'_>], asked: bool) -> u8 {
    match all.iter().map(Diagnosis::verdict).max().filter(|_| asked) {
        Some(Verdict::Broken) => exit::BROKEN,
        Some(Verdict::GoesOn) => exit::GOING_ON,
        _ => exit::FINE,
    }
}
