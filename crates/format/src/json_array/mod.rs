//! Cuts the elements out of one array member of a JSON object that arrives in pieces.
//!
//! Directories, seek tables and manifests share one shape, and none of them has an upper size:
//!
//! ```text
//! { "stream": "…",  "entries": [ element, element, … ],  "summary": { … } }
//!   └─ member ─┘               └ cut out one by one ┘   └──── member ────┘
//! ```
//!
//! The scanner only finds where values begin and end; `serde_json` judges what is inside. A value that lies in
//! one piece is handed on where it is; only one that straddles two pieces is copied.

mod value;

use value::{MAX_DEPTH, TooDeep, Value};

/// Bytes of one element or other member at most.
const MAX_VALUE: usize = 1 << 20;
/// Bytes of a member's name at most.
const MAX_NAME: usize = 1 << 10;
/// The reason why the bytes are not an object with one array in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A byte cannot stand where it stands.
    #[error("JSON expected {expected}, found byte {found:#04x} at offset {offset}")]
    Syntax {
        /// The characters that could have stood there.
        expected: &'static str,
        /// The byte that stands there.
        found: u8,
        /// The place, in bytes from the start of the document.
        offset: u64,
    },
    /// The document ends inside the object.
    #[error("JSON ends inside its object, after {offset} bytes")]
    Unfinished {
        /// The length of what there was, in bytes.
        offset: u64,
    },
    /// A value or a name is longer than any that Kopia writes.
    #[error("JSON {what} of more than {limit} bytes ends at or after offset {offset}")]
    TooLong {
        /// The part that is too long.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
        /// The place, in bytes from the start of the document.
        offset: u64,
    },
    /// A value is nested deeper than any that Kopia writes.
    #[error("JSON is nested more than {MAX_DEPTH} levels deep at offset {offset}")]
    TooDeep {
        /// The place, in bytes from the start of the document.
        offset: u64,
    },
    /// The array member occurs twice.
    #[error("JSON holds its array twice, again at offset {offset}")]
    TwoArrays {
        /// The place, in bytes from the start of the document.
        offset: u64,
    },
}

/// A piece that the scanner hands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// An element of the array, as JSON.
    Element(&'a [u8]),
    /// Another member of the object. The array comes here too when it is no array (`null`).
    Member(&'a str, &'a [u8]),
}

/// A scanner: push the bytes in any pieces, then `finish`.
#[derive(Debug)]
pub(crate) struct ArrayScanner {
    array_name: &'static str,
    state: State,
    seen_array: bool,
    /// Name of the member being read; while it is read, its raw JSON.
    name: Vec<u8>,
    escaped: bool,
    /// The first part of a value that began in an earlier piece.
    carry: Vec<u8>,
    value: Value,
    /// Bytes of all earlier pieces.
    consumed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// After `{`: a name or `}`.
    FirstName,
    /// After a comma: a name.
    NextName,
    InName,
    Colon,
    MemberStart,
    InMember,
    /// After a member: a comma or `}`.
    AfterMember,
    /// After `[`: an element or `]`.
    FirstElement,
    /// After a comma: an element.
    NextElement,
    InElement,
    /// After an element: a comma or `]`.
    AfterElement,
    /// After the object: everything is ignored (§0).
    Done,
}

impl ArrayScanner {
    /// Makes a scanner that cuts up the member `array_name`, which is matched without regard to case.
    pub(crate) fn new(array_name: &'static str) -> Self {
        ArrayScanner {
            array_name,
            state: State::Start,
            seen_array: false,
            name: Vec::new(),
            escaped: false,
            carry: Vec::new(),
            value: Value::default(),
            consumed: 0,
        }
    }

    /// Takes the next bytes of the document and hands on every value that ends in them.
    pub(crate) fn push<E: From<Error>>(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = 0usize;
        while let Some(&byte) = chunk.get(at) {
            let white = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            match self.state {
                State::Done => break,
                State::InName => self.name_byte(byte, at)?,
                State::InMember | State::InElement => {
                    at = self.continue_value(chunk, at, &mut sink)?;
                    continue;
                }
                _ if white => {}
                State::MemberStart
                    if byte == b'[' && self.name.eq_ignore_ascii_case(self.array_name.as_bytes()) =>
                {
                    if std::mem::replace(&mut self.seen_array, true) {
                        return Err(Error::TwoArrays { offset: self.offset(at) }.into());
                    }
                    self.state = State::FirstElement;
                }
                State::FirstElement if byte == b']' => self.state = State::AfterMember,
                State::MemberStart | State::FirstElement | State::NextElement => {
                    if matches!(byte, b',' | b':' | b']' | b'}') {
                        return Err(self.unexpected("a value", byte, at).into());
                    }
                    self.value = Value::default();
                    self.state =
                        if self.state == State::MemberStart { State::InMember } else { State::InElement };
                    continue;
                }
                _ => self.punctuation(byte, at)?,
            }
            at = at.saturating_add(1);
        }
        self.consumed = self.offset(chunk.len());
        Ok(())
    }

    /// Checks that the object has ended.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.state == State::Done { Ok(()) } else { Err(Error::Unfinished { offset: self.consumed }) }
    }

    fn punctuation(&mut self, byte: u8, at: usize) -> Result<(), Error> {
        let (next, expected) = match (self.state, byte) {
            (State::Start, b'{') => (Some(State::FirstName), ""),
            (State::Start, _) => (None, "an object"),
            (State::FirstName | State::NextName, b'"') => {
                self.name.clear();
                self.escaped = false;
                (Some(State::InName), "")
            }
            (State::FirstName | State::AfterMember, b'}') => (Some(State::Done), ""),
            (State::Colon, b':') => (Some(State::MemberStart), ""),
            (State::AfterMember, b',') => (Some(State::NextName), ""),
            (State::AfterElement, b',') => (Some(State::NextElement), ""),
            (State::AfterElement, b']') => (Some(State::AfterMember), ""),
            (State::Colon, _) => (None, "a colon"),
            (State::AfterMember, _) => (None, "a comma or the end of the object"),
            (State::AfterElement, _) => (None, "a comma or the end of the array"),
            _ => (None, "a name"),
        };
        self.state = next.ok_or_else(|| self.unexpected(expected, byte, at))?;
        Ok(())
    }

    fn name_byte(&mut self, byte: u8, at: usize) -> Result<(), Error> {
        if byte == b'"' && !self.escaped {
            if self.name.contains(&b'\\') {
                let quoted = [b"\"", self.name.as_slice(), b"\""].concat();
                if let Ok(name) = serde_json::from_slice::<String>(&quoted) {
                    self.name = name.into_bytes();
                }
            }
            self.state = State::Colon;
            return Ok(());
        }
        self.escaped = byte == b'\\' && !self.escaped;
        if self.name.len() >= MAX_NAME {
            return Err(Error::TooLong { what: "name", limit: MAX_NAME, offset: self.offset(at) });
        }
        self.name.push(byte);
        Ok(())
    }

    /// Goes on with the value that lies at `at`; returns where the chunk goes on after it.
    fn continue_value<E: From<Error>>(
        &mut self,
        chunk: &[u8],
        at: usize,
        sink: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let rest = chunk.get(at..).unwrap_or_default();
        let end = self.value.scan(rest).map_err(|TooDeep| Error::TooDeep { offset: self.offset(at) })?;
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
        if part.len().saturating_add(self.carry.len()) > MAX_VALUE {
            return Err(Error::TooLong { what: "value", limit: MAX_VALUE, offset: self.offset(at) }.into());
        }
        let next = at.saturating_add(part.len());
        if end.is_none() {
            self.carry.extend_from_slice(part);
            return Ok(next);
        }
        let mut carry = std::mem::take(&mut self.carry);
        let whole = if carry.is_empty() {
            part
        } else {
            carry.extend_from_slice(part);
            &carry
        };
        if self.state == State::InElement {
            self.state = State::AfterElement;
            sink(Piece::Element(whole))?;
        } else {
            self.state = State::AfterMember;
            sink(Piece::Member(&String::from_utf8_lossy(&self.name), whole))?;
        }
        carry.clear();
        self.carry = carry;
        Ok(next)
    }

    fn unexpected(&self, expected: &'static str, found: u8, at: usize) -> Error {
        Error::Syntax { expected, found, offset: self.offset(at) }
    }

    fn offset(&self, at: usize) -> u64 {
        self.consumed.saturating_add(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
