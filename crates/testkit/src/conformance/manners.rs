//! Checks what a storage says of itself, and how it bears being left.

use std::time::Duration;

use super::lists::listed;
use super::reads::{id, reads};
use super::sample::{LARGE, MIDDLING};
use super::{Asked, Subject, answered, hold};

pub(super) fn profile(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let profile = s.blobs.profile();
        hold((1..=1024).contains(&profile.in_flight), || format!("{profile:?}"))?;
        hold(profile.local || (1..=16 << 20).contains(&profile.gap), || format!("{profile:?}"))?;
        let folder = s.blobs.folder();
        hold(profile.local == folder.is_some(), || format!("{profile:?} with the folder {folder:?}"))?;
        let is_there = folder.as_ref().is_none_or(|folder| folder.is_dir());
        hold(is_there, || format!("{folder:?} is no folder"))
    })
}

pub(super) fn description(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        let said = s.blobs.describe();
        hold(!said.is_empty() && !said.contains('\n'), || format!("{said:?}"))?;
        let shown = s.secrets.iter().find(|secret| said.contains(secret.as_str()));
        hold(shown.is_none(), || "it shows a secret".into())
    })
}

pub(super) fn usage(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        reads(s, LARGE, Some(0..1)).await?;
        let before = s.blobs.usage();
        // Not of index blobs or metadata: what is kept is not asked for.
        reads(s, MIDDLING, None).await?;
        reads(s, MIDDLING, Some(1..101)).await?;
        let after = s.blobs.usage();
        let (requests, bytes) = (after.requests - before.requests, after.bytes - before.bytes);
        hold((2..=8).contains(&requests), || format!("{requests} requests for two reads"))?;
        hold((1_100..20_000).contains(&bytes), || format!("{bytes} bytes for 1100"))?;
        hold(after.retries == before.retries, || format!("{} second tries", after.retries - before.retries))
    })
}

pub(super) fn dropped(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for wait in [0, 1, 3, 10] {
            let wait = Duration::from_millis(wait);
            let large = id(LARGE);
            let many = (0..16).map(|_| s.blobs.read(&large, None, Vec::new()));
            let _ = tokio::time::timeout(wait, futures::future::join_all(many)).await;
            let _ = tokio::time::timeout(wait, s.blobs.list("")).await;
            let _ = tokio::time::timeout(wait, s.blobs.stat(&id(MIDDLING))).await;
            let after = async {
                reads(s, MIDDLING, Some(5..50)).await?;
                reads(s, LARGE, Some(1..2 << 20)).await?;
                let found = listed(&*s.blobs, "x").await?;
                hold(found == s.sample.beginning("x"), || format!("after {wait:?}: {found:?}"))
            };
            // Nothing takes as long: what was dropped must not be waited for.
            let after = tokio::time::timeout(Duration::from_secs(60), after).await;
            after.unwrap_or_else(|_| Err(format!("nothing is answered any more after {wait:?}")))?;
        }
        Ok(())
    })
}

pub(super) fn distrusted(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        for name in [MIDDLING, LARGE, "xw1700000000"] {
            reads(s, name, None).await?;
            reads(s, name, Some(1..3)).await?;
            s.blobs.distrust(&id(name));
            reads(s, name, None).await?;
            reads(s, name, Some(1..3)).await?;
        }
        Ok(())
    })
}

pub(super) fn elsewhere(s: &Subject) -> Asked<'_> {
    Box::pin(async move {
        answered(s.blobs.look_elsewhere().await, "looking elsewhere")?;
        reads(s, MIDDLING, None).await?;
        reads(s, LARGE, Some(7..700)).await?;
        for prefix in ["", "p001", "x", "kopia."] {
            let (found, wanted) = (listed(&*s.blobs, prefix).await?, s.sample.beginning(prefix));
            let missing = wanted.iter().filter(|one| !found.contains(one)).count();
            hold(missing == 0, || format!("{prefix:?}: {missing} of {} are hidden", wanted.len()))?;
            hold(found.len() == wanted.len(), || {
                format!("{prefix:?}: {} beside {}", found.len() - wanted.len(), wanted.len())
            })?;
        }
        Ok(())
    })
}
