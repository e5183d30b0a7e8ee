//! Finds out what is lost of damaged files, range by range, and keeps what is left of them.

use std::collections::HashSet;
use std::sync::Arc;

use rekopia_format::entry_name::EntryName;

use super::ledger::Lost;
use super::run::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::repository::file::read_slice;
use crate::repository::objects::SliceReader;
use crate::repository::read_ahead::ReadAhead;
use crate::sink::{LargeFile, Sink};

/// A file that holds what is left of a damaged one.
struct LeftOver {
    name: EntryName,
    file: LargeFile,
}

impl Run<'_> {
    /// Reads damaged files once more, slice by slice: what is lost goes to the report file, what is left beside the file
    /// where that is wanted.
    pub(super) async fn look_at_losses(&self, sink: Option<&Arc<Sink>>) {
        let lost = self.ledger.take_lost();
        // A name of the snapshot stays free for what it belongs to.
        let taken: HashSet<String> = lost.iter().map(path).collect();
        for one in &lost {
            if self.options.cancel.is_cancelled() || self.state.fatal().is_some() {
                return;
            }
            let sink = sink.filter(|_| self.options.fill_holes);
            if let Err(e) = self.look_at(one, sink, &taken).await {
                self.ledger.warn(format!("what is left of {} cannot be kept: {}", path(one), e.chain()));
            }
        }
    }

    async fn look_at(&self, lost: &Lost, sink: Option<&Arc<Sink>>, taken: &HashSet<String>) -> Result<()> {
        let contents = self.repository.contents();
        let mut ahead = ReadAhead::default();
        let len = lost.object.is_compressed().then_some(lost.size);
        let mut slices = SliceReader::new(&lost.object, len);
        let mut left_over: Option<LeftOver> = None;
        let (mut known, mut readable) = (0, 0);
        loop {
            let more = match slices.next(&contents, &mut ahead, 64).await {
                Ok(more) => more,
                Err(e) if e.kind() == ErrorKind::Corrupt => {
                    // Where the list of contents ends, so does what can be said.
                    self.ledger.lost_range(&path(lost), known..lost.size.max(known), &e);
                    break;
                }
                Err(e) => return Err(e),
            };
            let Some(last) = more.last() else { break };
            for slice in &more {
                let end = slice.len.map_or(lost.size, |len| slice.start.saturating_add(len));
                match read_slice(&contents, &mut ahead, slice).await {
                    Ok(bytes) => {
                        readable += bytes.len() as u64;
                        if let Some(sink) = sink {
                            let file = match &mut left_over {
                                Some(left_over) => &left_over.file,
                                None => &left_over.insert(begin(sink, lost, taken)?).file,
                            };
                            file.write_at(slice.start, &bytes)?;
                        }
                    }
                    Err(e) if e.kind() == ErrorKind::Corrupt => {
                        self.ledger.lost_range(&path(lost), slice.start..end.max(slice.start), &e);
                    }
                    Err(e) => return Err(e),
                }
            }
            known = last.len.map_or(lost.size, |len| last.start.saturating_add(len));
            if lost.object.indirection() == 0 {
                break;
            }
        }
        match (left_over, sink) {
            (Some(left_over), Some(sink)) => self.keep(sink, lost, left_over, readable),
            _ => Ok(()),
        }
    }

    /// Finishes the file; its folder gets its own time back.
    fn keep(&self, sink: &Arc<Sink>, lost: &Lost, left_over: LeftOver, readable: u64) -> Result<()> {
        let LeftOver { name, file } = left_over;
        let _ = file.finish(lost.size, &lost.attributes)?;
        let _ = sink.finish_dir(&lost.folder.node)?;
        let kept_as = lost.folder.path_of(name.as_str());
        let message = format!("{readable} of {} bytes are in {kept_as}, the rest of it is zeros", lost.size);
        self.ledger.left_over(path(lost), message);
        Ok(())
    }
}

fn begin(sink: &Arc<Sink>, lost: &Lost, taken: &HashSet<String>) -> Result<LeftOver> {
    let is_taken = |name: &str| taken.contains(&lost.folder.path_of(name));
    let made = sink.create_left_over(&lost.folder.node, &lost.name, lost.size, is_taken);
    let (name, file) = made.map_err(Error::from)?;
    Ok(LeftOver { name, file })
}

fn path(lost: &Lost) -> String {
    lost.folder.path_of(lost.name.as_str())
}
