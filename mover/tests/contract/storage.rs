//! Where the repository is, and what may be wrong with it.

use std::time::{Duration, Instant};

use rekopia_testkit::pod::which;
use rekopia_testkit::server::sshd::Sshd;
use rekopia_testkit::server::webdav::{PASSWORD, USER, WebdavServer};
use rekopia_testkit::tree::Tree;

use crate::cloud::{Cloud, DENIED, Listener, closed};
use crate::mount::{can_mount, in_namespace};
use crate::place::{Place, S3};
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    (
        "T18",
        run(|| {
            drop(Place::with("KOPIA_PASSWORD", "not-this-one").refuses(12, "invalid repository password"))
        }),
    ),
    ("T19", run(unreachable)),
    ("T43", run(|| in_bucket("", "s3://backups"))),
    ("T44", run(prefixes)),
    ("T45", run(bad_names)),
    ("T46", run(|| drop(Place::with("KOPIA_REPOSITORY", "s3://abc_def/x").refuses(2, "S3 bucket name")))),
    ("T47", run(precedence)),
    ("T48", run(plain_http_by_switch)),
    ("T49", run(|| in_bucket("volsync/", "s3://backups/volsync"))),
    ("T50", run(session_token_and_authority)),
    ("T51", run(|| drop(Place::new().restores(S3)))),
    ("T52", run(bad_paths)),
    ("T53", run(read_only_mount)),
    ("T54", run(other_storages)),
    ("T54s", run(sftp)),
    ("T55", run(bucket_before_directory)),
    ("T59", run(structured)),
    (
        "T60",
        run(|| {
            drop(Place::with("KOPIA_STRUCTURED_REPOSITORY_CONFIG", "{bad").refuses(2, "KOPIA_STRUCTURED"))
        }),
    ),
    ("T76", run(proxies)),
];

fn in_bucket(prefix: &str, url: &str) {
    Cloud::holding(&[prefix]).place(url).restores(S3);
}

fn unreachable() {
    let refused = format!("http://{}", closed());
    let started = Instant::now();
    // Side by side: what may pass is tried again for a while.
    std::thread::scope(|scope| {
        for endpoint in [refused.as_str(), "http://no-such-host.invalid"] {
            scope.spawn(move || {
                let mut place = Place::with("KOPIA_REPOSITORY", "s3://bucket");
                place.set("AWS_ACCESS_KEY_ID", "a").set("AWS_SECRET_ACCESS_KEY", "canary-secret-key");
                place.set("KOPIA_S3_ENDPOINT", endpoint).refuses(15, "cannot connect");
            });
        }
    });
    assert!(started.elapsed() < Duration::from_secs(90));
}

fn prefixes() {
    for (url, prefix) in [
        ("s3://backups/", ""),
        ("s3://backups/a", "a/"),
        ("s3://backups/myapp//", "myapp/"),
        ("s3://backups/very//deep///nested//path", "very/deep/nested/path/"),
        ("s3://backups/my-app.backup", "my-app.backup/"),
    ] {
        in_bucket(prefix, url);
    }
}

fn bad_names() {
    for (url, part) in [
        ("s3://b-1/a/../b", "Invalid S3 prefix format"),
        ("s3://b-1/a b", "Invalid S3 prefix format"),
        ("s3://My_Bucket/x", "Could not determine S3 bucket name"),
        ("s3://ab/x", "Could not determine S3 bucket name"),
        ("s3://10.0.0.1/x", "Invalid S3 bucket name format"),
    ] {
        Place::with("KOPIA_REPOSITORY", url).refuses(2, part);
    }
}

fn precedence() {
    let cloud = Cloud::holding(&["pre/"]);
    let mut place = cloud.place("s3://other/pre");
    let settings = |place: &mut Place, endpoint: &str| {
        place.set("KOPIA_S3_BUCKET", "backups").set("KOPIA_S3_ENDPOINT", &format!("https://{endpoint}"));
        place.set("AWS_S3_ENDPOINT", "http://z").set("KOPIA_S3_DISABLE_TLS", "true");
        place.set("AWS_REGION", "r1").set("AWS_DEFAULT_REGION", "r2");
    };
    settings(&mut place, &cloud.server.endpoint);
    place.restores(S3);
    // The region shows only in what is signed.
    let listener = Listener::answering(DENIED);
    let mut place = cloud.place("s3://other/pre");
    settings(&mut place, &listener.address.to_string());
    place.refuses(15, "access denied");
    let head = listener.first();
    assert!(head.contains("/r1/s3/aws4_request") && head.contains("/backups"), "{head}");
}

fn plain_http_by_switch() {
    let cloud = Cloud::holding(&["volsync/"]);
    let mut place = cloud.place("s3://backups/volsync");
    place.set("AWS_S3_ENDPOINT", &cloud.server.endpoint).set("AWS_S3_DISABLE_TLS", "true");
    place.restores(S3);
    // The URL has neither a scheme nor the switch: TLS, which this server does not speak.
    let listener = Listener::answering(DENIED);
    place.set("AWS_S3_ENDPOINT", &listener.address.to_string()).set("AWS_S3_DISABLE_TLS", "yes");
    let mut child = place.command().stdout(std::process::Stdio::null()).spawn().unwrap();
    assert!(listener.first().starts_with('\u{16}'), "no TLS was tried");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn session_token_and_authority() {
    let cloud = Cloud::holding(&["volsync/"]);
    let mut place = cloud.place("s3://backups/volsync");
    place.set("AWS_SESSION_TOKEN", "canary-session-token").set("CUSTOM_CA", "/no/ca.crt");
    let ended = place.restores(S3);
    assert!(ended.log.contains("WARN: CUSTOM_CA: /no/ca.crt does not exist"), "{}", ended.log);
    let listener = Listener::answering(DENIED);
    place = cloud.place("s3://backups/volsync");
    place.set("AWS_SESSION_TOKEN", "canary-session-token");
    place.set("AWS_S3_ENDPOINT", &format!("http://{}", listener.address)).refuses(15, "access denied");
    assert!(listener.first().contains("x-amz-security-token: canary-session-token"));
    // Behind TLS only the authority that the environment names is of help.
    place = cloud.place("s3://backups/volsync");
    place.set("AWS_S3_ENDPOINT", &cloud.tls.endpoint).refuses(15, "certificate is not trusted");
    let authority = place.dir.path().join("ca.crt");
    std::fs::write(&authority, rekopia_testkit::server::tls::AUTHORITY).unwrap();
    for name in ["CUSTOM_CA", "KOPIA_CUSTOM_CA"] {
        place.env.remove("CUSTOM_CA");
        place.set(name, authority.to_str().unwrap()).ends(0, "Snapshot restore completed");
    }
    place.env.remove("KOPIA_CUSTOM_CA");
    std::fs::write(&authority, "no certificate").unwrap();
    place.set("CUSTOM_CA", authority.to_str().unwrap()).ends(2, "CUSTOM_CA");
}

fn bad_paths() {
    for url in ["filesystem://mnt/repo", "filesystem:///mnt/../repo", "/mnt/../repo"] {
        Place::with("KOPIA_REPOSITORY", url).refuses(2, "KOPIA_REPOSITORY");
    }
}

fn read_only_mount() {
    let mut place = Place::new();
    let repo = place.copied();
    let before = Tree::read(&repo);
    if can_mount() {
        let here = repo.display();
        let mount = format!("mount --bind '{here}' '{here}'\nmount -o remount,bind,ro '{here}'");
        place.end(in_namespace(&place, &mount)).with(0, "Snapshot restore completed");
        place.holds(S3);
    } else {
        // Without the right to mount, what a process without rights may not write comes closest: see T31i.
        place.restores(S3);
    }
    assert!(before.diff(&Tree::read(&repo), &[]).is_empty(), "the repository was written to");
}

/// What has a server of its own here is restored from.
fn served() {
    let Some(server) = WebdavServer::rclone(&crate::stock::repository()) else { return };
    let mut place = Place::with("KOPIA_REPOSITORY", "webdav://x");
    place.set("WEBDAV_URL", &format!("http://{}", server.address));
    place.set("WEBDAV_USERNAME", USER).set("WEBDAV_PASSWORD", PASSWORD).restores(S3);
    place.set("WEBDAV_PASSWORD", "canary-wrong-password").ends(15, "access denied");
    let remote = format!("disk:{}", crate::stock::repository().display());
    let mut place = Place::with("RCLONE_REMOTE_PATH", &remote);
    let exe = which("rclone");
    place.set("KOPIA_REPOSITORY", "rclone://x").set("RCLONE_EXE", exe.to_str().unwrap());
    place.set("RCLONE_CONFIG", "[disk]\ntype = local\n").restores(S3);
}

/// Storages that no server stands in for here: what they are told is tested beside `src/backend.rs`. Here: they are
/// refused or not reached, the volume stays as it was, and no secret is said.
fn other_storages() {
    served();
    let nobody = closed();
    let proxy = format!("http://{nobody}");
    let port = nobody.port().to_string();
    let storages = [
        &[
            ("KOPIA_AZURE_CONTAINER", "c"),
            ("KOPIA_AZURE_STORAGE_ACCOUNT", "a"),
            ("KOPIA_AZURE_STORAGE_KEY", "Y2FuYXJ5LWtleQ=="),
        ][..],
        &[("KOPIA_GCS_BUCKET", "b"), ("GOOGLE_APPLICATION_CREDENTIALS", "/no/gcs.json")],
        &[("KOPIA_B2_BUCKET", "b"), ("B2_ACCOUNT_ID", "i"), ("B2_APPLICATION_KEY", "canary-application-key")],
        &[("WEBDAV_URL", "https://dav.example.test/x"), ("WEBDAV_PASSWORD", "canary-password")],
        &[
            ("SFTP_HOST", "127.0.0.1"),
            ("SFTP_PORT", &port),
            ("SFTP_PATH", "/x"),
            ("SFTP_PASSWORD", "canary-password"),
        ],
        &[
            ("RCLONE_REMOTE_PATH", "remote:x"),
            ("RCLONE_EXE", "/no/rclone"),
            ("RCLONE_CONFIG", "[remote]\npass = canary-password\n"),
        ],
    ];
    let refused = |settings: &[(&str, &str)]| {
        let mut place = Place::with("KOPIA_REPOSITORY", "other://x");
        for (name, value) in settings.iter().chain(&[("HTTPS_PROXY", proxy.as_str())]) {
            place.set(name, value);
        }
        let ended = place.run();
        place.untouched();
        assert!(matches!(ended.code, 2 | 15), "{settings:?}: {}", ended.log);
        assert!(ended.log.contains("ERROR: restore failed"), "{settings:?}: {}", ended.log);
        for secret in ["canary", "Y2FuYXJ5"] {
            assert!(!ended.log.contains(secret), "{settings:?}: {}", ended.log);
        }
    };
    // Side by side: each waits for nobody to answer.
    std::thread::scope(|scope| {
        for settings in storages {
            scope.spawn(move || refused(settings));
        }
    });
    Place::with("KOPIA_REPOSITORY", "gdrive://x")
        .set("GOOGLE_DRIVE_FOLDER_ID", "f")
        .refuses(2, "Google Drive");
    Place::with("KOPIA_REPOSITORY", "other://x").refuses(2, "No repository configuration found");
    Place::with("SFTP_HOST", "h").set("KOPIA_REPOSITORY", "x").refuses(2, "SFTP_PATH");
}

/// By the operator's key file and by the key itself; the server has to be known.
fn sftp() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.key().display().to_string();
    let mut place = Place::with("KOPIA_REPOSITORY", "sftp://ignored");
    place
        .set("SFTP_HOST", "127.0.0.1")
        .set("SFTP_PORT", &sshd.port.to_string())
        .set("SFTP_USERNAME", &sshd.user);
    place.set("SFTP_PATH", crate::stock::repository().to_str().unwrap()).set("SFTP_KEY_FILE", &key);
    let ended = place.refuses(15, "server not trusted");
    assert!(ended.log.contains(&format!("[127.0.0.1]:{} ssh-ed25519 ", sshd.port)), "{}", ended.log);
    place.set("SFTP_KNOWN_HOSTS_DATA", &sshd.known_hosts("ed25519")).restores(S3);
    place.set("SFTP_KEY_FILE", &std::fs::read_to_string(sshd.key()).unwrap()).restores(S3);
    place.set("SFTP_KEY_FILE", "/no/such/key").ends(2, "keyfile");
}

fn bucket_before_directory() {
    let cloud = Cloud::holding(&[""]);
    let mut place = cloud.place("filesystem:///no/such/place");
    place.set("KOPIA_S3_BUCKET", "backups").restores(S3);
}

fn structured() {
    let repository = crate::stock::repository();
    let mut place = Place::with("KOPIA_REPOSITORY", "filesystem:///elsewhere");
    let storage = serde_json::json!({"type": "filesystem", "config": {"path": repository}});
    for document in [serde_json::json!({ "storage": storage }), storage] {
        place.set("KOPIA_STRUCTURED_REPOSITORY_CONFIG", &document.to_string()).restores(S3);
    }
    place.set("KOPIA_OVERRIDE_USERNAME", "other").ends(0, "No eligible snapshots found");
}

fn proxies() {
    let cloud = Cloud::holding(&["volsync/"]);
    for (name, endpoint, expected) in [
        ("HTTP_PROXY", "http://s3.example.test", "http://s3.example.test/backups"),
        ("HTTPS_PROXY", "https://s3.example.test", "CONNECT s3.example.test:443"),
    ] {
        // Each gets a proxy of its own: what is still on its way to the last one is not taken for this one's.
        let proxy = Listener::answering(DENIED);
        let address = format!("http://{}", proxy.address);
        let mut place = cloud.place("s3://backups/volsync");
        place.set("AWS_S3_ENDPOINT", endpoint).set(name, &address).set(&name.to_lowercase(), &address);
        let mut child = place.command().stdout(std::process::Stdio::null()).spawn().unwrap();
        let head = proxy.first();
        assert!(head.contains(expected), "{name}: {head}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let proxy = Listener::answering(DENIED);
    let address = format!("http://{}", proxy.address);
    let mut place = cloud.place("s3://backups/volsync");
    place.set("HTTP_PROXY", &address).set("NO_PROXY", "127.0.0.1").restores(S3);
    assert!(proxy.is_quiet(), "the proxy was asked");
}
