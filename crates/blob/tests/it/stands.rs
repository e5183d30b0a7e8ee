//! A server of each kind that holds a sample, and the settings that lead there.

use std::any::Any;
use std::sync::Arc;

use rekopia_blob::provider::b2::B2Blobs;
use rekopia_blob::provider::filesystem::FilesystemBlobs;
use rekopia_blob::provider::object::ObjectBlobs;
use rekopia_blob::provider::rclone::RcloneBlobs;
use rekopia_blob::provider::s3::S3Blobs;
use rekopia_blob::provider::sftp::SftpBlobs;
use rekopia_blob::provider::webdav::WebdavBlobs;
use rekopia_blob::{BlobReader, Deadlines, Settings};
use rekopia_testkit::conformance::Sample;
use rekopia_testkit::server::azurite::{ACCOUNT, Azurite, sas};
use rekopia_testkit::server::b2::{B2Server, KEY, KEY_ID, Key};
use rekopia_testkit::server::fake_gcs::FakeGcs;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::server::sshd::Sshd;
use rekopia_testkit::server::webdav::{PASSWORD, USER, WebdavServer};
use rekopia_testkit::skip::has_programs;
use serde_json::json;

/// A storage that holds a sample.
pub(crate) struct Stand {
    pub(crate) name: &'static str,
    /// Where the server is: `127.0.0.1:port`.
    pub(crate) address: String,
    /// The settings that lead to an address: the server's, or that of a proxy before it.
    pub(crate) settings: Box<dyn Fn(&str) -> Settings>,
    pub(crate) secrets: Vec<String>,
    /// How the storage says that a blob is missing, and that it refuses.
    pub(crate) codes: (&'static str, &'static str),
    _server: Box<dyn Any>,
}

/// Blanks and signs are put before names as they are, and encoded on the way.
const PREFIX: &str = "my folder/100%-";

impl Stand {
    /// Returns the provider alone.
    pub(crate) async fn open(&self, deadlines: Deadlines) -> Arc<dyn BlobReader> {
        self.open_at(&self.address, deadlines).await
    }

    /// Returns the provider alone, by another way.
    pub(crate) async fn open_at(&self, address: &str, deadlines: Deadlines) -> Arc<dyn BlobReader> {
        bare(&(self.settings)(address), deadlines).await
    }
}

/// Returns what `connect` makes of settings, without layers.
async fn bare(settings: &Settings, deadlines: Deadlines) -> Arc<dyn BlobReader> {
    match settings {
        Settings::Filesystem(s) => Arc::new(FilesystemBlobs::open(&s.path, s.dir_shards.as_deref()).unwrap()),
        Settings::S3(s) => Arc::new(S3Blobs::open(s, deadlines).await.unwrap()),
        Settings::Gcs(s) => Arc::new(ObjectBlobs::gcs(s, deadlines).unwrap()),
        Settings::Azure(s) => Arc::new(ObjectBlobs::azure(s, deadlines).unwrap()),
        Settings::B2(s) => Arc::new(B2Blobs::new(s, deadlines).unwrap()),
        Settings::Sftp(s) => Arc::new(SftpBlobs::open(s, deadlines, None).unwrap()),
        Settings::Webdav(s) => Arc::new(WebdavBlobs::open(s, deadlines, None).unwrap()),
        Settings::Rclone(s) => Arc::new(RcloneBlobs::open(s, deadlines, None).await.unwrap()),
        other => panic!("a storage that no test knows: {other:?}"),
    }
}

fn stand(
    name: &'static str,
    address: impl Into<String>,
    server: impl Any,
    settings: impl Fn(&str) -> Settings + 'static,
) -> Stand {
    let (settings, server) = (Box::new(settings), Box::new(server));
    let (secrets, codes) = (Vec::new(), ("NoSuchKey", "AccessDenied"));
    Stand { name, address: address.into(), settings, secrets, codes, _server: server }
}

pub(crate) fn filesystem(sample: &Sample) -> Stand {
    let path = sample.dir().to_owned();
    stand("filesystem", "", (), move |_| Settings::path(&path))
}

pub(crate) async fn s3(sample: &Sample) -> Stand {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    server.upload(sample.dir(), "bucket", PREFIX);
    let address = server.endpoint.clone();
    let s3 = stand("S3", address, (server, dir), |address| {
        let fields = json!({"bucket": "bucket", "prefix": PREFIX, "endpoint": address, "doNotUseTLS": true,
            "region": "us-east-1", "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY});
        Settings::from_kopia("s3", fields).unwrap()
    });
    Stand { secrets: vec![SECRET_KEY.into()], ..s3 }
}

pub(crate) async fn azure(sample: &Sample) -> Option<Stand> {
    let server = Azurite::start().await?;
    server.upload(sample.dir(), "backups", PREFIX).await;
    server.page(400);
    let address = server.front.endpoint.clone();
    let azure = stand("Azure", address, server, |address| {
        let fields = json!({"container": "backups", "prefix": PREFIX, "storageAccount": ACCOUNT,
            "sasToken": sas("rl"), "endpoint": format!("http://{address}/{ACCOUNT}")});
        Settings::from_kopia("azureBlob", fields).unwrap()
    });
    let signature = sas("rl").rsplit_once("sig=").unwrap().1.to_owned();
    Some(Stand { secrets: vec![signature], codes: ("BlobNotFound", "AuthorizationFailure"), ..azure })
}

pub(crate) async fn gcs(sample: &Sample) -> Stand {
    let server = FakeGcs::start(None).await;
    server.upload(sample.dir(), "backups", PREFIX).await;
    let address = server.front.endpoint.clone();
    stand("Google", address, server, |address| {
        let endpoint = format!("http://{address}");
        let fields = json!({"bucket": "backups", "prefix": PREFIX, "endpoint": endpoint, "anonymous": true});
        Settings::from_kopia("gcs", fields).unwrap()
    })
}

pub(crate) async fn b2(sample: &Sample) -> Stand {
    let server = Arc::new(B2Server::start(Key::default()).await);
    server.upload(sample.dir(), "backups", PREFIX);
    server.page(400);
    let (address, leads) = (server.front.endpoint.clone(), Arc::clone(&server));
    let b2 = stand("B2", address, server, move |address| {
        leads.behind(address);
        let fields = json!({"bucket": "backups", "prefix": PREFIX, "keyID": KEY_ID, "key": KEY,
            "endpoint": format!("http://{address}")});
        Settings::from_kopia("b2", fields).unwrap()
    });
    Stand { secrets: vec![KEY.into()], codes: ("not_found", "access_denied"), ..b2 }
}

pub(crate) fn nginx(sample: &Sample) -> Option<Stand> {
    Some(webdav("WebDAV of nginx", WebdavServer::nginx(sample.dir())?))
}

pub(crate) fn rclone_webdav(sample: &Sample) -> Option<Stand> {
    Some(webdav("WebDAV of rclone", WebdavServer::rclone(sample.dir())?))
}

fn webdav(name: &'static str, server: WebdavServer) -> Stand {
    let dav = stand(name, server.address.clone(), server, |address| {
        let url = format!("http://{address}/");
        Settings::from_kopia("webdav", json!({"url": url, "username": USER, "password": PASSWORD})).unwrap()
    });
    Stand { secrets: vec![PASSWORD.into()], codes: ("", ""), ..dav }
}

/// Connected to by ourselves.
pub(crate) fn sftp(sample: &Sample) -> Option<Stand> {
    let (server, path) = (Sshd::start()?, sample.dir().to_owned());
    let key = std::fs::read_to_string(server.key()).unwrap();
    let host = server.known_hosts("ed25519").split_once(' ').unwrap().1.to_owned();
    let (user, port) = (server.user.clone(), server.port);
    let secret = key.lines().nth(1).unwrap().to_owned();
    let sftp = stand("SFTP", format!("127.0.0.1:{port}"), server, move |address| {
        let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
        let fields = json!({"host": "127.0.0.1", "port": port, "username": user, "path": path,
            "keyData": key, "knownHostsData": format!("127.0.0.1 {host}")});
        Settings::from_kopia("sftp", fields).unwrap()
    });
    Some(Stand { secrets: vec![secret], ..sftp })
}

/// Connected to by the user's own `ssh`.
pub(crate) fn external_sftp(sample: &Sample) -> Option<Stand> {
    if !has_programs("SFTP by ssh", &["ssh"]) {
        return None;
    }
    let (server, path, dir) = (Sshd::start()?, sample.dir().to_owned(), tempfile::tempdir().unwrap());
    let (hosts, config) = (dir.path().join("known_hosts"), dir.path().join("ssh_config"));
    std::fs::write(&hosts, server.known_hosts("ed25519")).unwrap();
    let text = format!(
        "IdentityFile {}\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n\
         IdentitiesOnly yes\nIdentityAgent none\n",
        server.key().display(),
        hosts.display()
    );
    std::fs::write(&config, text).unwrap();
    let (user, port) = (server.user.clone(), server.port);
    Some(stand("SFTP by ssh", format!("127.0.0.1:{port}"), (server, dir), move |_| {
        let fields = json!({"host": "127.0.0.1", "port": port, "username": user, "path": path,
            "externalSSH": true, "sshArguments": format!("-F {}", config.display())});
        Settings::from_kopia("sftp", fields).unwrap()
    }))
}

pub(crate) fn rclone(sample: &Sample) -> Option<Stand> {
    if !has_programs("rclone", &["rclone"]) {
        return None;
    }
    let remote = format!(":local:{}", sample.dir().display());
    Some(stand("rclone", "", (), move |_| {
        Settings::from_kopia("rclone", json!({"remotePath": remote})).unwrap()
    }))
}
