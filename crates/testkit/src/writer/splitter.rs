//! Where objects are cut into contents (§5.4).

/// Decides after each byte whether a chunk ends.
#[derive(Debug, Clone)]
pub struct Splitter {
    kind: Kind,
    min: usize,
    max: usize,
    mask: u64,
    /// Bytes of the current chunk.
    count: usize,
    window: [u8; WINDOW],
    at: usize,
    hash: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Fixed,
    Buzhash,
    Rabin(Box<Rabin>),
}

const WINDOW: usize = 64;

impl Splitter {
    /// By the name in the repository's configuration; `None` for an unknown name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = match name {
            "FIXED" | "" => "FIXED-4M",
            "DYNAMIC" => "DYNAMIC-4M-BUZHASH",
            other => other,
        };
        let (size, kind) = match name.strip_prefix("FIXED-") {
            Some(size) => (size, Kind::Fixed),
            None => match name.strip_prefix("DYNAMIC-")?.split_once('-')? {
                (size, "BUZHASH") => (size, Kind::Buzhash),
                (size, "RABINKARP") => (size, Kind::Rabin(Box::new(Rabin::new()))),
                _ => return None,
            },
        };
        let avg = match size {
            "128K" => 128 << 10,
            "256K" => 256 << 10,
            "512K" => 512 << 10,
            "1M" => 1 << 20,
            "2M" => 2 << 20,
            "4M" => 4 << 20,
            "8M" => 8 << 20,
            _ => return None,
        };
        let (min, max) = if matches!(kind, Kind::Fixed) { (avg, avg) } else { (avg / 2, avg * 2) };
        let mask = avg as u64 - 1;
        Some(Splitter { kind, min, max, mask, count: 0, window: [0; WINDOW], at: 0, hash: 0 })
    }

    /// The length of the first chunk of `data`, if one ends in it. What does not end a chunk is remembered.
    pub fn next(&mut self, data: &[u8]) -> Option<usize> {
        if let Kind::Fixed = self.kind {
            let left = self.max - self.count;
            if data.len() >= left {
                self.count = 0;
                return Some(left);
            }
            self.count += data.len();
            return None;
        }
        for (i, &byte) in data.iter().enumerate() {
            let out = std::mem::replace(&mut self.window[self.at], byte);
            self.at = (self.at + 1) % WINDOW;
            match &self.kind {
                Kind::Fixed => {}
                Kind::Buzhash => {
                    let rolled = (self.hash as u32).rotate_left(1);
                    self.hash = u64::from(rolled ^ BUZHASH[usize::from(out)] ^ BUZHASH[usize::from(byte)]);
                }
                Kind::Rabin(tables) => self.hash = tables.roll(self.hash, out, byte),
            }
            self.count += 1;
            if self.count >= self.min && (self.hash & self.mask == 0 || self.count == self.max) {
                self.count = 0;
                return Some(i + 1);
            }
        }
        None
    }
}

/// Polynomial arithmetic for the Rabin fingerprint.
#[derive(Debug, Clone)]
struct Rabin {
    out: [u64; 256],
    modulo: [u64; 256],
}

const POLYNOMIAL: u64 = 0x2E_3E3E_4A30_5605;
const DEGREE: u32 = 53;

impl Rabin {
    fn new() -> Self {
        let reduce = |mut value: u128| {
            while value >> DEGREE != 0 {
                let top = 127 - value.leading_zeros();
                value ^= u128::from(POLYNOMIAL) << (top - DEGREE);
            }
            value as u64
        };
        let (mut out, mut modulo) = ([0; 256], [0; 256]);
        for byte in 0..256u64 {
            let mut value = byte;
            for _ in 0..WINDOW - 1 {
                value = reduce(u128::from(value) << 8);
            }
            out[byte as usize] = value;
            modulo[byte as usize] = reduce(u128::from(byte) << DEGREE);
        }
        Rabin { out, modulo }
    }

    fn roll(&self, hash: u64, out: u8, byte: u8) -> u64 {
        let hash = hash ^ self.out[usize::from(out)];
        let shifted = hash << 8 | u64::from(byte);
        let top = (hash >> (DEGREE - 8)) as usize;
        (shifted & ((1 << DEGREE) - 1)) ^ self.modulo[top]
    }
}

#[rustfmt::skip]
const BUZHASH: [u32; 256] = [
    0x07fcfd52, 0x5f3f164f, 0x6695721d, 0x7b4d7c03, 0x49c6e2d1, 0x0d1d68d8, 0x7916001e, 0x22c4d294,
    0x392907a0, 0x189deb99, 0xf3875d04, 0x95e94627, 0xba517936, 0x83c471d4, 0x7cb3ad0b, 0xa42655d9,
    0x7c4e0b68, 0xd4491d1b, 0x25632186, 0xa9d78d73, 0x169c1121, 0xbb158644, 0xb68e6a3f, 0x759805f5,
    0x2cdf5b8a, 0x57d29245, 0xc5d6d268, 0x6b83d0e2, 0x7674cb74, 0xb068d9db, 0xbb9457d8, 0xa15d523b,
    0x794209ff, 0x9da1d7eb, 0x5a25e0cb, 0xf840ec4b, 0x36d4ff9b, 0xf4a5ee3b, 0x5ad145f4, 0xf6740304,
    0x3f71f8cb, 0x91018d7c, 0xfccae224, 0xb186b51f, 0x7d9e8fbc, 0x93f93f33, 0xf63a5b6f, 0x19476c36,
    0xbc897d06, 0x169873f5, 0x724c7af1, 0x581eeb39, 0x2257bb7d, 0x6f269a28, 0xbe8e9981, 0x7039374b,
    0x25416fed, 0xded7e411, 0x6678e7aa, 0x244fcd36, 0x56aa6b86, 0xde4561ad, 0x3e99b0a8, 0xbed80a3a,
    0xe58348b0, 0xaf63e58d, 0x406aec9d, 0xc233f007, 0xa5ead0bd, 0x050143a6, 0x738b6829, 0x3699caf3,
    0x967cd710, 0x06f665a6, 0x25fd3d7f, 0x0fd6e479, 0x26fbf29b, 0x16de4c35, 0x2bf3394b, 0x4af864ba,
    0x1cb9e6c6, 0x41439089, 0x69a39144, 0xc34f182d, 0x421657ff, 0xf9fc6568, 0x8b02c917, 0x6c9c64b7,
    0x83d17909, 0xea3d4ca5, 0xaf635d47, 0x7fc78769, 0xbe14186f, 0x3539b1ea, 0xe9174548, 0xc051e18a,
    0x07b73658, 0x29ec300c, 0xa250bf34, 0xa7ed5d97, 0xfe3dea79, 0xb8b352f7, 0xc9b344e9, 0x8e5f0475,
    0x1941e52a, 0x2694763d, 0x6b40eabc, 0x8485d68b, 0x336eacca, 0x4399a363, 0x67149b9c, 0xae10a901,
    0x5a5ffefb, 0x563b26de, 0x6f00f02b, 0x9f06397d, 0x545836c4, 0x31d6416b, 0x12f4128d, 0x752f33ff,
    0x4a305605, 0x0c8dc214, 0x72521a90, 0x8eb3e4a1, 0x83efc6c6, 0x090ec04f, 0xc1540864, 0xec2c8aaa,
    0x70ab53ba, 0x38d3b494, 0x878d4063, 0xa317ae3f, 0x3cb62f07, 0xf360412c, 0x4ffbf3a9, 0x22d554b4,
    0x3f190476, 0x0796a710, 0xf5c353cf, 0x04f59bb7, 0x2d230176, 0xe2d6a9ce, 0x3f1d7427, 0xafd915bb,
    0xb01aa47d, 0xcde2c269, 0x7417bf38, 0x1e094f9a, 0x55ece0ea, 0xcb94539b, 0x13d346b5, 0x54e0c0c1,
    0x6db30e37, 0xdc02b390, 0xa6e222f5, 0xe2f8c1fe, 0x2e166bdf, 0x67588a74, 0x21898f34, 0x4c330f1d,
    0x19af53ba, 0x70658b94, 0x133c9673, 0x4efeeadd, 0x0f212551, 0x070f0914, 0x6f241c57, 0xf13e41b7,
    0x3be70cb0, 0xf4b6f47f, 0x20f31127, 0x6551cb89, 0x289cbd2c, 0x8946f23d, 0x40a79c3b, 0x03c6d982,
    0x0365790c, 0x0cf52517, 0x0bb131e8, 0x3da5475c, 0x139efcca, 0xbcd44eb4, 0xa54af747, 0xb73c32ed,
    0x9f6c47ac, 0xe8ba8f22, 0x54043a66, 0x3b0a7f20, 0xb4926431, 0xe17c02d5, 0x8f0d2558, 0x014fbff2,
    0x7f803594, 0x79b76fbe, 0x33fe2656, 0x792c8ee8, 0x6b41292d, 0xfdff9c32, 0x82093298, 0x59483870,
    0xb2d5a113, 0x2dd96e5a, 0x5b8e56a9, 0xebd9dda9, 0x04f9ce92, 0xcb440950, 0xa67e52b1, 0x49f6d261,
    0x92417fc3, 0x1c3b6bd9, 0xb027b7e0, 0x1f765a41, 0x44c9ab40, 0x45d99121, 0xfd7a84af, 0x99b75788,
    0xe3abff4a, 0xa88aa67f, 0x736e41cc, 0x9cbcbe5e, 0x7b3ccebc, 0xe1b7fa93, 0x315ae6af, 0x9cced2e2,
    0x19ea0f2f, 0xa9770722, 0x84a6bfdc, 0x88f03f07, 0xa44a03a4, 0x27a6b885, 0xb580c8ba, 0x018153da,
    0xb648e604, 0x51180278, 0x893a310f, 0x728f5f4c, 0x37f5198b, 0x3cc0ea9b, 0xe39d02db, 0x13883142,
    0xca599392, 0xc12d154e, 0xc176163d, 0x5c92e2b8, 0xf9f95ede, 0xb802bdfc, 0x8a928585, 0xdca6e10b,
    0x887953e8, 0x48b9e962, 0xe533e9a3, 0x5e0ce6e5, 0x1dba77ae, 0xc8214b8a, 0x53b428d7, 0x4cf20a65,
];

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::corpus::lcg;

    #[test]
    fn cuts_of_every_splitter() {
        let data = lcg(32 << 20);
        for (name, cuts, sha256) in VECTORS {
            let mut splitter = Splitter::parse(name).unwrap();
            let (mut at, mut positions) = (0, Vec::new());
            while let Some(n) = splitter.next(&data[at..]) {
                at += n;
                positions.push(at.to_string());
            }
            assert_eq!(positions.len(), *cuts, "{name}");
            assert_eq!(hex::encode(Sha256::digest(positions.join(","))), *sha256, "{name}");
        }
        assert!(Splitter::parse("DYNAMIC-3M-BUZHASH").is_none());
    }

    /// Name, number of cuts, SHA-256 of their positions (§10.10).
    #[rustfmt::skip]
    const VECTORS: &[(&str, usize, &str)] = &[
        ("DYNAMIC", 6, "6fcc07fec511a15eee4adf0c5f6e440bf468968242f4d640cb9d46ff8a4e0488"),
        ("DYNAMIC-128K-BUZHASH", 196, "b5e29092baed7e0efb3d705587370dd2723669cefa735a58e72fb9bd7e33e25a"),
        ("DYNAMIC-128K-RABINKARP", 204, "4915006cf7766f0c7edca24173e346a1d1bb3eefb138f21489a1a8e959252981"),
        ("DYNAMIC-1M-BUZHASH", 24, "c0083a8e3810f087308780cbaf67bf50e82eda2e6a8a3cb043ecaf160de0202b"),
        ("DYNAMIC-1M-RABINKARP", 28, "e3b3b106e53c5c3d3e15400e873c2b8b278326f13e3dea393bfe6489837b6e75"),
        ("DYNAMIC-256K-BUZHASH", 99, "17cba11297094555d345d7f043cff6d1a0793a3a87da2bc222a3958c780952ac"),
        ("DYNAMIC-256K-RABINKARP", 106, "835115ff6f1242433425709f5f4f4c20c75e3ca2725851cd2af53eb5132bf5fa"),
        ("DYNAMIC-2M-BUZHASH", 12, "320fbbccd2db5b626f17bfea6a4388e5f7c4da48bead1e751904f0ed09992821"),
        ("DYNAMIC-2M-RABINKARP", 12, "8f105c30f73c4c1c9dfa1702188982e98d4262749cc53341e564a50b38fc0b03"),
        ("DYNAMIC-4M-BUZHASH", 6, "6fcc07fec511a15eee4adf0c5f6e440bf468968242f4d640cb9d46ff8a4e0488"),
        ("DYNAMIC-4M-RABINKARP", 5, "007cba80e4e60d3ea3e263a81aa513b7b9fbc55cee40275ca18bba0efec5ea63"),
        ("DYNAMIC-512K-BUZHASH", 52, "926c16ac16e5a43db475aee0ef71693e4bc246484c9c20b4149290e44a75d2d2"),
        ("DYNAMIC-512K-RABINKARP", 50, "addc1a371b1142ff2682a71147d61c27ce3b5d7cb1a3e3857717214897b3a514"),
        ("DYNAMIC-8M-BUZHASH", 2, "456da66f156d16d453d21802d7ddabbc099169a47c81f89bd5c1334cc7d35d0b"),
        ("DYNAMIC-8M-RABINKARP", 2, "419fb56fbc495441f12d125ed73ac0ae2c0d69fadfd35529d54190d5f3e376f2"),
        ("FIXED", 8, "4415257b9b3c5e1ab5aec7d37cb1ff8aaf728a8c62b041cf092222ea8aa7b31f"),
        ("FIXED-128K", 256, "a70fb1c2a566f2c20bac80b2004652ee8f60496a264f785fdaa62c05833c64f6"),
        ("FIXED-1M", 32, "f069a99f3546a880941b6e5bf9c345abc77c03d553eac2fcbbe3d1ee506df877"),
        ("FIXED-256K", 128, "9daeda91651fe78ddbd9870161d0c89a217fe67a362b02606014debc1a742391"),
        ("FIXED-2M", 16, "59899654ffd8a7a533aa2d7a674e1aad6a8d269202f43e002d7ea92b4547e60f"),
        ("FIXED-4M", 8, "4415257b9b3c5e1ab5aec7d37cb1ff8aaf728a8c62b041cf092222ea8aa7b31f"),
        ("FIXED-512K", 64, "526c821b8bf1a75c7e2c640445a02214f86aad289280fc12dfebf7af8f44cebf"),
        ("FIXED-8M", 4, "cfa1623df3a4d44478781c9fe825d017a61f9b7b0d40f917e30afd416cdfdf1c"),
    ];
}
