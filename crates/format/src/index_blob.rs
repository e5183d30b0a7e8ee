//! Reads what the names of index blobs say, and selects the legacy ones that count (§4.4, §4.7).

use std::collections::HashSet;

use serde::Deserialize;

use crate::ids::BlobId;
use crate::json::{Text, parse_first, repaired};

/// The name of the blob that an upgrade leaves so that old programs fail: plain text, not an index (§2.12).
pub const POISON_BLOB: &str =
    "n00000000000000000000000000000000-repository_unreadable_by_this_kopia_version_upgrade_required";

/// The text of an `m` blob: these index blobs were merged into those (§4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionLog {
    /// The names of the blobs that were merged. Kept as text: a name that is no blob's is no blob.
    pub inputs: Vec<String>,
    /// The names of the blobs that came out of it.
    pub outputs: Vec<String>,
}

/// The reason why a name or a log of index blobs cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name does not hold 32 hex digits before its first dash.
    #[error("blob {blob} has no 32 hex digits before its first dash")]
    NoIv {
        /// The name of the blob.
        blob: BlobId,
    },
    /// A compaction log does not parse.
    #[error("compaction log: {0}")]
    Log(String),
}

#[derive(Deserialize)]
struct RawLog<'a> {
    #[serde(borrow, rename = "inputMetadata")]
    inputs: Option<Vec<RawBlob<'a>>>,
    #[serde(borrow, rename = "outputMetadata")]
    outputs: Option<Vec<RawBlob<'a>>>,
}

#[derive(Deserialize)]
struct RawBlob<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
}

/// Returns the iv of an encrypted blob: the last 32 characters before the first dash, from hex (§3.3).
///
/// # Errors
/// [`Error::NoIv`].
pub fn blob_iv(blob: &BlobId) -> Result<[u8; 16], Error> {
    let stem = blob.as_str().split('-').next().unwrap_or_default();
    let mut iv = [0; 16];
    let digits = stem.len().checked_sub(32).and_then(|from| stem.get(from..));
    match digits.map(|digits| hex::decode_to_slice(digits, &mut iv)) {
        Some(Ok(())) => Ok(iv),
        _ => Err(Error::NoIv { blob: blob.clone() }),
    }
}

/// Whether a name holds a whole hash, as those of index blobs and packs do.
pub fn has_iv(blob: &BlobId) -> bool {
    blob_iv(blob).is_ok()
}

impl CompactionLog {
    /// Reads a log from the decrypted bytes of an `m` blob.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let names = |blobs: Option<Vec<RawBlob<'_>>>| {
            blobs.into_iter().flatten().map(|b| b.id.0.into_owned()).collect()
        };
        let convert =
            |raw: RawLog<'_>| CompactionLog { inputs: names(raw.inputs), outputs: names(raw.outputs) };
        match parse_first::<RawLog<'_>>(json) {
            Ok(raw) if raw.outputs.is_some() => Ok(convert(raw)),
            _ => {
                let json = repaired(json, &["inputMetadata", "outputMetadata", "id"]);
                parse_first::<RawLog<'_>>(&json).map(convert).map_err(|e| Error::Log(e.to_string()))
            }
        }
    }
}

/// Returns the legacy index blobs that count: all that are listed, without the inputs of those compactions whose
/// outputs are all listed. The order is kept.
///
/// Whether an output is there is judged by the list as it came, not by what earlier logs left of it. The
/// [`POISON_BLOB`] is kept when it is listed: with a legacy set it means that the repository is not for us.
pub fn select_legacy(index_blobs: &[BlobId], logs: &[CompactionLog]) -> Vec<BlobId> {
    let listed: HashSet<&str> = index_blobs.iter().map(BlobId::as_str).collect();
    let valid = logs.iter().filter(|log| log.outputs.iter().all(|output| listed.contains(output.as_str())));
    let superseded: HashSet<&str> = valid.flat_map(|log| log.inputs.iter().map(String::as_str)).collect();
    index_blobs.iter().filter(|blob| !superseded.contains(blob.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(names: &[&str]) -> Vec<BlobId> {
        names.iter().map(|n| BlobId::parse(n).unwrap()).collect()
    }

    fn log(inputs: &[&str], outputs: &[&str]) -> CompactionLog {
        let list = |names: &[&str]| {
            let all: Vec<String> = names
                .iter()
                .map(|n| format!(r#"{{"id":"{n}","length":1,"timestamp":"2024-01-02T03:04:05Z"}}"#))
                .collect();
            all.join(",")
        };
        let json = format!(r#"{{"inputMetadata":[{}],"outputMetadata":[{}]}}"#, list(inputs), list(outputs));
        CompactionLog::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn trap_06_iv_is_the_tail_of_the_name_before_the_first_dash() {
        let iv = |name: &str| blob_iv(&BlobId::parse(name).unwrap()).map(hex::encode);
        let hash = "485628df570a0f02242d865ec3675f23";
        for name in [
            format!("xn0_{hash}-s656fecf95845c101147-c1"),
            format!("xn12_{hash}-s1-c1"),
            format!("n{hash}"),
            format!("xr1_2_{hash}-s0-c1"),
            format!("n7f3d0308a541f1e1fc51cf75c1df3aa1{hash}-s1"),
            format!("_log_20240102030405_ab12_1_2_3_{hash}"),
        ] {
            assert_eq!(iv(&name).unwrap(), hash, "{name}");
        }
        for bad in
            ["n", "xe5", "n12-485628df570a0f02242d865ec3675f23", "nz85628df570a0f02242d865ec3675f2z", "-a"]
        {
            assert!(iv(bad).is_err(), "{bad}");
        }
        // it has an iv, but it opens nothing: the blob is plain text
        assert_eq!(iv(POISON_BLOB).unwrap(), "0".repeat(32));
    }

    #[test]
    fn inputs_go_when_all_outputs_are_listed() {
        let all = blobs(&["n1", "n2", "n3", "n4"]);
        assert_eq!(select_legacy(&all, &[]), all);
        assert_eq!(select_legacy(&all, &[log(&["n1", "n2"], &["n3"])]), blobs(&["n3", "n4"]));
        assert_eq!(select_legacy(&all, &[log(&["n1"], &["n3", "n9"])]), all);
        // outputs that a later compaction took as inputs still count as there
        assert_eq!(
            select_legacy(&all, &[log(&["n2", "n3"], &["n4"]), log(&["n1"], &["n2"])]),
            blobs(&["n4"])
        );
    }

    #[test]
    fn logs_parse_as_go_parses_them() {
        let empty = CompactionLog { inputs: vec![], outputs: vec![] };
        assert_eq!(
            CompactionLog::parse(br#"{"inputMetadata":null,"outputMetadata":null} x"#).unwrap(),
            empty
        );
        assert_eq!(CompactionLog::parse(br#"{"OutputMetadata":[{"ID":"n1"}]}"#).unwrap().outputs, ["n1"]);
        for bad in [&b""[..], b"[]", b"{\"outputMetadata\":7}", b"\xff", b"{"] {
            assert!(matches!(CompactionLog::parse(bad), Err(Error::Log(_))));
        }
    }
}
