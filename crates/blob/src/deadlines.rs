//! Holds all deadlines of a request, as parts of one.

use std::time::Duration;

/// The time for which a request may go on failing, and the shorter deadlines that follow from it.
///
/// A try that makes no headway ends after a third of it at the latest; so a request that only fails ends within twice
/// the patience, and within four times of it when the storage asks us to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// The time after which no further try of a failing request starts.
    pub patience: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines { patience: Duration::from_secs(45) }
    }
}

impl Deadlines {
    crate::setters! {
        patience: Duration,
    }

    /// Returns the time until a connection stands: 10 of 45 seconds.
    pub fn connect(&self) -> Duration {
        self.patience * 2 / 9
    }

    /// Returns the time until an answer begins, from each part of it to the next, and for a few kilobytes of it: 15 of
    /// 45 seconds.
    pub fn silence(&self) -> Duration {
        self.patience / 3
    }

    /// Returns the patience together with the time for which the storage asked us to wait: 180 of 45 seconds.
    pub(crate) fn busy_patience(&self) -> Duration {
        self.patience * 4
    }

    /// Returns the longest first wait before another try, which may be shorter; it doubles with every try: 0.25 of 45
    /// seconds.
    pub(crate) fn first_wait(&self) -> Duration {
        self.patience / 180
    }

    /// Returns the longest first wait when the storage says that it is asked too much: many clients must not come back
    /// together.
    pub(crate) fn first_busy_wait(&self) -> Duration {
        self.patience / 15
    }

    /// Returns the longest wait of our own: 12 of 45 seconds.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.patience * 4 / 15
    }
}
