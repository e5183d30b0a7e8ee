//! Reads times as people type them, and tells which snapshots they include.
//!
//! Lists show seconds, starts have fractions: a time includes its own precision, so that the time that a list shows
//! selects the snapshot that it is shown for.

use jiff::civil::{self, Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp, Zoned};
use rekopia_format::Time;

use super::snapshots::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::zone::Zone;

/// The snapshots that a typed time includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// All snapshots are included; the newest is meant.
    Latest,
    /// Only the oldest snapshot is meant.
    Oldest,
    /// Snapshots that started at or before this instant.
    Until(Time),
}

impl AsOf {
    /// Reads a time: an absolute one ([`AsOf::parse_absolute`]), `latest`, `oldest`, `now`, `today`, `yesterday`,
    /// `last-month`, `last-year`, Kopia's `1y-2mo-3d-ago` (the end of that day) or `2 days ago` (that very instant).
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for what is not understood to its last character.
    pub fn parse(text: &str, now: Time, zone: &Zone) -> Result<Self> {
        let until = |nanos| AsOf::Until(Time::from_unix_nanos(nanos));
        let now = &zoned(now, zone);
        let (text, zone, today) = (text.trim(), now.time_zone(), now.date());
        let day = |day: std::result::Result<Date, jiff::Error>| {
            day.ok().map(|day| until(local(end_of(day), zone))).ok_or_else(|| unknown(text))
        };
        match text {
            "latest" => Ok(AsOf::Latest),
            "oldest" => Ok(AsOf::Oldest),
            "now" => Ok(until(nanos(now.timestamp()))),
            "today" => day(Ok(today)),
            "yesterday" => day(today.yesterday()),
            "last-month" => day(today.first_of_month().yesterday()),
            "last-year" => day(today.first_of_year().yesterday()),
            _ => match (text.strip_suffix("-ago"), text.strip_suffix(" ago")) {
                (Some(parts), _) => {
                    kopia_ago(parts, today).map_or_else(|| Err(unknown(text)), |d| day(Ok(d)))
                }
                (_, Some(span)) => ago(span, now).map(until).ok_or_else(|| unknown(text)),
                _ => absolute(text, zone, Side::Last).map(until).map_err(|wrong| wrong.error(text)),
            },
        }
    }

    /// Reads a time as [`parse`](Self::parse) does, and gives the first instant that it includes:
    /// `2026-11` is the beginning of that month.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for what is not understood to its last character, and for what is no time: `latest`, `oldest`.
    pub fn parse_since(text: &str, now: Time, zone: &Zone) -> Result<Time> {
        let now = &zoned(now, zone);
        let (text, zone, today) = (text.trim(), now.time_zone(), now.date());
        let begin = |day: std::result::Result<Date, jiff::Error>| {
            let day = day.map_err(|_| unknown(text))?;
            Ok(local_first(day.to_datetime(civil::Time::MIN), zone))
        };
        let since = match text {
            "now" => Ok(nanos(now.timestamp())),
            "today" => begin(Ok(today)),
            "yesterday" => begin(today.yesterday()),
            "last-month" => begin(today.first_of_month().yesterday().map(Date::first_of_month)),
            "last-year" => begin(today.first_of_year().yesterday().map(Date::first_of_year)),
            _ => match (text.strip_suffix("-ago"), text.strip_suffix(" ago")) {
                (Some(parts), _) => begin(Ok(kopia_ago(parts, today).ok_or_else(|| unknown(text))?)),
                (_, Some(span)) => ago(span, now).ok_or_else(|| unknown(text)),
                _ => absolute(text, zone, Side::First).map_err(|wrong| wrong.error(text)),
            },
        };
        since.map(Time::from_unix_nanos)
    }

    /// Reads an RFC 3339 time or any shorter form of it: `2026`, `2026-11`, `2026-11-01`, `2026-11-01 12`,
    /// `2026-11-01T12:30:00.5`; then perhaps an offset (`Z`, `+01`, `+0100`, `+01:00`) or the name of a zone: `UTC`,
    /// `GMT`, or the one that `zone` itself has at that time. Without either it is a time of `zone`; one that the clocks
    /// there showed twice is the later, one that they left out is the end of what was before.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for what is not understood to its last character.
    pub fn parse_absolute(text: &str, zone: &Zone) -> Result<Self> {
        let until = |nanos| AsOf::Until(Time::from_unix_nanos(nanos));
        absolute(text.trim(), zone.jiff(), Side::Last).map(until).map_err(|wrong| match wrong {
            Wrong::Zone(name) => unknown_zone(text, name),
            Wrong::Text => {
                let what = format!("{text:?} is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z");
                Error::new(ErrorKind::Usage, what)
            }
        })
    }

    /// Returns the selection of the newest snapshot that is included.
    pub fn selection(self) -> Selection {
        let (oldest, as_of) = match self {
            AsOf::Latest => (false, None),
            AsOf::Oldest => (true, None),
            AsOf::Until(time) => (false, Some(time)),
        };
        Selection { as_of, oldest, ..Selection::default() }
    }
}

/// The part of a time that is not understood.
enum Wrong<'a> {
    /// The date or hour is not understood.
    Text,
    /// The text stands where a zone should be named.
    Zone(&'a str),
}

/// The first or the last instant that a time includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Last,
}

impl Wrong<'_> {
    fn error(&self, text: &str) -> Error {
        match self {
            Wrong::Zone(name) => unknown_zone(text, name),
            Wrong::Text => unknown(text),
        }
    }
}

fn absolute<'a>(text: &'a str, zone: &TimeZone, side: Side) -> std::result::Result<i64, Wrong<'a>> {
    let mut rest = text;
    let (first, last, has_hour) = clock(&mut rest).ok_or(Wrong::Text)?;
    let at = if side == Side::First { first } else { last };
    let suffix = rest.strip_prefix(' ').unwrap_or(rest);
    match suffix {
        "" if rest.is_empty() && side == Side::First => Ok(local_first(at, zone)),
        "" if rest.is_empty() => Ok(local(at, zone)),
        "Z" | "z" => Ok(at_offset(at, Offset::UTC)),
        _ => match offset(suffix).filter(|_| has_hour) {
            Some(offset) => Ok(at_offset(at, offset)),
            None => named(at, suffix, zone).ok_or(Wrong::Zone(suffix)),
        },
    }
}

/// Reads date and time; gives the first and the last nanosecond that they include, and whether they had an hour.
fn clock(rest: &mut &str) -> Option<(DateTime, DateTime, bool)> {
    let days = |first: Date, last: Date| (first.to_datetime(civil::Time::MIN), end_of(last), false);
    let year = i16::try_from(number(rest, 4, 4)?).ok()?;
    if !eat(rest, &['-']) {
        return Some(days(Date::new(year, 1, 1).ok()?, Date::new(year, 12, 31).ok()?));
    }
    let month = i8::try_from(number(rest, 1, 2)?).ok()?;
    if !eat(rest, &['-']) {
        let first = Date::new(year, month, 1).ok()?;
        return Some(days(first, first.last_of_month()));
    }
    let date = Date::new(year, month, i8::try_from(number(rest, 1, 2)?).ok()?).ok()?;
    // A space may also stand before a zone.
    let hour_follows =
        rest.strip_prefix(['T', 't', ' ']).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    if !hour_follows {
        return Some(days(date, date));
    }
    eat(rest, &['T', 't', ' ']);
    let (mut minute, mut second, mut fraction) = (0..=59, 0..=59, 0..=999_999_999);
    let hour = i8::try_from(number(rest, 1, 2)?).ok()?;
    if eat(rest, &[':']) {
        minute = one(i8::try_from(number(rest, 2, 2)?).ok()?);
        if eat(rest, &[':']) {
            second = one(i8::try_from(number(rest, 2, 2)?).ok()?);
            if eat(rest, &['.']) {
                let digits = rest.len();
                let value = number(rest, 1, 9)?;
                let unit = 10_i32.pow(u32::try_from(9 - (digits - rest.len())).ok()?);
                let first = i32::try_from(value).ok()? * unit;
                fraction = first..=first + (unit - 1);
            }
        }
    }
    let first = civil::Time::new(hour, *minute.start(), *second.start(), *fraction.start()).ok()?;
    let last = civil::Time::new(hour, *minute.end(), *second.end(), *fraction.end()).ok()?;
    Some((date.to_datetime(first), date.to_datetime(last), true))
}

fn one(n: i8) -> std::ops::RangeInclusive<i8> {
    n..=n
}

/// Takes the digits at the beginning, when there are this many.
fn number(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(least..=most).contains(&digits) {
        return None;
    }
    let (number, after) = rest.split_at(digits);
    *rest = after;
    number.parse().ok()
}

fn eat(rest: &mut &str, any: &[char]) -> bool {
    let after = rest.strip_prefix(any);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

/// Reads an offset from UTC: `+01`, `-0330`, `+05:45`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, mut rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (number(&mut rest, 2, 2)?, 0),
        4 => {
            let both = number(&mut rest, 4, 4)?;
            (both / 100, both % 100)
        }
        _ => {
            let hours = number(&mut rest, 2, 2)?;
            (hours, eat(&mut rest, &[':']).then(|| number(&mut rest, 2, 2)).flatten()?)
        }
    };
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?).ok()
}

/// Returns the instant at which the clocks of `zone`, named so at that time, or of UTC show `last`.
fn named(last: DateTime, name: &str, zone: &TimeZone) -> Option<i64> {
    let (later, earlier) = match zone.to_ambiguous_timestamp(last).offset() {
        AmbiguousOffset::Unambiguous { offset } => (Some(offset), None),
        AmbiguousOffset::Fold { before, after } => (Some(after), Some(before)),
        AmbiguousOffset::Gap { .. } => (None, None),
    };
    let is_named = |offset: &Offset| {
        let instant = offset.to_timestamp(last);
        instant.is_ok_and(|instant| zone.to_offset_info(instant).abbreviation() == name)
    };
    let local = [later, earlier].into_iter().flatten().find(is_named);
    let universal = || matches!(name, "UTC" | "GMT").then_some(Offset::UTC);
    local.or_else(universal).map(|offset| at_offset(last, offset))
}

/// Returns the last instant at which the clocks of `zone` showed `last` or an earlier time.
fn local(last: DateTime, zone: &TimeZone) -> i64 {
    match zone.to_ambiguous_timestamp(last).offset() {
        AmbiguousOffset::Unambiguous { offset } => at_offset(last, offset),
        AmbiguousOffset::Fold { after, .. } => at_offset(last, after),
        AmbiguousOffset::Gap { after, .. } => {
            let before = at_offset(last, after);
            let instant = Timestamp::from_nanosecond(before.into());
            let change = instant.ok().and_then(|instant| zone.following(instant).next());
            change.map_or(before, |change| nanos(change.timestamp()) - 1)
        }
    }
}

/// Returns the first instant at which the clocks of `zone` showed `first` or a later time.
fn local_first(first: DateTime, zone: &TimeZone) -> i64 {
    match zone.to_ambiguous_timestamp(first).offset() {
        AmbiguousOffset::Unambiguous { offset } => at_offset(first, offset),
        AmbiguousOffset::Fold { before, .. } => at_offset(first, before),
        AmbiguousOffset::Gap { .. } => local(first, zone).saturating_add(1),
    }
}

/// Returns the instant; times outside of what nanoseconds can count are before or after every snapshot.
fn at_offset(last: DateTime, offset: Offset) -> i64 {
    let beyond = if last.year() < 1970 { i64::MIN } else { i64::MAX };
    offset.to_timestamp(last).map_or(beyond, nanos)
}

/// What the clocks of `zone` show at `now`.
fn zoned(now: Time, zone: &Zone) -> Zoned {
    Timestamp::from_nanosecond(now.unix_nanos().into()).unwrap_or_default().to_zoned(zone.jiff().clone())
}

fn nanos(instant: Timestamp) -> i64 {
    let ns = instant.as_nanosecond();
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

fn end_of(day: Date) -> DateTime {
    day.to_datetime(civil::Time::MAX)
}

/// Reads Kopia's `[N(y|year|years)-][N(m|mo|month|months)-][N(d|day|days)-]ago`: the day it means, counted as Go counts
/// (a day that its month does not have is one of the next).
fn kopia_ago(parts: &str, today: Date) -> Option<Date> {
    let (mut months, mut days, mut before) = (0, 0, 0);
    for part in parts.split('-') {
        let mut unit = part;
        let n = i32::try_from(number(&mut unit, 1, 3)?).ok()?;
        let rank = match unit {
            "y" | "year" | "years" => 1,
            "m" | "mo" | "month" | "months" => 2,
            "d" | "day" | "days" => 3,
            _ => return None,
        };
        // Each at most once, and in this order.
        if rank <= before {
            return None;
        }
        before = rank;
        match rank {
            1 => months += 12 * n,
            2 => months += n,
            _ => days = n,
        }
    }
    let count = i32::from(today.year()) * 12 + i32::from(today.month()) - 1 - months;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
    first.checked_add(Span::new().try_days(i32::from(today.day()) - 1 - days).ok()?).ok()
}

/// Reads `2 days`, `3h` or `1 month 2 days`: that long before now, to the second. `m` alone could be months or minutes.
fn ago(span: &str, now: &Zoned) -> Option<i64> {
    let (mut total, mut rest) = (Span::new(), span.trim());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let n = i64::from(number(&mut rest, 1, 9)?);
        rest = rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let (unit, after) = rest.split_at(end);
        total = match unit {
            "s" | "sec" | "second" | "seconds" => total.try_seconds(total.get_seconds() + n),
            "min" | "minute" | "minutes" => total.try_minutes(total.get_minutes() + n),
            "h" | "hour" | "hours" => total.try_hours(i64::from(total.get_hours()) + n),
            "d" | "day" | "days" => total.try_days(i64::from(total.get_days()) + n),
            "w" | "week" | "weeks" => total.try_weeks(i64::from(total.get_weeks()) + n),
            "mo" | "month" | "months" => total.try_months(i64::from(total.get_months()) + n),
            "y" | "year" | "years" => total.try_years(i64::from(total.get_years()) + n),
            _ => return None,
        }
        .ok()?;
        rest = after.trim_start();
    }
    Some(nanos(now.checked_sub(total).ok()?.timestamp()))
}

fn unknown(text: &str) -> Error {
    let what = format!("{text:?} is not a time: take 2026-11-01, 2026-11-01T12:00:00Z or \"2 days ago\"");
    Error::new(ErrorKind::Usage, what)
}

fn unknown_zone(text: &str, zone: &str) -> Error {
    let what = format!(
        "{text:?} is not a time: {zone:?} is neither an offset such as +01:00, nor UTC, GMT or the name that the \
         local zone has then"
    );
    Error::new(ErrorKind::Usage, what)
}

#[cfg(test)]
mod tests;
