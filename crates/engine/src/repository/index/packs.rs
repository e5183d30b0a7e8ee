//! Numbers the packs that entries name, and knows how long the storage says that they are.

use std::collections::HashMap;

use rekopia_format::BlobId;

use super::limit::IndexError;
use super::location::PackIdx;

/// Packs by number.
#[derive(Debug, Default)]
pub(super) struct Packs {
    names: Vec<BlobId>,
    numbers: HashMap<BlobId, u32>,
    /// Packs as the storage lists them; `None`: nobody has looked, and all packs are taken to be there.
    listed: Option<HashMap<BlobId, u64>>,
    /// Bytes of each pack; `u64::MAX` when nobody has looked.
    lens: Vec<u64>,
    /// Whether an index blob names the pack.
    indexed: Vec<bool>,
}

impl Packs {
    /// Takes note of which packs there are, and how long.
    pub(super) fn know(&mut self, listed: HashMap<BlobId, u64>) {
        self.listed = Some(listed);
    }

    /// Returns the number of a pack that an entry names.
    pub(super) fn number(&mut self, name: &str) -> Result<u32, IndexError> {
        let id = BlobId::parse(name)?;
        match self.numbers.get(&id) {
            Some(&number) => Ok(number),
            None => {
                let number = self.add(id.clone(), self.listed_len(&id))?;
                self.numbers.insert(id, number);
                Ok(number)
            }
        }
    }

    /// Returns the number of a blob with the bytes of another pack: what other entries say of its name is not in it.
    pub(super) fn misnamed(&mut self, id: &BlobId) -> Result<u32, IndexError> {
        let len = self.listed_len(id);
        if let Some(listed) = &mut self.listed {
            listed.insert(id.clone(), 0);
        }
        if let Some(len) = self.numbers.get(id).and_then(|number| self.lens.get_mut(*number as usize)) {
            *len = 0;
        }
        self.add(id.clone(), len)
    }

    /// Returns the number of a pack that an index blob names.
    pub(super) fn indexed_number(&mut self, name: &str) -> Result<u32, IndexError> {
        let number = self.number(name)?;
        if let Some(indexed) = self.indexed.get_mut(number as usize) {
            *indexed = true;
        }
        Ok(number)
    }

    pub(super) fn name(&self, pack: PackIdx) -> &BlobId {
        &self.names[pack.0 as usize]
    }

    /// Returns the bytes of a pack.
    pub(super) fn len_of(&self, pack: PackIdx) -> u64 {
        self.lens[pack.0 as usize]
    }

    /// Returns the names by number, and whether an index blob names them.
    pub(super) fn into_parts(self) -> (Vec<BlobId>, Vec<bool>) {
        (self.names, self.indexed)
    }

    fn listed_len(&self, id: &BlobId) -> u64 {
        self.listed.as_ref().map_or(u64::MAX, |listed| listed.get(id).copied().unwrap_or(0))
    }

    fn add(&mut self, id: BlobId, len: u64) -> Result<u32, IndexError> {
        let number = u32::try_from(self.names.len()).ok().filter(|n| *n < 1 << 24);
        let number = number.ok_or(IndexError::TooMany("16 million packs"))?;
        self.names.push(id);
        self.lens.push(len);
        self.indexed.push(false);
        Ok(number)
    }
}
