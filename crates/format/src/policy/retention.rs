//! Finds why each snapshot is kept: `latest-1`, `daily-2`, … as Kopia lists them (§6.6).

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::settings::Retention;
use crate::snapshot::Snapshot;
use crate::time::{Time, seconds_since_1970};

/// Returns the reasons to keep each of the snapshots of **one** source, in the order of `snapshots`.
///
/// No reason means that retention would delete the snapshot, unless it is pinned. `offset_seconds` gives the local
/// offset from UTC, in seconds east, at an instant in nanoseconds since 1970: weeks are counted in local time, all
/// else in UTC. Of snapshots of the same time the earlier one in `snapshots` counts as the newer one.
pub fn retention_reasons(
    snapshots: &[&Snapshot],
    policy: &Retention,
    offset_seconds: impl Fn(Time) -> i32,
) -> Vec<Vec<String>> {
    let mut newest_first: Vec<usize> = (0..snapshots.len()).collect();
    newest_first.sort_by(|a, b| match (snapshots.get(*a), snapshots.get(*b)) {
        (Some(a), Some(b)) => b.cmp_time(a),
        _ => std::cmp::Ordering::Equal,
    });
    let newest_first: Vec<(usize, &Snapshot)> =
        newest_first.into_iter().filter_map(|i| Some((i, *snapshots.get(i)?))).collect();

    let mut reasons: Vec<Vec<String>> = vec![Vec::new(); snapshots.len()];
    let mut give = |index: usize, reason: String| {
        if let Some(list) = reasons.get_mut(index) {
            list.push(reason);
        }
    };
    let complete = || newest_first.iter().filter(|(_, s)| s.incomplete.is_none());
    if let Some((_, newest)) = complete().next() {
        let mut kinds = kinds(policy, newest.start.unix_nanos());
        for (index, snapshot) in complete() {
            let period = Period::of(snapshot.start.unix_nanos(), offset_seconds(snapshot.start));
            for kind in &mut kinds {
                if let Some(n) = kind.count(*index, snapshot.start.unix_nanos(), &period) {
                    give(*index, format!("{}-{n}", kind.name));
                }
            }
        }
    }
    let newest_start = newest_first.first().map_or(0, |(_, s)| s.start.unix_nanos());
    let recent = newest_first.iter().take_while(|(_, s)| s.incomplete.is_some()).enumerate();
    for (rank, (index, snapshot)) in recent {
        if newest_start.saturating_sub(snapshot.start.unix_nanos()) < YOUNG_NS || rank < FIRST_INCOMPLETE {
            give(*index, "incomplete".to_owned());
        }
    }
    reasons
}

/// The age below which incomplete snapshots are kept, in nanoseconds.
const YOUNG_NS: i64 = 4 * HOUR_S * NS_PER_S;
/// Number of incomplete snapshots that are kept, however old.
const FIRST_INCOMPLETE: usize = 3;
const NS_PER_S: i64 = 1_000_000_000;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

/// A kind of period, and which of them are taken.
struct Kind {
    name: &'static str,
    limit: i64,
    not_before_ns: i64,
    id: fn(&Period, usize) -> [i64; 4],
    taken: HashSet<[i64; 4]>,
}

/// The periods in which an instant lies.
struct Period {
    /// The year, month, day, hour in UTC.
    utc: [i64; 4],
    /// The ISO year and week in local time.
    week: [i64; 2],
}

impl Kind {
    /// Returns the number of this snapshot among those kept for this kind; `None` when it is not one of them.
    fn count(&mut self, index: usize, start_ns: i64, period: &Period) -> Option<usize> {
        let full = i64::try_from(self.taken.len()).map_or(true, |n| n >= self.limit);
        if full || start_ns < self.not_before_ns || !self.taken.insert((self.id)(period, index)) {
            return None;
        }
        Some(self.taken.len())
    }
}

impl Period {
    fn of(ns: i64, offset_seconds: i32) -> Self {
        let utc = civil(ns);
        let offset = SignedDuration::from_secs(i64::from(offset_seconds));
        let local: Date = utc.checked_add(offset).unwrap_or(utc).date();
        let week = local.iso_week_date();
        Period {
            utc: [utc.year().into(), utc.month().into(), utc.day().into(), utc.hour().into()],
            week: [week.year().into(), week.week().into()],
        }
    }
}

/// Returns the six kinds, in the order in which Kopia lists them.
fn kinds(policy: &Retention, newest_ns: i64) -> [Kind; 6] {
    let limits = [
        policy.keep_latest,
        policy.keep_hourly,
        policy.keep_daily,
        policy.keep_weekly,
        policy.keep_monthly,
        policy.keep_annual,
    ];
    let [latest, hourly, daily, weekly, monthly, annual] = limits.map(Option::unwrap_or_default);
    let everything = limits.iter().all(|limit| limit.unwrap_or_default() == 0);
    let latest = if everything { i64::MAX } else { latest };
    let seconds_before =
        |n: i64, unit: i64| newest_ns.saturating_sub(n.saturating_mul(unit.saturating_mul(NS_PER_S)));
    let months_before = |n: i64| months_before(newest_ns, n);
    let kind =
        |name, limit, not_before_ns, id| Kind { name, limit, not_before_ns, id, taken: HashSet::new() };
    [
        kind("latest", latest, i64::MIN, |_, index| [i64::try_from(index).unwrap_or(i64::MAX), 0, 0, 0]),
        kind("hourly", hourly, seconds_before(hourly, HOUR_S), |p, _| p.utc),
        kind("daily", daily, seconds_before(daily, DAY_S), |&Period { utc: [y, m, d, _], .. }, _| {
            [y, m, d, 0]
        }),
        kind(
            "weekly",
            weekly,
            seconds_before(weekly, DAY_S.saturating_mul(7)),
            |&Period { week: [y, w], .. }, _| [y, w, 0, 0],
        ),
        kind("monthly", monthly, months_before(monthly), |&Period { utc: [y, m, ..], .. }, _| [y, m, 0, 0]),
        kind(
            "annual",
            annual,
            months_before(annual.saturating_mul(12)),
            |&Period { utc: [y, ..], .. }, _| [y, 0, 0, 0],
        ),
    ]
}

fn civil(ns: i64) -> jiff::civil::DateTime {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default().to_zoned(TimeZone::UTC).datetime()
}

/// Returns the time of day `months` earlier; a day that the month does not have runs on into the next.
fn months_before(ns: i64, months: i64) -> i64 {
    let at = civil(ns);
    let months = months.clamp(0, 100_000);
    let since_0 = i64::from(at.year()).saturating_mul(12).saturating_add(i64::from(at.month()));
    let month = since_0.saturating_sub(1).saturating_sub(months);
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12).saturating_add(1));
    let (hour, minute, second) = (at.hour().into(), at.minute().into(), at.second().into());
    seconds_since_1970(year, month, at.day().into(), hour, minute, second)
        .checked_mul(NS_PER_S)
        .map_or(i64::MIN, |seconds| seconds.saturating_add(at.subsec_nanosecond().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifests;
    use crate::time::parse_rfc3339_nanos;

    fn snapshots(list: &[(&str, &str)]) -> Vec<Snapshot> {
        let entries: Vec<String> = list
            .iter()
            .enumerate()
            .map(|(i, (start, incomplete))| {
                format!(
                    r#"{{"id":"{i:04x}","modified":"1970-01-01T00:00:{i:02}Z","data":{{"source":{{"host":"h","userName":"u","path":"/"}},
                        "startTime":"{start}","endTime":"{start}","incomplete":"{incomplete}"}}}}"#
                )
            })
            .collect();
        let mut manifests = Manifests::default();
        manifests.add(format!(r#"{{"entries":[{}]}}"#, entries.join(",")).as_bytes()).unwrap();
        manifests.finish().iter().map(|m| Snapshot::parse(m).unwrap()).collect()
    }

    fn reasons(list: &[(&str, &str)], policy: &Retention, offset: i32) -> Vec<String> {
        let snapshots = snapshots(list);
        let refs: Vec<&Snapshot> = snapshots.iter().collect();
        retention_reasons(&refs, policy, |_| offset).into_iter().map(|r| r.join(" ")).collect()
    }

    fn keep(latest: i64, hourly: i64, daily: i64, weekly: i64, monthly: i64, annual: i64) -> Retention {
        Retention {
            keep_latest: Some(latest),
            keep_hourly: Some(hourly),
            keep_daily: Some(daily),
            keep_weekly: Some(weekly),
            keep_monthly: Some(monthly),
            keep_annual: Some(annual),
            ignore_identical_snapshots: None,
        }
    }

    /// What Kopia 0.23.1 said about snapshots of these times.
    #[test]
    fn agrees_with_kopia() {
        let list = [
            ("2023-12-31T23:59:59Z", "latest-12 monthly-7 annual-4"),
            ("2024-01-01T00:00:00Z", "latest-11 monthly-6"),
            ("2024-02-29T12:00:00Z", "latest-10 monthly-5 annual-3"),
            ("2025-03-30T01:30:00Z", "latest-9"),
            ("2025-03-30T02:30:00Z", "latest-8 monthly-4"),
            ("2025-10-26T02:30:00Z", "latest-7 monthly-3 annual-2"),
            ("2026-01-15T06:00:00Z", "latest-6 monthly-2"),
            ("2026-11-01T03:00:00Z", "latest-5 daily-4 weekly-2"),
            ("2026-11-20T03:00:00Z", "latest-4 daily-3"),
            ("2026-11-21T03:00:00Z", "latest-3 hourly-3 daily-2"),
            ("2026-11-22T03:00:00Z", "latest-2 hourly-2"),
            ("2026-11-22T15:30:00Z", "latest-1 hourly-1 daily-1 weekly-1 monthly-1 annual-1"),
        ];
        let times = list.map(|(time, _)| (time, ""));
        assert_eq!(reasons(&times, &keep(100, 48, 30, 8, 48, 10), 0), list.map(|(_, reason)| reason));
        let list = [
            ("2026-10-04T01:00:00Z", "latest-4 weekly-3"),
            ("2026-10-08T01:00:00Z", "latest-3 weekly-2"),
            ("2026-10-12T01:00:00Z", "latest-2 daily-2"),
            ("2026-10-16T01:00:00Z", "latest-1 hourly-1 daily-1 weekly-1 monthly-1 annual-1"),
        ];
        assert_eq!(
            reasons(&list.map(|(time, _)| (time, "")), &keep(10, 48, 7, 4, 24, 3), 0),
            list.map(|(_, reason)| reason)
        );
    }

    #[test]
    fn limits_and_cutoffs_end_each_kind() {
        let times =
            [("2026-01-01T00:00:00Z", ""), ("2026-01-02T00:00:00Z", ""), ("2026-01-03T00:00:00Z", "")];
        assert_eq!(reasons(&times, &keep(1, 0, 1, 0, 0, 0), 0), ["", "", "latest-1 daily-1"]);
        // not older than three days before the newest, and three are allowed
        assert_eq!(reasons(&times, &keep(0, 0, 3, 0, 0, 0), 0), ["daily-3", "daily-2", "daily-1"]);
        let unlimited = ["latest-3", "latest-2", "latest-1"];
        assert_eq!(reasons(&times, &Retention::default(), 0), unlimited);
        assert_eq!(reasons(&times, &keep(0, 0, 0, 0, 0, 0), 0), unlimited);
        assert_eq!(reasons(&times, &keep(-1, 0, 0, 0, 0, 0), 0), ["", "", ""]);
    }

    #[test]
    fn weeks_are_local() {
        // a Sunday evening in UTC is Monday in the east
        let times = [("2026-11-22T12:00:00Z", ""), ("2026-11-22T20:00:00Z", "")];
        assert_eq!(reasons(&times, &keep(0, 0, 0, 4, 0, 0), 0), ["", "weekly-1"]);
        assert_eq!(reasons(&times, &keep(0, 0, 0, 4, 0, 0), 5 * 3600), ["weekly-2", "weekly-1"]);
    }

    #[test]
    fn incomplete_ones_are_kept_while_young_or_few() {
        let list = [
            ("2026-01-01T00:00:00Z", "checkpoint"),
            ("2026-01-01T01:00:00Z", ""),
            ("2026-01-01T02:00:00Z", "checkpoint"),
            ("2026-01-01T03:00:00Z", "checkpoint"),
            ("2026-01-01T06:00:00Z", "canceled"),
            ("2026-01-01T07:00:00Z", "checkpoint"),
            ("2026-01-01T08:00:00Z", "checkpoint"),
        ];
        let expected = ["", "latest-1", "", "", "incomplete", "incomplete", "incomplete"];
        assert_eq!(reasons(&list, &keep(1, 0, 0, 0, 0, 0), 0), expected);
        assert_eq!(
            reasons(&[("2026-01-01T00:00:00Z", "canceled")], &Retention::default(), 0),
            ["incomplete"]
        );
        assert_eq!(reasons(&[], &Retention::default(), 0), [""; 0]);
    }

    #[test]
    fn of_equal_times_the_first_is_the_newer() {
        let list = [("2026-11-22T05:00:00Z", ""), ("2026-11-22T05:00:00Z", "")];
        assert_eq!(reasons(&list, &keep(10, 1, 0, 0, 0, 0), 0), ["latest-1 hourly-1", "latest-2"]);
    }

    #[test]
    fn months_run_on_and_extremes_do_not_overflow() {
        let ns = |text| parse_rfc3339_nanos(text).unwrap();
        assert_eq!(months_before(ns("2024-03-31T01:02:03.5Z"), 1), ns("2024-03-02T01:02:03.5Z"));
        assert_eq!(months_before(ns("2024-02-29T00:00:00Z"), 12), ns("2023-03-01T00:00:00Z"));
        assert_eq!(months_before(i64::MIN, i64::MAX), i64::MIN);
        let times = [("0001-01-01T00:00:00Z", ""), ("9999-01-01T00:00:00Z", "")];
        let all = i64::MAX;
        assert_eq!(reasons(&times, &keep(all, all, all, all, all, all), i32::MAX).len(), 2);
    }
}
