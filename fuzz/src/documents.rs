//! Texts that people type and files that the engine wrote: times, references, receipts, what was verified.

use rekopia::{
    AsOf, Coverage, Receipt, Reference, Time, Zone, human_size, parse_link, parse_rate, parse_size,
};

use crate::input::Input;

/// Times as people type them, at any clock.
pub fn as_of(data: &[u8]) {
    let mut input = Input(data);
    let seconds = i64::from(input.u32());
    let shift = input.byte() % 34;
    let now =
        Time::from_unix_seconds(if input.byte() % 2 == 0 { seconds << shift } else { -(seconds << shift) });
    let text = String::from_utf8_lossy(input.0);
    let zones = [Zone::utc(), Zone::named("Europe/Berlin").unwrap_or_else(|_| Zone::utc())];
    for zone in zones {
        let until = AsOf::parse(&text, now, &zone);
        let since = AsOf::parse_since(&text, now, &zone);
        let _ = AsOf::parse_absolute(&text, &zone);
        if let (Ok(AsOf::Until(until)), Ok(since)) = (until, since) {
            // A time that the clocks left out is the change of the clocks, seen from either side.
            let end = Time::from_unix_nanos(until.unix_nanos().saturating_add(1));
            assert!(since <= end, "{text:?} begins after it ends: {since}, {until}");
        }
    }
}

/// References to snapshots and objects.
pub fn reference(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(e) = Reference::parse(&text) {
        assert!(!e.to_string().contains('\n'), "an error of several lines");
    }
}

/// Sizes, rates and links, as options take them.
pub fn sizes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(bytes) = parse_size(&text) {
        assert!(!human_size(bytes).is_empty(), "{bytes} bytes are shown as nothing");
    }
    let _ = (parse_rate(&text), parse_link(&text));
}

/// Receipts are written back as they were understood.
pub fn receipt(data: &[u8]) {
    let Ok(receipt) = Receipt::parse(data) else { return };
    let json = serde_json::to_vec(&receipt).expect("a receipt is JSON");
    assert_eq!(Receipt::parse(&json).ok().as_ref(), Some(&receipt), "written and read");
}

/// What verifications remember between their runs.
pub fn coverage(data: &[u8]) {
    let Ok(coverage) = Coverage::from_json(data, "00ff") else { return };
    let json = coverage.to_json("00ff");
    assert_eq!(Coverage::from_json(&json, "00ff").ok().as_ref(), Some(&coverage), "written and read");
}
