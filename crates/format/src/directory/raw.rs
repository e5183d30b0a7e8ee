//! Reads directory entries as stored, and makes each an [`Entry`].

use serde::Deserialize;

use super::entry::{DirectorySummary, Entry, EntryError, EntryFailure, EntryKind};
use crate::entry_name::EntryName;
use crate::ids::ObjectId;
use crate::json::{Text, parse_first, repaired};
use crate::time::Time;

/// An element of `entries`, borrowing from the JSON. An absent field and `null` are the same (§0).
#[derive(Debug, Deserialize)]
pub(super) struct RawEntry<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    mode: Text<'a>,
    size: Option<u64>,
    #[serde(borrow)]
    mtime: Option<Text<'a>>,
    uid: Option<u32>,
    gid: Option<u32>,
    #[serde(borrow)]
    obj: Option<Text<'a>>,
    #[serde(borrow)]
    summ: Option<RawSummary<'a>>,
}

/// The totals: `summary` of a directory and `summ` of an entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawSummary<'a> {
    size: Option<i64>,
    files: Option<i64>,
    symlinks: Option<i64>,
    dirs: Option<i64>,
    #[serde(borrow)]
    max_time: Option<Text<'a>>,
    #[serde(borrow, default)]
    incomplete: Text<'a>,
    num_failed: Option<i64>,
    num_ignored_errors: Option<i64>,
    #[serde(borrow)]
    errors: Option<Vec<RawFailure<'a>>>,
}

#[derive(Debug, Deserialize)]
struct RawFailure<'a> {
    #[serde(borrow, default)]
    path: Text<'a>,
    #[serde(borrow, default)]
    error: Text<'a>,
}

/// The part of an element that does not parse which is worth telling.
#[derive(Deserialize)]
struct OnlyName<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}

/// Every field name, for the tolerant second attempt.
const NAMES: &[&str] = &[
    "name",
    "type",
    "mode",
    "size",
    "mtime",
    "uid",
    "gid",
    "obj",
    "summ",
    "files",
    "symlinks",
    "dirs",
    "maxTime",
    "incomplete",
    "numFailed",
    "numIgnoredErrors",
    "errors",
    "path",
    "error",
];

/// The places where Kopia's mode string keeps the bits that Unix has at 0o4000, 0o2000, 0o1000 (§7.3).
const MODE_BITS: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

impl RawEntry<'_> {
    /// Parses and converts an entry; one that fails or lacks its object is tried once more with repaired JSON.
    pub(super) fn parse_entry(json: &[u8]) -> Result<Entry, EntryError> {
        if let Ok(raw) = serde_json::from_slice::<RawEntry<'_>>(json)
            && raw.obj.is_some()
        {
            return raw.into_entry();
        }
        let json = repaired(json, NAMES);
        let raw = parse_first::<RawEntry<'_>>(&json).map_err(|error| EntryError {
            name: parse_first::<OnlyName<'_>>(&json).ok().map(|n| n.name.0.into_owned()),
            what: error.to_string(),
        })?;
        raw.into_entry()
    }

    fn into_entry(self) -> Result<Entry, EntryError> {
        self.convert().map_err(|what| EntryError { name: Some(self.name.0.into_owned()), what })
    }

    fn convert(&self) -> Result<Entry, String> {
        let kind = match self.kind.as_str() {
            "d" => EntryKind::Directory,
            "f" => EntryKind::File,
            "s" => EntryKind::Symlink,
            other => EntryKind::Unknown(other.into()),
        };
        let object = match self.obj.as_ref().map_or("", Text::as_str) {
            "" => None,
            text => Some(ObjectId::parse(text).map_err(|e| e.to_string())?),
        };
        Ok(Entry {
            name: EntryName::parse(self.name.as_str()),
            kind,
            mode: parse_mode(self.mode.as_str())
                .ok_or_else(|| format!("mode {:?} is not a number", self.mode.0))?,
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
            mtime: parse_time("mtime", self.mtime.as_ref())?,
            size: self.size.unwrap_or(0),
            object,
            summary: self.summ.as_ref().map(|s| s.convert().map(Box::new)).transpose()?,
        })
    }
}

impl RawSummary<'_> {
    /// Parses a summary; `null` is none.
    pub(super) fn parse(json: &[u8]) -> Result<Option<DirectorySummary>, String> {
        let convert = |raw: Option<RawSummary<'_>>| raw.map(|r| r.convert()).transpose();
        match serde_json::from_slice::<Option<RawSummary<'_>>>(json) {
            Ok(Some(raw)) if raw.max_time.is_none() => {}
            Ok(raw) => return convert(raw),
            Err(_) => {}
        }
        convert(parse_first(&repaired(json, NAMES)).map_err(|e| e.to_string())?)
    }

    fn convert(&self) -> Result<DirectorySummary, String> {
        // a total that overflowed when it was summed up says nothing, and nothing depends on it
        let count = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
        let failure =
            |f: &RawFailure<'_>| EntryFailure { path: f.path.0.to_string(), error: f.error.0.to_string() };
        Ok(DirectorySummary {
            size: count(self.size),
            files: count(self.files),
            symlinks: count(self.symlinks),
            dirs: count(self.dirs),
            max_time: parse_time("maxTime", self.max_time.as_ref())?,
            incomplete: Some(self.incomplete.0.to_string()).filter(|reason| !reason.is_empty()),
            num_failed: count(self.num_failed),
            num_ignored_errors: count(self.num_ignored_errors),
            errors: self.errors.iter().flatten().map(failure).collect(),
        })
    }
}

/// Reads a time; a missing one is 1970 (§7.2).
fn parse_time(field: &str, text: Option<&Text<'_>>) -> Result<Time, String> {
    let Some(text) = text else { return Ok(Time::default()) };
    Time::parse(text.as_str()).ok_or_else(|| format!("{field} {:?} is not an RFC 3339 time", text.0))
}

/// Reads Go's mode bits in Go's number syntax, as Unix bits; empty means 0 (§7.3).
fn parse_mode(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [] => return Some(0),
        [b'0'] => return Some(0),
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (text.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (text.get(2..)?, 2),
        [b'0', ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    let go = u32::from_str_radix(digits, radix).ok()?;
    Some(MODE_BITS.iter().filter(|(from, _)| go & from != 0).fold(go & 0o777, |unix, (_, to)| unix | to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_36_mode_is_octal_text_with_gos_bits() {
        let vectors = [
            ("0644", 0o644),
            ("", 0),
            ("040000755", 0o4755),
            ("020000755", 0o2755),
            ("04000777", 0o1777),
            ("064000777", 0o7777),
            ("0", 0),
            ("420", 0o644),
            ("0x1a4", 0o644),
            ("020000000644", 0o644),
        ];
        for (text, unix) in vectors {
            assert_eq!(parse_mode(text), Some(unix), "{text}");
        }
        for bad in ["rwx", "08", "0x", "-1", "+0644", "0+644", "99999999999", " 0644"] {
            assert_eq!(parse_mode(bad), None, "{bad}");
        }
    }
}
