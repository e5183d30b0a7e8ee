//! Holds the connections of an HTTP client, and makes others when they have gone silent.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Client;

use crate::error::BlobError;

/// The connections of a client. Where one has gone silent the others that wait for work may be dead, too (whatever
/// stands in between has forgotten them), and each second try would find the next dead one: so they are all given up
/// together.
pub(crate) struct Pool {
    /// The client, with the number of pools before it.
    current: Mutex<(usize, Client)>,
    make: Box<dyn Fn() -> Result<Client, BlobError> + Send + Sync>,
}

impl Pool {
    pub(crate) fn new(
        make: impl Fn() -> Result<Client, BlobError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, BlobError> {
        Ok(Arc::new(Pool { current: Mutex::new((0, make()?)), make: Box::new(make) }))
    }

    pub(crate) fn client(&self) -> Client {
        self.current().1.clone()
    }

    /// Returns the number of the pool that new requests use.
    pub(crate) fn number(&self) -> usize {
        self.current().0
    }

    fn current(&self) -> MutexGuard<'_, (usize, Client)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a connection of the pool of this number has gone silent.
    pub(crate) fn is_silent(&self, number: usize) {
        let mut current = self.current();
        if current.0 == number
            && let Ok(client) = (self.make)()
        {
            *current = (number + 1, client);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("number", &self.current().0).finish_non_exhaustive()
    }
}
