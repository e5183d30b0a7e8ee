//! What is wrong with this repository, and what to do about it.

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use rekopia::{
    ErrorKind, Examination, ExaminationOptions, Finding, FindingKind, Observer, OpenOptions, Password,
};
use serde_json::json;

use crate::args::{Doctor as Args, Global};
use crate::progress::Display;
use crate::say::{end_status, output};
use crate::{exit, text};

pub(super) async fn run(global: &Global, args: &Args) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, !global.json);
    let attempt = async |blobs, password: &Password, open: &OpenOptions| {
        let options = ExaminationOptions { open: open.clone(), deep: args.deep };
        rekopia::examine(blobs, password, &options, observer.as_ref()).await
    };
    let examination = crate::connect::open_by(global, attempt).await?;
    end_status();
    let code = if examination.is_healthy() { 0 } else { exit::code(ErrorKind::Corrupt) };
    let mut out = output();
    if global.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&document(&examination))?)?;
    } else {
        print(&mut out, &examination)?;
    }
    out.flush()?;
    Ok(code)
}

/// Findings of one kind that are shown one by one.
const SHOWN: usize = 10;

fn print(out: &mut impl Write, examination: &Examination) -> Result<()> {
    let Examination { whole_snapshots: whole, damaged_snapshots: damaged, .. } = examination;
    if !examination.repository.is_empty() {
        let index = if examination.epochs { "index in epochs" } else { "index without epochs" };
        let version = examination.version;
        writeln!(out, "{:<18} {}, format {version}, {index}", "Repository", examination.repository)?;
        let families: Vec<String> = examination.blobs.iter().map(|(name, n)| format!("{n} {name}")).collect();
        writeln!(out, "{:<18} {} in all", "Blobs", text::size(examination.bytes))?;
        for family in families {
            writeln!(out, "{:<18} {family}", "")?;
        }
        let hides = |f: &Finding| matches!(f.kind, FindingKind::IndexLost | FindingKind::IndexBlobMissing);
        let why = match examination.findings.iter().any(hides) {
            true => "",
            false => " (a backup is running, or was interrupted)",
        };
        if examination.unindexed_packs > 0 {
            writeln!(out, "{:<18} {}{why}", "In no index", text::count(examination.unindexed_packs, "pack"))?;
        }
        let unreadable = examination.unreadable_snapshots;
        writeln!(out, "{:<18} {whole} whole, {damaged} damaged, {unreadable} unreadable", "Snapshots")?;
    }
    let mut kinds: Vec<FindingKind> = examination.findings.iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind: Vec<&Finding> = examination.findings.iter().filter(|f| f.kind == kind).collect();
        writeln!(out)?;
        let is_damage = of_kind.iter().any(|finding| finding.damage);
        let harmless = if is_damage { "" } else { " (nothing is missing because of it)" };
        writeln!(out, "{}{harmless}", kind.name())?;
        for finding in of_kind.iter().take(SHOWN) {
            writeln!(out, "  {}", text::line(&finding.message))?;
        }
        if of_kind.len() > SHOWN {
            writeln!(out, "  … and {} more (--json lists all)", of_kind.len() - SHOWN)?;
        }
        writeln!(out, "  → {}", remedy(kind, examination))?;
    }
    if examination.findings.is_empty() {
        let what = "Nothing is wrong, as far as listings and metadata tell;";
        writeln!(out, "\n{what} `rekopia verify --all` reads the data.")?;
    }
    Ok(())
}

/// The next command for a finding of this kind.
fn remedy(kind: FindingKind, examination: &Examination) -> &'static str {
    let is_opened = !examination.repository.is_empty();
    match kind {
        FindingKind::FormatBlobMissing | FindingKind::FormatBlobDamaged if is_opened => {
            "rekopia --salvage snapshots uses the copy in the packs"
        }
        FindingKind::FormatBlobMissing | FindingKind::FormatBlobDamaged => {
            "rekopia --format-blob FILE snapshots; FILE is kopia.repository in the cache folder of a Kopia client"
        }
        FindingKind::IndexLost
        | FindingKind::IndexBlobDamaged
        | FindingKind::IndexBlobMissing
        | FindingKind::PackMisnamed => {
            "rekopia --salvage snapshots, then rekopia --salvage restore REF TARGET"
        }
        FindingKind::PackMissing | FindingKind::PackShort | FindingKind::SnapshotDamaged => {
            "rekopia restore REF TARGET restores the rest and names what is lost; older snapshots may be whole"
        }
        FindingKind::PackUnreadable | FindingKind::ManifestDamaged => {
            "rekopia --salvage snapshots lists what can be read; snapshots and objects can be restored by their ID"
        }
        FindingKind::SnapshotUnreadable => "rekopia snapshots lists the others",
        FindingKind::BlobcfgDamaged => {
            "nothing to do for a restore; Kopia needs `kopia repository set-parameters`"
        }
        FindingKind::IndexBlobRedundant | FindingKind::EpochMarkerMissing => {
            "nothing to do for a restore; have Kopia compact the index (`kopia index optimize`)"
        }
        FindingKind::ShardsRepaired => "copy the repository to another disk",
        FindingKind::PackIndexDamaged => "nothing to do as long as the index is whole",
        FindingKind::BlobInFuture | FindingKind::SnapshotInFuture => {
            "look at the clocks of the machines that back up"
        }
        _ => "rekopia verify --all",
    }
}

fn document(examination: &Examination) -> serde_json::Value {
    let mut document = json!(examination);
    let remedies = examination.findings.iter().map(|finding| {
        let mut value = json!(finding);
        value["next"] = json!(remedy(finding.kind, examination));
        value
    });
    document["findings"] = remedies.collect();
    document["healthy"] = json!(examination.is_healthy());
    document["version"] = json!(1);
    document["formatVersion"] = json!(examination.version);
    document
}
