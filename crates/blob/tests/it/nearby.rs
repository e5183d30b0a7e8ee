//! Repositories around a directory that holds none.

use rekopia_blob::{Settings, nearby};

#[tokio::test]
async fn directories_above_beside_and_below_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = dir.path().join("a/wanted");
    for holder in ["", "a/beside", "a/wanted/below"] {
        std::fs::create_dir_all(dir.path().join(holder)).unwrap();
        std::fs::write(dir.path().join(holder).join("kopia.repository.f"), "{}").unwrap();
    }
    std::fs::create_dir(dir.path().join("a/without")).unwrap();
    let found = nearby(&Settings::path(&wanted)).await;
    let expected = ["", "a/beside", "a/wanted/below"].map(|p| dir.path().join(p).display().to_string());
    assert_eq!(found.len(), 3);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected.trim_end_matches('/'));
    }
    assert_eq!(nearby(&Settings::path(wanted.join("below"))).await.len(), 1);
    assert!(nearby(&Settings::path("/no/such/place/at/all")).await.is_empty());
}
