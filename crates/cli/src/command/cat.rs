//! Writes a file to standard output.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Result, bail};
use rekopia::{EntryKind, Observer};

use super::choice::resolve;
use crate::args::{Cat, Global};
use crate::exit::CommandError;
use crate::progress::Display;
use crate::say::output;

pub(super) async fn run(global: &Global, args: &Cat) -> Result<u8> {
    let observer: Arc<dyn Observer> = Display::new(global, false);
    let repository = crate::connect::open(global, &observer).await?;
    let found = resolve(&repository, global, &args.reference, &args.which).await?;
    let by_object_id = found.snapshot.is_none() && found.sub_path.is_empty();
    if found.entry.kind == EntryKind::Directory && !by_object_id {
        bail!(CommandError::usage(format!("{} is a directory; `rekopia ls` shows it", args.reference)));
    }
    let Some(object) = found.entry.object else {
        bail!(CommandError::usage(format!("{} has no data", args.reference)))
    };
    let mut file = repository.open_object(&object).await?;
    let mut out = output();
    while let Some(chunk) = file.next_chunk().await? {
        out.write_all(&chunk)?;
    }
    out.flush()?;
    Ok(0)
}
