use sha2::{Digest, Sha256};

use super::*;
use crate::random::lcg;

/// Name, number of cuts of the first 32 MiB of the test sequence, SHA-256 of their positions (§10.10).
#[rustfmt::skip]
const VECTORS: [(&str, usize, &str); 23] = [
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

/// Cut positions, fed in pieces of `piece` bytes.
fn cuts(splitter: Splitter, data: &[u8], piece: usize) -> Vec<usize> {
    let mut cutter = splitter.start();
    let (mut cuts, mut at) = (Vec::new(), 0);
    for mut rest in data.chunks(piece) {
        while let Some(n) = cutter.next_cut(rest) {
            at += n;
            cuts.push(at);
            rest = &rest[n..];
        }
        at += rest.len();
    }
    cuts
}

#[test]
fn all_splitters_cut_like_kopia() {
    let data = lcg(32 << 20);
    assert_eq!(
        hex::encode(Sha256::digest(&data)),
        "b6a6aa432c41ead85badbd4597402f04cb57d928a3063aadd42981cc62ae0e52"
    );
    for (name, count, hash) in VECTORS {
        let cuts = cuts(Splitter::parse(name).unwrap(), &data, data.len());
        let list = cuts.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(cuts.len(), count, "{name}");
        assert_eq!(hex::encode(Sha256::digest(list)), hash, "{name}");
    }
}

#[test]
fn pieces_do_not_matter() {
    let data = lcg(3 << 20);
    for name in ["DYNAMIC-128K-BUZHASH", "DYNAMIC-128K-RABINKARP", "FIXED-128K"] {
        let splitter = Splitter::parse(name).unwrap();
        let whole = cuts(splitter, &data, data.len());
        for piece in [1, 63, 64, 65, 1000, 65_536, 65_600] {
            assert_eq!(cuts(splitter, &data, piece), whole, "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn equal_bytes_are_cut_at_the_minimum() {
    let cuts = cuts(Splitter::parse("DYNAMIC-128K-BUZHASH").unwrap(), &[7; 300_000], 4096);
    assert_eq!(cuts[..3], [65_536, 131_072, 196_608]);
}

#[test]
fn names_of_the_format_document_and_no_others() {
    let mut known: Vec<String> = Splitter::names().collect();
    known.sort();
    assert_eq!(known, VECTORS.map(|v| v.0.to_owned()));
    assert_eq!(Splitter::parse(""), Splitter::parse("FIXED-4M"));
    for bad in ["FIXED-3M", "DYNAMIC-4M", "DYNAMIC-4M-CRC", "fixed"] {
        assert!(Splitter::parse(bad).is_err(), "{bad}");
    }
}
