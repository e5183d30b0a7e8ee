//! Writes tiny index files, the model that the parsers are tested against.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) key: Vec<u8>,
    pub(super) pack: String,
    pub(super) offset: u32,
    pub(super) packed: u32,
    pub(super) original: u32,
    pub(super) timestamp: u64,
    pub(super) deleted: bool,
    pub(super) format: (u32, u8, u8),
}

impl Model {
    fn offset_word(&self) -> u32 {
        u32::from(self.deleted) << 31 | self.offset
    }
}

/// Returns distinct values in order of first use.
fn distinct<T: PartialEq + Clone>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut all, v| {
        if !all.contains(&v) {
            all.push(v);
        }
        all
    })
}

pub(super) fn v1(entries: &[Model]) -> Vec<u8> {
    let key = entries.first().map_or(255, |e| e.key.len());
    let packs = distinct(entries.iter().map(|e| e.pack.clone()));
    let names_at = 8 + entries.len() * (key + 20);
    let offset_of =
        |pack: &str| names_at + packs.iter().take_while(|p| *p != pack).map(String::len).sum::<usize>();
    let mut out = vec![1, key as u8, 0, 20];
    out.extend((entries.len() as u32).to_be_bytes());
    for e in entries {
        out.extend(&e.key);
        out.extend(&e.timestamp.to_be_bytes()[2..]);
        out.extend([e.format.1, e.pack.len() as u8]);
        out.extend((offset_of(&e.pack) as u32).to_be_bytes());
        out.extend(e.offset_word().to_be_bytes());
        out.extend(e.packed.to_be_bytes());
    }
    out.extend(packs.concat().into_bytes());
    out
}

/// Writes layout 2; `size`: 16…19, as large as the entries need.
pub(super) fn v2(entries: &[Model], size: usize, base_time: u32) -> Vec<u8> {
    let key = entries.first().map_or(17, |e| e.key.len());
    let packs = distinct(entries.iter().map(|e| e.pack.clone()));
    let formats = distinct(entries.iter().map(|e| e.format));
    let mut out = vec![2, key as u8, 0, size as u8];
    out.extend((entries.len() as u32).to_be_bytes());
    out.extend((packs.len() as u32).to_be_bytes());
    out.push(formats.len() as u8);
    out.extend(base_time.to_be_bytes());
    for e in entries {
        let pack = packs.iter().position(|p| *p == e.pack).unwrap() as u32;
        let format = formats.iter().position(|f| *f == e.format).unwrap() as u8;
        let mut entry = Vec::new();
        entry.extend(((e.timestamp - u64::from(base_time)) as u32).to_be_bytes());
        entry.extend(e.offset_word().to_be_bytes());
        entry.extend(&e.original.to_be_bytes()[1..]);
        entry.extend(&e.packed.to_be_bytes()[1..]);
        entry.extend(&pack.to_be_bytes()[2..]);
        entry.extend([format, (pack >> 16) as u8, ((e.original >> 24) << 4 | e.packed >> 24) as u8]);
        out.extend(&e.key);
        out.extend(&entry[..size]);
    }
    let mut name_at = out.len() + packs.len() * 5 + formats.len() * 6;
    for pack in &packs {
        out.push(pack.len() as u8);
        out.extend((name_at as u32).to_be_bytes());
        name_at += pack.len();
    }
    for (compression, version, key_id) in &formats {
        out.extend(compression.to_be_bytes());
        out.extend([*version, *key_id]);
    }
    out.extend(packs.concat().into_bytes());
    out
}
