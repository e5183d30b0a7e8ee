//! What the environment of each storage comes to.

use std::path::Path;

use rekopia_testkit::job::Job;

use super::*;

fn s3_of(pairs: &[(&str, &str)]) -> Result<S3Settings, String> {
    match read(&Env::of(pairs))? {
        Settings::S3(s3) => Ok(s3),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn s3_prefixes() {
    for (url, expected) in [
        ("s3://b-1", ""),
        ("s3://mybucket/", ""),
        ("s3://mybucket/a", "a/"),
        ("s3://mybucket/myapp//", "myapp/"),
        ("s3://mybucket/very//deep///nested//path", "very/deep/nested/path/"),
        ("s3://mybucket/my-app.backup", "my-app.backup/"),
    ] {
        assert_eq!(s3_of(&[("KOPIA_REPOSITORY", url)]).unwrap().prefix, expected, "{url}");
    }
    for url in [
        "s3://b-1/a/../b",
        "s3://b-1/a b",
        "s3://My_Bucket/x",
        "s3://ab/x",
        "s3://10.0.0.1/x",
        "s3://abc_def/x",
    ] {
        assert!(s3_of(&[("KOPIA_REPOSITORY", url)]).is_err(), "{url}");
    }
}

#[test]
fn s3_precedence() {
    let s3 = s3_of(&[
        ("KOPIA_REPOSITORY", "s3://other/pre"),
        ("KOPIA_S3_BUCKET", "bucket"),
        ("KOPIA_S3_ENDPOINT", "https://minio:9000"),
        ("AWS_S3_ENDPOINT", "http://z"),
        ("AWS_REGION", "r1"),
        ("AWS_DEFAULT_REGION", "r2"),
        ("KOPIA_S3_DISABLE_TLS", "true"),
    ])
    .unwrap();
    assert_eq!((s3.bucket.as_str(), s3.endpoint.as_str()), ("bucket", "minio:9000"));
    assert_eq!((s3.region.as_str(), s3.prefix.as_str(), s3.do_not_use_tls), ("r1", "pre/", true));
    let s3 = s3_of(&[("KOPIA_REPOSITORY", "s3://buc"), ("AWS_S3_DISABLE_TLS", "true")]).unwrap();
    assert!(s3.do_not_use_tls);
    assert!(
        s3_of(&[("KOPIA_REPOSITORY", "s3://buc"), ("KOPIA_S3_ENDPOINT", "http://m:9")])
            .unwrap()
            .do_not_use_tls
    );
    // A bucket wins over a file system.
    let both = [("KOPIA_REPOSITORY", "filesystem:///mnt/repo"), ("KOPIA_S3_BUCKET", "bucket")];
    assert_eq!(s3_of(&both).unwrap().bucket, "bucket");
}

#[test]
fn file_systems() {
    let read = |url| read(&Env::of(&[("KOPIA_REPOSITORY", url)]));
    assert_eq!(read("filesystem:///mnt/repo").unwrap(), Settings::path("/mnt/repo"));
    for url in ["filesystem://mnt/repo", "filesystem:///mnt/../repo", "/mnt/../repo", ""] {
        assert!(read(url).unwrap_err().contains("KOPIA_REPOSITORY"), "{url}");
    }
}

fn of(pairs: &[(&str, &str)]) -> Settings {
    read(&Env::of(pairs)).unwrap()
}

/// Returns the storage that the environment of a captured Job names.
fn of_job(name: &str) -> Settings {
    let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jobs");
    let job = Job::load(&jobs, name, |_, value| value.to_owned());
    let pairs: Vec<(&str, &str)> = job.env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    of(&pairs)
}

#[test]
fn captured_jobs_of_the_clouds() {
    let azure = |account: &str, sas: &str, domain: &str| {
        Settings::Azure(
            AzureSettings::default()
                .container("backups".into())
                .storage_account(account.into())
                .storage_key(Secret::new("ZHVtbXk="))
                .sas_token(Secret::new(sas))
                .storage_domain(domain.into()),
        )
    };
    assert_eq!(of_job("rd-azure"), azure("dummyaccount", "", ""));
    assert_eq!(of_job("rd-azure-documented"), azure("dummyaccount", "sv=x", "blob.core.example.test"));
    assert_eq!(
        of_job("rd-gcs"),
        Settings::Gcs(
            GcsSettings::default().bucket("backups".into()).credentials_file("/credentials/gcs.json".into())
        )
    );
    assert_eq!(
        of_job("rd-b2"),
        Settings::B2(
            B2Settings::default()
                .bucket("backups".into())
                .key_id("dummy-id".into())
                .key(Secret::new("dummy-key"))
        )
    );
    assert_eq!(
        of_job("rd-webdav"),
        Settings::Webdav(
            WebdavSettings::default()
                .url("https://dav.example.test/kopia".into())
                .username("backup".into())
                .password(Secret::new("dummy"))
        )
    );
}

#[test]
fn captured_jobs_with_files_and_programs() {
    let sftp = SftpSettings::default()
        .host("nas.example.test".into())
        .path("/backups".into())
        .username("backup".into());
    let by_key = sftp
        .clone()
        .port(2222)
        .keyfile("/credentials/sftp_key".into())
        .known_hosts_data("nas.example.test ssh-ed25519 AAAA".into());
    assert_eq!(of_job("rd-sftp-key"), Settings::Sftp(by_key));
    let by_password = sftp.port(22).password(Secret::new("dummy"));
    assert_eq!(of_job("rd-sftp-password"), Settings::Sftp(by_password));
    assert_eq!(
        of_job("rd-rclone"),
        Settings::Rclone(
            RcloneSettings::default()
                .remote_path("remote:kopia".into())
                .rclone_exe("/usr/bin/rclone".into())
                .embedded_config(Secret::new("[remote]\ntype = local\n"))
        )
    );
    assert_eq!(of_job("rd-policy-structured"), Settings::path("/mnt/kopia-repo"));
    assert_eq!(of_job("rd-fs-nfs"), Settings::path("/mnt/nfs-repo"));
    let Settings::S3(s3) = of_job("rd-s3-aws-keys") else { panic!() };
    assert_eq!((s3.region.as_str(), s3.session_token.expose()), ("eu-test-1", "dummy-session"));
    assert!(!s3.do_not_use_tls && s3.profile.is_empty());
    let Settings::S3(s3) = of_job("rd-fs-pvc-url-ignored") else { panic!() };
    assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("backups", ""));
}

#[test]
fn a_file_or_what_is_in_it() {
    let json = "{\"type\": \"service_account\"}";
    let Settings::Gcs(gcs) = of(&[("KOPIA_GCS_BUCKET", "b"), ("GOOGLE_APPLICATION_CREDENTIALS", json)])
    else {
        panic!()
    };
    assert_eq!((gcs.credentials_file.as_str(), gcs.credentials.expose()), ("", json));
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n";
    let pairs = [
        ("SFTP_HOST", "h"),
        ("SFTP_PATH", "/x"),
        ("SFTP_KEY_FILE", key),
        ("SFTP_KNOWN_HOSTS", "h ssh-rsa A"),
    ];
    let Settings::Sftp(sftp) = of(&pairs) else { panic!() };
    assert_eq!((sftp.keyfile.as_str(), sftp.key_data.expose()), ("", key));
    assert_eq!((sftp.known_hosts_file.as_str(), sftp.known_hosts_data.as_str()), ("", "h ssh-rsa A"));
    let Settings::Rclone(rclone) =
        of(&[("RCLONE_REMOTE_PATH", "r:"), ("RCLONE_CONFIG", "/credentials/rclone.conf")])
    else {
        panic!()
    };
    assert_eq!(rclone.rclone_args, Some(vec!["--config=/credentials/rclone.conf".to_owned()]));
    assert!(rclone.embedded_config.is_empty());
}

#[test]
fn the_first_that_is_named_wins() {
    let all = [
        ("KOPIA_S3_BUCKET", "s3"),
        ("KOPIA_AZURE_CONTAINER", "azureBlob"),
        ("KOPIA_GCS_BUCKET", "gcs"),
        ("KOPIA_REPOSITORY", "filesystem:///x"),
        ("KOPIA_B2_BUCKET", "b2"),
        ("WEBDAV_URL", "https://x"),
        ("SFTP_HOST", "h"),
        ("RCLONE_REMOTE_PATH", "r:x"),
        ("GCS_BUCKET", "gcs"),
    ];
    let kind = |settings: &Settings| format!("{settings:?}").split('(').next().unwrap_or_default().to_owned();
    let mut seen = Vec::new();
    for from in 0..all.len() {
        let mut pairs = all[from..].to_vec();
        pairs.push(("SFTP_PATH", "/x"));
        seen.push(kind(&of(&pairs)));
    }
    assert_eq!(seen, ["S3", "Azure", "Gcs", "Filesystem", "B2", "Webdav", "Sftp", "Rclone", "Gcs"]);
    assert!(read(&Env::of(&[("GOOGLE_DRIVE_FOLDER_ID", "f"), ("GCS_BUCKET", "b")])).is_err());
}

#[test]
fn a_directory_as_people_write_it() {
    for (repository, fs_path, expected) in [
        ("filesystem:///mnt/kopia", "", Some("/mnt/kopia")),
        ("file:///mnt/kopia", "", Some("/mnt/kopia")),
        ("filesystem:/mnt/kopia", "", Some("/mnt/kopia")),
        ("file:/mnt/kopia", "", Some("/mnt/kopia")),
        ("/mnt/kopia", "", Some("/mnt/kopia")),
        ("\"filesystem:///mnt/kopia\"", "", Some("/mnt/kopia")),
        ("'/mnt/kopia'\n", "", Some("/mnt/kopia")),
        ("filesystem:", "/mnt/kopia", Some("/mnt/kopia")),
        ("filesystem://", "/mnt/kopia", Some("/mnt/kopia")),
        ("filesystem", "/mnt/kopia", Some("/mnt/kopia")),
        ("", "/mnt/kopia", Some("/mnt/kopia")),
        ("filesystem:///other", "/mnt/kopia", Some("/other")),
        ("filesystem:///mnt/100%25", "", Some("/mnt/100%25")),
        ("filesystem:", "", None),
        ("filesystem://relative", "", None),
        ("filesystem:///a/../b", "", None),
        ("mnt/kopia", "", None),
        ("C:\\kopia", "/mnt/kopia", None),
    ] {
        let found = read(&Env::of(&[("KOPIA_REPOSITORY", repository), ("KOPIA_FS_PATH", fs_path)]));
        let expected = expected.map(Settings::path);
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{repository:?} {fs_path:?}: {found:?}");
    }
    // What the stock mover does not read overrules nothing that it does.
    for url in ["/mnt/kopia", "file:///mnt/kopia", "filesystem:"] {
        let both = [("KOPIA_REPOSITORY", url), ("KOPIA_FS_PATH", "/mnt/kopia"), ("KOPIA_B2_BUCKET", "b")];
        assert!(matches!(read(&Env::of(&both)), Ok(Settings::B2(_))), "{url}");
    }
    let unknown = read(&Env::of(&[("KOPIA_REPOSITORY", "mnt/kopia")])).unwrap_err();
    assert!(unknown.contains("filesystem:///path") && unknown.contains("s3://bucket/prefix"), "{unknown}");
}
