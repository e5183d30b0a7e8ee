//! Says the last words of a restore or verification: one event with `--json`, a few lines otherwise.

use rekopia::{Bound, Deletion, EndedBy, Estimate, Planned, Remark, Report, Verified, Zone};
use serde_json::{Value, json};

use crate::args::Global;
use crate::say::{end_status, give_last_line, say};
use crate::text::{self, count};

/// The job that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// A restore.
    Restore,
    /// A restore that only says what it would do.
    DryRun,
    /// A verification.
    Verify,
    /// A comparison of a tree with a snapshot.
    Compare,
}

/// Number of names of one kind that are shown.
const SHOWN: usize = 20;

/// Prints the report of a run that ends with `code`; `recorded` are the errors that its snapshots recorded.
///
/// # Errors
/// Those of standard output, with `--json`; what is said on standard error never fails.
pub(crate) fn print(
    global: &Global,
    report: &Report,
    job: Job,
    code: u8,
    recorded: Vec<Value>,
) -> std::io::Result<()> {
    if global.json {
        let mut document = serde_json::to_value(report)?;
        document["event"] = json!("report");
        document["exitCode"] = json!(code);
        document["recordedErrors"] = recorded.into();
        return give_last_line(document);
    }
    end_status();
    if global.quiet {
        return Ok(());
    }
    say(&done(report, job));
    if global.verbose > 0 {
        traffic(report).iter().for_each(|line| say(line));
    }
    rest(report, job).iter().for_each(|line| say(line));
    Ok(())
}

fn done(report: &Report, job: Job) -> String {
    let verb = match job {
        Job::Restore => "Restored",
        Job::DryRun => "Would restore",
        // Not all that was walked through was read.
        Job::Verify if report.verified.as_ref().is_some_and(|v| v.presence || v.ended_by.is_some()) => {
            "Looked through"
        }
        Job::Verify => "Verified",
        Job::Compare => "Equal are",
    };
    // What was left alone as asked is not restored.
    let files = count(report.files.saturating_sub(report.skipped_files), "file");
    let links = count(report.symlinks.saturating_sub(report.skipped_symlinks), "symbolic link");
    let dirs = count(report.directories, "directory");
    let mut line = format!("{verb} {files}, {dirs} and {links} ({})", text::size(report.bytes));
    // How long it takes to find out is not how long it would take.
    if job != Job::DryRun {
        line.push_str(&format!(" in {}", text::duration(report.seconds)));
    }
    if report.bytes > 0 && report.seconds > 0.0 && job != Job::DryRun {
        line.push_str(&format!(" ({}/s)", text::size((report.bytes as f64 / report.seconds) as u64)));
    }
    if report.skipped > 0 {
        line.push_str(&format!(", skipped {}", report.skipped));
    }
    if report.kept_bytes > 0 {
        line.push_str(&format!(", {} was right already", text::size(report.kept_bytes)));
    }
    if report.deleted > 0 {
        line.push_str(&format!(", {} extra deleted", report.deleted));
    }
    if report.salvaged {
        line.push_str(", salvaged");
    }
    line + "."
}

fn traffic(report: &Report) -> Vec<String> {
    let (read, needed) = (text::size(report.fetched_bytes), text::size(report.needed_bytes));
    let mut lines = vec![format!("Read {read} in {}, {needed} needed.", count(report.requests, "request"))];
    lines.extend(stages(report));
    if report.latency_seconds > 0.0 {
        let (latency, tries) = (report.latency_seconds * 1000.0, count(report.retries, "second try"));
        lines.push(format!("The storage answers in {latency:.0} ms; {tries}."));
    }
    lines
}

/// Returns where the time went, on lines of less than 80 columns. Stages overlap.
fn stages(report: &Report) -> Vec<String> {
    let s = &report.stages;
    let parts = [
        ("walk", s.walk),
        ("compare", s.reconcile),
        ("plan", s.plan),
        ("fetch", s.fetch),
        ("wait for memory", s.stall),
        ("decode", s.decode),
        ("write", s.write),
        ("idle", s.idle),
        ("sync", s.sync),
    ];
    let mut lines = vec![String::from("Time of all threads:")];
    for (i, (name, seconds)) in parts.iter().enumerate() {
        let end = if i + 1 < parts.len() { "," } else { "." };
        let part = format!(" {name} {seconds:.2}s{end}");
        match lines.last_mut() {
            Some(line) if line.len() + part.len() < 79 => line.push_str(&part),
            _ => lines.push(format!(" {part}")),
        }
    }
    lines
}

fn rest(report: &Report, job: Job) -> Vec<String> {
    let mut lines = report.planned.as_ref().map(planned).unwrap_or_default();
    lines.extend(report.verified.iter().flat_map(verified));
    lines.extend(report.warnings.iter().map(|warning| format!("warning: {}", text::line(warning))));
    let incomplete = |remark: &Remark| format!("incomplete: {}", remarked(remark));
    lines.extend(report.incomplete.iter().map(incomplete));
    if report.unset_attributes > 0 {
        lines.push(format!("warning: {} could not be set:", count(report.unset_attributes, "attribute")));
        lines.extend(report.fidelity.iter().take(5).map(|remark| format!("  {}", remarked(remark))));
    }
    if report.protected > 0 {
        let (word, stay) = if report.protected == 1 { ("entry", "stays") } else { ("entries", "stay") };
        let n = report.protected;
        lines.push(format!("{n} {word} {stay} as before, because this run itself uses what is there."));
    }
    if report.undeleted > 0 {
        let (n, word) = (report.undeleted, if report.undeleted == 1 { "entry" } else { "entries" });
        lines.push(format!("{n} extra {word} could not be removed:"));
        let shown = report.remaining.iter().take(SHOWN);
        lines.extend(shown.map(|remark| format!("  {}", remarked(remark))));
        lines.extend(more(n, report.remaining.len().min(SHOWN)));
    }
    if report.failed > 0 {
        let (word, are) = if report.failed == 1 { ("entry", "is") } else { ("entries", "are") };
        lines.push(match job {
            Job::Verify => {
                format!("{} {word} cannot be read in full (named above).", report.failed)
            }
            Job::Compare => {
                let (word, s) = if report.failed == 1 { ("entry", "s") } else { ("entries", "") };
                format!("{} {word} differ{s} (named above).", report.failed)
            }
            _ => format!("{} {word} {are} NOT as in the snapshot (named above).", report.failed),
        });
    }
    if report.lost_bytes > 0 {
        lines.push(format!("{} of damaged files are lost.", text::size(report.lost_bytes)));
    }
    if !report.left_over.is_empty() {
        lines.push("What is left of damaged files stands beside them:".into());
        lines.extend(report.left_over.iter().take(SHOWN).map(|remark| format!("  {}", remarked(remark))));
        lines.extend(more(report.left_over.len() as u64, report.left_over.len().min(SHOWN)));
    }
    match &report.fatal {
        _ if report.cancelled && job == Job::Restore => {
            lines.push("Stopped on request; run it again to complete the restore.".into());
        }
        _ if report.cancelled => lines.push("Stopped on request.".into()),
        Some(fatal) => lines.push(format!("Stopped: {}", text::line(&fatal.message))),
        None => {}
    }
    lines
}

/// Returns how much of what several trees need was looked at, and which of them are not whole.
fn verified(set: &Verified) -> Vec<String> {
    let (trees, contents) = (count(set.trees, "snapshot"), count(set.needed_contents, "content"));
    let mut lines =
        vec![format!("{trees} need{} {} in {contents}.", s(set.trees), text::size(set.needed_bytes))];
    let why = match set.ended_by {
        _ if set.presence => Some("Listed are"),
        Some(EndedBy::Time) => Some("When the time was over this run had read"),
        Some(_) => Some("This run has read"),
        None => None,
    };
    if let Some(why) = why {
        let right = set.read_bytes.saturating_sub(set.damaged_bytes);
        lines.push(format!("{why} {}.", part(right, set.needed_bytes)));
    }
    if let Some(since) = set.covered_since.filter(|_| set.covered_bytes != set.read_bytes || why.is_some()) {
        let when = Zone::system().show(since);
        lines.push(format!(
            "Covered: {}, the oldest of it on {when}.",
            part(set.covered_bytes, set.needed_bytes)
        ));
    }
    if set.damaged_contents > 0 {
        let (contents, bytes) = (count(set.damaged_contents, "content"), text::size(set.damaged_bytes));
        let percent = shown_percent(set.readable_percent());
        lines.push(format!("{percent} of what was read is readable: {contents} ({bytes}) cannot be read."));
    }
    let zone = Zone::system();
    lines.extend(set.affected.iter().take(SHOWN).map(|tree| {
        let when = tree.start.map(|start| format!(" of {}", zone.show(start))).unwrap_or_default();
        let (entries, source) = (count(tree.entries, "entry"), text::printable(&tree.source));
        format!("affected: {source} {}{when}: {entries}", tree.id)
    }));
    lines.extend(more(set.affected_trees, set.affected.len().min(SHOWN)));
    lines
}

fn s(n: u64) -> &'static str {
    if n == 1 { "s" } else { "" }
}

/// Writes a part of all bytes: `480.0 MB of 12.0 GB (4.0 %)`.
fn part(bytes: u64, of: u64) -> String {
    let percent = if of == 0 { 100.0 } else { bytes as f64 * 100.0 / of as f64 };
    format!("{} of {} ({})", text::size(bytes), text::size(of), shown_percent(percent))
}

/// Writes a percentage: only all of it is 100 %, and only nothing is 0 %.
fn shown_percent(percent: f64) -> String {
    match percent {
        100.0 => "100 %".into(),
        0.0 => "0 %".into(),
        _ => format!("{:.1} %", percent.clamp(0.1, 99.9)),
    }
}

fn planned(planned: &Planned) -> Vec<String> {
    let (requests, packs) = (count(planned.requests, "request"), count(planned.packs, "pack"));
    let bytes = text::size(planned.bytes);
    let mut lines = vec![format!("It would read {bytes} in {requests} from {packs}; nothing was written.")];
    let free = planned.available_bytes.map(|free| format!(", where {} are free", text::size(free)));
    let room = text::size(planned.room_bytes);
    lines.push(format!("It needs {room} of room in the target{}.", free.unwrap_or_default()));
    lines.extend(planned.estimate.as_ref().map(takes));
    if planned.changed > 0 {
        lines.push(format!("It would change {}:", count(planned.changed, "existing entry")));
        let shown = planned.first_changed.iter().take(SHOWN);
        lines.extend(shown.map(|path| format!("  {}", text::printable(path))));
        lines.extend(more(planned.changed, planned.first_changed.len().min(SHOWN)));
    }
    if planned.perhaps > 0 {
        let files = count(planned.perhaps, "existing file");
        lines.push(format!("It would read {files} to know whether the data is right already."));
    }
    if planned.deletion.entries > 0 {
        lines.push(format!("It would delete {}:", going(&planned.deletion)));
        lines.extend(names(&planned.deletion));
    }
    lines
}

/// Says how long a restore would take, and what for.
fn takes(estimate: &Estimate) -> String {
    let rate = |bytes: u64| match bytes {
        0 => String::new(),
        bytes => format!(", {}/s", text::size(bytes)),
    };
    let most = match estimate.bound {
        Bound::Link => format!("bytes from the storage{}", rate(estimate.link_bytes_per_second)),
        Bound::Requests => "answers of the storage".into(),
        Bound::Walk => "listings and comparing".into(),
        Bound::Processor => "decoding and writing".into(),
        Bound::Disk => format!("the target's disk{}", rate(estimate.disk_bytes_per_second)),
    };
    format!("It would take about {}, most of it for {most}.", text::duration(estimate.seconds))
}

/// Says how much would go: `12 of the 340 entries in the target`.
pub(crate) fn going(deletion: &Deletion) -> String {
    let when = if deletion.before_writing { ", before anything is written" } else { "" };
    format!("{} of the {} in the target{when}", deletion.entries, count(deletion.of, "entry"))
}

/// Returns the first entries that would go, a line each.
pub(crate) fn names(deletion: &Deletion) -> Vec<String> {
    let folders = deletion.first.iter().any(|path| path.ends_with('/'));
    let shown = deletion.first.iter().take(SHOWN);
    let mut lines: Vec<String> = shown
        .map(|path| {
            let below = if path.ends_with('/') { " and all below" } else { "" };
            format!("  {}{below}", text::printable(path))
        })
        .collect();
    match folders {
        // How many entries the folders stand for is not known one by one.
        true if deletion.first.len() > SHOWN => lines.push("  …".into()),
        true => {}
        false => lines.extend(more(deletion.entries, lines.len())),
    }
    lines
}

fn more(all: u64, shown: usize) -> Option<String> {
    let more = all.saturating_sub(shown as u64);
    (more > 0).then(|| format!("  … and {more} more"))
}

fn remarked(remark: &Remark) -> String {
    let path = if remark.path.is_empty() { "." } else { &remark.path };
    format!("{}: {}", text::printable(path), text::line(&remark.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(report: &Report, job: Job) -> String {
        rest(report, job).join("\n")
    }

    #[test]
    fn what_remains_is_named_by_its_own_path() {
        let mut report = Report::default();
        report.undeleted = 45;
        let path = |n| Remark::new(format!("old/{n}"), "operation not permitted");
        report.remaining = (0..45).map(path).collect();
        report.protected = 1;
        let said = said(&report, Job::Restore);
        assert!(said.contains("45 extra entries could not be removed:\n  old/0: operation not"), "{said}");
        assert!(
            said.contains("old/19") && !said.contains("old/20") && said.contains("… and 25 more"),
            "{said}"
        );
        assert!(said.contains("1 entry stays as before"), "{said}");
    }

    #[test]
    fn a_dry_run_shows_what_would_change_and_go() {
        let mut report = Report::default();
        let first = vec!["old".to_owned(), "folder/".into()];
        let deletion = Deletion::default().entries(12).first(first).of(340).before_writing(true);
        let first_changed = vec!["a".to_owned(), "x".repeat(30_000_000)];
        report.planned =
            Some(Planned::default().changed(3).first_changed(first_changed).perhaps(1).deletion(deletion));
        let said = said(&report, Job::DryRun);
        for part in [
            "It would change 3 existing entries:\n  a\n  xxx",
            "  … and 1 more\n",
            "It would read 1 existing file to know",
            "It would delete 12 of the 340 entries in the target, before anything is written:\n  old\n  folder/ and all below",
        ] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert!(said.len() < 2000, "a path of 30 MB is not shown whole");
    }

    #[test]
    fn what_was_skipped_is_not_restored() {
        let mut report = Report::default();
        (report.files, report.symlinks, report.directories) = (43, 3, 2);
        (report.skipped, report.skipped_files, report.skipped_symlinks) = (15, 12, 2);
        let said = done(&report, Job::Restore);
        assert!(said.starts_with("Restored 31 files, 2 directories and 1 symbolic link "), "{said}");
        assert!(said.contains(", skipped 15"), "{said}");
    }

    #[test]
    fn a_second_run_completes_only_a_restore() {
        let mut report = Report::default();
        report.cancelled = true;
        assert!(said(&report, Job::Restore).contains("run it again to complete the restore"));
        for job in [Job::DryRun, Job::Verify] {
            assert_eq!(said(&report, job), "Stopped on request.");
        }
    }

    #[test]
    fn stages_fit_a_terminal() {
        let lines = stages(&Report::default());
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() < 80), "{lines:?}");
        assert!(lines[0].starts_with("Time of all threads: walk 0.00s, "), "{lines:?}");
        assert!(lines[lines.len() - 1].ends_with("sync 0.00s."), "{lines:?}");
    }
}
