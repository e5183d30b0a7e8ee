//! Recognises file systems where several spellings are one name: CIFS, FAT, ext4 with `casefold`, ZFS that normalises.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use unicode_normalization::UnicodeNormalization;

/// Returns the key that all names share which such a file system may take for one.
fn key(name: &str) -> String {
    let upper = name.nfd().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfd().collect()
}

/// Returns the key of a name that is not its own; `None` for one that is, which most are.
pub(crate) fn other_key(name: &str) -> Option<String> {
    if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return None;
    }
    Some(key(name)).filter(|key| key != name)
}

/// Whether another spelling leads to what is at `name` in `dir`.
pub(super) fn folds(dir: impl AsFd, name: &str) -> bool {
    let look = |name: &str| {
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((super::mounts::device(&stat), stat.st_ino, stat.st_nlink))
    };
    let Some(here) = look(name) else { return false };
    let is_listed = |spelling: &str| lists(&dir, spelling);
    !is_listed(name) || spellings(name).any(|other| look(&other) == Some(here) && !is_listed(&other))
}

/// Returns other spellings of a name, one of each kind.
fn spellings(name: &str) -> impl Iterator<Item = String> {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    let cases: String = name.chars().map(swap).collect();
    let all = [cases, name.nfc().collect(), name.nfd().collect(), name.to_uppercase(), name.to_lowercase()];
    let name = name.to_owned();
    all.into_iter().filter(move |other| *other != name)
}

/// Whether the directory lists exactly this name: a hard link is another name, not another spelling.
fn lists(dir: impl AsFd, name: &str) -> bool {
    let Ok(entries) = rustix::fs::Dir::read_from(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_bytes() == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_have_one_key() {
        for (a, b) in [
            ("README", "readme"),
            ("\u{e9}", "e\u{301}"),
            ("STRASSE", "stra\u{df}e"),
            ("\u{c4}b", "a\u{308}B"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn an_ordinary_file_system_folds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("name"), "").unwrap();
        std::fs::hard_link(dir.path().join("name"), dir.path().join("NAME")).unwrap();
        let handle = std::fs::File::open(dir.path()).unwrap();
        assert!(!folds(&handle, "name") && !folds(&handle, "absent"));
    }
}
