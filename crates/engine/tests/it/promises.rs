//! What embedders may rely on: which types and futures can go to another thread, and which survive a panic.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::Arc;

use rekopia::blob::{BlobError, BlobReader, LayerOptions, Settings};
use rekopia::*;

fn is_shared<T: Send + Sync + 'static>() {}
fn is_plain<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
fn can_move(_: impl Send) {}

fn is_sent<T: Send + 'static>() {}

#[test]
fn types_go_to_other_threads() {
    is_shared::<Repository>();
    is_shared::<Error>();
    is_shared::<BlobError>();
    is_shared::<Arc<dyn BlobReader>>();
    is_shared::<Arc<dyn Observer>>();
    is_shared::<Snapshots>();
    is_shared::<FileReader>();
    is_sent::<AsyncFile>();
    is_shared::<Cancel>();
    is_shared::<RestoreOptions>();
    is_plain::<Report>();
    is_plain::<Progress>();
    is_plain::<Selection>();
    is_plain::<Reference>();
    is_plain::<Receipt>();
    is_plain::<Coverage>();
    is_plain::<Settings>();
    is_plain::<LayerOptions>();
    is_plain::<Time>();
}

/// Futures are looked at, never polled: that they can be spawned is a matter of their types.
#[expect(dead_code, reason = "the compiler reads it")]
fn futures_can_be_spawned(
    repository: &Repository,
    (blobs, password): (Arc<dyn BlobReader>, &Password),
    (from, trees): (&Resolved, &[Resolved]),
    (coverage, receipt): (&mut Coverage, &Receipt),
) {
    let (target, cancel) = (Path::new(""), Cancel::new());
    can_move(Repository::open(blobs.clone(), password, &OpenOptions::default(), Arc::new(Silent)));
    can_move(examine(blobs, password, &ExaminationOptions::default(), Arc::new(Silent)));
    can_move(repository.snapshots());
    can_move(repository.refresh());
    can_move(repository.restore(from, target, &RestoreOptions::default(), Arc::new(Silent)));
    can_move(repository.verify(from, &VerifyOptions::default(), Arc::new(Silent)));
    can_move(repository.verify_set(trees, &SetOptions::default(), coverage, Arc::new(Silent)));
    can_move(repository.compare(from, target, &RestoreOptions::default(), Arc::new(Silent)));
    can_move(receipt.check(target, 0, &cancel, Arc::new(Silent)));
}
