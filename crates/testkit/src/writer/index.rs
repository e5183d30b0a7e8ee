//! Index files of both layouts (§4.2, §4.3).

use std::collections::BTreeMap;

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Prefix byte and hash.
    pub key: Vec<u8>,
    /// Unix seconds.
    pub timestamp: u32,
    /// A deletion that still says where the content is.
    pub deleted: bool,
    /// Name of the pack.
    pub pack: String,
    /// Offset in the pack.
    pub offset: u32,
    /// Stored bytes.
    pub packed_len: u32,
    /// Plaintext bytes.
    pub original_len: u32,
    /// Header ID, 0 for none.
    pub compression: u32,
    /// Version of the repository.
    pub format_version: u8,
}

/// Encodes entries in layout 1 or 2; they are sorted first.
pub fn encode(layout: u8, mut entries: Vec<IndexEntry>) -> Vec<u8> {
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    if layout == 1 { v1(&entries) } else { v2(&entries) }
}

fn v1(entries: &[IndexEntry]) -> Vec<u8> {
    let key_len = entries.first().map_or(255, |e| e.key.len());
    let mut out = vec![1, key_len as u8, 0, 20];
    out.extend((entries.len() as u32).to_be_bytes());
    let extra = 8 + entries.len() * (key_len + 20);
    let (mut names, mut offsets) = (Vec::new(), BTreeMap::new());
    for entry in entries {
        let name_at = *offsets.entry(entry.pack.clone()).or_insert_with(|| {
            let at = extra + names.len();
            names.extend_from_slice(entry.pack.as_bytes());
            at as u32
        });
        out.extend_from_slice(&entry.key);
        out.extend_from_slice(&u64::from(entry.timestamp).to_be_bytes()[2..]);
        out.extend([entry.format_version, entry.pack.len() as u8]);
        out.extend(name_at.to_be_bytes());
        out.extend((entry.offset | u32::from(entry.deleted) << 31).to_be_bytes());
        out.extend(entry.packed_len.to_be_bytes());
    }
    out.extend(names);
    out
}

fn v2(entries: &[IndexEntry]) -> Vec<u8> {
    let key_len = entries.first().map_or(17, |e| e.key.len());
    let (mut packs, mut pack_numbers) = (Vec::new(), BTreeMap::new());
    let (mut formats, mut format_numbers) = (Vec::new(), BTreeMap::new());
    for entry in entries {
        pack_numbers.entry(entry.pack.clone()).or_insert_with(|| {
            packs.push(entry.pack.clone());
            packs.len() as u32 - 1
        });
        let format = (entry.compression, entry.format_version);
        format_numbers.entry(format).or_insert_with(|| {
            formats.push(format);
            formats.len() as u8 - 1
        });
    }
    let long = entries.iter().any(|e| e.original_len >> 24 != 0 || e.packed_len >> 24 != 0);
    let entry_len = match (long, packs.len() > 65_536, formats.len() > 1) {
        (true, ..) => 19,
        (_, true, _) => 18,
        (_, _, true) => 17,
        _ => 16,
    };
    let mut out = vec![2, key_len as u8, 0, entry_len as u8];
    out.extend((entries.len() as u32).to_be_bytes());
    out.extend((packs.len() as u32).to_be_bytes());
    out.push(formats.len() as u8);
    out.extend([0; 4]);
    for entry in entries {
        let pack = pack_numbers[&entry.pack];
        let mut fields = Vec::with_capacity(19);
        fields.extend(entry.timestamp.to_be_bytes());
        fields.extend((entry.offset | u32::from(entry.deleted) << 31).to_be_bytes());
        fields.extend_from_slice(&entry.original_len.to_be_bytes()[1..]);
        fields.extend_from_slice(&entry.packed_len.to_be_bytes()[1..]);
        fields.extend((pack as u16).to_be_bytes());
        fields.push(format_numbers[&(entry.compression, entry.format_version)]);
        fields.push((pack >> 16) as u8);
        fields.push(((entry.original_len >> 24) as u8) << 4 | (entry.packed_len >> 24) as u8);
        out.extend_from_slice(&entry.key);
        out.extend_from_slice(&fields[..entry_len]);
    }
    let mut name_at = out.len() + packs.len() * 5 + formats.len() * 6;
    for pack in &packs {
        out.push(pack.len() as u8);
        out.extend((name_at as u32).to_be_bytes());
        name_at += pack.len();
    }
    for (compression, version) in formats {
        out.extend(compression.to_be_bytes());
        out.extend([version, 0]);
    }
    packs.iter().for_each(|p| out.extend_from_slice(p.as_bytes()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three entries of §10.5.
    #[test]
    fn vectors_of_both_layouts() {
        let (p, q) = (
            "p0123456789abcdef0123456789abcdef-s0011223344556677123",
            "qfedcba9876543210fedcba9876543210-s0011223344556677123",
        );
        let entry =
            |key: &str, time, deleted, pack: &str, offset, packed, original, compression| IndexEntry {
                key: hex::decode(key).unwrap(),
                timestamp: time,
                deleted,
                pack: pack.into(),
                offset,
                packed_len: packed,
                original_len: original,
                compression,
                format_version: 3,
            };
        let entries = vec![
            entry("6b00112233445566778899aabbccddeeff", 1_700_000_002, false, q, 32, 500, 2000, 0x1101),
            entry("0000112233445566778899aabbccddeeff", 1_700_000_000, false, p, 32, 1028, 1000, 0),
            entry("00ff112233445566778899aabbccddeeff", 1_700_000_001, true, p, 1060, 100, 72, 0),
        ];
        let v1 = "01110014000000030000112233445566778899aabbccddeeff00006553f100033600000077000000200000040400ff112233\
            445566778899aabbccddeeff00006553f10103360000007780000424000000646b00112233445566778899aabbccddeeff00006553\
            f1020336000000ad00000020000001f470303132333435363738396162636465663031323334353637383961626364656\
            62d73303031313232333334343535363637373132337166656463626139383736353433323130666564636261393837363\
            534333231302d7330303131323233333434353536363737313233";
        assert_eq!(hex::encode(encode(1, entries.clone())), v1);
        let v2 = "02110011000000030000000202000000000000112233445566778899aabbccddeeff6553f100000000200003e8000404000\
            00000ff112233445566778899aabbccddeeff6553f101800004240000480000640000006b00112233445566778899aabbccddeeff\
            6553f1020000002000\
            07d00001f4000101360000008d36000000c30000000003000000110103007030313233343536373839616263646566303132333435\
            3637383961626364656\
            62d73303031313232333334343535363637373132337166656463626139383736353433323130666564636261393837363534333231302d\
            7330303131323233333434353536363737313233";
        assert_eq!(hex::encode(encode(2, entries)), v2);
    }
}
