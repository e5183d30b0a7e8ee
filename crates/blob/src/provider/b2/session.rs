//! Signs in to B2, and asks with the token that this gives.

use std::sync::Arc;

use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;

use super::answers::{Account, Buckets};
use crate::client::answers::{by_status, header, plain_code};
use crate::client::credentials::{Freshness, Held};
use crate::client::http::Http;
use crate::client::trust::Trust;
use crate::client::whole::{html_instead, is_html};
use crate::deadlines::Deadlines;
use crate::error::{BlobError, BlobErrorKind};
use crate::settings::{B2Settings, Secret};

/// The answer to signing in: addresses and a token.
#[derive(Debug)]
pub(super) struct Session {
    token: Secret,
    pub(super) api_url: String,
    pub(super) download_url: String,
    pub(super) bucket_id: String,
}

/// A refusal: its meaning, and whether a fresh token may help.
struct Refused {
    error: BlobError,
    expired: bool,
}

impl From<BlobError> for Refused {
    fn from(error: BlobError) -> Self {
        Refused { error, expired: false }
    }
}

/// Bytes of the longest answer that is not a blob.
const MOST: usize = 64 << 20;

/// The service, a key to it and a bucket: what requests are made of.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) http: Http,
    /// The address where to sign in.
    endpoint: String,
    key_id: String,
    key: Secret,
    pub(super) bucket: String,
    pub(super) prefix: String,
    /// The place that requests go to, for messages.
    pub(super) place: String,
    /// Made by the first request, made anew when its token has expired.
    session: Held<Arc<Session>>,
}

const ENDPOINT: &str = "https://api.backblazeb2.com";

impl Api {
    /// Makes a client; sends nothing yet.
    ///
    /// # Errors
    /// [`BlobErrorKind::Settings`] for fields that are missing or cannot be understood.
    pub(super) fn new(settings: &B2Settings, deadlines: Deadlines) -> Result<Self, BlobError> {
        let wrong = |what: &str| BlobError::new(BlobErrorKind::Settings, what);
        if settings.key_id.is_empty() {
            return Err(wrong("field \"keyID\" is missing; B2_KEY_ID sets it, too"));
        }
        if settings.key.is_empty() {
            return Err(wrong("field \"key\" is missing; B2_KEY sets it, too"));
        }
        let endpoint = match settings.endpoint.trim_end_matches('/') {
            "" => ENDPOINT,
            text if text.contains('@') => return Err(wrong("field \"endpoint\" must be an address alone")),
            text if text.starts_with("http://") || text.starts_with("https://") => text,
            _ => return Err(wrong("field \"endpoint\" is neither http://… nor https://…")),
        };
        let at = if endpoint == ENDPOINT { String::new() } else { format!(" at {endpoint}") };
        let trust = Trust { ca_file: settings.ca_file.as_deref(), ..Trust::default() };
        Ok(Api {
            http: Http::new(trust, deadlines)?,
            endpoint: endpoint.to_owned(),
            key_id: settings.key_id.clone(),
            key: settings.key.clone(),
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
            place: format!("b2://{}/{}{at}", settings.bucket, settings.prefix),
            session: Held::new(deadlines.patience),
        })
    }

    /// Returns the current session; another one when that one was refused.
    async fn session(&self) -> Result<Arc<Session>, BlobError> {
        self.session.get(|_| Freshness::Good, |_| async { Ok(Arc::new(self.sign_in().await?)) }).await
    }

    async fn sign_in(&self) -> Result<Session, BlobError> {
        let url = self.url(&self.endpoint, "/b2api/v4/b2_authorize_account")?;
        let request = self.http.request(Method::GET, url).basic_auth(&self.key_id, Some(self.key.expose()));
        let answer =
            self.answer(request, "signing in").await.map_err(|refused| match refused.error.kind() {
                BlobErrorKind::Denied => {
                    let what = format!("{}: signing in: check the key and its ID", self.place);
                    BlobError::new(BlobErrorKind::Denied, what)
                }
                _ => refused.error,
            })?;
        let account: Account = self.json(answer, "signing in").await?;
        let api = account.api_info.storage_api;
        for url in [&api.api_url, &api.download_url] {
            // Where a token is sent decides the service; only a plain endpoint may lead to plain addresses.
            if !url.starts_with("https://") && !self.endpoint.starts_with("http://") {
                let what = format!("{}: signing in led to an address without TLS", self.place);
                return Err(BlobError::new(BlobErrorKind::Settings, what));
            }
        }
        let names = api.allowed.name_prefix.unwrap_or_default();
        if !self.prefix.starts_with(&names) {
            let what = format!("{}: the key opens only names that begin with {names:?}", self.place);
            return Err(BlobError::new(BlobErrorKind::Denied, what));
        }
        let token = Secret::new(account.authorization_token);
        let bucket_id = match api.allowed.buckets {
            Some(buckets) => {
                buckets.into_iter().find(|b| b.name.as_deref() == Some(&self.bucket)).map(|b| b.id)
            }
            None => self.find_bucket(&api.api_url, &token, &account.account_id).await?,
        };
        let bucket_id = bucket_id.ok_or_else(|| {
            let what = format!("{}: the key opens no bucket of this name", self.place);
            BlobError::new(BlobErrorKind::Settings, what)
        })?;
        Ok(Session { token, api_url: api.api_url, download_url: api.download_url, bucket_id })
    }

    /// Asks for the bucket's ID: a key that is not restricted does not tell.
    async fn find_bucket(
        &self,
        api: &str,
        token: &Secret,
        account: &str,
    ) -> Result<Option<String>, BlobError> {
        let body = serde_json::json!({ "accountId": account, "bucketName": self.bucket });
        let request = self
            .http
            .request(Method::POST, self.url(api, "/b2api/v4/b2_list_buckets")?)
            .header("authorization", token.expose())
            .header("content-type", "application/json")
            .body(body.to_string());
        let doing = "looking for the bucket";
        let answer = self.answer(request, doing).await.map_err(|refused| match refused.error.kind() {
            BlobErrorKind::Denied => {
                let what = format!(
                    "{}: {doing}: the key must be allowed to list buckets or be restricted to this one",
                    self.place
                );
                BlobError::new(BlobErrorKind::Denied, what)
            }
            _ => refused.error,
        })?;
        let buckets: Buckets = self.json(answer, doing).await?;
        let named = |b: &super::answers::Bucket| b.bucket_name == self.bucket;
        Ok(buckets.buckets.into_iter().find(named).map(|b| b.bucket_id))
    }

    /// Sends a request that `build` makes for a session; once more with a fresh session when the token has expired.
    pub(super) async fn send(
        &self,
        doing: &str,
        build: impl Fn(&Session) -> Result<(Method, Url, Option<String>), BlobError>,
    ) -> Result<Response, BlobError> {
        let mut session = self.session().await?;
        let mut fresh = false;
        loop {
            let (method, url, range) = build(&session)?;
            let mut request = self.http.request(method, url).header("authorization", session.token.expose());
            if let Some(range) = range {
                request = request.header("range", range);
            }
            match self.answer(request, doing).await {
                Ok(answer) => return Ok(answer),
                Err(refused) if refused.expired && !fresh => {
                    self.session.refuse(|used| Arc::ptr_eq(used, &session));
                    session = self.session().await?;
                    fresh = true;
                }
                Err(refused) => return Err(refused.error),
            }
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder, doing: &str) -> Result<Response, Refused> {
        let doing = format!("{}: {doing}", self.place);
        let answer = self.http.send(request).await.map_err(|e| e.while_doing(&doing))?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(answer);
        }
        let wait = header(&answer, "retry-after").map(str::to_owned);
        let text = self.http.refusal(answer).await;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let code = plain_code(json.get("code").and_then(serde_json::Value::as_str).unwrap_or_default());
        let (kind, advice) = classify(status, code, text.is_empty());
        let words = match kind {
            BlobErrorKind::Unavailable if is_html(text.as_bytes()) => {
                "(an HTML page: a proxy or login page answers in the storage's place)".into()
            }
            BlobErrorKind::Unavailable => one_line(json.get("message").and_then(serde_json::Value::as_str)),
            _ => String::new(),
        };
        let said = format!("{doing}: HTTP {status} {code} {words}");
        let error = BlobError::new(kind, format!("{}{advice}", said.trim_end()));
        let error = by_status(error, status, wait.as_deref());
        // An answer to HEAD has no code.
        let expired = status == 401 && matches!(code, "expired_auth_token" | "bad_auth_token" | "");
        Err(Refused { error, expired })
    }

    /// Sends a request and reads its answer in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        answer: Response,
        doing: &str,
    ) -> Result<T, BlobError> {
        let broken = |what: &str| {
            let what = format!("{}: {doing}: {what}", self.place);
            BlobError::new(BlobErrorKind::Unavailable, what)
        };
        let text = self.http.text(answer, MOST).await.map_err(|e| e.while_doing(&self.place))?;
        let text = text.ok_or_else(|| broken("the answer does not end"))?;
        if is_html(&text) {
            return Err(html_instead("B2's answer").while_doing(&format!("{}: {doing}", self.place)));
        }
        // The parser's own message may quote a token.
        serde_json::from_slice(&text).map_err(|e| {
            let what = format!("an answer that cannot be understood (column {})", e.column());
            broken(&what).transient()
        })
    }

    pub(super) fn url(&self, base: &str, path: &str) -> Result<Url, BlobError> {
        let wrong = |e| {
            let what = format!("{}: not an address", self.place);
            BlobError::new(BlobErrorKind::Settings, what).because(e)
        };
        Url::parse(&format!("{base}{path}")).map_err(wrong)
    }
}

/// Returns a server's words, without what would break a line of ours.
fn one_line(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

fn classify(status: u16, code: &str, silent: bool) -> (BlobErrorKind, &'static str) {
    match (status, code) {
        (_, "bad_bucket_id" | "no_such_bucket") => (BlobErrorKind::Settings, "; there is no such bucket"),
        (_, "cap_exceeded" | "download_cap_exceeded" | "transaction_cap_exceeded") => {
            (BlobErrorKind::Denied, "; raise the account's cap or wait for the next day")
        }
        (404, "not_found" | "file_not_present" | "no_such_file") => (BlobErrorKind::NotFound, ""),
        // The answer to HEAD has no body, and so no code.
        (404, "") if silent => (BlobErrorKind::NotFound, ""),
        (404, _) => (BlobErrorKind::Unavailable, "; check the endpoint"),
        (416, _) => (BlobErrorKind::Truncated, ""),
        (401 | 403, _) => (BlobErrorKind::Denied, "; the key must be allowed to list and read files"),
        _ => (BlobErrorKind::Unavailable, ""),
    }
}
