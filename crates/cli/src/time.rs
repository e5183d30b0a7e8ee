//! Times as people type them: instants, days, "2 days ago", and Kopia's own short forms.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// The last instant that `text` includes, in nanoseconds since 1970; `None` for "latest".
pub(crate) fn parse_as_of(text: &str, now: &Zoned) -> Result<Option<i64>, String> {
    let text = text.trim();
    let zone = now.time_zone().clone();
    let today = now.date();
    let bad = || format!("{text:?} is not a time: take 2026-11-01, 2026-11-01T12:00:00Z or \"2 days ago\"");
    if text == "latest" {
        return Ok(None);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return nanos(instant).map(Some);
    }
    let before = |day: Date| last_before(day.to_datetime(jiff::civil::Time::midnight()), &zone);
    match text {
        "now" => return nanos(now.timestamp()).map(Some),
        "today" => return before(today.tomorrow().map_err(|e| e.to_string())?).map(Some),
        "yesterday" => return before(today).map(Some),
        "last-month" => return before(today.first_of_month()).map(Some),
        "last-year" => return before(today.first_of_year()).map(Some),
        _ => {}
    }
    if let Some(span) = text.strip_suffix("ago") {
        return ago(span, now).ok_or_else(bad).map(Some);
    }
    let normal = text.replacen(' ', "T", 1);
    if let Ok(day) = text.parse::<Date>()
        && !text.contains(':')
    {
        return before(day.tomorrow().map_err(|e| e.to_string())?).map(Some);
    }
    if let Ok(instant) = normal.parse::<Timestamp>() {
        return nanos(instant).map(Some);
    }
    let local: DateTime = normal.parse().map_err(|_| bad())?;
    nanos(local.to_zoned(zone).map_err(|e| e.to_string())?.timestamp()).map(Some)
}

/// `2026-11-20 02:00:03 UTC`, in the zone of `tz`.
pub(crate) fn show(ns: i64, tz: &TimeZone) -> String {
    match Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(t) => t.to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => format!("{ns} ns"),
    }
}

/// `2 days `, `3h`, `1y-2mo-3d-`: how long before now. Kopia's dashed form means the end of that day.
fn ago(span: &str, now: &Zoned) -> Option<i64> {
    let dashed = span.trim_end().ends_with('-');
    let mut total = Span::new();
    let words = span.replace('-', " ");
    let mut rest = words.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().ok()?;
        let after = after.trim_start();
        let unit_len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, later) = after.split_at(unit_len);
        total = match unit {
            "s" | "sec" | "second" | "seconds" => total.try_seconds(number),
            "m" | "min" | "minute" | "minutes" => total.try_minutes(number),
            "h" | "hour" | "hours" => total.try_hours(number),
            "d" | "day" | "days" => total.try_days(number),
            "w" | "week" | "weeks" => total.try_weeks(number),
            "mo" | "month" | "months" => total.try_months(number),
            "y" | "year" | "years" => total.try_years(number),
            _ => return None,
        }
        .ok()?;
        rest = later.trim_start();
    }
    let then = now.checked_sub(total).ok()?;
    if dashed {
        let next = then.date().tomorrow().ok()?;
        return last_before(next.to_datetime(jiff::civil::Time::midnight()), now.time_zone()).ok();
    }
    nanos(then.timestamp()).ok()
}

fn last_before(moment: DateTime, zone: &TimeZone) -> Result<i64, String> {
    let instant = moment.to_zoned(zone.clone()).map_err(|e| e.to_string())?.timestamp();
    Ok(nanos(instant)? - 1)
}

fn nanos(instant: Timestamp) -> Result<i64, String> {
    i64::try_from(instant.as_nanosecond()).map_err(|_| "the time is out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now: Zoned = "2026-11-24T10:30:00+01:00[Europe/Berlin]".parse().unwrap();
        let ns = parse_as_of(text, &now).unwrap().unwrap();
        Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string()
    }

    #[test]
    fn instants_days_and_spans() {
        assert_eq!(at("2026-11-01T12:00:00Z"), "2026-11-01T12:00:00Z");
        assert_eq!(at("2026-11-01T12:00:00+02:00"), "2026-11-01T10:00:00Z");
        assert_eq!(at("2026-11-01"), "2026-11-01T22:59:59.999999999Z");
        assert_eq!(at("2026-11-01 12:00"), "2026-11-01T11:00:00Z");
        assert_eq!(at("2 days ago"), "2026-11-22T09:30:00Z");
        assert_eq!(at("3h ago"), "2026-11-24T06:30:00Z");
        assert_eq!(at("yesterday"), "2026-11-23T22:59:59.999999999Z");
        assert_eq!(at("1d-ago"), "2026-11-23T22:59:59.999999999Z");
        assert_eq!(at("1mo-2d-ago"), "2026-10-22T21:59:59.999999999Z");
    }

    #[test]
    fn nonsense_is_refused() {
        let now: Zoned = "2026-11-24T10:30:00+01:00[Europe/Berlin]".parse().unwrap();
        assert_eq!(parse_as_of("latest", &now), Ok(None));
        for bad in ["", "soon", "ago", "5 parsecs ago", "2026-13-01", "days ago"] {
            assert!(parse_as_of(bad, &now).is_err(), "{bad:?}");
        }
    }
}
