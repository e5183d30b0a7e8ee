//! Parses seek tables, the parts of indirect objects, while the table arrives (§5.2).

use serde::Deserialize;

use crate::ids::ObjectId;
use crate::json::{Text, parse_first, repaired};
use crate::json_array::{self, ArrayScanner, Piece};

/// A part of an indirect object. Parts come in order, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndirectEntry {
    /// The start of the part in the whole object, in bytes.
    pub start: u64,
    /// The length of the part, in bytes; 0 is legal.
    pub len: u64,
    /// The object of the part, of any form.
    pub object: ObjectId,
}

/// The reason why the object is not a seek table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The object is not the JSON that it should be.
    #[error(transparent)]
    Json(#[from] json_array::Error),
    /// The object says that it is something else.
    #[error("stream is {found}, not \"kopia:indirect\"")]
    Stream {
        /// The `stream` that was found, as JSON; empty when there is none.
        found: String,
    },
    /// An entry does not parse.
    #[error("seek table entry at {expected_start}: {what}")]
    Entry {
        /// The place where the entry should have started, in bytes.
        expected_start: u64,
        /// The reason: what was expected and found.
        what: String,
    },
    /// The parts leave a gap, overlap, or go beyond 2⁶³ bytes.
    #[error("seek table entry starts at {found} with {len} bytes, expected start {expected}")]
    NotContiguous {
        /// The sum of the lengths so far, in bytes.
        expected: u64,
        /// The start of the entry, in bytes.
        found: u64,
        /// The length of the entry, in bytes.
        len: u64,
    },
}

/// Parses a seek table whose bytes arrive in pieces; memory does not grow with the table.
#[derive(Debug)]
pub struct SeekTableScanner {
    array: ArrayScanner,
    seen_stream: bool,
    total: u64,
}

#[derive(Deserialize)]
struct RawIndirect<'a> {
    s: Option<i64>,
    l: Option<i64>,
    #[serde(borrow)]
    o: Option<Text<'a>>,
}

impl Default for SeekTableScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl SeekTableScanner {
    /// Makes a scanner at the start of a table.
    pub fn new() -> Self {
        SeekTableScanner { array: ArrayScanner::new("entries"), seen_stream: false, total: 0 }
    }

    /// Takes the next bytes and hands every entry that ends in them to `each`, empty parts too.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Stream`], [`Error::Entry`], [`Error::NotContiguous`].
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(IndirectEntry)) -> Result<(), Error> {
        let (seen_stream, total) = (&mut self.seen_stream, &mut self.total);
        self.array.push(chunk, |piece| {
            match piece {
                Piece::Element(json) => {
                    let entry =
                        parse_entry(json).map_err(|what| Error::Entry { expected_start: *total, what })?;
                    let end = entry.start.checked_add(entry.len).filter(|end| i64::try_from(*end).is_ok());
                    *total = end.filter(|_| entry.start == *total).ok_or(Error::NotContiguous {
                        expected: *total,
                        found: entry.start,
                        len: entry.len,
                    })?;
                    each(entry);
                }
                Piece::Member(name, json) if name.eq_ignore_ascii_case("stream") => {
                    if serde_json::from_slice::<String>(json).ok().as_deref() != Some("kopia:indirect") {
                        return Err(Error::Stream { found: crate::directory::json_excerpt(json) });
                    }
                    *seen_stream = true;
                }
                Piece::Member(name, json) if name.eq_ignore_ascii_case("entries") && json != b"null" => {
                    return Err(Error::Entry { expected_start: 0, what: "entries is not a list".to_owned() });
                }
                Piece::Member(..) => {}
            }
            Ok(())
        })
    }

    /// Ends the scan: the table must have ended and have been one; returns the length of the whole object in bytes.
    ///
    /// # Errors
    /// [`Error::Json`] when the table has not ended, [`Error::Stream`] when it was none.
    pub fn finish(self) -> Result<u64, Error> {
        self.array.finish()?;
        if self.seen_stream { Ok(self.total) } else { Err(Error::Stream { found: String::new() }) }
    }
}

fn parse_entry(json: &[u8]) -> Result<IndirectEntry, String> {
    match serde_json::from_slice::<RawIndirect<'_>>(json) {
        Ok(RawIndirect { s, l, o: Some(o) }) => convert(s, l, o.as_str()),
        _ => {
            let json = repaired(json, &["s", "l", "o"]);
            let raw: RawIndirect<'_> = parse_first(&json).map_err(|e| e.to_string())?;
            convert(raw.s, raw.l, raw.o.as_ref().map_or("", Text::as_str))
        }
    }
}

fn convert(start: Option<i64>, len: Option<i64>, object: &str) -> Result<IndirectEntry, String> {
    let positive =
        |n: Option<i64>| u64::try_from(n.unwrap_or(0)).map_err(|_| "negative start or length".to_owned());
    Ok(IndirectEntry {
        start: positive(start)?,
        len: positive(len)?,
        object: ObjectId::parse(object).map_err(|e| e.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"{"stream":"kopia:indirect","entries":[
      {"l":1698099,"o":"13ea27f9ad891ad4a2edfa983906863d"},
      {"s":1698099,"l":1302081,"o":"e8ca8327cd3af5f4edbd5ed1009c525e"}]}
"#;

    fn scan(json: &str, step: usize) -> Result<(Vec<IndirectEntry>, u64), Error> {
        let (mut scanner, mut out) = (SeekTableScanner::new(), Vec::new());
        for chunk in json.as_bytes().chunks(step) {
            scanner.push(chunk, |e| out.push(e))?;
        }
        Ok((out, scanner.finish()?))
    }

    fn table(entries: &str) -> Result<(Vec<IndirectEntry>, u64), Error> {
        scan(&format!(r#"{{"stream":"kopia:indirect","entries":[{entries}]}}"#), 1 << 20)
    }

    #[test]
    fn table_of_the_format_document_however_cut() {
        for step in [1, 3, 50, 1000] {
            let (parts, total) = scan(TABLE, step).unwrap();
            assert_eq!(total, 3_000_180);
            assert_eq!(parts[0].object.to_string(), "13ea27f9ad891ad4a2edfa983906863d");
            assert_eq!((parts[0].start, parts[0].len, parts[1].start), (0, 1_698_099, 1_698_099));
        }
    }

    #[test]
    fn trap_31_empty_parts_missing_numbers_and_nested_forms() {
        let (parts, total) = table(r#"{"o":"00"},{"l":5,"o":"IIx00"},{"s":5,"o":"Z00"},{"s":5,"l":1,"o":"g00"},{"s":6,"l":0,"o":"01"}"#).unwrap();
        assert_eq!(
            parts.iter().map(|p| (p.start, p.len)).collect::<Vec<_>>(),
            [(0, 0), (0, 5), (5, 0), (5, 1), (6, 0)]
        );
        assert_eq!((parts[1].object.indirection(), total), (2, 6));
        assert_eq!(scan(r#"{"stream":"kopia:indirect","entries":null}"#, 9).unwrap(), (vec![], 0));
        assert_eq!(table(r#"{"S":0,"L":3,"O":"00"}"#).unwrap().1, 3);
    }

    #[test]
    fn gaps_overlaps_and_overflow_are_refused() {
        for bad in [
            r#"{"s":1,"l":1,"o":"00"}"#,
            r#"{"l":5,"o":"00"},{"s":4,"l":1,"o":"00"}"#,
            r#"{"l":5,"o":"00"},{"s":6,"l":1,"o":"00"}"#,
            r#"{"l":9223372036854775807,"o":"00"},{"s":9223372036854775807,"l":1,"o":"00"}"#,
        ] {
            assert!(matches!(table(bad), Err(Error::NotContiguous { .. })), "{bad}");
        }
        for bad in [
            r#"{"l":-1,"o":"00"}"#,
            r#"{"l":1}"#,
            r#"{"l":1,"o":""}"#,
            r#"{"l":1,"o":"I"}"#,
            "1",
            r#"{"l":1e3,"o":"00"}"#,
        ] {
            assert!(matches!(table(bad), Err(Error::Entry { .. })), "{bad}");
        }
    }

    #[test]
    fn stream_must_be_a_seek_table() {
        for bad in [r#"{"stream":"kopia:directory","entries":[]}"#, r#"{"entries":[]}"#] {
            assert!(matches!(scan(bad, 4), Err(Error::Stream { .. })));
        }
        assert!(matches!(scan(r#"{"stream":"kopia:indirect","entries":7}"#, 4), Err(Error::Entry { .. })));
        assert!(matches!(scan(r#"{"stream":"kopia:indirect","entries":["#, 4), Err(Error::Json(_))));
    }
}
