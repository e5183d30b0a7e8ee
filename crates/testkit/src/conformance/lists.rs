//! Listings, and what is said of single blobs without reading them.

use rekopia_blob::BlobReader;

use super::reads::id;
use super::sample::{EMPTY, LARGE, MIDDLING};
use super::{Asked, Subject, answered, hold};

/// Returns the names under a prefix with their lengths, in order; twins stay.
pub(super) async fn listed(blobs: &dyn BlobReader, prefix: &str) -> Result<Vec<(String, u64)>, String> {
    let found = answered(blobs.list(prefix).await, &format!("listing {prefix:?}"))?;
    let mut found: Vec<(String, u64)> = found.iter().map(|b| (b.id.to_string(), b.len)).collect();
    found.sort();
    Ok(found)
}

async fn lists(s: &Subject, prefix: &str) -> Result<(), String> {
    let (found, wanted) = (listed(&*s.blobs, prefix).await?, s.sample.beginning(prefix));
    let without = |a: &[(String, u64)], b: &[(String, u64)]| {
        a.iter().filter(|one| !b.contains(one)).take(3).cloned().collect::<Vec<_>>()
    };
    hold(found == wanted, || {
        format!(
            "{prefix:?} lists {} of {}: missing {:?}, too much {:?}",
            found.len(),
            wanted.len(),
            without(&wanted, &found),
            without(&found, &wanted)
        )
    })
}

pub(super) fn stat(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for name in [MIDDLING, EMPTY, LARGE, "q0f00ab12cd34ef560f00ab12cd34ef56"] {
            let stat = answered(s.blobs.stat(&id(name)).await, name)?;
            let fine = stat.id.as_str() == name
                && stat.len == s.sample.blobs[name].len() as u64
                && stat.modified.unix_nanos() > 1_500_000_000_000_000_000;
            hold(fine, || format!("{stat:?}"))?;
        }
        Ok(())
    })
}

pub(super) fn whole(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        lists(s, "").await?;
        let times = answered(s.blobs.list("").await, "listing")?;
        let old = times.iter().find(|b| b.modified.unix_nanos() <= 1_500_000_000_000_000_000);
        hold(old.is_none(), || format!("a time that cannot be: {old:?}"))
    })
}

pub(super) fn prefixes(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let one = s.sample.blobs.keys().find(|name| name.starts_with('p')).unwrap();
        for prefix in
            ["p", "p0", "p000", "p0010", "q", "x", "xn", "xn0_", "kopia.", "n", "_log_", "_lo", one, MIDDLING]
        {
            lists(s, prefix).await?;
        }
        Ok(())
    })
}

pub(super) fn nothing(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for prefix in ["pfff", "xn7_", "kopia.z", "l", "nothing"] {
            lists(s, prefix).await?;
        }
        Ok(())
    })
}

pub(super) fn any(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for prefix in ["", "p", "p001", "q0f", "kopia.repo", "xe1", "pfff", "l", "xn7_", "nothing"] {
            let found = answered(s.blobs.any(prefix).await, prefix)?;
            let wanted = !s.sample.beginning(prefix).is_empty();
            hold(found == wanted, || format!("{prefix:?}: {found}"))?;
        }
        Ok(())
    })
}

pub(super) fn foreign(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for prefix in ["R", "README", ".", "._", "lost", "ph", "photos", "notes", "kopia.repository "] {
            let found = listed(&*s.blobs, prefix).await?;
            hold(found.is_empty(), || format!("{prefix:?} lists {found:?}"))?;
            let any = answered(s.blobs.any(prefix).await, prefix)?;
            hold(!any, || format!("something begins with {prefix:?}"))?;
        }
        Ok(())
    })
}
