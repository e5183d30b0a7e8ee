//! Writes times as lists show them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Writes a time as `2026-11-20 02:00:03 UTC`, in the zone of `tz`; `--as-of` takes it as it is.
pub(crate) fn show(ns: i64, tz: &TimeZone) -> String {
    match Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(t) => t.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => format!("{ns} ns"),
    }
}

#[cfg(test)]
mod tests {
    use rekopia::AsOf;

    use super::*;

    #[test]
    fn what_is_shown_can_be_asked_for() {
        for (zone, shown) in [
            ("UTC", "2026-11-29 16:29:20 UTC"),
            ("Europe/Berlin", "2026-11-29 17:29:20 CET"),
            ("Asia/Kathmandu", "2026-11-29 22:14:20 +0545"),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            let start: Timestamp = "2026-11-29T16:29:20.589Z".parse().unwrap();
            let ns = i64::try_from(start.as_nanosecond()).unwrap();
            assert_eq!(show(ns, &zone), shown);
            let AsOf::Until(last) = AsOf::parse_absolute(shown, &zone).unwrap() else { panic!() };
            assert!((ns..ns + 1_000_000_000).contains(&last), "{shown}");
        }
    }
}
