//! Lists the entries of a directory.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::{Result, bail};
use rekopia::{Entry, EntryKind, ObjectId, Observer, Repository, Zone};
use serde_json::{Value, json};

use super::choice::resolve;
use crate::args::{Global, Ls};
use crate::exit::CommandError;
use crate::progress::Display;
use crate::say::{Output, output};
use crate::text;

pub(super) async fn run(global: &Global, args: &Ls) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, false);
    let repository = crate::connect::open(global, &observer).await?;
    let found = resolve(&repository, global, &args.reference, &args.which).await?;
    let mut printer = Printer::new(global.json, args.long);
    if found.entry.kind != EntryKind::Directory {
        let name = found.sub_path.rsplit('/').next().filter(|n| !n.is_empty());
        let name = name.unwrap_or(found.entry.name_text()).to_owned();
        printer.print(&name, &found.entry)?;
        return printer.finish();
    }
    let listed = list(&repository, found.entry, args.recursive, &mut printer).await;
    // Also when it failed: what a program has got by then is whole.
    let finished = printer.finish();
    listed.and(finished)
}

/// Lists depth first, in stored order.
///
/// # Errors
/// When a directory cannot be read, or is inside itself.
async fn list(repository: &Repository, root: Entry, recursive: bool, printer: &mut Printer) -> Result<()> {
    let mut stack: Vec<(usize, String, Entry)> = vec![(0, String::new(), root)];
    let mut above: Vec<Option<ObjectId>> = Vec::new();
    while let Some((depth, path, directory)) = stack.pop() {
        above.truncate(depth);
        if directory.object.is_some() && above.contains(&directory.object) {
            bail!(CommandError::corrupt(format!(
                "{}: a directory that is inside itself",
                text::printable(&path)
            )));
        }
        above.push(directory.object);
        let mut below = Vec::new();
        for entry in entries(repository, &directory).await? {
            // A stored name is shown also where no file can have it: this is what a restore's messages name.
            let name = format!("{path}{}", entry.name_text());
            printer.print(&name, &entry)?;
            if recursive && entry.kind == EntryKind::Directory {
                below.push((depth + 1, format!("{name}/"), entry));
            }
        }
        stack.extend(below.into_iter().rev());
    }
    Ok(())
}

async fn entries(repository: &Repository, directory: &Entry) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    repository.for_each_entry(directory, |entry| entries.push(entry)).await?;
    Ok(entries)
}

struct Printer {
    out: BufWriter<Output>,
    json: bool,
    long: bool,
    first: bool,
    zone: Zone,
}

impl Printer {
    fn new(json: bool, long: bool) -> Self {
        let zone = Zone::system();
        Printer { out: BufWriter::new(output()), json, long, first: true, zone }
    }

    fn print(&mut self, path: &str, entry: &Entry) -> Result<()> {
        if self.json {
            let start = if std::mem::take(&mut self.first) { "[\n " } else { ",\n " };
            write!(self.out, "{start}{}", document(path, entry))?;
            return Ok(());
        }
        let slash = if entry.kind == EntryKind::Directory { "/" } else { "" };
        let path = text::printable(path);
        if !self.long {
            writeln!(self.out, "{path}{slash}")?;
            return Ok(());
        }
        let kind = match entry.kind {
            EntryKind::Directory => 'd',
            EntryKind::Symlink => 'l',
            EntryKind::File => '-',
            EntryKind::Unknown(_) => '?',
        };
        let size = entry.summary.as_ref().map_or(entry.size, |s| s.size);
        let (mode, when) = (text::mode(kind, entry.mode), self.zone.show(entry.mtime));
        writeln!(self.out, "{mode} {:>5} {:>5} {size:>12} {when} {path}{slash}", entry.uid, entry.gid)?;
        Ok(())
    }

    fn finish(mut self) -> Result<u8> {
        if self.json {
            writeln!(self.out, "{}", if self.first { "[]" } else { "\n]" })?;
        }
        self.out.flush()?;
        Ok(0)
    }
}

fn document(path: &str, entry: &Entry) -> Value {
    json!({
        "version": 1,
        "path": path,
        "type": match &entry.kind {
            EntryKind::Directory => "d",
            EntryKind::File => "f",
            EntryKind::Symlink => "s",
            EntryKind::Unknown(other) => other,
        },
        "mode": format!("0{:o}", entry.mode),
        "size": entry.summary.as_ref().map_or(entry.size, |s| s.size),
        "mtime": entry.mtime.to_string(),
        "uid": entry.uid,
        "gid": entry.gid,
        "obj": entry.object.map(|o| o.to_string()),
    })
}
