//! Draws the line that shows how far the work is, at whatever width there is.

use rekopia::{Phase, Progress};

use crate::text;

/// How far the work is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// What is being done.
    pub(crate) phase: Phase,
    /// Seconds since it began.
    pub(crate) seconds: u64,
    /// The numbers of this phase, where it has some.
    pub(crate) progress: Option<Progress>,
}

/// Between two parts of the line.
const GAP: usize = 2;
/// How long a bar may be, brackets included. Only these few, so that it does not change with every digit beside it.
const BARS: [usize; 4] = [32, 22, 12, 7];

/// A part of the line.
struct Part {
    /// The rank of the part: of what does not fit, the highest is left out first.
    rank: u8,
    /// Plain ASCII: as many columns as bytes.
    text: String,
}

const BAR_RANK: u8 = 6;

impl Work {
    /// Returns the line in at most `columns` columns.
    pub(crate) fn fitted(&self, columns: usize) -> String {
        let mut parts = self.parts();
        parts.sort_by_key(|(_, part)| part.rank);
        let (mut left, mut taken) = (columns, Vec::new());
        for (place, part) in parts {
            let gap = if taken.is_empty() { 0 } else { GAP };
            let is_phase = part.rank == 0;
            if is_phase || part.text.len() + gap <= left {
                left = left.saturating_sub(part.text.len() + gap);
                taken.push((place, part));
            }
        }
        taken.sort_by_key(|(place, _)| *place);
        let texts = taken.into_iter().map(|(_, part)| match part.rank {
            BAR_RANK => self.bar(BARS.into_iter().find(|bar| *bar <= part.text.len() + left).unwrap_or(0)),
            _ => part.text,
        });
        let mut line = Vec::from_iter(texts).join(&" ".repeat(GAP));
        line.truncate(columns);
        line
    }

    /// Returns the line for a log.
    pub(crate) fn logged(&self) -> String {
        let parts = self.parts().into_iter().map(|(_, part)| part).filter(|part| part.rank < BAR_RANK);
        let texts = Vec::from_iter(parts.map(|part| part.text));
        texts.join(", ").replacen(", ", ": ", 1)
    }

    /// Returns what there is to say, from left to right.
    fn parts(&self) -> Vec<(usize, Part)> {
        let mut parts = vec![Part { rank: 0, text: self.phase.name().into() }];
        let mut add = |rank, text: String| parts.push(Part { rank, text });
        match &self.progress {
            None if self.seconds == 0 => {}
            None => add(1, format!("for {}", text::whole_duration(self.seconds))),
            Some(p) if self.phase == Phase::Scanning => {
                add(1, format!("{} of {}", p.entries, text::count(p.total_entries, "pack")));
                if let Some(seconds) = p.eta_seconds {
                    add(3, format!("{} left", text::whole_duration(seconds)));
                }
            }
            Some(p) if self.phase == Phase::Listing => {
                add(1, text::count(p.entries, "directory"));
                if p.failures > 0 {
                    add(2, format!("{} failed", p.failures));
                }
            }
            Some(p) => {
                if p.total_bytes > 0 {
                    add(BAR_RANK, " ".repeat(BARS[BARS.len() - 1]));
                    add(7, format!("{}%", percent(p)));
                    add(1, format!("{} of {}", text::size(p.bytes), text::size(p.total_bytes)));
                    add(4, format!("{}/s", text::size(p.bytes_per_second)));
                    if let Some(seconds) = p.eta_seconds {
                        add(3, format!("{} left", text::whole_duration(seconds)));
                    }
                }
                // Where contents are read for many files at once, nobody knows which of these are done.
                if p.total_files > 0 || p.total_bytes == 0 {
                    add(5, format!("{} of {}", p.files, text::count(p.total_files, "file")));
                }
                if p.failures > 0 {
                    add(2, format!("{} failed", p.failures));
                }
            }
        }
        parts.into_iter().enumerate().collect()
    }

    /// Returns a bar of so many signs, brackets included.
    fn bar(&self, signs: usize) -> String {
        let inside = signs.saturating_sub(2);
        let done = self.progress.as_ref().map_or(0, percent) as usize * inside / 100;
        format!("[{}{}]", "#".repeat(done), "-".repeat(inside - done))
    }
}

fn percent(p: &Progress) -> u64 {
    let percent = u128::from(p.bytes) * 100 / u128::from(p.total_bytes.max(1));
    percent.min(100) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Work {
        let progress = Progress::default()
            .files(12)
            .total_files(31)
            .bytes(1_240_000_000)
            .total_bytes(2_700_000_000)
            .bytes_per_second(85_300_000)
            .eta_seconds(Some(17));
        Work { phase: Phase::Restoring, seconds: 14, progress: Some(progress) }
    }

    #[test]
    fn less_important_parts_go_first() {
        for (columns, expected) in [
            (
                119,
                "restoring  [#############-----------------]  45%  1.2 GB of 2.7 GB  85.3 MB/s  17s left  12 of 31 files",
            ),
            (79, "restoring  [##---]  45%  1.2 GB of 2.7 GB  85.3 MB/s  17s left  12 of 31 files"),
            (49, "restoring  1.2 GB of 2.7 GB  85.3 MB/s  17s left"),
            (39, "restoring  1.2 GB of 2.7 GB  17s left"),
            (20, "restoring  17s left"),
            (4, "rest"),
            (0, ""),
        ] {
            assert_eq!(half().fitted(columns), expected, "{columns}");
        }
    }

    #[test]
    fn no_width_is_exceeded_whatever_the_numbers() {
        let large = Progress::default()
            .files(u64::MAX)
            .total_files(u64::MAX)
            .bytes(u64::MAX)
            .total_bytes(1)
            .failures(u64::MAX)
            .bytes_per_second(u64::MAX)
            .eta_seconds(Some(u64::MAX));
        for progress in [None, Some(large), Some(Progress::default()), half().progress] {
            for columns in 0..300 {
                let line = Work { progress, ..half() }.fitted(columns);
                assert!(line.is_ascii() && line.len() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn without_bytes_there_is_no_bar() {
        let mut work = half();
        work.progress = Some(Progress::default().files(1).total_files(2).failures(1));
        assert_eq!(work.fitted(119), "restoring  1 of 2 files  1 failed");
        work.progress = None;
        assert_eq!(work.fitted(39), "restoring  for 14s");
        work.seconds = 0;
        assert_eq!((work.fitted(39), work.logged()), ("restoring".into(), "restoring".into()));
    }

    #[test]
    fn a_log_has_all_but_the_bar() {
        let expected = "restoring: 1.2 GB of 2.7 GB, 85.3 MB/s, 17s left, 12 of 31 files";
        assert_eq!(half().logged(), expected);
        assert_eq!(Work { progress: None, ..half() }.logged(), "restoring: for 14s");
    }
}
