//! Calculates how many shards of which size there are: from the overhead, and from the length of an item.

/// The parameters of an overhead percentage (appendix B of the format document).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) big_shard: usize,
    pub(super) data: usize,
    pub(super) parity: usize,
}

/// The way in which an item is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) data: usize,
    pub(super) parity: usize,
    /// Bytes of a shard without its checksum.
    pub(super) shard: usize,
    pub(super) blocks: usize,
}

pub(super) const SMALL_DATA: usize = 6;
pub(super) const SMALL_PARITY: usize = 2;
const CRC: usize = 4;

impl Geometry {
    /// The 32-bit floats are part of the format: they decide the rounding.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "small numbers, and the rounding is the definition"
    )]
    pub(super) fn of(percent: u32) -> Option<Self> {
        if !(1..=100).contains(&percent) {
            return None;
        }
        let big_shard: usize = match percent {
            1 => 1024,
            2 => 512,
            3 => 256,
            4..=6 => 128,
            _ => 64,
        };
        let mut free = percent as f32 - 400f32 / big_shard as f32;
        if free < 0.01 {
            free = 0.01;
        }
        let mut data = 128;
        let mut parity = (f64::from(free / 100f32) * 128f64).floor().clamp(1.0, 128.0) as usize;
        if parity == 1 {
            parity = 2;
            data = (2f64 * f64::from(100f32 / free)).floor().clamp(128.0, 254.0) as usize;
        }
        Some(Geometry { big_shard, data, parity })
    }

    fn shards(self) -> usize {
        self.data.saturating_add(self.parity)
    }

    /// Returns the bytes up to which an input (with its length) is cut into six.
    pub(super) fn small_input(self) -> usize {
        self.shards().saturating_mul(8)
    }

    /// Returns the bytes up to which a stored item is cut into six.
    pub(super) fn small_stored(self) -> usize {
        self.small_input().div_ceil(SMALL_DATA).saturating_add(CRC).saturating_mul(8)
    }

    /// Returns the bytes up to which a stored item is one block.
    pub(super) fn block_stored(self) -> usize {
        self.shards().saturating_mul(self.big_shard.saturating_add(CRC))
    }

    /// Returns the layout of an item of which `m` bytes are stored; `None` when nothing is.
    pub(super) fn of_stored(self, m: usize) -> Option<Layout> {
        let (data, parity) = (self.data, self.parity);
        let shard_of = |shards: usize| m.div_ceil(shards.max(1)).max(5).saturating_sub(CRC);
        if m == 0 {
            None
        } else if m <= self.small_stored() {
            let shard = shard_of(SMALL_DATA.saturating_add(SMALL_PARITY));
            Some(Layout { data: SMALL_DATA, parity: SMALL_PARITY, shard, blocks: 1 })
        } else if m <= self.block_stored() {
            Some(Layout { data, parity, shard: shard_of(self.shards()), blocks: 1 })
        } else {
            let blocks = m.div_ceil(self.block_stored().max(1));
            Some(Layout { data, parity, shard: self.big_shard, blocks })
        }
    }
}

impl Layout {
    /// Returns the bytes of a shard with its checksum.
    pub(super) fn stored_shard(&self) -> usize {
        self.shard.saturating_add(CRC)
    }

    /// Whether this is the layout of small items, whatever the overhead.
    pub(super) fn is_small(&self) -> bool {
        self.data == SMALL_DATA
    }

    /// Returns the bytes of the parity of all blocks.
    pub(super) fn parity_len(&self) -> Option<usize> {
        self.stored_shard().checked_mul(self.parity)?.checked_mul(self.blocks)
    }
}
