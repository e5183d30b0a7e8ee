//! Reads and writes RFC 3339 times as Kopia's JSON holds them, in nanoseconds since 1970 (§0, §7.2).

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// An instant, in nanoseconds since 1970-01-01T00:00:00Z: from 1677 to 2262. Displayed as Kopia writes times (RFC 3339, UTC).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The earliest instant; a time that is missing in a manifest (the year 1) is this one.
    pub const MIN: Time = Time(i64::MIN);
    /// The latest instant.
    pub const MAX: Time = Time(i64::MAX);

    /// The instant so many nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Time(nanos)
    }

    /// The instant so many seconds after 1970-01-01T00:00:00Z; what does not fit becomes the nearest that does.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Time(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z; negative before.
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Parses an RFC 3339 time with any zone offset; `None` when `text` is none. Times outside the range become the
    /// nearest inside it.
    pub fn parse(text: &str) -> Option<Self> {
        parse_rfc3339_nanos(text).map(Time)
    }
}

/// Serialized as it is displayed.
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_rfc3339_nanos(self.0))
    }
}

/// Reads an RFC 3339 time, in nanoseconds since 1970-01-01T00:00:00Z; `None` when `text` is not one.
///
/// Takes any zone offset and any number of fraction digits (digits after the ninth are dropped). A time outside
/// 1677…2262 becomes the nearest that fits: old repositories hold the year 1 (§7.2).
pub fn parse_rfc3339_nanos(text: &str) -> Option<i64> {
    let (date_time, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T' | b't', h0, h1, b':', mi0, mi1, b':', s0, s1] =
        *date_time
    else {
        return None;
    };
    let year = two(y0, y1)?.checked_mul(100)?.checked_add(two(y2, y3)?)?;
    let (month, day) = (two(mo0, mo1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(mi0, mi1)?, two(s0, s1)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = fraction_nanos(rest)?;
    let local = seconds_since_1970(year, month, day, hour, minute, second);
    let seconds = local.checked_sub(zone_seconds(zone)?)?;
    Some(seconds.checked_mul(1_000_000_000).and_then(|n| n.checked_add(fraction)).unwrap_or_else(|| {
        // near the lower end the product alone may not fit although the sum does
        let exact = i128::from(seconds).saturating_mul(1_000_000_000).saturating_add(i128::from(fraction));
        i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
    }))
}

/// Writes the time in the form that Kopia writes: UTC, up to nine fraction digits, trailing zeros dropped.
pub fn format_rfc3339_nanos(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default().to_string()
}

/// Reads two decimal digits.
fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return None;
    }
    i64::from(tens).checked_mul(10)?.checked_add(i64::from(ones))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads an optional `.digits`, in nanoseconds; returns it and what follows it.
fn fraction_nanos(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = rest.split_first() else { return Some((0, rest)) };
    let mut nanos = 0i64;
    let mut unit = 100_000_000i64;
    let mut count = 0usize;
    for byte in digits.iter().take_while(|b| b.is_ascii_digit()) {
        nanos = nanos.checked_add(i64::from(byte.wrapping_sub(b'0')).checked_mul(unit)?)?;
        unit /= 10;
        count = count.checked_add(1)?;
    }
    if count == 0 { None } else { Some((nanos, digits.get(count..)?)) }
}

/// Reads `Z` or `±HH:MM`, in seconds east of Greenwich.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, h0, h1, m0, m1) = match *zone {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h0, h1, b':', m0, m1] => (1, h0, h1, m0, m1),
        [b'-', h0, h1, b':', m0, m1] => (-1, h0, h1, m0, m1),
        _ => return None,
    };
    let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_mul(sign)
}

/// Days are counted in eras of 400 years that start on 1 March, so that a leap day is the last day of its year.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "callers give years of a few digits, the other parts have two"
)]
pub(crate) fn seconds_since_1970(
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vectors_of_the_format_document() {
        let vectors = [
            ("2022-01-02T03:04:05.000000006Z", 1_641_092_645_000_000_006),
            ("2024-01-02T03:04:05.5Z", 1_704_164_645_500_000_000),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
        ];
        for (text, nanos) in vectors {
            assert_eq!(parse_rfc3339_nanos(text), Some(nanos), "{text}");
            assert_eq!(format_rfc3339_nanos(nanos), text);
        }
        assert_eq!(parse_rfc3339_nanos("2024-01-02T03:04:05.678901234Z"), Some(1_704_164_645_678_901_234));
    }

    #[test]
    fn trap_35_zone_offsets_and_any_number_of_fraction_digits() {
        assert_eq!(
            parse_rfc3339_nanos("2022-07-10T11:15:22.656077568-07:00"),
            Some(1_657_476_922_656_077_568)
        );
        assert_eq!(parse_rfc3339_nanos("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_rfc3339_nanos("1970-01-01T00:00:00.1234567891Z"), Some(123_456_789));
    }

    #[test]
    fn times_that_do_not_fit_become_the_nearest() {
        assert_eq!(parse_rfc3339_nanos("0001-01-01T00:00:00Z"), Some(i64::MIN));
        assert_eq!(parse_rfc3339_nanos("0000-01-01T00:00:00Z"), Some(i64::MIN));
        assert_eq!(parse_rfc3339_nanos("9999-12-31T23:59:59.9Z"), Some(i64::MAX));
        for edge in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
            assert_eq!(parse_rfc3339_nanos(&format_rfc3339_nanos(edge)), Some(edge));
        }
        assert_eq!(format_rfc3339_nanos(i64::MIN), "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for bad in [
            "",
            "2024",
            "2024-01-02",
            "2024-01-02T03:04:05",
            "2024-01-02 03:04:05Z",
            "2024-13-02T03:04:05Z",
            "2024-00-02T03:04:05Z",
            "2023-02-29T03:04:05Z",
            "1900-02-29T00:00:00Z",
            "2024-01-02T24:04:05Z",
            "2024-01-02T03:60:05Z",
            "2024-01-02T03:04:60Z",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05,5Z",
            "2024-01-02T03:04:05+0700",
            "2024-01-02T03:04:05+24:00",
            "2024-01-02T03:04:05ZZ",
            "２024-01-02T03:04:05Z",
        ] {
            assert_eq!(parse_rfc3339_nanos(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn writing_and_parsing_agree(nanos: i64) {
            prop_assert_eq!(parse_rfc3339_nanos(&format_rfc3339_nanos(nanos)), Some(nanos));
        }

        #[test]
        fn agrees_with_jiff(seconds in -9_000_000_000i64..9_000_000_000, hours in -23i64..=23, minutes in 0i64..60) {
            let sign = if hours < 0 { '-' } else { '+' };
            let local = Timestamp::from_second(seconds).unwrap().to_string();
            let text = format!("{}{sign}{:02}:{minutes:02}", local.trim_end_matches('Z'), hours.abs());
            let expected: Timestamp = text.parse().unwrap();
            prop_assert_eq!(parse_rfc3339_nanos(&text).map(i128::from), Some(expected.as_nanosecond()));
        }

        #[test]
        fn never_panics(text in "[0-9TZ:.+-]{0,40}") {
            let _ = parse_rfc3339_nanos(&text);
        }
    }
}
