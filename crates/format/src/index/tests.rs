use super::encode::Model;
use super::*;
use crate::ids::ContentId;
use proptest::prelude::*;

const P: &str = "p0123456789abcdef0123456789abcdef-s0011223344556677123";
const Q: &str = "qfedcba9876543210fedcba9876543210-s0011223344556677123";

/// Returns the three entries of §10.5.
fn vectors(layout: u8) -> Vec<Model> {
    let model = |id: &str, timestamp, deleted, pack: &str, offset, packed, original, compression| Model {
        key: hex::decode(id).unwrap(),
        pack: pack.to_owned(),
        offset,
        packed,
        original,
        timestamp,
        deleted,
        format: (compression, 3, 0),
    };
    let (original, compression) = if layout == 1 { (472, 0) } else { (2000, 0x1101) };
    vec![
        model("0000112233445566778899aabbccddeeff", 1_700_000_000, false, P, 32, 1028, 1000, 0),
        model("00ff112233445566778899aabbccddeeff", 1_700_000_001, true, P, 1060, 100, 72, 0),
        model("6b00112233445566778899aabbccddeeff", 1_700_000_002, false, Q, 32, 500, original, compression),
    ]
}

fn v1_vector() -> Vec<u8> {
    hex::decode(
        "01110014000000030000112233445566778899aabbccddeeff00006553f100033600000077000000200000040400ff11223344556677\
         8899aabbccddeeff00006553f10103360000007780000424000000646b00112233445566778899aabbccddeeff00006553f102033600\
         0000ad00000020000001f47030313233343536373839616263646566303132333435363738396162636465662d733030313132323333\
         34343535363637373132337166656463626139383736353433323130666564636261393837363534333231302d733030313132323333\
         3434353536363737313233",
    )
    .unwrap()
}

fn v2_vector() -> Vec<u8> {
    hex::decode(
        "02110011000000030000000202000000000000112233445566778899aabbccddeeff6553f100000000200003e800040400000000ff11\
         2233445566778899aabbccddeeff6553f101800004240000480000640000006b00112233445566778899aabbccddeeff6553f1020000\
         00200007d00001f4000101360000008d36000000c3000000000300000011010300703031323334353637383961626364656630313233\
         3435363738396162636465662d7330303131323233333434353536363737313233716665646362613938373635343332313066656463\
         6261393837363534333231302d7330303131323233333434353536363737313233",
    )
    .unwrap()
}

/// Reads every entry of a file, as the model has it; names through a memo, each interned once.
fn read(data: &[u8]) -> Result<Vec<Model>, Error> {
    let file = IndexFile::parse(data, 28)?;
    let (mut memo, mut names) = (file.pack_memo::<usize>(), Vec::<String>::new());
    let model = |entry: Result<RawIndexEntry<'_>, Error>| {
        let e = entry?;
        let pack = memo.get(&file, e.pack, |name| {
            names.push(name.to_owned());
            Ok::<_, Error>(names.len() - 1)
        })?;
        assert_eq!(names[pack], file.pack_name(e.pack)?);
        Ok(Model {
            key: e.key.to_vec(),
            pack: names[pack].clone(),
            offset: e.offset,
            packed: e.packed_len,
            original: e.original_len,
            timestamp: e.timestamp,
            deleted: e.deleted,
            format: (e.compression, e.format_version, e.key_id),
        })
    };
    file.entries().map(model).collect()
}

#[test]
fn vectors_of_the_format_document() {
    assert_eq!(read(&v1_vector()).unwrap(), vectors(1));
    assert_eq!(read(&v2_vector()).unwrap(), vectors(2));
    let data = v2_vector();
    let file = IndexFile::parse(&data, 28).unwrap();
    assert_eq!(
        ContentId::from_key(file.entry(2).unwrap().key).unwrap().to_string(),
        "k00112233445566778899aabbccddeeff"
    );
    assert_eq!((file.len(), file.key_len(), file.is_empty()), (3, 17, false));
    assert_eq!(file.entry(3), Err(Error::NoEntry { found: 3, count: 3 }));
    assert_eq!(encode::v1(&vectors(1)), v1_vector());
    assert_eq!(encode::v2(&vectors(2), 17, 0), v2_vector());
}

/// The index blob of appendix C.
#[test]
fn index_of_the_tiny_repository() {
    let data = hex::decode(
        "0211001100000006000000020200000000004fad65f29caa9fac71a245a32f56ec926b03a4770000002000000d000029000000006e21\
         9ff09242fb596ebbddf24c0b33576b03a4770000004900000c00002800000000ac78e839013cdd80357969fa2c54adab6b03a4770000\
         00710008340008500000006b984f99fdc13e06eaa534b754828bb1196b03a477000000200001a900011a0001016bbb6c1754b61601cf\
         c2fb0fa80cad261a6b03a4770000013a00020d00012f0001016d1b364adaf68cc77994cb976c86ee21576b03a477000002690001df00\
         01fb00010036000000f33600000129000000000300000011010300703831343131616335356332383035363033313966333461373831\
         3437663139652d7336353666656366393538343563313031313437713534386235636561373666623566336638356333383561356163\
         6534313032362d7336353666656366393538343563313031313437",
    )
    .unwrap();
    let entries = read(&data).unwrap();
    let last = &entries[5];
    assert_eq!(ContentId::from_key(&last.key).unwrap().to_string(), "m1b364adaf68cc77994cb976c86ee2157");
    assert_eq!((last.offset, last.packed, last.original, last.timestamp), (617, 507, 479, 1_795_400_823));
    assert_eq!(last.pack, "q548b5cea76fb5f3f85c385a5ace41026-s656fecf95845c101147");
}

/// The local index of a pack of appendix C: 32 random bytes follow.
#[test]
fn trap_22_trailing_bytes_sizes_and_base_time() {
    let local = hex::decode(
        "0211001000000003000000010100000000004fad65f29caa9fac71a245a32f56ec926b03a4770000002000000d0000290000006e219f\
         f09242fb596ebbddf24c0b33576b03a4770000004900000c000028000000ac78e839013cdd80357969fa2c54adab6b03a47700000071\
         0008340008500000360000007f0000000003007038313431316163353563323830353630333139663334613738313437663139652d73\
         36353666656366393538343563313031313437fc5aa522526baa555134774c1f8feceb6e33b1be873d289edcf0925cdcabebc5",
    )
    .unwrap();
    assert_eq!(read(&local).unwrap().len(), 3);
    let mut entries = vectors(2);
    entries.iter_mut().for_each(|e| e.offset = 0x7fff_ffff);
    assert_eq!(read(&encode::v2(&entries, 18, 1_600_000_000)).unwrap(), entries);
    entries[0].original = 0x0fff_ffff;
    entries[1].packed = 0x0fff_ffff;
    assert_eq!(read(&encode::v2(&entries, 19, 0)).unwrap(), entries);
}

#[test]
fn more_than_65536_packs_use_the_high_byte() {
    let mut data = encode::v2(&vectors(2)[..1], 18, 0);
    // the pack number is in bytes 14, 15 and 17 of the entry, the pack count at byte 8 of the header
    data[17 + 17 + 17] = 1;
    assert_eq!(read(&data), Err(Error::Reference { what: "pack", found: 65536, count: 1 }));
}

#[test]
fn trap_21_entries_name_other_packs() {
    let entries = read(&v2_vector()).unwrap();
    assert!(entries[1].deleted && entries[1].pack != entries[2].pack);
}

#[test]
fn trap_23_empty_v1_and_names_from_the_start_of_the_file() {
    assert_eq!(read(&hex::decode("01ff001400000000").unwrap()).unwrap(), []);
    assert_eq!(encode::v1(&[]), hex::decode("01ff001400000000").unwrap());
    let mut data = v1_vector();
    data.extend([7; 32]);
    assert_eq!(read(&data).unwrap(), vectors(1));
}

#[test]
fn every_truncation_is_an_error() {
    for whole in [v1_vector(), v2_vector()] {
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
    }
}

#[test]
fn impossible_headers_are_refused() {
    for (at, value) in [(0, 0), (0, 3), (1, 0), (1, 1), (3, 15), (3, 20), (2, 1), (4, 255), (8, 255), (12, 0)]
    {
        let mut data = v2_vector();
        data[at] = value;
        assert!(read(&data).is_err(), "{at} {value}");
    }
    for (at, value) in [(1, 1), (3, 19), (4, 255)] {
        let mut data = v1_vector();
        data[at] = value;
        assert!(read(&data).is_err(), "{at} {value}");
    }
    let mut short = vectors(1);
    short[0].packed = 27;
    assert_eq!(read(&encode::v1(&short)), Err(Error::PackedLength { packed: 27, overhead: 28 }));
}

prop_compose! {
    fn model(layout: u8)(
        key in proptest::collection::vec(any::<u8>(), 17),
        pack in "[pq][0-9a-f]{1,3}",
        offset in 0u32..1 << 31,
        packed in 28u32..1 << 28,
        original in 0u32..1 << 28,
        timestamp in 1_000u64..1 << 32,
        deleted: bool,
        format in (0u32..3, 0u8..3, 0u8..2),
    ) -> Model {
        let (original, format) = if layout == 1 { (packed - 28, (0, format.1, 0)) } else { (original, format) };
        Model { key, pack, offset, packed, original, timestamp, deleted, format }
    }
}

proptest! {
    #[test]
    fn v1_agrees_with_the_model(entries in proptest::collection::vec(model(1), 0..30)) {
        prop_assert_eq!(read(&encode::v1(&entries)).unwrap(), entries);
    }

    #[test]
    fn v2_agrees_with_the_model(entries in proptest::collection::vec(model(2), 0..30), base in 0u32..1000) {
        prop_assert_eq!(read(&encode::v2(&entries, 19, base)).unwrap(), entries);
    }

    #[test]
    fn damage_never_panics(at in 0usize..249, value: u8) {
        for mut data in [v1_vector(), v2_vector()] {
            if let Some(byte) = data.get_mut(at) {
                *byte = value;
            }
            let _ = read(&data);
        }
    }

    #[test]
    fn rubbish_never_panics(mut data in proptest::collection::vec(any::<u8>(), 0..200), layout in 1u8..3) {
        if let Some(first) = data.first_mut() {
            *first = layout;
        }
        let _ = read(&data);
    }
}
