//! Reads what B2 answers, as far as a reader needs it (API version 4).

use std::collections::HashMap;

use serde::Deserialize;

/// The answer of `b2_authorize_account`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub(super) account_id: String,
    pub(super) authorization_token: String,
    pub(super) api_info: ApiInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiInfo {
    pub(super) storage_api: StorageApi,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StorageApi {
    pub(super) api_url: String,
    pub(super) download_url: String,
    #[serde(default)]
    pub(super) allowed: Allowed,
}

/// The rights of a key.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Allowed {
    /// The buckets that the key opens; `None`: all.
    pub(super) buckets: Option<Vec<AllowedBucket>>,
    pub(super) name_prefix: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct AllowedBucket {
    pub(super) id: String,
    /// The bucket's name; `None`: it was deleted.
    pub(super) name: Option<String>,
}

/// The answer of `b2_list_buckets`.
#[derive(Deserialize)]
pub(super) struct Buckets {
    pub(super) buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bucket {
    pub(super) bucket_id: String,
    pub(super) bucket_name: String,
}

/// The answer of `b2_list_file_names`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) files: Vec<File>,
    /// The name after which the listing goes on; `null` at the end. It has to be there: an answer without it does not
    /// say whether it is whole.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) next_file_name: Option<String>,
}

/// A file, or a folder when `action` says so.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    pub(super) file_name: String,
    pub(super) action: String,
    pub(super) content_length: Option<u64>,
    /// The time of the upload, in milliseconds since 1970.
    pub(super) upload_timestamp: Option<i64>,
    file_info: Option<HashMap<String, String>>,
}

impl File {
    /// Returns the time that a copied blob had where it came from.
    pub(super) fn copied_time(&self) -> Option<&str> {
        self.file_info.as_ref()?.get("kopia-mtime").map(String::as_str)
    }
}

/// Returns the modification time in nanoseconds since 1970: the recorded time of a copied blob, or when it was
/// uploaded.
pub(super) fn modified_ns(uploaded_ms: i64, copied: Option<&str>) -> i64 {
    copied.and_then(|text| text.parse().ok()).unwrap_or(uploaded_ms.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_fields() {
        let whole = r#"{"files":[{"fileName":"a","action":"upload","contentLength":1}],"nextFileName":null}"#;
        assert!(serde_json::from_str::<Page>(whole).is_ok());
        for cut in 0..whole.len() {
            assert!(serde_json::from_str::<Page>(&whole[..cut]).is_err(), "{cut}");
        }
        for field in [r#","nextFileName":null"#, r#","action":"upload""#, r#""fileName":"a","#] {
            assert!(serde_json::from_str::<Page>(&whole.replace(field, "")).is_err(), "without {field}");
        }
        assert!(serde_json::from_str::<Page>(r#"{"nextFileName":null}"#).is_err());
    }
}
