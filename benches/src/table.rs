//! Results as a Markdown table, on the terminal and in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use rekopia_testkit::server::delay::Traffic;

use crate::process::{Run, median};

/// A run and what it asked of the server, if there was one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) run: Run,
    pub(crate) traffic: Option<Traffic>,
}

/// Makes a heading and a line for each program, the first is ours: medians of everything but the peak, which is the
/// largest.
pub(crate) fn comparison(title: &str, programs: &[(&str, Vec<Sample>)]) -> String {
    let of = |samples: &[Sample], value: fn(&Sample) -> f64| median(samples.iter().map(value));
    let seconds: fn(&Sample) -> f64 = |s| s.run.seconds;
    let ours = programs.first().map_or(f64::NAN, |(_, samples)| of(samples, seconds));
    let far = programs.iter().any(|(_, samples)| samples.iter().any(|s| s.traffic.is_some()));
    let mut head = vec!["program", "seconds", "fastest…slowest", "times ours", "CPU seconds", "peak MiB"];
    if far {
        head.extend(["requests", "connections", "MB"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (name, samples) in programs {
        let middle = of(samples, seconds);
        let all = || samples.iter().map(seconds);
        let (fastest, slowest) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        let peak = samples.iter().map(|s| s.run.peak_mib).fold(0.0, f64::max);
        let mut row = vec![
            (*name).to_owned(),
            format!("{middle:.2}"),
            format!("{fastest:.2}…{slowest:.2}"),
            format!("{:.2}", middle / ours),
            format!("{:.2}", of(samples, |s| s.run.cpu)),
            format!("{peak:.0}"),
        ];
        if far {
            let traffic = |value: fn(Traffic) -> u64| {
                median(samples.iter().map(|s| s.traffic.map_or(f64::NAN, |t| value(t) as f64)))
            };
            row.push(format!("{:.0}", traffic(|t| t.requests())));
            row.push(format!("{:.0}", traffic(|t| t.connections)));
            row.push(format!("{:.1}", traffic(|t| t.bytes) / 1e6));
        }
        rows.push(row);
    }
    format!("### {title}\n\n{}", markdown(&rows))
}

/// Rows of cells, the first is the head.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if number == 0 {
            text += &format!("|{}\n", " --- |".repeat(row.len()));
        }
    }
    text
}

/// Prints, and appends to a file.
///
/// # Errors
/// Those of the file system.
pub(crate) fn publish(text: &str, file: Option<&Path>) -> Result<()> {
    println!("\n{text}");
    if let Some(path) = file {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{text}")).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Name of the file system that a path is on.
pub(crate) fn file_system(path: &Path) -> Result<String> {
    let kind = rustix::fs::statfs(path)?.f_type as u64;
    Ok(match kind {
        0x0102_1994 => "tmpfs".into(),
        0xef53 => "ext4".into(),
        0x5846_5342 => "XFS".into(),
        0x9123_683e => "Btrfs".into(),
        0x794c_7630 => "overlayfs".into(),
        other => format!("file system {other:#x}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: f64, peak_mib: f64, gets: Option<u64>) -> Sample {
        let traffic =
            gets.map(|gets| Traffic { gets, lists: 1, connections: 2, bytes: 5_000_000, others: 0 });
        Sample { run: Run { seconds, cpu: 0.5, peak_mib }, traffic }
    }

    #[test]
    fn ratios_stand_beside_medians() {
        let ours = vec![sample(1.0, 70.0, Some(9)), sample(3.0, 90.0, Some(9)), sample(2.0, 80.0, Some(9))];
        let table = comparison("fresh", &[("a", ours), ("b", vec![sample(5.0, 10.0, Some(99))])]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "### fresh");
        assert_eq!(lines[3].matches("---").count(), 9);
        assert_eq!(lines[4], "| a | 2.00 | 1.00…3.00 | 1.00 | 0.50 | 90 | 10 | 2 | 5.0 |");
        assert_eq!(lines[5], "| b | 5.00 | 5.00…5.00 | 2.50 | 0.50 | 10 | 100 | 2 | 5.0 |");
        let local = comparison("local", &[("a", vec![sample(1.0, 1.0, None)])]);
        assert!(!local.contains("requests"), "{local}");
    }
}
