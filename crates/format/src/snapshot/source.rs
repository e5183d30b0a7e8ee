//! Whose snapshot it is.

use std::cmp::Ordering;
use std::fmt;

/// User, host and path. Ordered and displayed as `user@host:path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// User name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Path.
    pub path: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.path)
    }
}

impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text()
            .cmp(other.text())
            .then_with(|| (&self.user, &self.host, &self.path).cmp(&(&other.user, &other.host, &other.path)))
    }
}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Source {
    /// The bytes that are displayed.
    fn text(&self) -> impl Iterator<Item = u8> {
        [self.user.as_str(), "@", &self.host, ":", &self.path].into_iter().flat_map(str::bytes)
    }
}
