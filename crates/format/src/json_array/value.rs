//! Finds where a JSON value ends.

/// Levels of arrays and objects inside a value at most.
pub(super) const MAX_DEPTH: u32 = 64;

/// The state of a single value that is being read.
#[derive(Debug, Default)]
pub(super) struct Value {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// A number, `true`, `false` or `null`: it ends where something else begins.
    bare: bool,
}

pub(super) struct TooDeep;

impl Value {
    /// Returns the length of the rest of the value when it ends in `bytes`.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, TooDeep> {
        let mut iter = bytes.iter().enumerate();
        while let Some((i, &byte)) = iter.next() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    continue;
                }
                // strings are most of the bytes: skip their plain parts in a tight loop
                let mut special = Some((i, byte));
                if byte != b'"' && byte != b'\\' {
                    special = iter.by_ref().find(|(_, b)| matches!(b, b'"' | b'\\')).map(|(i, b)| (i, *b));
                }
                match special {
                    Some((_, b'\\')) => self.escaped = true,
                    Some((i, _)) => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Ok(Some(i.saturating_add(1)));
                        }
                    }
                    None => return Ok(None),
                }
                continue;
            }
            match byte {
                b',' | b':' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t' if self.bare => return Ok(Some(i)),
                _ if self.bare => {}
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    if self.depth > MAX_DEPTH {
                        return Err(TooDeep);
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Ok(Some(i.saturating_add(1)));
                    }
                }
                _ if self.depth == 0 => self.bare = true,
                _ => {}
            }
        }
        Ok(None)
    }
}
