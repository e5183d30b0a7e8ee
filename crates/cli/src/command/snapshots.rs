//! Lists sources and their snapshots.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::{Result, bail};
use rekopia::{
    ErrorKind, Hint, Observer, Reference, RootCandidate, RootReference, Selection, Snapshot, Snapshots,
    Source, Zone,
};
use serde_json::{Value, json};

use crate::args::{Global, Snapshots as Args};
use crate::exit::CommandError;
use crate::progress::Display;
use crate::say::{output, say};
use crate::{exit, text};

pub(super) async fn run(global: &Global, args: &Args) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, false);
    let repository = crate::connect::open(global, &observer).await?;
    let snapshots = repository.snapshots().await?;
    for line in snapshots.unreadable() {
        say(&format!("warning: a snapshot cannot be understood: {}", text::line(line)));
    }
    let mut sources = snapshots.by_source();
    let zone = Zone::system();
    // The reasons are those of whole sources: what is left out below counts for retention.
    let reasons = reasons(&snapshots, &sources, &zone);
    if let Some(wanted) = &args.source {
        choose(&mut sources, wanted)?;
    }
    let wanted = Selection::default().tags(args.tags.tag.clone());
    let no_source = sources.is_empty() && args.source.is_some();
    sources.retain(|_, of_source| {
        of_source.retain(|s| wanted.has_tags(s));
        !of_source.is_empty()
    });
    let roots = match global.salvage && args.source.is_none() {
        true => repository.root_candidates(&snapshots, observer).await?,
        false => Vec::new(),
    };
    let mut out = BufWriter::new(output());
    if sources.is_empty() && (no_source || !wanted.tags.is_empty()) {
        if no_source {
            let what = args.source.as_deref().unwrap_or_default();
            say(&format!("rekopia: no source {}; there is", text::printable(what)));
            for source in snapshots.by_source().keys() {
                say(&format!("  {}", text::printable(&source.to_string())));
            }
        } else {
            say("rekopia: no snapshot has these tags");
        }
        if global.json {
            writeln!(out, "[]")?;
        }
        out.flush()?;
        return Ok(hidden(&snapshots).unwrap_or(exit::code(ErrorKind::NotFound)));
    }
    if global.json {
        let all = sources.values().flatten().map(|s| document(&snapshots, s, reasons.get(s.id.as_str())));
        let all: Vec<Value> = all.chain(roots.iter().map(unnamed)).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        print(&mut out, &snapshots, &sources, &reasons, &zone)?;
    }
    out.flush()?;
    if !global.json {
        say_roots(&roots, &zone);
    }
    Ok(hidden(&snapshots).unwrap_or(0))
}

/// Trees that are shown.
const ROOTS: usize = 100;

/// Names trees that no snapshot names; on standard error, beside the list of snapshots.
fn say_roots(roots: &[RootCandidate], zone: &Zone) {
    if roots.is_empty() {
        return;
    }
    say("Directory trees that no snapshot names (deleted, interrupted, or its manifest is lost):");
    for root in roots.iter().take(ROOTS) {
        let (size, files) = (text::size(root.bytes), text::count(root.files, "file"));
        let when = if root.entries == 0 { "empty".to_owned() } else { zone.show(root.newest) };
        say(&format!("  {when}  {}  {size:>9}  {files}", root.object));
    }
    if roots.len() > ROOTS {
        say(&format!("  … and {} more", roots.len() - ROOTS));
    }
}

/// Returns a tree without a snapshot as one of the documents of snapshots.
fn unnamed(root: &RootCandidate) -> Value {
    let newest = (root.entries > 0).then(|| root.newest.to_string());
    json!({"version": 1, "unnamedTree": {
        "obj": root.object.to_string(),
        "newest": newest,
        "entries": root.entries,
        "files": root.files,
        "bytes": root.bytes,
    }})
}

/// Returns the exit code of a list that damage may have shortened; said aloud.
fn hidden(snapshots: &Snapshots) -> Option<u8> {
    let damage = snapshots.damage();
    for e in damage {
        say(&format!("rekopia: snapshots may be missing here: {}", text::line(&e.chain())));
    }
    (!damage.is_empty()).then(|| exit::code(ErrorKind::Corrupt))
}

type Sources<'a> = BTreeMap<&'a Source, Vec<&'a Snapshot>>;

/// Leaves what `wanted` names: listed sources first, then what the parts of a reference mean, then the source that
/// holds the path.
///
/// # Errors
/// When it is no reference, or an ID that may be any of several.
fn choose(sources: &mut Sources<'_>, wanted: &str) -> Result<()> {
    if sources.keys().any(|source| source.to_string() == wanted) {
        sources.retain(|source, _| source.to_string() == wanted);
        return Ok(());
    }
    if let Some(longest) = longest_above(sources, |source| source.to_string(), wanted) {
        sources.retain(|source, _| source.to_string() == longest);
        return Ok(());
    }
    match Reference::parse(wanted)?.root {
        RootReference::Source(_) => sources.clear(),
        RootReference::Identity { user, host } => sources.retain(|s, _| s.user == user && s.host == host),
        RootReference::Path(path) if sources.keys().any(|s| s.path == path) => {
            sources.retain(|source, _| source.path == path);
        }
        RootReference::Path(path) => match longest_above(sources, |source| source.path.clone(), &path) {
            Some(longest) => sources.retain(|source, _| source.path == longest),
            None => sources.clear(),
        },
        RootReference::Id(id) => by_id(sources, &id)?,
        RootReference::Latest => {}
    }
    Ok(())
}

/// Returns the longest of the sources' names that `wanted` is below; said aloud.
fn longest_above(sources: &Sources<'_>, name: impl Fn(&Source) -> String, wanted: &str) -> Option<String> {
    let is_above = |name: &String| {
        let separates = |c: char| c == '/' || c == '\\';
        let rest = wanted.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.starts_with(separates) || name.ends_with(separates))
    };
    let longest = sources.keys().map(|source| name(source)).filter(is_above).max_by_key(String::len)?;
    if wanted.trim_end_matches('/') != longest {
        let (wanted, found) = (text::printable(wanted), text::printable(&longest));
        say(&format!("rekopia: no source {wanted}: it is in {found}"));
    }
    Some(longest)
}

/// Leaves the one snapshot with this ID, or with an ID that begins like this.
fn by_id(sources: &mut Sources<'_>, id: &str) -> Result<()> {
    let hint = (!sources.is_empty()).then_some(Hint::ListSnapshots);
    let is_exact = sources.values().flatten().any(|s| s.id.as_str() == id);
    sources.retain(|_, of_source| {
        of_source.retain(|s| {
            let is_meant = if is_exact { s.id.as_str() == id } else { s.id.as_str().starts_with(id) };
            is_meant && id.len() >= 8
        });
        !of_source.is_empty()
    });
    let found: Vec<&str> = sources.values().flatten().map(|s| s.id.as_str()).collect();
    match found.as_slice() {
        [] => bail!(CommandError::not_found(format!("no snapshot {id}"), hint)),
        [_] => Ok(()),
        several => bail!(CommandError::usage(format!("{id} may be any of {}", several.join(", ")))),
    }
}

/// Returns why retention keeps each snapshot, by snapshot ID.
fn reasons(snapshots: &Snapshots, sources: &Sources<'_>, zone: &Zone) -> BTreeMap<String, Vec<String>> {
    let mut reasons = BTreeMap::new();
    for (source, of_source) in sources {
        reasons.extend(snapshots.retention_reasons(source, of_source, zone));
    }
    reasons
}

fn print(
    out: &mut impl Write,
    snapshots: &Snapshots,
    sources: &Sources<'_>,
    reasons: &BTreeMap<String, Vec<String>>,
    zone: &Zone,
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
            let when = zone.show(snapshot.start);
            let mut line = format!("  {when}  {}  {size:>9}  {files}", snapshot.id);
            if let Some(reason) = &snapshot.incomplete {
                line.push_str(&format!("  incomplete:{}", text::printable(reason)));
            }
            if snapshots.is_salvaged(snapshot) {
                line.push_str("  salvaged");
            }
            let (errors, _) = snapshot.recorded_errors();
            if errors > 0 {
                line.push_str(&format!("  errors:{errors}"));
            }
            if let Some(list) = reasons.get(snapshot.id.as_str()).filter(|l| !l.is_empty()) {
                line.push_str(&format!("  ({})", list.join(",")));
            }
            if !snapshot.pins.is_empty() {
                line.push_str(&format!("  pins:{}", text::printable(&snapshot.pins.join(","))));
            }
            if !snapshot.tags.is_empty() {
                let tag = |(key, value): (&String, &String)| {
                    format!("{}={value}", key.strip_prefix("tag:").unwrap_or(key))
                };
                let tags: Vec<String> = snapshot.tags.iter().map(tag).collect();
                line.push_str(&format!("  tags:{}", text::printable(&tags.join(","))));
            }
            if !snapshot.description.is_empty() {
                line.push_str(&format!("  {}", text::printable(&snapshot.description)));
            }
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Returns the manifest as Kopia lists it: the stored document with its ID and the reasons to keep it.
fn document(snapshots: &Snapshots, snapshot: &Snapshot, reasons: Option<&Vec<String>>) -> Value {
    let mut document: Value = serde_json::from_str(snapshot.document.get()).unwrap_or_else(|_| json!({}));
    document["id"] = json!(snapshot.id.as_str());
    document["version"] = json!(1);
    if snapshots.is_salvaged(snapshot) {
        document["salvaged"] = json!(true);
    }
    if let Some(reasons) = reasons.filter(|r| !r.is_empty()) {
        document["retentionReason"] = json!(reasons);
    }
    document
}
