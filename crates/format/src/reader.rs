//! Reads through a bounds-checked cursor: the only place that slices foreign bytes.

/// The error of bytes that end before the value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("data ends early: {wanted} bytes wanted at offset {offset}, {available} there")]
pub struct EndOfData {
    /// The place where reading started, in bytes from the start of the data.
    pub offset: usize,
    /// The number of bytes that were asked for.
    pub wanted: usize,
    /// The number of bytes that were left.
    pub available: usize,
}

/// A cursor that reads big-endian integers and byte runs from the front of a slice (§0).
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    data: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Makes a cursor at the start of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Cursor { data, offset: 0 }
    }

    /// Returns the number of bytes consumed so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the bytes not yet consumed.
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.offset..).unwrap_or_default()
    }

    /// Reads the next `n` bytes.
    ///
    /// # Errors
    /// [`EndOfData`] when fewer are left.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], EndOfData> {
        let end = EndOfData { offset: self.offset, wanted: n, available: self.rest().len() };
        let taken = self.rest().get(..n).ok_or(end)?;
        self.offset = self.offset.saturating_add(n);
        Ok(taken)
    }

    /// Reads the next `N` bytes as an array.
    ///
    /// # Errors
    /// [`EndOfData`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], EndOfData> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    /// Reads an unsigned byte.
    pub fn u8(&mut self) -> Result<u8, EndOfData> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Reads a big-endian 16-bit integer.
    pub fn u16(&mut self) -> Result<u16, EndOfData> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Reads a big-endian 24-bit integer.
    pub fn u24(&mut self) -> Result<u32, EndOfData> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// Reads a big-endian 32-bit integer.
    pub fn u32(&mut self) -> Result<u32, EndOfData> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Reads a big-endian 48-bit integer.
    pub fn u48(&mut self) -> Result<u64, EndOfData> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Reads an unsigned LEB128 varint of at most 64 bits; `None` when it does not end or does not fit.
    pub fn uvarint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8().ok()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits.checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_integers_big_endian() {
        let mut c = Cursor::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(c.u8(), Ok(1));
        assert_eq!(c.u16(), Ok(0x0203));
        assert_eq!(c.u24(), Ok(0x04_0506));
        assert_eq!(c.u32(), Ok(0x0708_090a));
        assert_eq!(c.u48(), Ok(0x0b0c_0d0e_0f10));
        assert_eq!(c.u8(), Err(EndOfData { offset: 16, wanted: 1, available: 0 }));
    }

    #[test]
    fn varints_are_bounded() {
        assert_eq!(Cursor::new(&[0x80, 0x40]).uvarint(), Some(8192));
        assert_eq!(Cursor::new(&[0xff; 9]).uvarint(), None);
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).uvarint(), None);
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Cursor::new(&max).uvarint(), Some(u64::MAX));
    }
}
