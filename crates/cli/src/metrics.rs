//! Writes the outcome of a verification for Prometheus: a file for the textfile collector of its node exporter.

use std::fmt::Write;
use std::path::Path;

use rekopia::Report;

/// Returns the text of the file `path`; `report`: what was found out, where anything was.
pub(crate) fn of(path: &Path, began: jiff::Timestamp, code: u8, report: Option<&Report>) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let label = stem.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: f64| {
        let _ = writeln!(text, "# HELP rekopia_verify_{name} {help}");
        let _ = writeln!(text, "# TYPE rekopia_verify_{name} gauge");
        let _ = writeln!(text, "rekopia_verify_{name}{{name=\"{label}\"}} {value}");
    };
    gauge("success", "1 when all that was looked at is right.", f64::from(u8::from(code == 0)));
    gauge("exit_code", "Exit code of the last run.", code.into());
    gauge("start_timestamp_seconds", "When the last run began.", began.as_second() as f64);
    let Some(report) = report else { return text };
    gauge("duration_seconds", "How long it took.", report.seconds);
    gauge("failed_entries", "Entries that cannot be read.", report.failed as f64);
    gauge("fetched_bytes", "Bytes that came from the storage.", report.fetched_bytes as f64);
    gauge("requests", "Requests to the storage.", report.requests as f64);
    let Some(set) = &report.verified else { return text };
    gauge("snapshots", "Snapshots that were looked at.", set.trees as f64);
    gauge("affected_snapshots", "Snapshots of which something cannot be read.", set.affected_trees as f64);
    gauge("needed_bytes", "Bytes in packs that the snapshots need.", set.needed_bytes as f64);
    gauge("read_bytes", "Of these, bytes that the last run looked at.", set.read_bytes as f64);
    gauge("damaged_bytes", "Of these, bytes that cannot be read.", set.damaged_bytes as f64);
    gauge("covered_bytes", "Needed bytes that some run has read and found right.", set.covered_bytes as f64);
    if let Some(since) = set.covered_since {
        gauge(
            "covered_since_timestamp_seconds",
            "When the oldest of these were read.",
            since.unix_seconds() as f64,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_could_not_begin_is_told_too() {
        let text = of(Path::new("/x/a \"b\".prom"), jiff::Timestamp::UNIX_EPOCH, 15, None);
        assert!(text.contains("rekopia_verify_success{name=\"a \\\"b\\\"\"} 0\n"), "{text}");
        assert!(text.contains("exit_code{name=\"a \\\"b\\\"\"} 15\n") && !text.contains("needed"), "{text}");
        let mut report = Report::default();
        report.verified = Some(rekopia::Verified::default());
        let text = of(Path::new("nas.prom"), jiff::Timestamp::UNIX_EPOCH, 0, Some(&report));
        assert!(text.contains("rekopia_verify_success{name=\"nas\"} 1\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once(' ').unwrap();
            assert!(name.ends_with("{name=\"nas\"}") && value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
