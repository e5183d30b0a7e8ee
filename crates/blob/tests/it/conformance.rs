//! Every storage, alone and in its layers, asked the same; and every storage that speaks HTTP, behind a proxy that breaks
//! its answers.

use std::sync::Arc;
use std::time::Duration;

use rekopia_blob::layer::{cached, limited, retried};
use rekopia_blob::{BlobReader, CacheOptions, Deadlines, LayerOptions};
use rekopia_testkit::conformance::{Broken, Sample, Subject, conforms, survives};
use rekopia_testkit::server::faulty::Faulty;

use super::stands::{self, Stand};

/// What stands around a provider.
const AROUND: [&str; 5] = ["alone", "retried", "limited", "cached", "in all layers"];

/// In place of 45 seconds.
fn patient() -> Deadlines {
    Deadlines::default().patience(Duration::from_secs(6))
}

/// What a storage cannot do, in which layers (`""`: in all), and why.
type Cannot<'a> = &'a [(&'static str, &'static str, &'static str)];

fn around(which: &str, bare: Arc<dyn BlobReader>, folder: &tempfile::TempDir) -> Arc<dyn BlobReader> {
    let limits = LayerOptions::default().in_flight(Some(3)).bandwidth(Some(500_000_000));
    let cache = CacheOptions::new(folder.path()).max_bytes(100 << 20);
    match which {
        "retried" => retried(bare, patient()),
        "limited" => limited(bare, &limits),
        "cached" => cached(bare, &cache),
        "in all layers" => cached(limited(retried(bare, patient()), &limits), &cache),
        _ => bare,
    }
}

/// Alone, in each layer, and in all of them twice: the second time the cache is warm.
async fn conforms_in_all_layers(stand: &Stand, sample: &Arc<Sample>, cannot: Cannot<'_>) {
    let folder = tempfile::tempdir().unwrap();
    for which in AROUND.into_iter().chain(["in all layers"]) {
        let blobs = around(which, stand.open(Deadlines::default()).await, &folder);
        let cannot =
            cannot.iter().filter(|(layers, ..)| layers.is_empty() || layers.split(", ").any(|l| l == which));
        conforms(&Subject {
            name: format!("{} {which}", stand.name),
            blobs,
            sample: Arc::clone(sample),
            cannot: cannot.map(|(_, case, why)| (*case, *why)).collect(),
            secrets: stand.secrets.clone(),
        })
        .await;
    }
}

/// The proxy may stand before any server that speaks HTTP.
async fn survives_faults(stand: Stand, sample: Arc<Sample>, cannot: &[(&'static str, &'static str)]) {
    let proxy = Faulty::start(&stand.address).await;
    match stand.name {
        "B2" => proxy.refuse_in_json(),
        // Google's client finds the bucket by the name of the host that it was told to use.
        "Google" => proxy.name_host(&stand.address),
        _ => {}
    }
    let deadlines = patient();
    let bare = stand.open_at(&proxy.address, deadlines).await;
    let retried = retried(stand.open_at(&proxy.address, deadlines).await, deadlines);
    let (name, codes, cannot) = (stand.name.to_owned(), stand.codes, cannot.to_vec());
    survives(&Broken { name, proxy, bare, retried, deadlines, sample, codes, cannot }).await;
}

fn sample() -> Arc<Sample> {
    Arc::new(Sample::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_conforms() {
    let sample = sample();
    let uncounted = ("alone, limited, cached", "what is asked is counted", "system calls are no messages");
    conforms_in_all_layers(&stands::filesystem(&sample), &sample, &[uncounted]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_conforms() {
    let sample = sample();
    let stand = stands::s3(&sample).await;
    conforms_in_all_layers(&stand, &sample, &[]).await;
    survives_faults(stand, sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_conforms() {
    let sample = sample();
    let Some(stand) = stands::azure(&sample).await else { return };
    let odd = "Azurite answers with a range of no bytes where Azure refuses with 416";
    conforms_in_all_layers(&stand, &sample, &[("", "a range that begins at the end is truncated", odd)])
        .await;
    survives_faults(stand, sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_conforms() {
    let sample = sample();
    let stand = stands::gcs(&sample).await;
    conforms_in_all_layers(&stand, &sample, &[]).await;
    survives_faults(stand, sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_conforms() {
    let sample = sample();
    let stand = stands::b2(&sample).await;
    conforms_in_all_layers(&stand, &sample, &[]).await;
    survives_faults(stand, sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webdav_of_nginx_conforms() {
    let sample = sample();
    let Some(stand) = stands::nginx(&sample) else { return };
    conforms_in_all_layers(&stand, &sample, &[]).await;
    survives_faults(stand, sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webdav_of_rclone_conforms() {
    let sample = sample();
    let Some(stand) = stands::rclone_webdav(&sample) else { return };
    conforms_in_all_layers(&stand, &sample, &[]).await;
    survives_faults(stand, sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_conforms() {
    let sample = sample();
    let Some(stand) = stands::sftp(&sample) else { return };
    conforms_in_all_layers(&stand, &sample, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_by_ssh_conforms() {
    let sample = sample();
    let Some(stand) = stands::external_sftp(&sample) else { return };
    conforms_in_all_layers(&stand, &sample, &[]).await;
}

/// No proxy can stand before rclone, whose server is started by us and asks for a password of its own making; what is
/// said there is what `rclone serve webdav` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_conforms() {
    let sample = sample();
    let Some(stand) = stands::rclone(&sample) else { return };
    conforms_in_all_layers(&stand, &sample, &[]).await;
}

/// Kopia's folders may be cut in any way: a `.shards` says how, or nothing does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_layout_of_folders_conforms() {
    for shards in [
        None,
        Some(r#"{"default":[],"maxNonShardedLength":20}"#),
        Some(r#"{"default":[2,2],"maxNonShardedLength":20}"#),
        Some(r#"{"default":[3,3],"maxNonShardedLength":30,"overrides":[{"prefix":"q","shards":[1]}]}"#),
    ] {
        let sample = Arc::new(Sample::with(30, shards));
        let stands = [Some(stands::filesystem(&sample)), stands::nginx(&sample), stands::sftp(&sample)];
        for stand in stands.into_iter().flatten() {
            let blobs =
                around("retried", stand.open(Deadlines::default()).await, &tempfile::tempdir().unwrap());
            let (name, secrets) = (format!("{} with {shards:?}", stand.name), stand.secrets.clone());
            conforms(&Subject { name, blobs, sample: Arc::clone(&sample), cannot: Vec::new(), secrets })
                .await;
        }
    }
}
