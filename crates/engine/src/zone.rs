//! The time zone of whoever types a time.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rekopia_format::Time;

use crate::error::{Error, ErrorKind, Result};

/// This instant, by the system's clock.
pub fn now() -> Time {
    Time::from_unix_nanos(i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}

/// A time zone: what a time without an offset is read in, and where days and weeks begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this system (`TZ`, `/etc/localtime`); UTC where it cannot be found out.
    pub fn system() -> Self {
        Zone(TimeZone::system())
    }

    /// Coordinated Universal Time.
    pub fn utc() -> Self {
        Zone(TimeZone::UTC)
    }

    /// The zone of this name in the system's database: `Europe/Berlin`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the database does not have it.
    pub fn named(name: &str) -> Result<Self> {
        let unknown = |e| Error::new(ErrorKind::Usage, format!("{name:?} is no time zone")).because(e);
        TimeZone::get(name).map(Zone).map_err(unknown)
    }

    /// The time as lists show it, `2026-11-20 02:00:03 UTC`; [`AsOf::parse`](crate::AsOf::parse) takes it as it is.
    pub fn show(&self, time: Time) -> String {
        match Timestamp::from_nanosecond(i128::from(time.unix_nanos())) {
            Ok(t) => t.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            Err(_) => time.to_string(),
        }
    }

    /// The zone for calculations.
    pub(crate) fn jiff(&self) -> &TimeZone {
        &self.0
    }
}
