use super::*;
use proptest::prelude::*;

/// Returns all pieces of a document that is pushed `step` bytes at a time.
fn cut(json: &str, step: usize) -> Result<Vec<String>, Error> {
    let mut scanner = ArrayScanner::new("entries");
    let mut out = Vec::new();
    for chunk in json.as_bytes().chunks(step.max(1)) {
        scanner.push(chunk, |piece| -> Result<(), Error> {
            out.push(match piece {
                Piece::Element(json) => String::from_utf8(json.to_vec()).unwrap(),
                Piece::Member(name, json) => {
                    format!("{name}={}", String::from_utf8(json.to_vec()).unwrap())
                }
            });
            Ok(())
        })?;
    }
    scanner.finish()?;
    Ok(out)
}

#[test]
fn cuts_the_same_wherever_the_pieces_end() {
    let json = r#" { "stream" : "k\"}]" , "Entries":[{"a":["]}",{}]}, 12,"x\\" ,null,-1.5e3 ],"summary":{"b":[1,2]},"z":true}
        {"entries":[1]}"#;
    let expected = [
        r#"stream="k\"}]""#,
        r#"{"a":["]}",{}]}"#,
        "12",
        r#""x\\""#,
        "null",
        "-1.5e3",
        r#"summary={"b":[1,2]}"#,
        "z=true",
    ];
    for step in 1..json.len() + 1 {
        assert_eq!(cut(json, step).unwrap(), expected, "{step}");
    }
}

#[test]
fn arrays_may_be_empty_null_or_absent() {
    assert_eq!(cut(r#"{"entries":[]}"#, 1).unwrap(), [""; 0]);
    assert_eq!(cut(r#"{"entries":null}"#, 3).unwrap(), ["entries=null"]);
    assert_eq!(cut("{}", 1).unwrap(), [""; 0]);
    assert_eq!(cut(r#"{"entri\u0065s":[7]}"#, 4).unwrap(), ["7"]);
}

#[test]
fn refuses_broken_documents() {
    for bad in [
        "",
        "[",
        "[]",
        "1",
        "{",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1",
        "{\"entries\":[",
        "{\"entries\":[1",
        "{\"entries\":[1,]}",
        "{\"entries\":[,1]}",
        "{\"entries\":[1 2]}",
        "{\"entries\":[1}",
        "{\"entries\":[{}",
        "{\"entries\":[\"",
        "{\"entries\":[1]",
        "{\"entries\":[1],\"entries\":[2]}",
        "{a:1}",
    ] {
        for step in [1, 1000] {
            assert!(cut(bad, step).is_err(), "{bad}");
        }
    }
}

#[test]
fn length_and_depth_are_limited() {
    let long = format!("{{\"entries\":[\"{}\"]}}", "x".repeat(MAX_VALUE));
    assert!(matches!(cut(&long, 4096), Err(Error::TooLong { what: "value", .. })));
    assert!(matches!(cut(&long, usize::MAX), Err(Error::TooLong { what: "value", .. })));
    let deep = format!("{{\"entries\":[{}", "[".repeat(1_000_000));
    assert!(matches!(cut(&deep, 7), Err(Error::TooDeep { .. })));
    let name = format!("{{\"{}", "x".repeat(2000));
    assert!(matches!(cut(&name, 7), Err(Error::TooLong { what: "name", .. })));
}

proptest! {
    #[test]
    fn agrees_with_serde_json(elements: Vec<(String, Option<i32>, Vec<bool>)>, step in 1usize..40) {
        let json = serde_json::to_string(&serde_json::json!({ "a": "x", "entries": elements, "z": [{}] })).unwrap();
        let mut expected = vec!["a=\"x\"".to_owned()];
        expected.extend(elements.iter().map(|e| serde_json::to_string(e).unwrap()));
        expected.push("z=[{}]".to_owned());
        prop_assert_eq!(cut(&json, step).unwrap(), expected);
    }

    #[test]
    fn never_panics(json in "[{}\\[\\]\",:\\\\a1entries ]{0,60}", step in 1usize..9) {
        let _ = cut(&json, step);
    }
}
