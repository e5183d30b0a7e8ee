//! Sources and their snapshots.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::Result;
use rekopia::{ErrorKind, Observer, Reference, RootReference, Snapshot, Snapshots, Source};
use serde_json::{Value, json};

use crate::args::{Global, Snapshots as Args};
use crate::progress::Display;
use crate::say::{output, say};
use crate::{exit, text, time};

pub(super) async fn run(global: &Global, args: &Args) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, false);
    let repository = crate::connect::open(global, &observer).await?;
    let snapshots = repository.snapshots().await?;
    for line in snapshots.unreadable() {
        say(&format!("warning: a snapshot cannot be understood: {}", text::line(line)));
    }
    let wanted = args.source.as_deref().map(Reference::parse).transpose()?;
    let mut sources = snapshots.by_source();
    if let Some(reference) = &wanted {
        sources.retain(|source, _| matches(&reference.root, source));
    }
    let mut out = BufWriter::new(output());
    if sources.is_empty() && wanted.is_some() {
        let what = args.source.as_deref().unwrap_or_default();
        say(&format!("rekopia: no source {}; there is", text::printable(what)));
        for source in snapshots.by_source().keys() {
            say(&format!("  {}", text::printable(&source.to_string())));
        }
        if global.json {
            writeln!(out, "[]")?;
        }
        out.flush()?;
        return Ok(exit::code(ErrorKind::NotFound));
    }
    let zone = jiff::tz::TimeZone::system();
    let reasons = reasons(&snapshots, &sources, &zone);
    if global.json {
        let all = sources.values().flatten().map(|s| document(s, reasons.get(s.id.as_str())));
        let all: Vec<Value> = all.collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        print(&mut out, &sources, &reasons, &zone)?;
    }
    out.flush()?;
    Ok(0)
}

type Sources<'a> = BTreeMap<&'a Source, Vec<&'a Snapshot>>;

fn matches(wanted: &RootReference, source: &Source) -> bool {
    match wanted {
        RootReference::Source(exact) => exact == source,
        RootReference::Identity { user, host } => source.user == *user && source.host == *host,
        RootReference::Path(path) => source.path == *path,
        RootReference::Latest | RootReference::Id(_) => true,
    }
}

/// Why retention keeps each snapshot, by snapshot ID.
fn reasons(
    snapshots: &Snapshots,
    sources: &Sources<'_>,
    zone: &jiff::tz::TimeZone,
) -> BTreeMap<String, Vec<String>> {
    let mut reasons = BTreeMap::new();
    for (source, of_source) in sources {
        reasons.extend(snapshots.retention_reasons(source, of_source, zone));
    }
    reasons
}

fn print(
    out: &mut impl Write,
    sources: &Sources<'_>,
    reasons: &BTreeMap<String, Vec<String>>,
    zone: &jiff::tz::TimeZone,
) -> Result<()> {
    for (i, (source, of_source)) in sources.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", text::printable(&source.to_string()))?;
        for snapshot in of_source {
            let (size, files) = match snapshot.root.as_ref().map(|r| (r.size, r.summary.as_ref())) {
                Some((_, Some(summary))) => (text::size(summary.size), text::count(summary.files, "file")),
                Some((size, None)) => (text::size(size), text::count(1, "file")),
                None => ("-".into(), "no root".into()),
            };
            let when = time::show(snapshot.start_ns, zone);
            let mut line = format!("  {when}  {}  {size:>9}  {files}", snapshot.id);
            if let Some(reason) = &snapshot.incomplete {
                line.push_str(&format!("  incomplete:{reason}"));
            }
            if let Some(list) = reasons.get(snapshot.id.as_str()).filter(|l| !l.is_empty()) {
                line.push_str(&format!("  ({})", list.join(",")));
            }
            if !snapshot.pins.is_empty() {
                line.push_str(&format!("  pins:{}", snapshot.pins.join(",")));
            }
            if !snapshot.description.is_empty() {
                line.push_str(&format!("  {}", text::printable(&snapshot.description)));
            }
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// The manifest as Kopia lists it: the stored document with its ID and the reasons to keep it.
fn document(snapshot: &Snapshot, reasons: Option<&Vec<String>>) -> Value {
    let mut document: Value = serde_json::from_str(snapshot.document.get()).unwrap_or_else(|_| json!({}));
    document["id"] = json!(snapshot.id.as_str());
    if let Some(reasons) = reasons.filter(|r| !r.is_empty()) {
        document["retentionReason"] = json!(reasons);
    }
    document
}
