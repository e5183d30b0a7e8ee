//! Stands in for Backblaze B2, after its public documentation (API version 4): what a reader may ask, nothing else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::front::{Answer, Front, text};

/// The ID of the key.
pub const KEY_ID: &str = "0012345";
/// The application key: tests look for it in everything that is printed.
pub const KEY: &str = "canary-b2-application-key";
/// The beginning of every token: tests look for it, too.
pub const TOKEN: &str = "4_canary-b2-token";
const ACCOUNT: &str = "account-1";
/// The status and code of a refusal.
type Refused = (u16, &'static str);

/// The rights of the key.
#[derive(Debug, Clone, Default)]
pub struct Key {
    /// The only bucket that the key opens.
    pub bucket: Option<String>,
    /// The beginning of the names that the key opens.
    pub name_prefix: Option<String>,
    /// Whether the key may not list buckets.
    pub no_list_buckets: bool,
}

#[derive(Default)]
struct Store {
    buckets: Mutex<BTreeMap<String, BTreeMap<String, Bytes>>>,
    /// The number of the oldest token that is good.
    oldest_token: AtomicU64,
    last_token: AtomicU64,
    /// The most names of one page.
    page: AtomicU64,
    address: Mutex<String>,
}

/// A running server.
pub struct B2Server {
    /// The front, which records and breaks requests; `http://` before its address is the endpoint.
    pub front: Front,
    store: Arc<Store>,
}

impl B2Server {
    /// Starts the server with one key.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(key: Key) -> Self {
        let store = Arc::new(Store { page: AtomicU64::new(10_000), ..Store::default() });
        let shared = Arc::clone(&store);
        let handler = move |head: Parts, body: Bytes| {
            let answer =
                shared.answer(&key, &head, &body).unwrap_or_else(|(status, code)| refuse(status, code));
            async move { answer }
        };
        let front = Front::start(handler, refuse).await;
        *store.address.lock().unwrap() = format!("http://{}", front.endpoint);
        B2Server { front, store }
    }

    /// Puts the blobs of a repository into a bucket, each under `prefix` and its name.
    ///
    /// # Panics
    /// When a file cannot be read.
    pub fn upload(&self, repo: &Path, bucket: &str, prefix: &str) {
        let mut buckets = self.store.buckets.lock().unwrap();
        let files = buckets.entry(bucket.to_owned()).or_default();
        for (name, file) in super::blobs_of(repo) {
            files.insert(format!("{prefix}{name}"), std::fs::read(file).unwrap().into());
        }
    }

    /// Puts a file into a bucket.
    ///
    /// # Panics
    /// When another thread has panicked.
    pub fn put(&self, bucket: &str, name: &str, bytes: Vec<u8>) {
        let mut buckets = self.store.buckets.lock().unwrap();
        buckets.entry(bucket.to_owned()).or_default().insert(name.to_owned(), bytes.into());
    }

    /// Sends clients that sign in to this address for everything else: that of a proxy before this server.
    ///
    /// # Panics
    /// When another thread has panicked.
    pub fn behind(&self, address: &str) {
        *self.store.address.lock().unwrap() = format!("http://{address}");
    }

    /// Lets pages have at most this many names.
    pub fn page(&self, names: u64) {
        self.store.page.store(names, Ordering::SeqCst);
    }

    /// Lets no token that was given so far be good any more.
    pub fn expire_tokens(&self) {
        self.store.oldest_token.store(self.store.last_token.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }
}

fn refuse(status: u16, code: &str) -> Answer {
    let body = json!({ "status": status, "code": code, "message": "on command" });
    text(status, "application/json", body.to_string())
}

fn found(body: &Value) -> Answer {
    text(200, "application/json", body.to_string())
}

impl Store {
    fn answer(&self, key: &Key, head: &Parts, body: &Bytes) -> Result<Answer, Refused> {
        let path = head.uri.path();
        let authorization =
            head.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if path == "/b2api/v4/b2_authorize_account" {
            let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{KEY_ID}:{KEY}")));
            return if authorization == basic { Ok(self.authorize(key)) } else { Err((401, "unauthorized")) };
        }
        let number = authorization.strip_prefix(TOKEN).and_then(|n| n.parse::<u64>().ok());
        match number {
            None => return Err((401, "bad_auth_token")),
            Some(n) if n < self.oldest_token.load(Ordering::SeqCst) => {
                return Err((401, "expired_auth_token"));
            }
            Some(_) => {}
        }
        match (head.method.as_str(), path) {
            ("POST", "/b2api/v4/b2_list_buckets") => self.list_buckets(key, body),
            ("GET", "/b2api/v4/b2_list_file_names") => {
                self.list_names(key, head.uri.query().unwrap_or_default())
            }
            ("GET" | "HEAD", _) if path.starts_with("/file/") => self.download(key, head),
            _ => Err((400, "bad_request")),
        }
    }

    fn authorize(&self, key: &Key) -> Answer {
        let token = self.last_token.fetch_add(1, Ordering::SeqCst) + 1;
        let address = self.address.lock().unwrap().clone();
        let buckets = key.bucket.as_ref().map(|name| json!([{ "id": id_of(name), "name": name }]));
        let mut capabilities = vec!["listFiles", "readFiles"];
        if !key.no_list_buckets {
            capabilities.push("listBuckets");
        }
        found(&json!({
            "accountId": ACCOUNT,
            "applicationKeyExpirationTimestamp": null,
            "authorizationToken": format!("{TOKEN}{token}"),
            "apiInfo": { "storageApi": {
                "infoType": "storageApi", "absoluteMinimumPartSize": 5_000_000, "recommendedPartSize": 100_000_000,
                "apiUrl": address, "downloadUrl": address, "s3ApiUrl": address,
                "allowed": { "buckets": buckets, "capabilities": capabilities, "namePrefix": key.name_prefix },
            } },
        }))
    }

    fn list_buckets(&self, key: &Key, body: &Bytes) -> Result<Answer, Refused> {
        let asked: Value = serde_json::from_slice(body).map_err(|_| (400, "bad_json"))?;
        let name = asked["bucketName"].as_str().unwrap_or_default();
        if key.no_list_buckets
            || asked["accountId"] != ACCOUNT
            || key.bucket.as_ref().is_some_and(|b| b != name)
        {
            return Err((401, "unauthorized"));
        }
        let known = self.buckets.lock().unwrap().contains_key(name);
        let bucket = json!({ "accountId": ACCOUNT, "bucketId": id_of(name), "bucketName": name, "bucketType": "allPrivate" });
        Ok(found(&json!({ "buckets": if known { vec![bucket] } else { Vec::new() } })))
    }

    fn list_names(&self, key: &Key, query: &str) -> Result<Answer, Refused> {
        let asked: BTreeMap<String, String> =
            query.split('&').filter_map(|p| p.split_once('=')).map(decoded).collect();
        let text_of = |name: &str| asked.get(name).cloned().unwrap_or_default();
        let prefix = text_of("prefix");
        let buckets = self.buckets.lock().unwrap();
        let (name, files) = buckets
            .iter()
            .find(|(name, _)| id_of(name) == text_of("bucketId"))
            .ok_or((400, "bad_bucket_id"))?;
        check(key, name, &prefix)?;
        let count: usize = text_of("maxFileCount").parse().unwrap_or(100);
        let count = count.min(usize::try_from(self.page.load(Ordering::SeqCst)).unwrap());
        let (start, delimiter) = (text_of("startFileName"), text_of("delimiter"));
        let mut listed: Vec<Value> = Vec::new();
        let mut last_folder = String::new();
        let mut next = None;
        for (file, bytes) in files.range(start.clone()..).filter(|(file, _)| file.starts_with(&prefix)) {
            let folder = file[prefix.len()..].split_once('/').filter(|_| delimiter == "/");
            let folder = folder.map(|(folder, _)| format!("{prefix}{folder}/"));
            if folder.as_ref() == Some(&last_folder) {
                continue;
            }
            if listed.len() == count {
                next = Some(file.clone());
                break;
            }
            if let Some(folder) = folder {
                listed.push(
                    json!({ "action": "folder", "fileName": folder, "contentLength": 0, "fileId": null,
                    "fileInfo": {}, "uploadTimestamp": 0 }),
                );
                last_folder = folder;
            } else {
                listed.push(json!({ "action": "upload", "fileName": file, "contentLength": bytes.len(),
                    "fileId": "4_z", "fileInfo": {}, "uploadTimestamp": 1_700_000_000_000_u64 }));
            }
        }
        Ok(found(&json!({ "files": listed, "nextFileName": next })))
    }

    fn download(&self, key: &Key, head: &Parts) -> Result<Answer, Refused> {
        let path = percent_decode_str(head.uri.path()).decode_utf8().map_err(|_| (400, "bad_request"))?;
        let place = path.strip_prefix("/file/").and_then(|p| p.split_once('/'));
        let (bucket, name) = place.ok_or((400, "bad_request"))?;
        check(key, bucket, name)?;
        let buckets = self.buckets.lock().unwrap();
        let bytes = buckets.get(bucket).and_then(|files| files.get(name)).ok_or((404, "not_found"))?;
        let range = head.headers.get("range").and_then(|v| v.to_str().ok());
        let (status, part) = match range.map(|r| within(r, bytes.len())) {
            None => (200, 0..bytes.len()),
            Some(None) => return Err((416, "range_not_satisfiable")),
            Some(Some(part)) => (206, part),
        };
        let mut answer = text(status, "application/x-kopia", "");
        let headers = answer.headers_mut();
        if status == 206 {
            let given = format!("bytes {}-{}/{}", part.start, part.end - 1, bytes.len());
            headers.insert("content-range", given.parse().unwrap());
        }
        headers.insert("x-bz-file-name", head.uri.path()[6..].parse().unwrap());
        headers.insert("x-bz-upload-timestamp", "1700000000000".parse().unwrap());
        headers.insert("content-length", part.len().into());
        headers.insert("x-bz-content-sha1", hex::encode(sha1_of(bytes)).parse().unwrap());
        if head.method == hyper::Method::GET {
            *answer.body_mut() = bytes.slice(part);
        }
        Ok(answer)
    }
}

/// Refuses what a restricted key does not open, as if it were not allowed at all.
fn check(key: &Key, bucket: &str, name: &str) -> Result<(), Refused> {
    let opens = key.bucket.as_ref().is_none_or(|b| b == bucket)
        && key.name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix));
    if opens { Ok(()) } else { Err((401, "unauthorized")) }
}

/// Returns the range of an object, `bytes=5-9` of 100 → 5..10; cut at the end, `None` when it begins behind it.
fn within(range: &str, len: usize) -> Option<Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first < len && first <= last).then(|| first..len.min(last + 1))
}

/// Returns the SHA-1 of the whole file, whatever part of it is asked for.
fn sha1_of(bytes: &[u8]) -> Vec<u8> {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

fn id_of(bucket: &str) -> String {
    format!("id-of-{bucket}")
}

fn decoded((name, value): (&str, &str)) -> (String, String) {
    let value = value.replace('+', " ");
    (name.to_owned(), percent_decode_str(&value).decode_utf8().unwrap().into_owned())
}
