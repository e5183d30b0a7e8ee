//! Stands in for the services of AWS that give keys which expire, before an S3 server that takes only those that have
//! not: STS, the container's and the instance's metadata. Each key has a session token with a number of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::http::request::Parts;

use super::front::{Answer, Front, Onward, refuse_in_xml, text};
use super::s3::{ACCESS_KEY, SECRET_KEY};

/// The beginning of every session token: tests look for it in everything that is printed.
pub const TOKEN: &str = "canary-session-token-";
/// A session token that is good until [`Keys::expire`], for settings that hold one.
pub const FIRST_TOKEN: &str = "canary-session-token-0";
/// The contents of the file of an identity at first: tests look for it, too.
pub const IDENTITY: &str = "canary-identity-token";

/// A running server.
pub struct Keys {
    /// The front, which records and breaks requests; the bucket is behind it.
    pub front: Front,
    state: Arc<State>,
}

struct State {
    onward: Onward,
    last: AtomicU64,
    /// The number of the oldest session token that is good.
    oldest: AtomicU64,
    /// Time that a key lasts by its own words.
    lasts: Mutex<Duration>,
    /// The token that an identity has to bring.
    identity: Mutex<String>,
    /// The code that the storage refuses old keys with.
    code: Mutex<&'static str>,
    given: AtomicUsize,
    closed: AtomicBool,
}

impl Keys {
    /// Starts the services before the S3 server at this address.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(s3: &str) -> Self {
        let port = s3.rsplit_once(':').unwrap().1.parse().unwrap();
        let state = Arc::new(State {
            onward: Onward::to(port),
            last: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            lasts: Mutex::new(Duration::from_secs(3600)),
            identity: Mutex::new(IDENTITY.into()),
            code: Mutex::new("ExpiredToken"),
            given: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let handler = move |head: Parts, body: Bytes| {
            let state = Arc::clone(&shared);
            async move { state.answer(head, body).await }
        };
        Keys { front: Front::start(handler, refuse_in_xml).await, state }
    }

    /// Lets no key that was given so far be good any more; the storage says so with this code.
    pub fn expire(&self, code: &'static str) {
        *self.state.code.lock().unwrap() = code;
        self.state.oldest.store(self.state.last.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    /// Lets keys last so long from now on, by their own words and by the storage's.
    pub fn last(&self, lasts: Duration) {
        *self.state.lasts.lock().unwrap() = lasts;
    }

    /// Makes an identity bring this from now on.
    pub fn rotate(&self, identity: &str) {
        identity.clone_into(&mut self.state.identity.lock().unwrap());
    }

    /// Gives no more keys.
    pub fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
    }

    /// Returns the number of keys given so far.
    pub fn given(&self) -> usize {
        self.state.given.load(Ordering::SeqCst)
    }

    /// Returns the number of the next session token.
    pub fn next(&self) -> u64 {
        self.state.last.load(Ordering::SeqCst) + 1
    }
}

impl State {
    async fn answer(&self, head: Parts, body: Bytes) -> Answer {
        let path = head.uri.path().to_owned();
        let header = |name| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let form = String::from_utf8_lossy(&body).into_owned();
        let identity = self.identity.lock().unwrap().clone();
        match (head.method.as_str(), path.as_str()) {
            ("POST", "/") if form.contains("Action=AssumeRoleWithWebIdentity") => {
                if !form.contains(&format!("WebIdentityToken={identity}")) {
                    return sts_refuses("InvalidIdentityToken", "the token is too old");
                }
                self.by_sts("AssumeRoleWithWebIdentity")
            }
            ("POST", "/") if form.contains("Action=AssumeRole") => {
                if !self.is_good(header("x-amz-security-token")) {
                    return sts_refuses("ExpiredTokenException", "the token has expired");
                }
                self.by_sts("AssumeRole")
            }
            ("GET", "/container") if header("authorization") != identity => {
                refuse_in_xml(401, "Unauthorized")
            }
            ("GET", "/container") => self.by_metadata(),
            ("PUT", "/latest/api/token") => {
                let mut answer = text(200, "text/plain", "imds");
                answer.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", 21600.into());
                answer
            }
            ("GET", "/latest/meta-data/iam/security-credentials/") => text(200, "text/plain", "the-role"),
            ("GET", "/latest/meta-data/iam/security-credentials/the-role") => self.by_metadata(),
            ("GET", path) if path.starts_with("/latest/") => text(404, "text/plain", ""),
            _ if !self.is_good(header("x-amz-security-token")) => {
                let code = *self.code.lock().unwrap();
                refuse_in_xml(if code == "ExpiredToken" { 400 } else { 403 }, code)
            }
            _ => {
                let path = head.uri.path_and_query().unwrap().to_string();
                self.onward.pass(head, body, &path).await
            }
        }
    }

    fn is_good(&self, token: &str) -> bool {
        let oldest = self.oldest.load(Ordering::SeqCst);
        let number = token.strip_prefix(TOKEN).and_then(|n| n.split('-').next()?.parse::<u64>().ok());
        let until = token.rsplit_once("-until-").and_then(|(_, ms)| ms.parse::<u128>().ok());
        number.is_some_and(|n| n >= oldest) && until.is_none_or(|ms| ms > since_1970(SystemTime::now()))
    }

    /// Makes a session token; returns it and when it ends.
    fn key(&self) -> Option<(String, String)> {
        if self.closed.load(Ordering::SeqCst) {
            return None;
        }
        self.given.fetch_add(1, Ordering::SeqCst);
        let number = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        let end = SystemTime::now() + *self.lasts.lock().unwrap();
        // AWS gives whole seconds.
        let ends = jiff::Timestamp::try_from(end).unwrap().to_string();
        Some((format!("{TOKEN}{number}-until-{}", since_1970(end)), ends))
    }

    fn by_sts(&self, action: &str) -> Answer {
        let Some((token, ends)) = self.key() else { return sts_refuses("AccessDenied", "no more keys") };
        let body = format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
             <AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\
             <SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials>\
             <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>i</AssumedRoleId></AssumedRoleUser>\
             </{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        );
        text(200, "text/xml", body)
    }

    fn by_metadata(&self) -> Answer {
        let Some((token, ends)) = self.key() else { return refuse_in_xml(403, "AccessDenied") };
        let body = serde_json::json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": ACCESS_KEY,
            "SecretAccessKey": SECRET_KEY, "Token": token, "Expiration": ends,
        });
        text(200, "application/json", body.to_string())
    }
}

fn since_1970(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

fn sts_refuses(code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    text(if code == "AccessDenied" { 403 } else { 400 }, "text/xml", body)
}
