//! Finds when a backup is late, by its schedule.

use cronexpr::{FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::{SignedDuration, Timestamp};

/// Returns the moment from which on a backup of `newest` is stale: two runs of its schedule have passed, and twice the
/// time between runs. None where the schedule cannot be understood.
///
/// `schedule` is what VolSync takes (robfig/cron, standard form): five fields, `@daily` and its like, `@every 6h`, with an
/// optional `CRON_TZ=Zone` before it.
pub(super) fn stale_from(schedule: &str, newest: Timestamp) -> Option<Timestamp> {
    let (zone, fields) = zone(schedule.trim());
    let fields = match fields {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        fields => fields,
    };
    if let Some(every) = fields.strip_prefix("@every ") {
        return newest.checked_add(duration(every.trim())?.checked_mul(2)?).ok();
    }
    let fields = standard(fields)?;
    let line = zone.map_or_else(|| fields.to_owned(), |zone| format!("{fields} {zone}"));
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    let crontab = parse_crontab_with(&line, options).ok()?;
    let first = crontab.find_next(newest).ok()?.timestamp();
    let second = crontab.find_next(first).ok()?.timestamp();
    let twice = newest.checked_add(second.duration_since(first).checked_mul(2)?).ok()?;
    Some(second.max(twice))
}

/// Returns the five fields, as both parsers understand them; `None`: VolSync's does not.
fn standard(fields: &str) -> Option<String> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [_, _, day, _, weekday] = fields[..] else { return None };
    // Sunday is 0 alone there, and days have no letters but those of names.
    let is_sunday = weekday.split(['-', ',', '/']).any(|part| part == "7");
    let is_extended = day.contains(['L', 'W', 'l', 'w']) || weekday.contains('#') || weekday.contains("L");
    (!is_sunday && !is_extended).then(|| fields.join(" ").replace('?', "*"))
}

/// Returns the time zone before a schedule, and the rest.
fn zone(schedule: &str) -> (Option<&str>, &str) {
    let named = schedule.strip_prefix("CRON_TZ=").or_else(|| schedule.strip_prefix("TZ="));
    match named.and_then(|named| named.split_once(char::is_whitespace)) {
        Some((zone, fields)) => (Some(zone), fields.trim()),
        None => (None, schedule),
    }
}

/// Reads a duration as Go writes it: `1h30m`, `45s`.
fn duration(text: &str) -> Option<SignedDuration> {
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let scale = match &unit[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = &unit[end..];
    }
    (seconds >= 1.0).then(|| SignedDuration::try_from_secs_f64(seconds).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale(schedule: &str, newest: &str) -> Option<String> {
        stale_from(schedule, newest.parse().unwrap()).map(|time| time.to_string())
    }

    #[test]
    fn two_runs_and_twice_the_time_between_them() {
        for (schedule, newest, from) in [
            ("0 * * * *", "2026-11-30T11:00:30Z", "2026-11-30T13:00:30Z"),
            ("0 3 * * *", "2026-11-29T03:00:00Z", "2026-12-01T03:00:00Z"),
            // Made by hand at another time of the day.
            ("0 3 * * *", "2026-11-29T16:00:00Z", "2026-12-01T16:00:00Z"),
            // Over a weekend nothing is due.
            ("0 3 * * 1-5", "2026-11-27T03:00:00Z", "2026-12-01T03:00:00Z"),
            ("@daily", "2026-11-29T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("@every 1h30m", "2026-11-29T00:00:00Z", "2026-11-29T03:00:00Z"),
            ("CRON_TZ=Europe/Vienna 0 3 * * *", "2026-11-29T02:00:00Z", "2026-12-01T02:00:00Z"),
            ("0\t3  ? * *", "2026-11-29T03:00:00Z", "2026-12-01T03:00:00Z"),
            ("*/15 * * * *", "2026-11-30T11:00:00Z", "2026-11-30T11:30:00Z"),
        ] {
            assert_eq!(stale(schedule, newest).as_deref(), Some(from), "{schedule}");
        }
        for wrong in [
            "0 3 * * 7",
            "0 0 3 * * *",
            "0 3 L * *",
            "",
            "every day",
            "61 * * * *",
            "@every",
            "@every x",
            "@every 0s",
            "${SCHEDULE}",
        ] {
            assert_eq!(stale(wrong, "2026-11-30T11:00:30Z"), None, "{wrong}");
        }
    }
}
