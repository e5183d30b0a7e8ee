use super::*;
use crate::entry_name::EntryName;
use crate::time::Time;
use proptest::prelude::*;

/// The two directories of appendix C.
const SUB: &str = r#"{"stream":"kopia:directory","entries":[{"name":"fox.txt","type":"f","mode":"0644","size":2100,"mtime":"2024-01-02T03:04:05.678901234Z","obj":"ac78e839013cdd80357969fa2c54adab"},{"name":"link","type":"s","mode":"0777","size":12,"mtime":"2024-01-02T03:04:05.678901234Z","obj":"6e219ff09242fb596ebbddf24c0b3357"}],"summary":{"size":2100,"files":1,"symlinks":1,"dirs":1,"maxTime":"2024-01-02T03:04:05.678901234Z","numFailed":0}}
"#;
const ROOT: &str = r#"{"stream":"kopia:directory","entries":[{"name":"sub","type":"d","mode":"0755","mtime":"2024-01-02T03:04:05.678901234Z","obj":"k984f99fdc13e06eaa534b754828bb119","summ":{"size":2100,"files":1,"symlinks":1,"dirs":1,"maxTime":"2024-01-02T03:04:05.678901234Z","numFailed":0}},{"name":"hello.txt","type":"f","mode":"0640","size":13,"mtime":"2024-01-02T03:04:05.678901234Z","obj":"4fad65f29caa9fac71a245a32f56ec92"}],"summary":{"size":2113,"files":2,"symlinks":1,"dirs":2,"maxTime":"2024-01-02T03:04:05.678901234Z","numFailed":0}}
"#;

type Scanned = (Vec<Result<Entry, EntryError>>, Option<DirectorySummary>);

fn scan(json: &str, step: usize) -> Result<Scanned, Error> {
    let (mut scanner, mut entries) = (DirectoryScanner::new(), Vec::new());
    for chunk in json.as_bytes().chunks(step) {
        scanner.push(chunk, |e| entries.push(e))?;
    }
    Ok((entries, scanner.finish()?))
}

/// Returns the entries of a directory that is otherwise right.
fn entries(elements: &str) -> Vec<Result<Entry, EntryError>> {
    scan(&format!(r#"{{"stream":"kopia:directory","entries":[{elements}],"summary":null}}"#), 1 << 20)
        .unwrap()
        .0
}

#[test]
fn directories_of_the_format_document_however_cut() {
    let mtime_ns = 1_704_164_645_678_901_234;
    for step in [1, 2, 7, 100, 10_000] {
        let (sub, summary) = scan(SUB, step).unwrap();
        let summary = summary.unwrap();
        assert_eq!(
            summary,
            DirectorySummary {
                size: 2100,
                files: 1,
                symlinks: 1,
                dirs: 1,
                max_time: Time::from_unix_nanos(mtime_ns),
                ..Default::default()
            }
        );
        let fox = sub[0].clone().unwrap();
        assert_eq!(
            fox,
            Entry {
                name: EntryName::parse("fox.txt"),
                kind: EntryKind::File,
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: Time::from_unix_nanos(mtime_ns),
                size: 2100,
                object: Some("ac78e839013cdd80357969fa2c54adab".parse().unwrap()),
                summary: None,
            }
        );
        assert_eq!(sub[1].clone().unwrap().kind, EntryKind::Symlink);
        let (root, _) = scan(ROOT, step).unwrap();
        let dir = root[0].clone().unwrap();
        assert_eq!(
            (dir.kind, dir.mode, dir.summary.as_deref()),
            (EntryKind::Directory, 0o755, Some(&summary))
        );
    }
}

#[test]
fn stream_must_be_a_directory() {
    for bad in [
        r#"{"entries":[]}"#,
        r#"{"stream":"kopia:indirect","entries":[]}"#,
        r#"{"stream":null,"entries":[]}"#,
        r#"{"stream":"Kopia:directory","entries":[]}"#,
        r#"{"stream":1}"#,
    ] {
        assert!(matches!(scan(bad, 5), Err(Error::Stream { .. })), "{bad}");
    }
    assert_eq!(scan(r#"{"stream":"kopia:directory","entries":{}}"#, 5), Err(Error::NoEntries));
    assert!(matches!(scan(r#"{"stream":"kopia:directory","summary":7}"#, 5), Err(Error::Summary(_))));
    assert!(matches!(scan("", 5), Err(Error::Json(json_array::Error::Unfinished { offset: 0 }))));
    assert!(matches!(
        scan(SUB.split_at(300).0, 5),
        Err(Error::Json(json_array::Error::Unfinished { offset: 300 }))
    ));
}

#[test]
fn trap_38_null_entries_replaced_bytes_twins_and_escapes() {
    assert_eq!(
        scan(r#"{"stream":"kopia:directory","entries":null,"summary":null}"#, 9).unwrap(),
        (vec![], None)
    );
    let list = entries(
        r#"{"name":"a�b","type":"f","obj":"00"},{"name":"a\ufffdb","type":"f","obj":"01"},{"name":"../x","type":"f","obj":"02"},
           {"name":"a\u003cb\u003e\u0026c","type":"f","obj":""},{"type":"f","obj":"03"}"#,
    );
    let list: Vec<Entry> = list.into_iter().map(Result::unwrap).collect();
    let names: Vec<&str> = list.iter().map(Entry::name_text).collect();
    assert_eq!(names, ["a\u{fffd}b", "a\u{fffd}b", "../x", "a<b>&c", ""]);
    assert!(list[2].name.is_err() && list[4].name.is_err());
    assert_eq!(list[3].object, None);
}

#[test]
fn trap_32_and_35_missing_fields_are_zero() {
    let e = entries(r#"{"name":"e","type":"f","obj":"00ff"}"#).remove(0).unwrap();
    assert_eq!((e.size, e.mtime.unix_nanos(), e.mode, e.uid, e.gid), (0, 0, 0, 0, 0));
    let nulls = r#"{"name":"e","type":"f","mode":null,"size":null,"mtime":null,"uid":null,"gid":null,"obj":"00ff","summ":null,"new":{"x":[1]}}"#;
    assert_eq!(entries(nulls).remove(0).unwrap(), e);
}

#[test]
fn a_bad_field_fails_its_entry_alone() {
    for field in [
        r#""mode":"rwx""#,
        r#""mode":644"#,
        r#""mtime":"yesterday""#,
        r#""mtime":"""#,
        r#""uid":-1"#,
        r#""gid":4294967296"#,
        r#""size":-1"#,
        r#""size":1e3"#,
        r#""size":"1""#,
        r#""summ":[]"#,
        r#""summ":{"maxTime":"x"}"#,
        r#""obj":"xyz""#,
    ] {
        let obj = if field.starts_with("\"obj") { "" } else { r#","obj":"00""# };
        let list = entries(&format!(
            r#"{{"name":"bad","type":"f",{field}{obj}}},{{"name":"good","type":"f","obj":"00"}}"#
        ));
        assert_eq!(list[0].as_ref().unwrap_err().name.as_deref(), Some("bad"), "{field}");
        assert_eq!(list[1].as_ref().unwrap().name_text(), "good");
    }
    for element in ["7", "null", "\"x\"", "[]", "{\"name\":7}"] {
        assert!(entries(element)[0].is_err(), "{element}");
    }
}

#[test]
fn other_spellings_and_broken_text_are_accepted_as_go_does() {
    let e = entries(
        r#"{"NAME":"x","Type":"d","MODE":"0755","Obj":"k00","SUMM":{"maxtime":"1970-01-01T00:00:01Z","NumFailed":2}}"#,
    );
    let e = e[0].clone().unwrap();
    assert_eq!((e.name_text(), &e.kind, e.mode), ("x", &EntryKind::Directory, 0o755));
    assert_eq!(e.summary.map(|s| (s.max_time.unix_nanos(), s.num_failed)), Some((1_000_000_000, 2)));
    assert_eq!(
        entries(r#"{"name":"a\ud800b","type":"f","obj":"00"}"#)[0].as_ref().unwrap().name_text(),
        "a\u{fffd}b"
    );
    let bytes = b"{\"name\":\"a\xffb\",\"type\":\"f\",\"obj\":\"00\"}";
    assert_eq!(Entry::from_json(bytes).unwrap().name_text(), "a\u{fffd}b");
}

#[test]
fn summaries_hold_any_number_of_errors() {
    let errors: Vec<String> = (0..100).map(|i| format!(r#"{{"path":"p{i}","error":"e"}}"#)).collect();
    let json = format!(
        r#"{{"stream":"kopia:directory","entries":null,"summary":{{"size":-5,"incomplete":"canceled","numFailed":100,"numIgnoredErrors":3,"errors":[{}]}}}}"#,
        errors.join(",")
    );
    let summary = scan(&json, 64).unwrap().1.unwrap();
    assert_eq!((summary.errors.len(), summary.num_failed, summary.num_ignored_errors), (100, 100, 3));
    assert_eq!((summary.size, summary.incomplete.as_deref()), (0, Some("canceled")));
}

proptest! {
    #[test]
    fn never_panics(json in r#"[{}\[\]",:\\a0f]{0,60}"#, step in 1usize..9) {
        let _ = scan(&format!(r#"{{"stream":"kopia:directory","entries":[{json}"#), step);
    }
}
