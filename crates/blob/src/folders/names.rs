//! Tells which names are a blob's (§1.1). Other programs leave files of their own in the folders and buckets of a
//! repository.

use rekopia_format::BlobId;
use rekopia_format::Time;
use rekopia_format::index_blob::has_iv;

use crate::reader::BlobInfo;

/// The blob that every repository has.
pub(crate) const FORMAT_BLOB: &str = "kopia.repository";

/// Whether a repository can have a blob of this name: what file managers, synchronising programs and unfinished uploads
/// leave behind (`._p81…`, `p81… (conflict)`, `README`, `….tmp.0123`) has other characters or another beginning.
pub(crate) fn is_blob(name: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let mut letters = name.chars();
    match (letters.next(), letters.as_str()) {
        (Some('k'), rest) => is_kopias_own(rest),
        // Logs and epochs have numbers and underscores in their names.
        (Some('_'), rest) => rest.starts_with("log_") && plain(rest),
        (Some('x'), rest) => rest.starts_with(|c: char| c.is_ascii_lowercase()) && plain(rest),
        (Some('p' | 'q' | 'n' | 'm' | 'l' | 's'), rest) => {
            let hash = rest.split('-').next().unwrap_or_default();
            hash.len() >= LEAST_HASH && hash.bytes().all(|b| b.is_ascii_hexdigit()) && plain(rest)
        }
        _ => false,
    }
}

/// Whether nothing but a blob is called so: there is a whole hash in the name. What has such a name is a blob that
/// cannot be read when it is no file, and never nothing.
pub(crate) fn is_surely_blob(id: &BlobId) -> bool {
    is_blob(id.as_str()) && has_iv(id)
}

/// Returns how a blob is listed that is no file.
pub(crate) fn not_a_file(id: BlobId) -> BlobInfo {
    BlobInfo { id, len: 0, modified: Time::default() }
}

/// Whether a blob's name can begin so: what a folder's name, or several one after the other, must be to be looked into.
pub(crate) fn may_begin(name: &str) -> bool {
    let agrees = |with: &str| name.as_bytes().iter().zip(with.as_bytes()).all(|(a, b)| a == b);
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    match name.as_bytes().first() {
        Some(b'k') => agrees("kopia."),
        Some(b'_') => agrees("_log_"),
        Some(b'x') => plain(name),
        Some(b'p' | b'q' | b'n' | b'm' | b'l' | b's') => {
            let hash = name[1..].split('-').next().unwrap_or_default();
            hash.bytes().all(|b| b.is_ascii_hexdigit()) && plain(name)
        }
        _ => false,
    }
}

/// The least number of hexadecimal digits that is a hash.
const LEAST_HASH: usize = 1;

/// Whether this is the rest, after the `k`, of `kopia.repository`, `kopia.blobcfg` or `kopia.repository.backup.owner`.
fn is_kopias_own(rest: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@' | b':');
    rest.strip_prefix("opia.").is_some_and(|which| {
        !which.is_empty()
            && which.bytes().all(fine)
            && !which.contains(".tmp")
            && !which.ends_with(".partial")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_blob_has_its_names() {
        for name in [
            "kopia.repository",
            "kopia.blobcfg",
            "kopia.maintenance",
            "kopia.repository.backup.owner-1",
            "p81411ac55c280560319f34a78147f19e-s656fecf95845c101147",
            "q81411ac55c280560319f34a78147f19e",
            "n0f00ab12cd34ef560f00ab12cd34ef56-s1234567890abcdef1-c1",
            "n00000000000000000000000000000000-repository_unreadable_by_this_kopia_version_upgrade_required",
            "m0f00ab12cd34ef56",
            "l0f00ab12cd34ef56",
            "xe1",
            "xn0_0f00ab12cd34ef560f00ab12cd34ef56-s1234567890abcdef1-c1",
            "xr0_7_0f00ab12-s1234567890abcdef-c1",
            "xw1700000000",
            "s0f00ab12cd34ef56-s1234567890abcdef1",
            "_log_20261124120000_0abc_1700000000_1700000001_1_0f00ab12",
        ] {
            assert!(is_blob(name), "{name}");
        }
    }

    #[test]
    fn folders_of_others_are_not_looked_into() {
        for name in ["p", "p81", "p814", "k", "kop", "kopia.", "x", "xn0_", "_lo", "n0f", "s0"] {
            assert!(may_begin(name), "{name}");
        }
        for name in ["lost+found", "pictures", "node_modules", "src", ".git", "Photos", "p 1", "_tmp"] {
            assert!(!may_begin(name), "{name}");
        }
    }

    #[test]
    fn names_of_others_are_none() {
        let pack = "p81411ac55c280560319f34a78147f19e-s656fecf95845c101147";
        for name in [
            "",
            "README",
            "notes.txt",
            "picture",
            "p",
            ".DS_Store",
            "lost+found",
            ".storageconfig",
            "._kopia.repository",
            "kopia.",
            "kopia.repository (conflict)",
            "kopia.repository~",
            "kopia.repository.tmp.0123456789abcdef",
            "kopia.repository.1a2b.partial",
            "z0f00ab12-1234",
            &format!("._{pack}"),
            &format!("{pack} (conflicted copy)"),
            &format!("{pack}.sync-conflict-20261124"),
            &format!("{pack}.tmp.0123456789abcdef"),
            &format!("{pack}.f"),
            // A twin in a sharded folder, with the folders' names before it.
            "p814._11ac55c280560319f34a78147f19e-s656fecf95845c101147",
        ] {
            assert!(!is_blob(name), "{name}");
        }
    }
}
