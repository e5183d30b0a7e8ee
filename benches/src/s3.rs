//! The corpora behind a link, as buckets of an S3 server in this process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rekopia_testkit::server::buckets::Buckets;
use rekopia_testkit::server::delay::{Far, Link, Traffic};
use rekopia_testkit::server::s3::{ACCESS_KEY, SECRET_KEY};
use tokio::runtime::Runtime;

/// Where the repositories are, for everyone.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct S3Args {
    /// Serve the repositories from an S3 server in this process instead of the directory
    #[arg(long)]
    pub(crate) s3: bool,
    /// Round trip time of the link: 30ms, 1s
    #[arg(long, value_parser = duration, default_value = "0ms", requires = "s3")]
    rtt: Duration,
    /// Speed of one connection, in bytes per second: 50MB, 8MiB
    #[arg(long, value_parser = bytes, requires = "s3")]
    per_connection: Option<u64>,
    /// Speak TLS, with a certificate of an own authority that everyone is given
    #[arg(long, requires = "s3")]
    tls: bool,
}

impl S3Args {
    /// Makes a link of this round trip time, as fast as the machine.
    pub(crate) fn far(rtt: &str) -> Result<Self> {
        let rtt = duration(rtt).map_err(anyhow::Error::msg)?;
        Ok(S3Args { s3: true, rtt, per_connection: None, tls: false })
    }

    /// For headings: `S3, 30 ms, 50 MB/s per connection, TLS`.
    pub(crate) fn title(&self) -> String {
        let mut title = format!("S3, {} ms", self.rtt.as_millis());
        if let Some(speed) = self.per_connection {
            title += &format!(", {} MB/s per connection", speed as f64 / 1e6);
        }
        if self.tls {
            title += ", TLS";
        }
        title
    }
}

/// The server and its clients' side of the link.
pub(crate) struct Remote {
    far: Far,
    ca: Option<PathBuf>,
    // Last: it ends what runs on it.
    _runtime: Runtime,
}

impl Remote {
    /// Serves what a corpus has: `kopia`, and `restic` and `rustic` when they are there. A certificate goes to `dir`.
    pub(crate) fn start(args: &S3Args, corpus: &Path, dir: &Path) -> Result<Self> {
        let mut buckets = Buckets::default().repository("kopia", &corpus.join("kopia"))?;
        for name in ["restic", "rustic"] {
            if corpus.join(name).exists() {
                buckets = buckets.folder(name, &corpus.join(name))?;
            }
        }
        // More threads than cores: reading a file blocks one.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
        let link = Link { round_trip: args.rtt, per_connection: args.per_connection, tls: args.tls };
        let far = runtime.block_on(Far::start(buckets.service(), link));
        let ca = far.ca.as_ref().map(|pem| {
            let path = dir.join("ca.pem");
            std::fs::write(&path, pem).map(|()| path)
        });
        Ok(Remote { far, ca: ca.transpose()?, _runtime: runtime })
    }

    /// Returns the server's address: `127.0.0.1:port`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.far.endpoint
    }

    /// Returns what went over the link since the last call.
    pub(crate) fn take_traffic(&self) -> Traffic {
        self.far.take_traffic()
    }

    /// Returns what the programs need to know to find their buckets.
    pub(crate) fn environment(&self) -> Result<Vec<(String, OsString)>> {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", self.far.endpoint);
        let mut ours = format!("s3://kopia?endpoint={endpoint}&region=us-east-1");
        let mut all = vec![];
        let mut set = |key: &str, value: OsString| all.push((key.to_owned(), value));
        if let Some(ca) = &self.ca {
            let path = ca.to_str().context("the path is not UTF-8")?;
            ensure!(!path.contains(['%', '&', '#']), "{path}: please use a --dir of plain letters");
            ours += &format!("&ca={path}");
            set("CA", path.into());
            set("RESTIC_CACERT", path.into());
            // Rustic has no option for it.
            set("SSL_CERT_FILE", path.into());
        } else {
            set("NO_TLS", "--disable-tls".into());
        }
        set("REPO", ours.into());
        set("HOST", self.far.endpoint.clone().into());
        set("RESTIC_REPO", format!("s3:{endpoint}/restic").into());
        set("RUSTIC_REPO", "opendal:s3".into());
        for (key, value) in [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("OPENDAL_BUCKET", "rustic"),
            ("OPENDAL_ROOT", "/"),
            ("OPENDAL_ENDPOINT", &endpoint),
            ("OPENDAL_REGION", "us-east-1"),
            ("OPENDAL_ACCESS_KEY_ID", ACCESS_KEY),
            ("OPENDAL_SECRET_ACCESS_KEY", SECRET_KEY),
        ] {
            set(key, value.into());
        }
        Ok(all)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time, like 30ms");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size, like 50MB");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|n| *n > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::check::equal_trees;
    use crate::corpora::{Kind, PASSWORD, Shape, generate};
    use rekopia::blob::{BlobReader, Secret, Settings, connect};
    use rekopia::{
        OpenOptions, Password, Reference, Repository, RestoreOptions, Selection, Silent, SyncMode,
    };

    const ROUND_TRIP: Duration = Duration::from_millis(20);

    struct Setting {
        dir: tempfile::TempDir,
        remote: Remote,
    }

    fn serve(kind: Kind, count: u64, per_connection: Option<u64>, tls: bool) -> Setting {
        let dir = tempfile::tempdir().unwrap();
        generate(&Shape::new(kind, count), dir.path(), None).unwrap();
        let args = S3Args { s3: true, rtt: ROUND_TRIP, per_connection, tls };
        let remote = Remote::start(&args, dir.path(), dir.path()).unwrap();
        Setting { dir, remote }
    }

    impl Setting {
        /// Our own client, as the environment describes it.
        async fn blobs(&self) -> Arc<dyn BlobReader> {
            let environment = self.remote.environment().unwrap();
            let (_, url) = environment.iter().find(|(key, _)| key == "REPO").unwrap();
            let mut settings = Settings::parse(url.to_str().unwrap()).unwrap();
            let Settings::S3(s3) = &mut settings else { panic!("{settings:?}") };
            (s3.access_key_id, s3.secret_access_key) = (ACCESS_KEY.into(), Secret::new(SECRET_KEY));
            connect(&settings).await.unwrap()
        }
    }

    /// Lower bounds only: how long something takes at least does not depend on the machine.
    fn restores_and_counts(tls: bool) {
        let setting = serve(Kind::SmallFiles, 60, None, tls);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let blobs = setting.blobs().await;
            let started = Instant::now();
            assert!(blobs.any("kopia.repository").await.unwrap());
            let set_up = if tls { 2 } else { 1 };
            assert!(started.elapsed() >= ROUND_TRIP * (set_up + 1), "{:?}", started.elapsed());
            let first = setting.remote.take_traffic();
            assert_eq!((first.connections, first.requests(), first.lists), (1, 1, 1));

            let password = Password::new(PASSWORD);
            let repository =
                Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await.unwrap();
            let reference = Reference::parse("bench@host:/data").unwrap();
            let from = repository.resolve(&reference, &Selection::default()).await.unwrap();
            let options = RestoreOptions::default().sync(SyncMode::None);
            let target = setting.dir.path().join("target");
            let report = repository.restore(&from, &target, &options, Arc::new(Silent)).await.unwrap();
            assert!(report.is_complete(), "{:?}", report.failures());
            equal_trees(&setting.dir.path().join("source"), &target, true).unwrap();
            let traffic = setting.remote.take_traffic();
            assert!(traffic.lists > 0 && traffic.gets > 0 && traffic.others == 0, "{traffic:?}");
            assert!(traffic.bytes > report.bytes / 4, "{traffic:?}, {} restored", report.bytes);
            assert_eq!(setting.remote.take_traffic(), Traffic::default());
        });
    }

    #[test]
    fn restores_over_http() {
        restores_and_counts(false);
    }

    #[test]
    fn restores_over_tls() {
        restores_and_counts(true);
    }

    #[test]
    fn a_connection_has_its_speed() {
        let setting = serve(Kind::BigFileNoise, 2, Some(10_000_000), false);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let blobs = setting.blobs().await;
            let packs = blobs.list("p").await.unwrap();
            let largest = packs.iter().max_by_key(|pack| pack.len).unwrap();
            assert!(largest.len > 1_900_000, "{largest:?}");
            let started = Instant::now();
            let bytes = blobs.read(&largest.id, None, Vec::new()).await.unwrap();
            assert_eq!(bytes.len() as u64, largest.len);
            assert!(started.elapsed() >= Duration::from_millis(180), "{:?}", started.elapsed());
        });
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("30ms"), Ok(Duration::from_millis(30)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(bytes("50MB"), Ok(50_000_000));
        assert_eq!(bytes("8MiB"), Ok(8 << 20));
        for wrong in ["", "30", "ms", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "0", "1 MB", "MB", "5 apples"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
