//! The code of each kind of error is the one that the table says.

use std::collections::BTreeSet;

use rekopia::ErrorKind;
use rekopia_testkit::exit_codes::{code_of, rows};

#[test]
fn every_kind_has_the_code_of_the_table() {
    let kinds = [
        ErrorKind::NoRepository,
        ErrorKind::InvalidPassword,
        ErrorKind::UnsupportedFormat,
        ErrorKind::Locked,
        ErrorKind::NotFound,
        ErrorKind::Corrupt,
        ErrorKind::Archived,
        ErrorKind::Storage,
        ErrorKind::Destination,
        ErrorKind::Usage,
        ErrorKind::Refused,
        ErrorKind::Incomplete,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];
    let mut named = BTreeSet::new();
    for kind in kinds {
        let name = serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
        assert_eq!(i32::from(kind.exit_code()), code_of(&name), "{name}");
        named.insert(name);
    }
    let listed: BTreeSet<String> =
        rows().iter().flat_map(|row| row.kinds.iter().map(ToString::to_string)).collect();
    assert_eq!(listed, named);
    let codes: Vec<u8> = rows().iter().map(|row| row.code).collect();
    assert_eq!(codes, [0, 1, 2, 3, 10, 12, 13, 14, 15, 16, 17, 18, 129, 130, 143]);
    assert!(rows().iter().all(|row| !row.meaning.is_empty() && !row.remedy.is_empty()));
}
