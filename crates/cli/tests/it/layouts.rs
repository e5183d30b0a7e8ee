//! A repository that was copied from one kind of storage to another: its layout is that of the old one, or a mixture, and
//! every kind of storage reads it. And what is not there at all is not taken for an empty place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rekopia::{ErrorKind, OpenOptions, Password, Repository, Silent};
use rekopia_blob::{BlobError, BlobErrorKind, BlobId, BlobReader, Settings, connect};
use rekopia_testkit::fixture::{Fixture, testdata};
use rekopia_testkit::server::azurite::{self, Azurite};
use rekopia_testkit::server::b2::{self, B2Server};
use rekopia_testkit::server::blobs_of;
use rekopia_testkit::server::fake_gcs::FakeGcs;
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::server::sshd::Sshd;
use rekopia_testkit::server::webdav::{self, WebdavServer};
use rekopia_testkit::skip::has_programs;
use serde_json::json;

/// How a copy lies: where a blob is, and whether `.shards` is there.
struct Layout {
    name: &'static str,
    /// The blob's number and name → its path.
    path: fn(usize, &str) -> String,
    shards: Option<&'static str>,
}

fn cut(name: &str, lens: &[usize], suffix: &str) -> String {
    let (mut path, mut rest) = (String::new(), name);
    for len in lens {
        if name.len() > 20 && rest.len() > *len {
            path.push_str(&rest[..*len]);
            path.push('/');
            rest = &rest[*len..];
        }
    }
    format!("{path}{rest}{suffix}")
}

const KOPIAS: &str = r#"{"default":[1,3],"maxNonShardedLength":20}"#;

const LAYOUTS: &[Layout] = &[
    Layout { name: "a bucket", path: |_, name| name.to_owned(), shards: None },
    Layout { name: "a tree", path: |_, name| cut(name, &[1, 3], ".f"), shards: Some(KOPIAS) },
    Layout { name: "a tree without .shards", path: |_, name| cut(name, &[3, 3], ".f"), shards: None },
    Layout { name: "a tree of other folders", path: |_, name| cut(name, &[2, 2, 1], ".f"), shards: None },
    Layout { name: "a tree without suffixes", path: |_, name| cut(name, &[1, 3], ""), shards: Some(KOPIAS) },
    Layout {
        name: "folders for short names, too",
        path: |_, name| format!("{}/{}/{}.f", &name[..1], &name[1..2], &name[2..]),
        shards: None,
    },
    Layout {
        name: "both at once",
        path: |number, name| match number % 2 {
            _ if name == "kopia.repository" => name.to_owned(),
            0 => name.to_owned(),
            _ => cut(name, &[1, 3], ".f"),
        },
        shards: Some(KOPIAS),
    },
    Layout {
        name: "all but the format blob in a bucket",
        path: |_, name| if name == "kopia.repository" { format!("{name}.f") } else { name.to_owned() },
        shards: Some(KOPIAS),
    },
    Layout {
        name: "all but the format blob in a tree",
        path: |_, name| if name == "kopia.repository" { name.to_owned() } else { cut(name, &[1, 3], ".f") },
        shards: Some(KOPIAS),
    },
    Layout {
        name: "folders of two lengths, one of which .shards says",
        path: |number, name| cut(name, [&[1_usize, 3][..], &[3, 3]][number % 2], ".f"),
        shards: Some(KOPIAS),
    },
    Layout {
        name: "four at once",
        path: |number, name| match number % 4 {
            _ if name == "kopia.repository" => name.to_owned(),
            0 => format!("{name}.f"),
            1 => cut(name, &[1, 3], ""),
            2 => cut(name, &[3, 3], ".f"),
            _ => name.to_owned(),
        },
        shards: None,
    },
];

/// What others leave in such a place: none of it is a blob.
const FOREIGN: &[&str] = &[
    "README",
    "README.f",
    ".DS_Store",
    "._kopia.repository",
    "kopia.repository (conflict)",
    "p/814/._11ac55c280560319f34a78147f19e-s656fecf95845c101147.f",
    "pictures/p1.f",
    "p81411ac55c280560319f34a78147f19f-s656fecf95845c101147.f.tmp.0123456789abcdef",
    "lost+found/x",
];

fn quickstart() -> PathBuf {
    testdata().join("quickstart/repo")
}

/// Path → contents of a copy.
fn copy(layout: &Layout) -> BTreeMap<String, Vec<u8>> {
    let blobs = blobs_of(&quickstart());
    let lies = |(number, (name, file)): (usize, (&String, &PathBuf))| {
        ((layout.path)(number, name), std::fs::read(file).unwrap())
    };
    let mut files: BTreeMap<String, Vec<u8>> = blobs.iter().enumerate().map(lies).collect();
    files.extend(FOREIGN.iter().map(|name| ((*name).to_owned(), b"foreign".to_vec())));
    files.extend(layout.shards.map(|text| (".shards".to_owned(), text.as_bytes().to_vec())));
    files
}

fn write(files: &BTreeMap<String, Vec<u8>>, root: &Path) {
    for (path, bytes) in files {
        let to = root.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
}

/// Returns a folder for each layout, by its number.
fn folders() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (number, layout) in LAYOUTS.iter().enumerate() {
        write(&copy(layout), &dir.path().join(number.to_string()));
    }
    dir
}

async fn open(settings: &Settings) -> rekopia::Result<Repository> {
    let blobs = connect(settings).await.map_err(|e| rekopia::Error::from_storage(e, "cannot connect"))?;
    let password = Password::new(Fixture::load("quickstart").password.as_str());
    Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await
}

/// Everything is there, once, and nothing else.
async fn reads(settings: &Settings, what: &str) {
    let expected = blobs_of(&quickstart());
    let repository = open(settings).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
    let snapshots = repository.snapshots().await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
    assert_eq!(snapshots.all().len(), Fixture::load("quickstart").snapshots.len(), "{what}");
    let blobs = connect(settings).await.unwrap();
    let format = BlobId::parse("kopia.repository").unwrap();
    // The engine does so, too: a format blob that is not there has it looked for.
    if blobs.read(&format, None, Vec::new()).await.is_err_and(|e| e.is_not_found()) {
        assert!(blobs.look_elsewhere().await.unwrap(), "{what}");
    }
    for prefix in ["", "x", "p", "q", "kopia."] {
        let listed = blobs.list(prefix).await.unwrap();
        let mut listed: Vec<_> = listed.iter().map(|b| (b.id.to_string(), b.len)).collect();
        listed.sort();
        let wanted = expected.iter().filter(|(name, _)| name.starts_with(prefix));
        let wanted: Vec<_> = wanted.map(|(n, f)| (n.clone(), std::fs::metadata(f).unwrap().len())).collect();
        assert_eq!(listed, wanted, "{what}: {prefix:?}");
        assert_eq!(blobs.any(prefix).await.unwrap(), !wanted.is_empty(), "{what}: {prefix:?}");
    }
    for (name, file) in &expected {
        let (id, bytes) = (BlobId::parse(name).unwrap(), std::fs::read(file).unwrap());
        assert_eq!(blobs.read(&id, None, Vec::new()).await.unwrap(), bytes, "{what}: {name}");
        assert_eq!(blobs.read(&id, Some(1..3), vec![7; 9]).await.unwrap(), bytes[1..3], "{what}: {name}");
        assert_eq!(blobs.stat(&id).await.unwrap().len, bytes.len() as u64, "{what}: {name}");
    }
    let missing = BlobId::parse("p00000000000000000000000000000000-s0").unwrap();
    assert!(blobs.read(&missing, Some(0..1), Vec::new()).await.unwrap_err().is_not_found(), "{what}");
}

fn kopia(kind: &str, config: serde_json::Value) -> Settings {
    Settings::from_kopia(kind, config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_and_rclone() {
    let dir = folders();
    let has_rclone = has_programs("rclone", &["rclone"]);
    for (number, layout) in LAYOUTS.iter().enumerate() {
        let path = dir.path().join(number.to_string());
        reads(&Settings::path(&path), &format!("directory, {}", layout.name)).await;
        if has_rclone {
            let config = json!({"remotePath": path, "dirShards": null});
            reads(&kopia("rclone", config), &format!("rclone, {}", layout.name)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webdav_and_sftp() {
    let dir = folders();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (server, sshd) = (WebdavServer::nginx(dir.path()), Sshd::start());
    for (number, layout) in LAYOUTS.iter().enumerate() {
        let number = number.to_string();
        if let Some(server) = &server {
            reads(&webdav(server, &number), &format!("webdav, {}", layout.name)).await;
        }
        if let Some(sshd) = &sshd {
            reads(&sftp(sshd, &dir.path().join(number)), &format!("sftp, {}", layout.name)).await;
        }
    }
}

fn webdav(server: &WebdavServer, name: &str) -> Settings {
    let url = format!("http://{}/{name}", server.address);
    kopia("webdav", json!({"url": url, "username": webdav::USER, "password": webdav::PASSWORD}))
}

fn sftp(sshd: &Sshd, path: &Path) -> Settings {
    let known = format!("127.0.0.1 {}", sshd.known_hosts("ed25519").split_once(' ').unwrap().1);
    let key = std::fs::read_to_string(sshd.key()).unwrap();
    kopia(
        "sftp",
        json!({"host": "127.0.0.1", "port": sshd.port, "username": sshd.user, "path": path, "keyData": key,
            "knownHostsData": known}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_of_s3() {
    let dir = tempfile::tempdir().unwrap();
    let server = S3Server::start(dir.path()).await;
    for (number, layout) in LAYOUTS.iter().enumerate() {
        for prefix in ["", "kopia/"] {
            let bucket = format!("bucket-{number}{}", prefix.trim_end_matches('/'));
            write(&copy(layout), &dir.path().join(&bucket).join(prefix));
            let config = json!({"bucket": bucket, "prefix": prefix, "endpoint": server.endpoint, "doNotUseTLS": true,
                "region": "us-east-1", "accessKeyID": ACCESS_KEY, "secretAccessKey": SECRET_KEY});
            reads(&kopia("s3", config), &format!("s3, {}, {prefix:?}", layout.name)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_of_azure_google_and_backblaze() {
    let azurite = Azurite::start().await;
    if let Some(azurite) = &azurite {
        azurite.upload(tempfile::tempdir().unwrap().path(), "backups", "").await;
    }
    let gcs = FakeGcs::start(None).await;
    gcs.make("backups").await;
    let b2 = B2Server::start(b2::Key::default()).await;
    b2.page(3);
    for (number, layout) in LAYOUTS.iter().enumerate() {
        let prefix = format!("copy {number}/");
        for (path, bytes) in copy(layout) {
            let name = format!("{prefix}{path}");
            if let Some(azurite) = &azurite {
                azurite.put("backups", &name, bytes.clone()).await;
            }
            gcs.put("backups", &name, bytes.clone()).await;
            b2.put("backups", &name, bytes);
        }
        if let Some(azurite) = &azurite {
            let config = json!({"container": "backups", "prefix": prefix, "storageAccount": azurite::ACCOUNT,
                "storageKey": azurite::key(), "endpoint": azurite.address()});
            reads(&kopia("azureBlob", config), &format!("azure, {}", layout.name)).await;
        }
        let address = format!("http://{}", gcs.front.endpoint);
        let config = json!({"bucket": "backups", "prefix": prefix, "endpoint": address, "anonymous": true});
        reads(&kopia("gcs", config), &format!("google, {}", layout.name)).await;
        let address = format!("http://{}", b2.front.endpoint);
        let config = json!({"bucket": "backups", "prefix": prefix, "keyID": b2::KEY_ID, "key": b2::KEY,
            "endpoint": address});
        reads(&kopia("b2", config), &format!("b2, {}", layout.name)).await;
    }
}

/// Returns the kind of the storage's error behind "no repository", if there is one.
async fn nothing_at(settings: &Settings) -> Option<BlobErrorKind> {
    let error = open(settings).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRepository, "{}", error.chain());
    let first: &(dyn std::error::Error + 'static) = &error;
    let mut chain = std::iter::successors(Some(first), |e| e.source());
    chain.find_map(|e| e.downcast_ref::<BlobError>()).map(BlobError::kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_not_there_is_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("empty")).unwrap();
    write(&[("x/photos/1.jpg".to_owned(), Vec::new())].into(), &at("other"));
    std::os::unix::fs::symlink(at("unmounted/repo"), at("dangling")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling2")).unwrap();
    let (server, sshd) = (WebdavServer::nginx(dir.path()), Sshd::start());
    let has_rclone = has_programs("rclone", &["rclone"]);
    let ways = |name: &str| {
        let rclone = has_rclone.then(|| kopia("rclone", json!({"remotePath": at(name)})));
        let webdav = server.as_ref().map(|server| webdav(server, name));
        let sftp = sshd.as_ref().map(|sshd| sftp(sshd, &at(name)));
        [rclone, webdav, sftp].into_iter().flatten()
    };
    for name in ["empty", "other"] {
        assert_eq!(nothing_at(&Settings::path(at(name))).await, None, "{name}");
        for settings in ways(name) {
            assert_eq!(nothing_at(&settings).await, None, "{settings:?}");
        }
    }
    // The last folder of a directory may be missing: the first writer makes it.
    assert_eq!(nothing_at(&Settings::path(at("empty/repo"))).await, Some(BlobErrorKind::NotFound));
    let no_place = Some(BlobErrorKind::NoPlace);
    for name in ["missing/repo", "dangling", "dangling/", "dangling2", "dangling/repo"] {
        assert_eq!(nothing_at(&Settings::path(at(name))).await, no_place, "{name}");
    }
    for name in ["missing", "missing/repo", "empty/repo", "dangling"] {
        for settings in ways(name) {
            assert_eq!(nothing_at(&settings).await, no_place, "{settings:?}");
        }
    }
}
