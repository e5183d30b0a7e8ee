//! What is read before anything else: format blob, configuration, `kopia.blobcfg`, `.shards`.

use rekopia_format::blobcfg::BlobCfg;
use rekopia_format::format_blob::{FormatBlob, RepositoryConfig};
use rekopia_format::sharding::{Sharding, may_contain};
use rekopia_format::{BlobId, Time};

use crate::input::Input;

/// The format blob and the configuration inside it.
pub fn format_blob(data: &[u8]) {
    let _ = FormatBlob::parse(data);
    let Ok(config) = RepositoryConfig::parse(data) else { return };
    if let Some((_, percent)) = config.error_correction() {
        let _ = rekopia_format::ecc::Ecc::new(percent.into());
    }
    assert!(config.unknown_features().count() <= data.len(), "more features than bytes");
    if let Some(lock) = &config.upgrade_lock {
        for now in [Time::MIN, Time::default(), Time::MAX] {
            let _ = lock.is_locked(now);
        }
    }
    let shown = format!("{config:?}");
    assert!(shown.len() < 100 * data.len() + 10_000, "shown in {} bytes", shown.len());
}

/// `kopia.blobcfg`.
pub fn blobcfg(data: &[u8]) {
    if let Ok(BlobCfg { retention: Some(retention) }) = BlobCfg::parse(data) {
        assert!(!retention.mode.is_empty(), "retained in no mode");
        assert!(retention.period_ns >= 86_400_000_000_000, "retained for {} ns", retention.period_ns);
    }
}

/// `.shards`, and the paths of blobs that follow from it.
pub fn sharding(data: &[u8]) {
    let mut input = Input(data);
    let len = usize::from(input.byte());
    let name = String::from_utf8_lossy(input.take(len));
    let Ok(sharding) = Sharding::parse(input.0) else { return };
    for name in [&*name, "kopia.repository", "p0123456789abcdef0123456789abcdef-s0123456789abcdef123"] {
        let Ok(blob) = BlobId::parse(name) else { continue };
        let path = sharding.path(&blob);
        let parts: Vec<&str> = path.split('/').collect();
        assert!(parts.iter().all(|part| !matches!(*part, "" | "." | "..")), "{path:?} leaves its root");
        let folders = &parts[..parts.len() - 1];
        // Kopia drops folders that are called `.`.
        if !blob.as_str().contains('.') {
            assert_eq!(format!("{}.f", blob.as_str()), path.replace('/', ""), "the path lost letters");
            let accumulated = folders.concat();
            assert!(may_contain(&accumulated, blob.as_str()), "{path:?} would not be found");
        }
    }
}
