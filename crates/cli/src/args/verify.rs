//! Options of `verify`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs};

use super::which::{WHAT, Which};

/// Options of `verify`, in the order in which they are needed.
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("compared").args(["reference", "receipt"])))]
pub(crate) struct Verify {
    /// What to read [default: the newest snapshot of every source]
    ///
    /// Snapshot ID, user@host:/path or latest; also with /sub/path. What several have in
    /// common is read once.
    #[arg(value_name = "REF")]
    pub(crate) reference: Vec<String>,
    /// Every snapshot, not only the newest of each source
    #[arg(long, conflicts_with_all = ["reference", "as_of", "previous"], help_heading = WHAT)]
    pub(crate) all: bool,
    /// Every snapshot that started at this time or after it
    ///
    /// From the beginning of what is named: 2026-11 is the 1st. Also "2 days ago".
    #[arg(long, value_name = "TIME", conflicts_with_all = ["reference", "all", "as_of", "previous"], help_heading = WHAT, hide_short_help = true)]
    pub(crate) since: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Recompute the hash of every content, too
    ///
    /// Without it each content is authenticated by its encryption.
    #[arg(long, help_heading = WHAT)]
    pub(crate) hash: bool,
    #[command(flatten)]
    pub(crate) part: Part,
    /// Compare this folder with REF, by hashes
    ///
    /// Neither is changed; file data is read from the disk, not from the repository. 0:
    /// equal, 3: different.
    #[arg(long, value_name = "DIR", requires = "compared", help_heading = FOLDER)]
    pub(crate) against: Option<PathBuf>,
    /// Compare it with the receipt of a restore instead
    ///
    /// No repository is needed. 0: equal, 3: different.
    #[arg(long, value_name = "FILE", requires = "against", conflicts_with_all = ["hash", "all", "since", "include", "exclude", "owner", "as_of", "previous", "incomplete", "tag", "no_mode", "no_times"], help_heading = FOLDER)]
    pub(crate) receipt: Option<PathBuf>,
    /// Only entries that match (as in .gitignore, from REF)
    ///
    /// May be given several times.
    #[arg(long, value_name = "GLOB", requires = "against", help_heading = FOLDER, hide_short_help = true)]
    pub(crate) include: Vec<String>,
    /// No entries that match
    ///
    /// May be given several times. It beats --include.
    #[arg(long, value_name = "GLOB", requires = "against", help_heading = FOLDER, hide_short_help = true)]
    pub(crate) exclude: Vec<String>,
    /// Owners to expect: keep (default), skip or UID:GID
    ///
    /// keep: those of REF. skip: any. UID:GID: these numbers everywhere.
    #[arg(long, value_name = "OWNER", default_value = "keep", requires = "against", value_parser = crate::text::parse_owner, help_heading = FOLDER, hide_short_help = true)]
    pub(crate) owner: rekopia::OwnerPolicy,
    /// Do not compare modes (permissions)
    #[arg(long, requires = "against", help_heading = FOLDER, hide_short_help = true)]
    pub(crate) no_mode: bool,
    /// Do not compare modification times
    #[arg(long, requires = "against", help_heading = FOLDER, hide_short_help = true)]
    pub(crate) no_times: bool,
}

/// How much is read, for a job that covers a repository in many short runs.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = HOW_MUCH)]
pub(crate) struct Part {
    /// Read this part of all bytes, such as 4%
    ///
    /// First what no run has read, then what was read longest ago. Which of it is known
    /// by --state.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, conflicts_with_all = ["against", "presence"])]
    pub(crate) sample: Option<f64>,
    /// Remember here what was read and right, and when
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "presence"])]
    pub(crate) state: Option<PathBuf>,
    /// Read no file data; only look whether packs are there
    ///
    /// And whether they are long enough.
    #[arg(long, conflicts_with_all = ["against", "hash", "max_bytes", "max_time"], hide_short_help = true)]
    pub(crate) presence: bool,
    /// Read no more file data than this, such as 10GB
    #[arg(long, value_name = "SIZE", value_parser = crate::text::parse_size, conflicts_with = "against", hide_short_help = true)]
    pub(crate) max_bytes: Option<u64>,
    /// Begin no more reads after this time: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "against", hide_short_help = true)]
    pub(crate) max_time: Option<Duration>,
    /// Write the outcome for Prometheus (textfile collector)
    #[arg(long, value_name = "FILE", conflicts_with = "against", hide_short_help = true)]
    pub(crate) metrics: Option<PathBuf>,
}

const FOLDER: &str = "Compare a folder";
const HOW_MUCH: &str = "How much to read";

impl Part {
    /// Whether anything but all of it is asked for, or anything remembered.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.sample.is_some()
            || self.presence
            || self.max_bytes.is_some()
            || self.max_time.is_some()
            || self.state.is_some()
            || self.metrics.is_some()
    }
}

/// `5%` or `5`, as a part of one.
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is no part such as 5%: more than 0, at most 100")),
    }
}

/// `90s`, `30m`, `2h`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 90s, 30m or 2h");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim_start() {
        "s" | "sec" | "seconds" => 1,
        "m" | "min" | "minutes" => 60,
        "h" | "hours" => 3600,
        "d" | "days" => 86400,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_times_are_understood_to_the_last_character() {
        assert_eq!(parse_percent("5%"), Ok(0.05));
        assert_eq!(parse_percent("0.5"), Ok(0.005));
        for wrong in ["", "%", "0", "101%", "-1%", "five", "NaN", "5 %%"] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("30 min"), Ok(Duration::from_secs(1800)));
        assert_eq!(parse_time("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "5", "m", "-1s", "1w", "99999999999s", "1h30m"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
