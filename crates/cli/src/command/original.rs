//! Restores without a target: to the place where the data came from, as `kopia restore PATH`.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use rekopia::{Repository, Source};

use crate::args::Global;
use crate::connect;
use crate::exit::CommandError;

/// The reference and the target of `restore PATH`.
///
/// # Errors
/// Those of the command line (2): no path, another user's or host's, or one that is in no snapshot of this user and host.
pub(super) async fn original(
    global: &Global,
    repository: &Repository,
    reference: &str,
) -> Result<(String, PathBuf)> {
    let (user, host) = match connect::identity(global)? {
        Some(identity) => identity,
        None => system_identity(),
    };
    let path = own_path(reference, &user, &host)?;
    let snapshots = repository.snapshots().await?;
    let is_own = |source: &Source| {
        source.user == user && source.host == host && Path::new(&path).starts_with(&source.path)
    };
    // Where damage may hide it, that is what there is to say.
    if !snapshots.by_source().into_keys().any(is_own) && snapshots.damage().is_empty() {
        let what = format!(
            "{user}@{host} has no snapshot of {path}: name a TARGET, and whose snapshot (user@host:{path})"
        );
        return Err(CommandError::usage(what).into());
    }
    Ok((format!("{user}@{host}:{path}"), path.into()))
}

fn own_path(reference: &str, user: &str, host: &str) -> Result<String, CommandError> {
    let own = reference.strip_prefix(&format!("{user}@{host}:")).unwrap_or(reference);
    let is_path =
        own.starts_with('/') || own == "." || own == ".." || own.starts_with("./") || own.starts_with("../");
    let absolute = is_path.then(|| std::path::absolute(own).ok()).flatten();
    match absolute.as_deref().and_then(cleaned) {
        Some(path) => Ok(path),
        None => Err(CommandError::usage(format!(
            "TARGET is missing: without it only a path of {user}@{host} can be restored, to its original place"
        ))),
    }
}

/// Returns the path without `.` and `..`, as Kopia takes it.
fn cleaned(path: &Path) -> Option<String> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean.into_os_string().into_string().ok()
}

/// Returns user and host as Kopia takes them from the system: the host's name is cut at its first dot, in lower case.
fn system_identity() -> (String, String) {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let host = host.split('.').next().unwrap_or_default().to_lowercase();
    (system_user().unwrap_or_default(), host)
}

fn system_user() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.or_else(|| std::env::var("USER").ok().filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_paths_have_an_original_place() {
        for own in ["/a/b/", "me@here:/a/./b", "/a/x/../b"] {
            assert_eq!(own_path(own, "me", "here").unwrap(), "/a/b", "{own}");
        }
        for other in ["latest", "you@here:/a/b", "me@here", "50590e4bbb7ec9c9", "a/b"] {
            assert!(own_path(other, "me", "here").is_err(), "{other}");
        }
    }
}
