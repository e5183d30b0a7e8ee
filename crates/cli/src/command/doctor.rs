//! Says what is wrong with a repository, and what to do about it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use rekopia::{Examination, ExaminationOptions, Finding, FindingKind, Observer, OpenOptions, Password};
use serde_json::json;

use crate::args::{Doctor as Args, Global};
use crate::progress::Display;
use crate::say::{end_status, output};
use crate::{exit, text};

pub(super) async fn run(global: &Global, args: &Args) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, !global.json);
    let attempt = async |blobs, password: &Password, open: &OpenOptions| {
        let options = ExaminationOptions::default().open(open.clone()).deep(args.deep);
        rekopia::examine(blobs, password, &options, Arc::clone(&observer)).await
    };
    let examination = crate::connect::open_by(global, attempt).await?;
    end_status();
    let code = examination.exit_kind().map_or(0, exit::code);
    let next = Next::of(&examination, global);
    let mut out = output();
    if global.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&document(&examination, &next, code))?)?;
    } else {
        print(&mut out, &examination, &next)?;
    }
    out.flush()?;
    Ok(code)
}

/// Findings of one kind that are shown one by one.
const SHOWN: usize = 10;

fn print(out: &mut impl Write, examination: &Examination, next: &Next) -> Result<()> {
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
        let harmless = match kind {
            FindingKind::AccessDenied => " (a permission, not damage)",
            _ if is_damage => "",
            _ => " (nothing is missing because of it)",
        };
        writeln!(out, "{}{harmless}", kind.name())?;
        for finding in of_kind.iter().take(SHOWN) {
            writeln!(out, "  {}", text::line(&finding.message))?;
        }
        if of_kind.len() > SHOWN {
            writeln!(out, "  … and {} more (--json lists all)", of_kind.len() - SHOWN)?;
        }
        if let Some(first) = of_kind.first() {
            writeln!(out, "  → {}", text::line(&next.after(first)))?;
        }
    }
    if examination.findings.is_empty() {
        let what = "Nothing is wrong, as far as listings and metadata tell;";
        writeln!(out, "\n{what} `rekopia verify --all` reads the data.")?;
    }
    Ok(())
}

/// What is to be done about a finding.
struct Next {
    /// How this program is called for this repository.
    program: String,
    /// Whether a part of the repository is found by salvage alone.
    needs_salvage: bool,
    is_opened: bool,
}

impl Next {
    fn of(examination: &Examination, global: &Global) -> Self {
        let hides = |finding: &Finding| {
            matches!(
                finding.kind,
                FindingKind::FormatBlobMissing
                    | FindingKind::FormatBlobDamaged
                    | FindingKind::IndexLost
                    | FindingKind::IndexBlobDamaged
                    | FindingKind::IndexBlobMissing
                    | FindingKind::PackMisnamed
            )
        };
        Next {
            program: program(global),
            needs_salvage: examination.findings.iter().any(hides),
            is_opened: !examination.repository.is_empty(),
        }
    }

    /// Returns a command that can be pasted where there is one, and what it does.
    fn after(&self, finding: &Finding) -> String {
        let rekopia = &self.program;
        match finding.kind {
            FindingKind::FormatBlobMissing | FindingKind::FormatBlobDamaged if self.is_opened => {
                format!("{rekopia} --salvage snapshots    # uses the copy in the packs")
            }
            FindingKind::FormatBlobMissing | FindingKind::FormatBlobDamaged => format!(
                "{rekopia} --format-blob FILE snapshots    # FILE: kopia.repository in the cache folder of a Kopia client"
            ),
            FindingKind::IndexLost
            | FindingKind::IndexBlobDamaged
            | FindingKind::IndexBlobMissing
            | FindingKind::PackMisnamed => {
                format!("{rekopia} --salvage snapshots    # then {rekopia} --salvage restore REF TARGET")
            }
            FindingKind::SnapshotDamaged => {
                let id = finding.object.as_deref().unwrap_or("REF");
                let salvage = if self.needs_salvage { " --salvage" } else { "" };
                let whole = finding.instead.as_ref().map(|id| format!("; {id} is whole")).unwrap_or_default();
                format!(
                    "{rekopia}{salvage} restore {id} TARGET    # restores the rest, names what is lost{whole}"
                )
            }
            FindingKind::SnapshotLost => match &finding.instead {
                Some(whole) => {
                    format!("{rekopia} restore {whole} TARGET    # the newest whole one of its source")
                }
                None => {
                    format!("{rekopia} --salvage snapshots    # lists also trees that no snapshot leads to")
                }
            },
            FindingKind::PackMissing | FindingKind::PackShort if finding.damage => {
                format!("{rekopia} verify --all    # names every file that needs it")
            }
            FindingKind::PackMissing | FindingKind::PackShort => "nothing to do: nobody misses it".to_owned(),
            FindingKind::PackUnreadable | FindingKind::ManifestDamaged => format!(
                "{rekopia} --salvage snapshots    # lists what can be read; snapshots and objects are restored by their ID"
            ),
            FindingKind::SnapshotUnreadable => format!("{rekopia} snapshots    # lists the others"),
            FindingKind::AccessDenied => {
                "let whoever runs this read all of the repository, and look again".to_owned()
            }
            FindingKind::BlobcfgDamaged => {
                "nothing to do for a restore; Kopia needs `kopia repository set-parameters`".to_owned()
            }
            FindingKind::IndexBlobRedundant | FindingKind::EpochMarkerMissing => {
                "nothing to do for a restore; have Kopia compact the index (`kopia index optimize`)"
                    .to_owned()
            }
            FindingKind::MarkerDamaged => {
                "nothing to do for a restore; look at the disk of the repository".to_owned()
            }
            FindingKind::ShardsRepaired => "copy the repository to another disk".to_owned(),
            FindingKind::PackIndexDamaged => "nothing to do as long as the index is whole".to_owned(),
            FindingKind::BlobInFuture | FindingKind::SnapshotInFuture => {
                "look at the clocks of the machines that back up".to_owned()
            }
            _ => format!("{rekopia} verify --all"),
        }
    }
}

/// Returns the program's name with what says where the repository is, as a shell takes it; nothing for what the
/// environment says.
fn program(global: &Global) -> String {
    let from_environment = std::env::var("REKOPIA_REPOSITORY").ok();
    let repo = global.repo.as_ref().filter(|repo| Some(*repo) != from_environment.as_ref());
    let config = global
        .config
        .as_ref()
        .filter(|path| std::env::var_os("KOPIA_CONFIG_PATH").as_deref() != Some(path.as_os_str()));
    let path = |path: Option<&PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
    let options = [
        ("--repo", repo.cloned()),
        ("--config", path(config)),
        ("--token-file", path(global.token_file.as_ref())),
        ("--password-file", path(global.password_file.as_ref())),
        ("--format-blob", path(global.format_blob.as_ref())),
    ];
    let given =
        options.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", text::quoted(&value?))));
    std::iter::once("rekopia".to_owned()).chain(given).collect()
}

fn document(examination: &Examination, next: &Next, code: u8) -> serde_json::Value {
    let mut document = json!(examination);
    let findings = examination.findings.iter().map(|finding| {
        let mut value = json!(finding);
        value["next"] = json!(next.after(finding));
        value
    });
    document["findings"] = findings.collect();
    document["healthy"] = json!(examination.is_healthy());
    document["exitCode"] = json!(code);
    document["version"] = json!(1);
    document
}
