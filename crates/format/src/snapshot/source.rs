//! Says whose snapshot it is.

use std::cmp::Ordering;
use std::fmt;

/// The source of snapshots: user, host and path. Ordered and displayed as `user@host:path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The name of the user.
    pub user: String,
    /// The name of the host.
    pub host: String,
    /// The path on the host.
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
    /// Returns the bytes that are displayed.
    fn text(&self) -> impl Iterator<Item = u8> {
        [self.user.as_str(), "@", &self.host, ":", &self.path].into_iter().flat_map(str::bytes)
    }
}
