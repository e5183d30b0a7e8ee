//! Stands in for the services that give tokens to the identities of Azure, and makes a certificate for a server on TLS.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::front::{Answer, Front, text};

/// The tenant of the service principal.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The service principal, and the managed identity.
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// The secret of the service principal: tests look for it in everything that is printed.
pub const SECRET: &str = "canary-client-secret";
/// The contents of the file of a workload identity: tests look for it, too.
pub const ASSERTION: &str = "canary-federated-token";

/// Seconds for which a token is good.
const LASTS: u64 = 3599;

/// The number of tokens so far, so that no two are equal.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Starts the service: `POST /TENANT/oauth2/v2.0/token` for service principals, `GET /msi` for managed identities.
///
/// # Panics
/// When no port can be had.
pub async fn start() -> Front {
    Front::start(|head, body| async move { answer(&head, &body) }, refuse).await
}

/// Returns how every token begins: tests look for it in everything that is printed.
pub fn token_beginning() -> String {
    token()[..60].to_owned()
}

/// Makes a certificate for 127.0.0.1 and its key, as files in `dir`.
///
/// # Panics
/// When they cannot be made.
pub fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

fn refuse(status: u16, code: &str) -> Answer {
    let body = json!({ "error": code, "error_description": "AADSTS7000215: on command" });
    text(status, "application/json", body.to_string())
}

fn answer(head: &Parts, body: &Bytes) -> Answer {
    let form = String::from_utf8(body.to_vec()).unwrap();
    let form = format!("{form}&{}", head.uri.query().unwrap_or_default());
    let has = |name: &str, wanted: &str| {
        let mut pairs = form.split('&').filter_map(|p| p.split_once('='));
        pairs.any(|(n, v)| n == name && percent_decode_str(v).decode_utf8().is_ok_and(|v| v == wanted))
    };
    let token_path = format!("/{TENANT}/oauth2/v2.0/token");
    match (head.method.as_str(), head.uri.path()) {
        ("POST", path) if path == token_path => {
            let known = has("client_secret", SECRET)
                || has("client_assertion", ASSERTION)
                    && has("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            if !known || !has("client_id", CLIENT) || !has("grant_type", "client_credentials") {
                return refuse(401, "invalid_client");
            }
            let body = json!({ "token_type": "Bearer", "expires_in": LASTS, "access_token": token() });
            text(200, "application/json", body.to_string())
        }
        ("GET", "/msi") => {
            if !head.headers.contains_key("metadata") || !has("client_id", CLIENT) {
                return refuse(400, "invalid_request");
            }
            let until = (now() + LASTS).to_string();
            let body = json!({ "token_type": "Bearer", "expires_on": until, "access_token": token() });
            text(200, "application/json", body.to_string())
        }
        _ => refuse(404, "not_found"),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Makes a token that looks as Azure's do; Azurite does not check the signature.
fn token() -> String {
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "canary" });
    let claims = json!({
        "aud": "https://storage.azure.com", "iss": format!("https://sts.windows.net/{TENANT}/"), "appid": CLIENT,
        "iat": now() - 60, "nbf": now() - 60, "exp": now() + LASTS, "uti": COUNT.fetch_add(1, Ordering::Relaxed),
    });
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&header), part(&claims), BASE64_URL_SAFE_NO_PAD.encode("signature"))
}
