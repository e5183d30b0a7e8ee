//! Finds the path of a blob in storages with folders (§1.3).

use serde::Deserialize;

use crate::ids::BlobId;
use crate::json::{parse_first, repaired};

/// The error of a `.shards` file that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(".shards cannot be understood: {0}")]
pub struct Error(String);

/// The way in which blob IDs are cut into folder names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sharding {
    #[serde(rename = "default", default, deserialize_with = "crate::json::null_is_zero")]
    lens: Vec<usize>,
    #[serde(rename = "maxNonShardedLength", default, deserialize_with = "crate::json::null_is_zero")]
    max_unsharded: usize,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    overrides: Vec<Override>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Override {
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    prefix: String,
    #[serde(default, deserialize_with = "crate::json::null_is_zero")]
    shards: Vec<usize>,
}

/// The length up to which IDs are not sharded unless `.shards` says otherwise.
const MAX_UNSHARDED: usize = 20;

impl Sharding {
    /// Reads a `.shards` file.
    ///
    /// # Errors
    /// When it is no JSON object with the right fields.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let names = ["default", "maxNonShardedLength", "overrides", "prefix", "shards"];
        parse_first(&repaired(json, &names)).map_err(|e| Error(e.to_string()))
    }

    /// Makes a layout with folder names of these lengths, for IDs of more than 20 characters.
    pub fn with_default(lens: &[usize]) -> Self {
        Sharding { lens: lens.to_vec(), max_unsharded: MAX_UNSHARDED, overrides: Vec::new() }
    }

    /// Returns the layout of repositories without a `.shards` file: two folders of three characters.
    pub fn legacy() -> Self {
        Self::with_default(&[3, 3])
    }

    /// Returns where the blob is, below the root; folders separated by `/`.
    pub fn path(&self, blob: &BlobId) -> String {
        let id = blob.as_str();
        let mut path = String::with_capacity(id.len().saturating_add(8));
        let mut rest = id;
        if id.len() > self.max_unsharded {
            let overridden = self.overrides.iter().find(|o| id.starts_with(&o.prefix));
            for len in overridden.map_or(&self.lens, |o| &o.shards) {
                if *len == 0 {
                    // an empty folder name adds nothing, and a path must not begin with a slash
                    continue;
                }
                let Some((folder, after)) =
                    rest.split_at_checked(*len).filter(|(_, after)| !after.is_empty())
                else {
                    break;
                };
                if folder == ".." {
                    // no blob of Kopia's; the path must not leave the root
                    break;
                }
                // Kopia cleans its paths: `.` cut out of `kopia.repository` is no folder
                if folder != "." {
                    path.push_str(folder);
                    path.push('/');
                }
                rest = after;
            }
        }
        path.push_str(rest);
        path.push_str(".f");
        path
    }
}

/// Whether a folder whose names so far make up `accumulated` can hold blobs that start with `prefix`.
pub fn may_contain(accumulated: &str, prefix: &str) -> bool {
    let common = accumulated.len().min(prefix.len());
    accumulated.as_bytes().get(..common) == prefix.as_bytes().get(..common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(sharding: &Sharding, id: &str) -> String {
        sharding.path(&BlobId::parse(id).unwrap())
    }

    /// Trap 13: the layout is in the repository, and short IDs are not cut.
    #[test]
    fn trap_13_worked_paths() {
        let long = "foobarbaz12345678910123213123";
        assert_eq!(path(&Sharding::legacy(), long), "foo/bar/baz12345678910123213123.f");
        assert_eq!(path(&Sharding::with_default(&[1, 3]), long), "f/oob/arbaz12345678910123213123.f");
        let json = br#"{"default":[3,2,1],"maxNonShardedLength":2,
            "overrides":[{"prefix":"p","shards":[2,2]},{"prefix":"x","shards":[1,1,1]}]}"#;
        let custom = Sharding::parse(json).unwrap();
        for (id, expected) in [
            ("ab", "ab.f"),
            ("defaultsharded", "def/au/l/tsharded.f"),
            ("phello", "ph/el/lo.f"),
            ("xhello", "x/h/e/llo.f"),
            ("xbye", "x/b/y/e.f"),
            ("xo", "xo.f"),
            ("kopia.repository", "kop/ia/repository.f"),
        ] {
            assert_eq!(path(&custom, id), expected);
        }
        let max = |n: usize| Sharding { max_unsharded: n, ..Sharding::legacy() };
        assert_eq!(path(&max(10), "foobarbar"), "foobarbar.f");
        assert_eq!(path(&max(10), "foobarbarbar"), "foo/bar/barbar.f");
        for (id, expected) in
            [("foo", "foo.f"), ("foob", "foo/b.f"), ("foobar", "foo/bar.f"), ("foobar2", "foo/bar/2.f")]
        {
            assert_eq!(path(&max(0), id), expected);
        }
        assert_eq!(path(&Sharding::with_default(&[]), long), format!("{long}.f"));
        assert_eq!(path(&Sharding::legacy(), "kopia.repository"), "kopia.repository.f");
    }

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(
            path(&Sharding::with_default(&[0, 3, 0, 400]), "p81411ac55c280560319f34a78147f19e"),
            "p81/411ac55c280560319f34a78147f19e.f"
        );
        let dots = Sharding { lens: vec![2, 2], max_unsharded: 0, overrides: vec![] };
        assert_eq!(path(&dots, "....x"), "....x.f");
        assert_eq!(path(&dots, "ab..x"), "ab/..x.f");
    }

    #[test]
    fn fields_in_any_case_and_null_parse() {
        let odd =
            Sharding::parse(br#"{"Default":[3,3],"maxnonshardedlength":20,"overrides":null} x"#).unwrap();
        assert_eq!(odd, Sharding::legacy());
    }

    #[test]
    fn broken_files_are_refused() {
        for bad in ["", "not json", "[]", "{\"default\":3}"] {
            assert!(Sharding::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_agree_with_prefixes_on_their_common_length() {
        assert!(may_contain("x", "xn0_") && may_contain("xn0_4", "xn0_") && may_contain("", "p"));
        assert!(!may_contain("p", "q") && !may_contain("xe", "xn"));
    }
}
