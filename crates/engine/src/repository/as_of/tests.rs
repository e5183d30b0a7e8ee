//! Forms of times × zones × precisions, and that every shown time selects the snapshot that it is shown for.

use proptest::prelude::*;

use super::*;

const BERLIN: &str = "Europe/Berlin";

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap()
}

/// Returns 10:30 on a Tuesday in Berlin.
fn now() -> Time {
    Time::parse("2026-11-24T10:30:00+01:00").unwrap()
}

#[track_caller]
fn until(as_of: Result<AsOf>) -> String {
    let AsOf::Until(time) = as_of.unwrap() else { panic!("no instant") };
    time.to_string()
}

#[test]
fn a_time_includes_its_own_precision() {
    for (text, zone_name, last) in [
        ("2026-11-29T16:29:20Z", BERLIN, "2026-11-29T16:29:20.999999999Z"),
        ("2026-11-29 16:29:20 UTC", BERLIN, "2026-11-29T16:29:20.999999999Z"),
        ("2026-11-29 16:29:20 GMT", BERLIN, "2026-11-29T16:29:20.999999999Z"),
        ("2026-11-29 16:29:20", BERLIN, "2026-11-29T15:29:20.999999999Z"),
        ("2026-11-29 16:29:20", "UTC", "2026-11-29T16:29:20.999999999Z"),
        ("2026-11-29 16:29:20 CET", BERLIN, "2026-11-29T15:29:20.999999999Z"),
        ("2026-07-29 16:29:20 CEST", BERLIN, "2026-07-29T14:29:20.999999999Z"),
        ("2026-11-29T16:29:20+02:00", BERLIN, "2026-11-29T14:29:20.999999999Z"),
        ("2026-11-29T16:29:20+0200", BERLIN, "2026-11-29T14:29:20.999999999Z"),
        ("2026-11-29 16:29:20 +02", BERLIN, "2026-11-29T14:29:20.999999999Z"),
        ("2026-11-29 16:29:20 -0330", BERLIN, "2026-11-29T19:59:20.999999999Z"),
        ("2026-11-29T16:29:20.5Z", BERLIN, "2026-11-29T16:29:20.599999999Z"),
        ("2026-11-29T16:29:20.589Z", BERLIN, "2026-11-29T16:29:20.589999999Z"),
        ("2026-11-29 16:29:20.589 CET", BERLIN, "2026-11-29T15:29:20.589999999Z"),
        ("2026-11-29t16:29:20.123456789z", BERLIN, "2026-11-29T16:29:20.123456789Z"),
        ("2026-11-29 16:29", "UTC", "2026-11-29T16:29:59.999999999Z"),
        ("2026-11-29T16:29Z", BERLIN, "2026-11-29T16:29:59.999999999Z"),
        ("2026-11-29T16:29-05", BERLIN, "2026-11-29T21:29:59.999999999Z"),
        ("2026-11-29 15", "UTC", "2026-11-29T15:59:59.999999999Z"),
        ("2026-11-29 15 UTC", BERLIN, "2026-11-29T15:59:59.999999999Z"),
        ("2026-11-29T15Z", BERLIN, "2026-11-29T15:59:59.999999999Z"),
        ("2026-11-01", "UTC", "2026-11-01T23:59:59.999999999Z"),
        ("2026-11-01", BERLIN, "2026-11-01T22:59:59.999999999Z"),
        ("2026-11-01", "America/New_York", "2026-11-02T04:59:59.999999999Z"),
        ("2026-11-1", "UTC", "2026-11-01T23:59:59.999999999Z"),
        ("2026-11-01 UTC", BERLIN, "2026-11-01T23:59:59.999999999Z"),
        ("2026-11", BERLIN, "2026-11-30T22:59:59.999999999Z"),
        ("2024-2", "UTC", "2024-02-29T23:59:59.999999999Z"),
        ("2026", "UTC", "2026-12-31T23:59:59.999999999Z"),
        ("2026", BERLIN, "2026-12-31T22:59:59.999999999Z"),
        // Kopia's own examples; its bounds are one nanosecond later, and exclusive.
        ("2019", "UTC", "2019-12-31T23:59:59.999999999Z"),
        ("2019-1", "UTC", "2019-01-31T23:59:59.999999999Z"),
        ("2019-01-1 13", "UTC", "2019-01-01T13:59:59.999999999Z"),
        ("2019-01-1 13:01:15", "UTC", "2019-01-01T13:01:15.999999999Z"),
        // The clocks were put back from 03:00 to 02:00, and forward from 02:00 to 03:00.
        ("2026-10-25 02:30:00", BERLIN, "2026-10-25T01:30:00.999999999Z"),
        ("2026-10-25 02:30:00 CEST", BERLIN, "2026-10-25T00:30:00.999999999Z"),
        ("2026-10-25 02:30:00 CET", BERLIN, "2026-10-25T01:30:00.999999999Z"),
        ("2026-10-25 01:59:59", BERLIN, "2026-10-24T23:59:59.999999999Z"),
        ("2026-03-29 02:30:00", BERLIN, "2026-03-29T00:59:59.999999999Z"),
        ("2026-03-29 03", BERLIN, "2026-03-29T01:59:59.999999999Z"),
        ("1969-07-20", "UTC", "1969-07-20T23:59:59.999999999Z"),
    ] {
        assert_eq!(until(AsOf::parse_absolute(text, &zone(zone_name))), last, "{text} in {zone_name}");
        assert_eq!(
            until(AsOf::parse(text, now(), &zone(zone_name))),
            last,
            "{text} in {zone_name}, among all forms"
        );
    }
    assert_eq!(AsOf::parse_absolute("9999-12-31", &Zone::utc()).unwrap(), AsOf::Until(Time::MAX));
    assert_eq!(AsOf::parse_absolute("0001", &Zone::utc()).unwrap(), AsOf::Until(Time::MIN));
}

#[test]
fn relative_times_are_kopias() {
    for (text, last) in [
        ("now", "2026-11-24T09:30:00Z"),
        ("2 days ago", "2026-11-22T09:30:00Z"),
        ("1 day 2 hours ago", "2026-11-23T07:30:00Z"),
        ("3h ago", "2026-11-24T06:30:00Z"),
        ("90 min ago", "2026-11-24T08:00:00Z"),
        // Over the change of the clocks: the same time of the day.
        ("1 month ago", "2026-10-24T08:30:00Z"),
        ("today", "2026-11-24T22:59:59.999999999Z"),
        ("yesterday", "2026-11-23T22:59:59.999999999Z"),
        ("1d-ago", "2026-11-23T22:59:59.999999999Z"),
        ("1day-ago", "2026-11-23T22:59:59.999999999Z"),
        ("1m-ago", "2026-10-24T21:59:59.999999999Z"),
        ("1mo-2d-ago", "2026-10-22T21:59:59.999999999Z"),
        ("1y-2months-3days-ago", "2025-09-21T21:59:59.999999999Z"),
        ("last-month", "2026-10-31T22:59:59.999999999Z"),
        ("last-year", "2025-12-31T22:59:59.999999999Z"),
    ] {
        assert_eq!(until(AsOf::parse(text, now(), &zone(BERLIN))), last, "{text}");
        assert_eq!(AsOf::parse_absolute(text, &zone(BERLIN)).unwrap_err().kind(), ErrorKind::Usage, "{text}");
    }
    assert_eq!(AsOf::parse(" latest ", now(), &zone(BERLIN)).unwrap(), AsOf::Latest);
    assert_eq!(AsOf::parse("oldest", now(), &zone(BERLIN)).unwrap(), AsOf::Oldest);
    // Go's arithmetic: 31 February is 3 March.
    let march = Time::parse("2026-03-31T12:00:00Z").unwrap();
    assert_eq!(until(AsOf::parse("1m-ago", march, &Zone::utc())), "2026-03-03T23:59:59.999999999Z");
}

#[test]
fn the_oldest_is_one_alone() {
    assert_eq!(AsOf::Oldest.selection(), Selection { oldest: true, ..Selection::default() });
    assert_eq!(AsOf::Until(Time::MAX).selection().as_of, Some(Time::MAX));
    assert_eq!(AsOf::Latest.selection(), Selection::default());
}

#[test]
fn what_is_not_understood_to_the_last_character_is_refused() {
    for text in [
        "",
        " ",
        "soon",
        "ago",
        "-ago",
        " ago",
        "days ago",
        "5 parsecs ago",
        "5 m ago",
        "3h-ago",
        "2d-1y-ago",
        "1d-1d-ago",
        "1234d-ago",
        "1d--ago",
        "2 days ago!",
        "2 days",
        "Latest",
        "YESTERDAY",
        "26",
        "20261101",
        "2026-",
        "2026-13",
        "2026-13-01",
        "2026-02-30",
        "2026-11-01T",
        "2026-11-01T25",
        "2026-11-01 15:",
        "2026-11-01 15:6",
        "2026-11-01 15:60",
        "2026-11-01 15:00:60",
        "2026-11-01 15:00:00.",
        "2026-11-01 15:00:00.1234567890",
        "2026-11-01 15:00:00,5",
        "2026-11-01T15:00:00\"Z",
        "2026-11-01T15:00:00ZZ",
        "2026-11-01T15:00:00  Z",
        "2026-11-01T15:00:00Z tomorrow",
        "2026-11-01T15:00:00+1",
        "2026-11-01T15:00:00+01:0",
        "2026-11-01T15:00:00+24",
        "2026-11-01T15:00:00+01:60",
        "2026-11-01T15:00:00+01:00[Europe/Berlin]",
        "2026-11-01+01:00",
        "2026-11-01 15:00 PST",
        "2026-11-01 15:00 CEST",
        "2026-07-01 15:00 CET",
        "2026-03-29 02:30:00 CET",
        "2026-11-01 15:00 utc",
        "2026-11-01 15:00 Europe/Berlin",
        "２０２６",
        "2026-11-01T15:00:00+०१",
    ] {
        let refused = AsOf::parse(text, now(), &zone(BERLIN)).err();
        assert_eq!(refused.map(|e| e.kind()), Some(ErrorKind::Usage), "{text:?}");
    }
    let message = AsOf::parse("2026-11-01 15:00 PST", now(), &zone(BERLIN)).unwrap_err().to_string();
    assert!(message.contains("\"PST\" is neither an offset such as +01:00, nor UTC"), "{message}");
}

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
];

proptest! {
    /// A time that a list shows selects what it is shown for, and nothing that is shown as later.
    #[test]
    fn a_shown_time_selects_what_is_shown(ns in 0_i64..4_000_000_000_000_000_000, zone_at in 0..ZONES.len()) {
        let zone = zone(ZONES[zone_at]);
        let instant = Timestamp::from_nanosecond(ns.into()).unwrap();
        let local = instant.to_zoned(zone.jiff().clone());
        for form in ["%Y-%m-%d %H:%M:%S %Z", "%Y-%m-%dT%H:%M:%S%:z", "%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%d %H:%M", "%Y-%m-%d %H", "%Y-%m-%d", "%Y-%m", "%Y"]
        {
            let shown = local.strftime(form).to_string();
            let AsOf::Until(last) = AsOf::parse_absolute(&shown, &zone).unwrap() else { panic!() };
            let last = last.unix_nanos();
            prop_assert!(last >= ns, "{shown} in {}", ZONES[zone_at]);
            let again = Timestamp::from_nanosecond(last.into()).unwrap().to_zoned(zone.jiff().clone());
            prop_assert_eq!(again.strftime(form).to_string(), shown);
        }
        prop_assert_eq!(AsOf::parse_absolute(&instant.to_string(), &zone).unwrap().selection().as_of
            .map(|last| (last.unix_nanos() - ns) / 1_000_000_000), Some(0));
    }

    #[test]
    fn nothing_panics(text in "[-+:. 0-9TZagomdyUTC]{0,30}|\\PC{0,20}") {
        let _ = AsOf::parse(&text, now(), &zone(BERLIN));
    }
}

#[test]
fn since_is_the_beginning_of_the_named_unit() {
    let at = |text: &str, zone: &str| AsOf::parse_since(text, now(), &self::zone(zone)).unwrap().to_string();
    for (text, first) in [
        ("2026", "2026-01-01T00:00:00Z"),
        ("2026-11", "2026-11-01T00:00:00Z"),
        ("2026-11-03", "2026-11-03T00:00:00Z"),
        ("2026-11-03 12", "2026-11-03T12:00:00Z"),
        ("2026-11-03T12:30", "2026-11-03T12:30:00Z"),
        ("2026-11-03T12:30:05.5Z", "2026-11-03T12:30:05.5Z"),
        ("2026-11-03T12:30+02:00", "2026-11-03T10:30:00Z"),
    ] {
        assert_eq!(at(text, "UTC"), first, "{text}");
    }
    // Clocks go forward over 02:30, and show it twice in autumn: the first instant counts.
    assert_eq!(at("2026-03-29T02:30", BERLIN), "2026-03-29T01:00:00Z");
    assert_eq!(at("2026-10-25T02:30", BERLIN), "2026-10-25T00:30:00Z");
    for relative in ["today", "yesterday", "last-month", "last-year", "3d-ago", "2 hours ago", "now"] {
        let first = AsOf::parse_since(relative, now(), &zone(BERLIN)).unwrap();
        let AsOf::Until(last) = AsOf::parse(relative, now(), &zone(BERLIN)).unwrap() else {
            panic!("{relative}")
        };
        assert!(first <= last, "{relative}");
    }
    for wrong in ["latest", "oldest", "", "2026-13"] {
        assert_eq!(
            AsOf::parse_since(wrong, now(), &zone(BERLIN)).unwrap_err().kind(),
            ErrorKind::Usage,
            "{wrong}"
        );
    }
}

#[test]
fn what_is_shown_can_be_asked_for() {
    let start = Time::parse("2026-11-29T16:29:20.589Z").unwrap();
    for (name, shown) in [
        ("UTC", "2026-11-29 16:29:20 UTC"),
        (BERLIN, "2026-11-29 17:29:20 CET"),
        ("Asia/Kathmandu", "2026-11-29 22:14:20 +0545"),
    ] {
        assert_eq!(zone(name).show(start), shown);
        assert_eq!(
            until(AsOf::parse_absolute(shown, &zone(name))),
            "2026-11-29T16:29:20.999999999Z",
            "{shown}"
        );
    }
}
