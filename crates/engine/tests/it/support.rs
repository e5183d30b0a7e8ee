//! What the tests share: opening a fixture and restoring from it.

use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{BlobReader, Settings, connect};
use rekopia::{
    OpenOptions, Password, Reference, Report, Repository, Resolved, RestoreOptions, Result, Selection,
    Silent, VerifyOptions,
};
use rekopia_testkit::fixture::Fixture;

/// Opens a directory with a password.
pub(crate) async fn open_at(repo: &Path, password: &str) -> Result<Repository> {
    let settings = Settings::parse(repo.to_str().unwrap()).unwrap();
    open_blobs(connect(&settings).await.unwrap(), password).await
}

/// Opens whatever holds blobs.
pub(crate) async fn open_blobs(blobs: Arc<dyn BlobReader>, password: &str) -> Result<Repository> {
    Repository::open(blobs, &Password::new(password), &OpenOptions::default(), Arc::new(Silent)).await
}

/// Opens a fixture with its password.
pub(crate) async fn open(fixture: &Fixture) -> Repository {
    open_at(&fixture.repo(), &fixture.password).await.unwrap_or_else(|e| panic!("{}: {e:?}", fixture.name))
}

/// Restores what `reference` names.
pub(crate) async fn restore(
    repository: &Repository,
    reference: &str,
    target: &Path,
    options: &RestoreOptions,
) -> Result<Report> {
    let from = resolve(repository, reference).await?;
    repository.restore(&from, target, options, Arc::new(Silent)).await
}

/// Verifies what `reference` names.
pub(crate) async fn verify(
    repository: &Repository,
    reference: &str,
    options: &VerifyOptions,
) -> Result<Report> {
    let from = resolve(repository, reference).await?;
    repository.verify(&from, options, Arc::new(Silent)).await
}

/// Returns what `reference` names.
pub(crate) async fn resolve(repository: &Repository, reference: &str) -> Result<Resolved> {
    let selection = Selection::default().incomplete(true);
    repository.resolve(&Reference::parse(reference)?, &selection).await
}

/// Options of a test: nothing is synced, few threads.
pub(crate) fn quick() -> RestoreOptions {
    RestoreOptions::default().sync(rekopia::SyncMode::None).threads(3)
}

/// Whether there is time for everything.
pub(crate) fn is_full() -> bool {
    std::env::var_os("REKOPIA_FULL").is_some()
}

/// Whether the fixture is more than one of many that differ only in hash, cipher, password, program or layout of folders;
/// all are when there is time.
pub(crate) fn is_of_its_own(fixture: &Fixture) -> bool {
    let is_one_of_many = ["matrix-", "password-", "old-", "sharding-", "ecc-", "compress"]
        .iter()
        .any(|many| fixture.name.starts_with(many));
    !is_one_of_many || is_full()
}
