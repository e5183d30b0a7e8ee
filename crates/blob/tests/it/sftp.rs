//! What only SFTP has: one connection for all, which may break anywhere, and requests that are counted one by one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rekopia_blob::layer::retried;
use rekopia_blob::{BlobErrorKind, BlobId, BlobReader, Deadlines};
use rekopia_testkit::conformance::Sample;
use rekopia_testkit::server::tunnel::{Break, Tunnel};

use super::stands;

fn format_blob() -> BlobId {
    BlobId::parse("kopia.repository").unwrap()
}

/// The length of `.shards`, its text and the blob are asked for once each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_one_request() {
    let sample = Sample::with(1, Some(r#"{"default":[1,3],"maxNonShardedLength":20}"#));
    let Some(stand) = stands::sftp(&sample) else { return };
    let blobs = retried(stand.open(Deadlines::default()).await, Deadlines::default());
    let len = blobs.read(&format_blob(), None, Vec::new()).await.unwrap().len() as u64;
    let usage = blobs.usage();
    assert_eq!((usage.requests, usage.retries), (3, 0));
    blobs.read(&format_blob(), None, Vec::new()).await.unwrap();
    let again = blobs.usage();
    assert_eq!(again.requests, 4);
    let bytes = again.bytes - usage.bytes;
    assert!((len..len + 300).contains(&bytes), "{bytes} bytes for {len}");
}

/// A connection that ends, stops or drips at any byte is an error worth another try, and a second try gets the blob.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_fail_at_any_byte() {
    let sample = Sample::with(1, None);
    let Some(stand) = stands::sftp(&sample) else { return };
    let wanted = &sample.blobs["kopia.repository"];
    let deadlines = Deadlines::default().patience(Duration::from_secs(6));
    let tunnel = Tunnel::start(stand.address.rsplit_once(':').unwrap().1.parse().unwrap()).await;
    let address = format!("127.0.0.1:{}", tunnel.port);
    for (number, at) in [0, 10, 500, 1500, 2300, 3000, 3500, 4000].into_iter().enumerate() {
        let fate = [Break::Cut(at), Break::Stall(at), Break::Drip(at)][number % 3];
        for tries in ["once", "again"] {
            let first = tunnel.connections();
            tunnel.break_connections(move |connection| (connection == first).then_some(fate));
            let bare = stand.open_at(&address, deadlines).await;
            let blobs: Arc<dyn BlobReader> = if tries == "once" { bare } else { retried(bare, deadlines) };
            match blobs.read(&format_blob(), None, Vec::new()).await {
                Ok(found) => assert!(found == *wanted, "{fate:?} {tries}"),
                Err(e) if tries == "once" => {
                    assert!(e.is_transient() && e.kind() == BlobErrorKind::Unavailable, "{fate:?}: {e}");
                }
                Err(e) => panic!("{fate:?} {tries}: {e}"),
            }
        }
    }
    // A connection that never says anything is given up in time.
    tunnel.break_connections(|_| Some(Break::Stall(0)));
    let began = Instant::now();
    let blobs = stand.open_at(&address, deadlines).await;
    assert!(blobs.read(&format_blob(), None, Vec::new()).await.unwrap_err().is_transient());
    assert!(began.elapsed() < deadlines.silence() * 5, "{:?}", began.elapsed());
}
