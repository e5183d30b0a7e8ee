//! Decides what is printed of a view, and the exit code of what was found.

use anyhow::Result;

use super::arguments::{Output, Status};
use super::exit;
use super::output::{missing_rights, width};
use crate::findings::{Diagnosis, Verdict, is_blind};
use crate::observe::Scope;
use crate::render::{Columns, document, rows, summary, wrap};
use crate::view::View;

/// Returns what is printed of a view.
pub(super) fn shown(view: &View, all: &[Diagnosis<'_>], scope: &Scope, status: &Status) -> Result<String> {
    if status.output == Some(Output::Json) {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&document(view, all))?));
    }
    let columns = Columns {
        namespace: *scope == Scope::All,
        wide: status.output == Some(Output::Wide),
        width: width(),
    };
    let mut text = wrap(&summary(view, all), 0, columns.width);
    if !all.is_empty() {
        text.push_str(&format!("\n{}", rows(all, view.now, columns)));
    }
    let missing = missing_rights(view, columns.width);
    if !missing.is_empty() {
        text.push_str(&format!("\n{missing}"));
    }
    Ok(text)
}

/// Returns the exit code: 0 fine, 1 broken, 3 still going on, or so little could be seen that nothing can be said.
pub(super) fn code(view: &View, all: &[Diagnosis<'_>], asked: bool) -> u8 {
    if !asked {
        return exit::FINE;
    }
    match all.iter().map(Diagnosis::verdict).max() {
        Some(Verdict::Broken) => exit::BROKEN,
        Some(Verdict::GoesOn) => exit::GOING_ON,
        _ if is_blind(view, all) => exit::GOING_ON,
        _ => exit::FINE,
    }
}
