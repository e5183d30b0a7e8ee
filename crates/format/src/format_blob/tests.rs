use super::*;
use crate::time::Time;

/// The configuration of §10.2.
const CONFIG: &str = r#"{"format":{"hash":"BLAKE2B-256-128","encryption":"AES256-GCM-HMAC-SHA256","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","masterKey":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=","version":3,"maxPackSize":20971520,"indexVersion":2,"epochParameters":{"Enabled":true,"EpochRefreshFrequency":1200000000000,"FullCheckpointFrequency":7,"CleanupSafetyMargin":14400000000000,"MinEpochDuration":86400000000000,"EpochAdvanceOnCountThreshold":20,"EpochAdvanceOnTotalSizeBytesThreshold":10485760,"DeleteParallelism":4},"enablePasswordChange":true,"splitter":"DYNAMIC-4M-BUZHASH"}}"#;

/// Returns a configuration of version 3 with these fields besides.
fn config(fields: &str) -> Result<RepositoryConfig, Error> {
    RepositoryConfig::parse(
        format!(r#"{{"format":{{"hash":"H","masterKey":"AAEC","version":3{fields}}}}}"#).as_bytes(),
    )
}

#[test]
fn configuration_of_the_format_document() {
    let c = RepositoryConfig::parse(CONFIG.as_bytes()).unwrap();
    assert_eq!((c.hash.as_str(), c.encryption.as_str()), ("BLAKE2B-256-128", "AES256-GCM-HMAC-SHA256"));
    assert_eq!(c.secret.as_bytes(), (0..32).collect::<Vec<u8>>());
    assert_eq!(c.master_key.as_bytes(), (32..64).collect::<Vec<u8>>());
    assert_eq!((c.version, c.index_version, c.max_pack_size, c.error_correction()), (3, 2, 20 << 20, None));
    let epochs = EpochParameters {
        enabled: true,
        refresh_frequency_ns: 1_200_000_000_000,
        full_checkpoint_frequency: 7,
        cleanup_safety_margin_ns: 14_400_000_000_000,
        min_epoch_duration_ns: 86_400_000_000_000,
        advance_on_count: 20,
        advance_on_total_size_bytes: 10_485_760,
        delete_parallelism: 4,
    };
    assert_eq!(c.epoch_parameters, epochs);
    assert!(c.enable_password_change && c.upgrade_lock.is_none() && c.required_features.is_empty());
}

#[test]
fn trap_16_epochs_are_off_unless_enabled_whatever_the_version() {
    for fields in ["", r#","epochParameters":null"#, r#","epochParameters":{"Enabled":false}"#] {
        assert!(!config(fields).unwrap().epoch_parameters.enabled, "{fields}");
    }
    assert!(config(r#","epochParameters":{"Enabled":true}"#).unwrap().epoch_parameters.enabled);
}

#[test]
fn absent_fields_have_kopias_defaults() {
    let c = config("").unwrap();
    assert_eq!((c.index_version, c.max_pack_size, c.splitter.as_str()), (1, 20 << 20, ""));
    assert!(c.secret.as_bytes().is_empty() && !c.enable_password_change);
    let nulls = config(
        r#","secret":null,"ecc":null,"indexVersion":0,"requiredFeatures":null,"upgradeLock":null,"new":1"#,
    );
    assert!(nulls.is_ok());
    let shouting = br#"{"Format":{"HASH":"H","masterkey":"AAEC","Version":2,"epochparameters":{"enabled":true}}} trailing"#;
    assert!(RepositoryConfig::parse(shouting).unwrap().epoch_parameters.enabled);
}

#[test]
fn error_correction_needs_name_and_percentage() {
    let of = |fields| config(fields).unwrap().error_correction().map(|(n, p)| (n.to_owned(), p));
    assert_eq!(
        of(r#","ecc":"REED-SOLOMON-CRC32","eccOverheadPercent":20"#),
        Some(("REED-SOLOMON-CRC32".to_owned(), 20))
    );
    assert_eq!(of(r#","ecc":"REED-SOLOMON-CRC32""#), None);
    assert_eq!(of(r#","eccOverheadPercent":20"#), None);
    for found in [-1, 101, 300] {
        let error = config(&format!(r#","eccOverheadPercent":{found}"#)).unwrap_err();
        assert_eq!(error, Error::EccOverhead { found });
    }
}

#[test]
fn versions_out_of_range_are_refused() {
    let version = |v: &str| {
        RepositoryConfig::parse(format!(r#"{{"format":{{"version":{v}}}}}"#).as_bytes()).map(|c| c.version)
    };
    assert_eq!((version("1"), version("2"), version("3")), (Ok(1), Ok(2), Ok(3)));
    for bad in [0, 4, -1, 257] {
        assert_eq!(version(&bad.to_string()), Err(Error::UnsupportedVersion { found: bad }));
    }
    assert_eq!(version("null"), Err(Error::UnsupportedVersion { found: 0 }));
    assert_eq!(config(r#","indexVersion":3"#).unwrap_err(), Error::UnsupportedIndexVersion { found: 3 });
}

#[test]
fn secrets_are_not_printed() {
    let c = RepositoryConfig::parse(CONFIG.as_bytes()).unwrap();
    let text = format!("{c:?}");
    assert!(text.contains("Secret(32 bytes)") && !text.contains("31, 32") && !text.contains("AAEC"));
    let error = RepositoryConfig::parse(br#"{"format":{"version":3,"hash":{"x":"topsecret"}}}"#).unwrap_err();
    assert!(!error.to_string().contains("topsecret"), "{error}");
    let error = RepositoryConfig::parse(br#"{"format":{"version":"topsecret"}}"#).unwrap_err();
    assert!(!error.to_string().contains("topsecret"), "{error}");
}

#[test]
fn broken_documents_are_errors() {
    for bad in [
        &b""[..],
        b"{}",
        b"[]",
        b"{",
        b"null",
        b"\xff\xfe",
        br#"{"format":null}"#,
        br#"{"format":{"secret":"!"}}"#,
    ] {
        assert!(RepositoryConfig::parse(bad).is_err());
        assert!(FormatBlob::parse(bad).is_err());
    }
}

#[test]
fn format_blob_of_the_tiny_repository() {
    let json = br#"{
  "tool": "https://github.com/kopia/kopia",
  "buildVersion": "v0-unofficial",
  "buildInfo": "-(unknown_revision)",
  "uniqueID": "NhXLe5kIkgnaR8132mX6wnnggZ4ZH72eUgSIEp/QpSg=",
  "keyAlgo": "scrypt-65536-8-1",
  "encryption": "AES256_GCM",
  "encryptedBlockFormat": "uWBpv3mnmUPLTiJa"
}
"#;
    let blob = FormatBlob::parse(json).unwrap();
    assert_eq!(
        hex::encode(&blob.unique_id),
        "3615cb7b99089209da47cd77da65fac279e0819e191fbd9e520488129fd0a528"
    );
    assert_eq!((blob.key_algo.as_str(), blob.encrypted_block_format.len()), ("scrypt-65536-8-1", 12));
}

#[test]
fn old_or_unknown_sealing_is_named() {
    let none = br#"{"version":"1","uniqueID":"AAEC","keyAlgo":"scrypt-65536-8-1","encryption":"NONE","blockFormat":{"version":1}}"#;
    assert_eq!(FormatBlob::parse(none), Err(Error::UnsupportedEncryption { found: "NONE".to_owned() }));
    let absent = |json: &str| FormatBlob::parse(json.as_bytes()).unwrap_err();
    assert!(matches!(
        absent(r#"{"encryption":"AES256_GCM","encryptedBlockFormat":"AAEC"}"#),
        Error::Missing { field: "uniqueID", .. }
    ));
    assert!(matches!(
        absent(r#"{"encryption":"AES256_GCM","uniqueID":"AAEC"}"#),
        Error::Missing { field: "encryptedBlockFormat", .. }
    ));
}

#[test]
fn upgrade_lock_follows_the_clock() {
    const SECOND: i64 = 1_000_000_000;
    let fields = |notice: i64| {
        format!(
            r#","upgradeLock":{{"ownerID":"me","creationTime":"1970-01-01T00:16:40Z","advanceNoticeDuration":{},"ioDrainTimeout":{},"statusPollInterval":1,"message":"m","maxPermittedClockDrift":{}}}"#,
            notice * SECOND,
            100 * SECOND,
            50 * SECOND
        )
    };
    let lock = |notice| config(&fields(notice)).unwrap().upgrade_lock.unwrap();
    // drain = 50 + 2 × 100 = 250 s; announced at 1000 s
    assert!(lock(249).is_locked(Time::default()));
    assert!(
        !lock(250).is_locked(Time::from_unix_seconds(999))
            && lock(250).is_locked(Time::from_unix_seconds(1000))
    );
    assert!(
        !lock(1000).is_locked(Time::from_unix_seconds(1749))
            && lock(1000).is_locked(Time::from_unix_seconds(1750))
    );
    assert_eq!(lock(1000).owner_id, "me");
    let empty = config(r#","upgradeLock":{}"#).unwrap().upgrade_lock.unwrap();
    assert!(empty.is_locked(Time::default()));
    let mut huge = lock(1);
    (huge.io_drain_timeout_ns, huge.advance_notice_ns) = (i64::MIN, i64::MAX);
    assert!(!huge.is_locked(Time::MAX));
    assert!(config(r#","upgradeLock":{"creationTime":"soon"}"#).is_err());
}

#[test]
fn unknown_features_are_listed() {
    let c = config(
        r#","requiredFeatures":[{"feature":"index-v1"},{"feature":"index-v2","ifNotUnderstood":null},
           {"feature":"some-name","ifNotUnderstood":{"warn":true,"message":"m","url":"u","upgradeToVersion":"9"}},{"feature":"other"}]"#,
    )
    .unwrap();
    let unknown: Vec<_> =
        c.unknown_features().map(|f| (f.feature.as_str(), f.warn, f.message.as_str())).collect();
    assert_eq!(unknown, [("some-name", true, "m"), ("other", false, "")]);
}
