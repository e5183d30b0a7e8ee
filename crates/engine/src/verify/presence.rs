//! Finds out whether the packs are there and long enough for what is needed: by listing, without reading.

use std::sync::Arc;

use super::needed::Needed;
use super::tally::{Part, Suspect, Tally};
use crate::error::{Error, Result};
use crate::repository::listed_packs::ListedPacks;

/// Looks every needed content up in the listing; contents that are not there are in the tally.
///
/// # Errors
/// Those of the index.
pub(crate) async fn look_up(packs: Arc<ListedPacks>, needed: Arc<Needed>, tally: Arc<Tally>) -> Result<()> {
    let look = move || {
        let index = &packs.contents.index;
        index.each(
            |number| needed.has(number),
            |number, id, location| {
                let pack = index.pack(location.pack);
                match packs.check(&id, &location) {
                    Ok(()) => tally.right(pack, &location),
                    Err(e) => {
                        let suspect = Suspect { id, location, part: Part { number, whole: None } };
                        tally.wrong(pack, suspect, e, false);
                    }
                }
            },
        )
    };
    tokio::task::spawn_blocking(look).await.map_err(|_| Error::internal("a scan of the index panicked"))?
}
