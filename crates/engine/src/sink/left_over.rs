//! Keeps what is left of a damaged file: a file beside it, under a name of its own.

use std::sync::Arc;

use rekopia_format::entry_name::EntryName;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::error::SinkError;
use super::file::LargeFile;
use super::node::DirNode;
use super::state::Sink;

/// Bytes of a name at most, on nearly every file system.
const LONGEST: usize = 255;
/// Names that are tried before it is said that they are taken.
const NAMES: u32 = 10_000;

impl Sink {
    /// Creates a new file `NAME.damaged`, cut to fit; where that is taken, by something that is there or by `is_taken`,
    /// `NAME.damaged-2` and so on.  It is written as any [`LargeFile`].
    pub(crate) fn create_left_over(
        self: &Arc<Self>,
        node: &Arc<DirNode>,
        name: &EntryName,
        size: u64,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<(EntryName, LargeFile), SinkError> {
        let dir = self.dir_to_change(node)?;
        let is_free = |name: &str| {
            let found = rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW);
            !is_taken(name) && matches!(found, Err(Errno::NOENT))
        };
        let names = (1..NAMES).map(|number| left_over(name.as_str(), number));
        let free = names.filter_map(|name| EntryName::parse(&name).ok()).find(|name| is_free(name.as_str()));
        let Some(name) = free else {
            return Err(SinkError::sys("creating", &node.path_of(name.as_str()), Errno::EXIST));
        };
        // A file that appears meanwhile is not opened: ours is created, or it is an error.
        let file = self.create_large(node, &name, size)?;
        Ok((name, file))
    }
}

fn left_over(name: &str, number: u32) -> String {
    let suffix = if number == 1 { ".damaged".to_owned() } else { format!(".damaged-{number}") };
    let end = name.floor_char_boundary(LONGEST - suffix.len());
    format!("{}{suffix}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(left_over("a.txt", 1), "a.txt.damaged");
        assert_eq!(left_over("a.txt", 2), "a.txt.damaged-2");
        let long = left_over(&"ü".repeat(127), 1);
        assert!(long.len() <= 255 && long.ends_with("ü.damaged"), "{long}");
    }
}
