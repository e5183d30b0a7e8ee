//! Reads the table of exit codes, as people read it: what tests expect comes from there.

use std::collections::BTreeMap;

const TABLE: &str = include_str!("../../../docs/exit-codes.md");

/// A row of the table.
pub struct Row {
    /// The status of the process.
    pub code: u8,
    /// Names of `ErrorKind`, as they are serialized; none for success and signals.
    pub kinds: Vec<&'static str>,
    /// The meaning of the code.
    pub meaning: &'static str,
    /// The advice: what a person can do.
    pub remedy: &'static str,
}

/// Returns all rows, in order.
pub fn rows() -> Vec<Row> {
    let cells = |line: &'static str| -> Vec<&'static str> { line.split('|').map(str::trim).collect() };
    let row = |line| match cells(line).as_slice() {
        ["", code, kinds, meaning, remedy, ""] => Some(Row {
            code: code.parse().ok()?,
            kinds: kinds.split(", ").filter(|kind| !kind.is_empty()).collect(),
            meaning,
            remedy,
        }),
        _ => None,
    };
    TABLE.lines().filter_map(row).collect()
}

/// Returns the code of a kind of error. Panics where the table has none.
pub fn code_of(kind: &str) -> i32 {
    let by_kind: BTreeMap<&str, u8> =
        rows().iter().flat_map(|row| row.kinds.iter().map(|kind| (*kind, row.code))).collect();
    i32::from(*by_kind.get(kind).unwrap_or_else(|| panic!("no exit code for {kind}")))
}
