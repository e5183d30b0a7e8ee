//! Tells which entries are wanted: gitignore rules relative to the restored root.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, ErrorKind, Result};

/// Include and exclude patterns; empty admits everything.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    include: Option<Gitignore>,
    exclude: Option<Gitignore>,
}

impl Filter {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a pattern that cannot be understood.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        Ok(Filter { include: compile(include)?, exclude: compile(exclude)? })
    }

    /// Whether nothing is filtered.
    pub(crate) fn is_empty(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether the entry at `path` is wanted. A directory that only might hold wanted entries is.
    pub(crate) fn admits(&self, path: &str, is_dir: bool) -> bool {
        if let Some(exclude) = &self.exclude
            && exclude.matched_path_or_any_parents(path, is_dir).is_ignore()
        {
            return false;
        }
        match &self.include {
            Some(include) => is_dir || include.matched_path_or_any_parents(path, is_dir).is_ignore(),
            None => true,
        }
    }

    /// Whether the filter takes the entry at `path` itself, as a restore of it would: what it does not take stays.
    pub(crate) fn takes(&self, path: &str, is_dir: bool) -> bool {
        self.admits(path, is_dir) && (!is_dir || self.wants_folder(path))
    }

    /// Whether a directory is wanted for itself, and not only for what may be in it.
    pub(crate) fn wants_folder(&self, path: &str) -> bool {
        match &self.include {
            Some(include) => path.is_empty() || include.matched_path_or_any_parents(path, true).is_ignore(),
            None => true,
        }
    }
}

fn compile(patterns: &[String]) -> Result<Option<Gitignore>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let bad = |e: ignore::Error| Error::new(ErrorKind::Usage, "cannot understand a pattern").because(e);
    let mut builder = GitignoreBuilder::new("");
    // Half a pattern is a mistake.
    builder.allow_unclosed_class(false);
    for pattern in patterns {
        if pattern.trim().is_empty() || pattern.starts_with('#') {
            let what = format!("{pattern:?} is no pattern: it would match nothing");
            return Err(Error::new(ErrorKind::Usage, what));
        }
        builder.add_line(None, pattern).map_err(bad)?;
    }
    builder.build().map(Some).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitignore_rules() {
        let filter =
            Filter::new(&["*.rs".into(), "/doc/".into()], &["target/".into(), "*.bak".into()]).unwrap();
        assert!(filter.admits("src/a.rs", false));
        assert!(!filter.admits("src/a.txt", false));
        assert!(filter.admits("doc/deep/x.txt", false));
        assert!(!filter.admits("target/a.rs", false));
        assert!(!filter.admits("x.bak", false));
        assert!(filter.admits("src", true));
        assert!(!filter.wants_folder("src") && filter.wants_folder("doc"));
        for none in ["[z-a]", "", "  ", "# a comment", "a[b"] {
            assert!(Filter::new(&[none.into()], &[]).is_err(), "{none:?}");
            assert!(Filter::new(&[], &[none.into()]).is_err(), "{none:?}");
        }
    }
}
