use super::*;
use crate::directory::EntryKind;
use crate::manifest::Manifests;

/// The manifest content of appendix C.
const CONTENT: &str = r#"{"entries":[{"id":"50590e4bbb7ec9c9fcd2a4585911cb21","labels":{"hostname":"myhost","path":"/data/sample","tag:k":"v","type":"snapshot","username":"me"},"modified":"2026-11-23T02:27:03.050785031Z","data":{"id":"","source":{"host":"myhost","userName":"me","path":"/data/sample"},"description":"snap 0","startTime":"2026-11-23T02:27:03.048912105Z","endTime":"2026-11-23T02:27:03.050657151Z","stats":{"totalSize":2113,"excludedTotalSize":0,"fileCount":2,"cachedFiles":0,"nonCachedFiles":2,"dirCount":2,"excludedFileCount":0,"excludedDirCount":0,"ignoredErrorCount":0,"errorCount":0},"rootEntry":{"name":"samplesrc","type":"d","mode":"0755","mtime":"2024-01-02T03:04:05.678901234Z","obj":"kbb6c1754b61601cfc2fb0fa80cad261a","summ":{"size":2113,"files":2,"symlinks":1,"dirs":2,"maxTime":"2024-01-02T03:04:05.678901234Z","numFailed":0}},"tags":{"tag:k":"v"},"pins":["pin1"]}}]}
"#;

fn parse(data: &str) -> Result<Snapshot, Error> {
    let mut manifests = Manifests::default();
    manifests.add(format!(r#"{{"entries":[{{"id":"0c","data":{data}}}]}}"#).as_bytes()).unwrap();
    Snapshot::parse(&manifests.finish()[0])
}

/// Returns a snapshot with these fields besides.
fn with(fields: &str) -> Result<Snapshot, Error> {
    parse(&format!(
        r#"{{"source":{{"host":"h","userName":"u","path":"/p"}},"startTime":"2024-01-02T03:04:05Z"{fields}}}"#
    ))
}

#[test]
fn trap_34_snapshot_of_the_tiny_repository_has_its_manifests_id() {
    let mut manifests = Manifests::default();
    manifests.add(CONTENT.as_bytes()).unwrap();
    let s = Snapshot::parse(&manifests.finish()[0]).unwrap();
    assert_eq!(s.id.as_str(), "50590e4bbb7ec9c9fcd2a4585911cb21");
    assert_eq!((s.source.to_string().as_str(), s.description.as_str()), ("me@myhost:/data/sample", "snap 0"));
    assert_eq!(s.end.unix_nanos() - s.start.unix_nanos(), 1_745_046);
    assert_eq!((s.stats.total_size, s.stats.file_count, s.stats.dir_count), (2113, 2, 2));
    assert_eq!((s.pins.as_slice(), s.tags["tag:k"].as_str()), (&["pin1".to_owned()][..], "v"));
    let root = s.root.unwrap();
    assert_eq!((root.name_text(), &root.kind, root.mode), ("samplesrc", &EntryKind::Directory, 0o755));
    assert_eq!(root.summary.unwrap().files, 2);
    assert_eq!(s.incomplete, None);
}

#[test]
fn trap_40_the_root_may_be_a_file_or_missing() {
    let file =
        with(r#","rootEntry":{"name":"/","type":"f","obj":"00","summ":{"files":1}}"#).unwrap().root.unwrap();
    assert!(file.kind == EntryKind::File && file.name.is_err() && file.name_text() == "/");
    assert_eq!(with(r#","rootEntry":null"#).unwrap().root, None);
    assert_eq!(with("").unwrap().root, None);
    let broken = with(r#","rootEntry":{"name":"x","mode":"rwx","obj":"00"}"#).unwrap();
    assert!(broken.root.is_none() && broken.root_error.unwrap().what.contains("rwx"));
    assert_eq!(with(r#","incomplete":"checkpoint""#).unwrap().incomplete.as_deref(), Some("checkpoint"));
}

#[test]
fn trap_43_numbers_out_of_range_are_tolerated() {
    let s = with(
        r#","stats":{"fileCount":2147483648,"totalSize":18446744073709551615,"dirCount":1e30,"errorCount":null}"#,
    );
    let stats = s.unwrap().stats;
    assert_eq!(
        (stats.file_count, stats.total_size, stats.dir_count, stats.error_count),
        (1 << 31, i64::MAX, i64::MAX, 0)
    );
}

#[test]
fn errors_are_counted_wherever_they_are_recorded() {
    assert_eq!(with("").unwrap().recorded_errors(), (0, &[][..]));
    let counted = with(r#","stats":{"errorCount":2,"ignoredErrorCount":-7}"#).unwrap();
    assert_eq!(counted.recorded_errors().0, 2);
    let listed = with(
        r#","rootEntry":{"name":"x","type":"d","obj":"k00","summ":{"numFailed":1,"numIgnoredErrors":3,
            "errors":[{"path":"a/b","error":"permission denied"}]}}"#,
    );
    let listed = listed.unwrap();
    let (count, first) = listed.recorded_errors();
    assert_eq!((count, first[0].path.as_str()), (4, "a/b"));
}

#[test]
fn nulls_and_odd_spellings_parse() {
    assert!(
        with(r#","stats":null,"tags":null,"pins":null,"description":null,"endTime":null,"storageStats":{}"#)
            .is_ok()
    );
    let odd = r#"{"Source":{"HOST":"h","username":"u","Path":"/p"},"STARTTIME":"1970-01-01T00:00:01Z"}"#;
    assert_eq!(parse(odd).unwrap().start, Time::from_unix_seconds(1));
}

#[test]
fn labels_fill_gaps_of_the_source() {
    let mut manifests = Manifests::default();
    let json = r#"{"entries":[{"id":"0c","labels":{"hostname":"h","username":"u","path":"/p"},"data":{"source":{"host":"x"}}}]}"#;
    manifests.add(json.as_bytes()).unwrap();
    assert_eq!(Snapshot::parse(&manifests.finish()[0]).unwrap().source.to_string(), "u@x:/p");
}

#[test]
fn what_is_no_snapshot_is_an_error() {
    assert_eq!(
        parse(r#"{"source":{"host":"h","userName":"u"}}"#).unwrap_err(),
        Error::Source { field: "path" }
    );
    assert!(matches!(with(r#","endTime":"late""#), Err(Error::Time { field: "endTime", .. })));
    for bad in ["null", "7", "[]", r#"{"source":7}"#, r#"{"stats":{"fileCount":"x"}}"#] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn sources_order_as_they_are_displayed() {
    let source = |user: &str, host: &str, path: &str| Source {
        user: user.into(),
        host: host.into(),
        path: path.into(),
    };
    let mut all =
        [source("b", "a", "/"), source("a", "b", "/x"), source("a", "b-c", "/"), source("a", "b", "/")];
    all.sort();
    let texts: Vec<String> = all.iter().map(Source::to_string).collect();
    assert_eq!(texts, ["a@b-c:/", "a@b:/", "a@b:/x", "b@a:/"]);
    assert!(texts.is_sorted());
}
