//! Makes a receipt of a restore's report.

use jiff::{SignedDuration, Timestamp};
use rekopia_format::directory::EntryKind;

use super::document::{
    KIND, Receipt, ReceiptDirectory, ReceiptLoss, ReceiptOptions, ReceiptRemark, ReceiptSnapshot, VERSION,
};
use super::escape::escaped;
use crate::repository::Repository;
use crate::repository::reference::Resolved;
use crate::restore::{Overwrite, OwnerPolicy, Report, RestoreOptions};
use crate::sink::TreeDigest;
use crate::text::shown_time;

const OVER: &str = "SHA-256, as docs/receipt.md of Rekopia defines it: names, types, modes, modification times, sizes and \
                    contents of all that stands in the target, but for \"others\"; no owners";

impl Receipt {
    /// Makes the receipt of a restore that has just ended: of `from`, with `options`, by `program` (a name and a
    /// version). `None`: it was not hashed ([`RestoreOptions::receipt`]), or that did not come to its end.
    pub fn of(
        program: &str,
        repository: &Repository,
        from: &Resolved,
        options: &RestoreOptions,
        report: &Report,
    ) -> Option<Receipt> {
        let tree = report.tree.as_ref()?;
        let end = Timestamp::now();
        let took = SignedDuration::try_from_secs_f64(report.seconds).unwrap_or_default();
        let remarks = report.fidelity.iter();
        let receipt = Receipt {
            kind: KIND.into(),
            version: VERSION,
            program: program.to_owned(),
            repository: repository.info().unique_id.clone(),
            snapshot: from.snapshot.as_ref().map(|snapshot| ReceiptSnapshot {
                id: snapshot.id.to_string(),
                source: snapshot.source.to_string(),
                start_time: shown_time(snapshot.start.unix_nanos()),
            }),
            sub_path: from.sub_path.clone(),
            root_object: from.entry.object.map(|object| object.to_string()),
            begin: end.checked_sub(took).unwrap_or(end).to_string(),
            end: end.to_string(),
            options: described(options),
            root: root_kind(from).into(),
            tree_hash: tree.hash.clone(),
            tree_hash_over: OVER.into(),
            files: tree.files,
            directories: tree.directories,
            symlinks: tree.symlinks,
            bytes: tree.bytes,
            others: tree.others.iter().map(|path| escaped(path)).collect(),
            skipped: report.skipped,
            failed: report.failed,
            losses: losses(report),
            unset_attributes: report.unset_attributes,
            unset: remarks
                .map(|one| ReceiptRemark { path: one.path.clone(), message: one.message.clone() })
                .collect(),
            nearest: nearest(tree),
            is_inside: tree.holds_receipt,
        };
        Some(receipt)
    }
}

fn root_kind(from: &Resolved) -> &'static str {
    match from.entry.kind {
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        _ => "file",
    }
}

fn described(options: &RestoreOptions) -> ReceiptOptions {
    let overwrite = match options.overwrite {
        Overwrite::Always => "always",
        Overwrite::IfChanged => "if-changed",
        Overwrite::SkipExisting => "skip-existing",
        Overwrite::Never => "never",
    };
    ReceiptOptions {
        overwrite: overwrite.into(),
        delete_extra: options.delete_extra,
        owner: match options.owner {
            OwnerPolicy::Keep => "keep".into(),
            OwnerPolicy::Skip => "skip".into(),
            OwnerPolicy::Set { uid, gid } => format!("{uid}:{gid}"),
        },
        modes: options.modes,
        times: options.times,
        include: options.include.clone(),
        exclude: options.exclude.clone(),
        max_depth: options.max_depth,
    }
}

fn losses(report: &Report) -> Vec<ReceiptLoss> {
    let name = |kind| serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned));
    let loss = |failure: &crate::restore::Failure| ReceiptLoss {
        path: failure.path.clone(),
        kind: name(failure.kind).unwrap_or_default(),
        message: failure.message.clone(),
    };
    report.failures.iter().map(loss).collect()
}

fn nearest(tree: &TreeDigest) -> Vec<ReceiptDirectory> {
    let directories = tree.nearest.iter().map(|one| ReceiptDirectory {
        path: escaped(&one.path),
        digest: one.digest.clone(),
        own: one.own.clone(),
    });
    directories.collect()
}
