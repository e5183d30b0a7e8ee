//! Makes a store for a repository in a container of Azure Blob Storage.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object_store::azure::{AzureConfigKey, AzureCredential, MicrosoftAzureBuilder};
use percent_encoding::percent_decode_str;

use super::credentials::Tokens;
use super::http::Signed;
use super::{ObjectBlobs, carrier, endpoint, once, wrong};
use crate::client::http::{Http, innermost};
use crate::client::trust::Trust;
use crate::deadlines::Deadlines;
use crate::error::BlobError;
use crate::settings::AzureSettings;

const DOMAIN: &str = "blob.core.windows.net";

impl ObjectBlobs {
    /// Makes a reader of a container of Azure Blob Storage; sends nothing yet.
    ///
    /// The first of these that is set signs the requests: shared access signature, account key, service principal with
    /// a secret, workload identity with a token file, managed identity.
    ///
    /// # Errors
    /// [`Settings`](crate::error::BlobErrorKind::Settings) for fields that are missing, cannot be understood or are not
    /// supported.
    pub fn azure(settings: &AzureSettings, deadlines: Deadlines) -> Result<Self, BlobError> {
        if settings.point_in_time.is_some() {
            return Err(wrong(
                "field \"pointInTime\" is not supported for Azure; leave it out to read what is there now",
            ));
        }
        let account = settings.storage_account.as_str();
        if account.is_empty() {
            return Err(wrong("field \"storageAccount\" is missing; AZURE_STORAGE_ACCOUNT sets it, too"));
        }
        if !account.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(wrong("field \"storageAccount\" is not the name of an account"));
        }
        let address = address(settings)?;
        let trust = Trust { ca_file: settings.ca_file.as_deref(), ..Trust::default() };
        let http = Http::new(trust, deadlines)?;
        let (settings_of_tokens, http_of_tokens, at_address) =
            (settings.clone(), http.clone(), address.clone());
        let builder = move |signed| -> Result<MicrosoftAzureBuilder, BlobError> {
            let builder = MicrosoftAzureBuilder::new()
                .with_account(&settings_of_tokens.storage_account)
                .with_container_name(&settings_of_tokens.container)
                .with_endpoint(at_address.clone())
                .with_retry(once())
                .with_http_connector(carrier(&http_of_tokens, signed)?);
            credentials(builder, &settings_of_tokens)
        };
        let build = |builder: MicrosoftAzureBuilder| builder.build().map_err(|e| wrong(&innermost(&e)));
        let store = match identity(settings) {
            None => {
                let place = settings.sas_token.place();
                let signed =
                    if settings.sas_token.is_empty() { Signed::ForEver } else { Signed::Signature(place) };
                build(builder(signed)?)?
            }
            Some(name) => {
                // What is wrong with the settings shows now.
                build(builder(Signed::ForEver)?)?;
                let again = builder.clone();
                let make = move || Ok(Arc::clone(build(again(Signed::ForEver)?)?.credentials()));
                let tokens = Arc::new(Tokens::new(name, deadlines, make));
                let signed = Signed::Renewable(Arc::<Tokens<AzureCredential>>::clone(&tokens));
                build(builder(signed)?.with_credentials(tokens))?
            }
        };
        let at = if settings.endpoint.is_empty() && settings.storage_domain.is_empty() {
            format!(" in account {account}")
        } else {
            format!(" at {address}")
        };
        let blobs = ObjectBlobs::over(
            store,
            http,
            &settings.prefix,
            format!("azblob://{}/{}{at}", settings.container, settings.prefix),
        )?;
        Ok(ObjectBlobs { hides_exact: true, ..blobs })
    }
}

/// Returns the identity that gives tokens; `None` when a key or a signature is set.
fn identity(settings: &AzureSettings) -> Option<String> {
    let file = &settings.azure_federated_token_file;
    if !settings.sas_token.is_empty() || !settings.storage_key.is_empty() {
        None
    } else if !settings.client_secret.is_empty() {
        Some("the service principal".into())
    } else if !file.is_empty() {
        Some(format!("the workload identity by the token in {file}"))
    } else {
        Some("the managed identity".into())
    }
}

/// Returns the account's address: `https://account.domain`, or what was typed.
fn address(settings: &AzureSettings) -> Result<String, BlobError> {
    if !settings.endpoint.is_empty() {
        return endpoint("endpoint", &settings.endpoint).map(str::to_owned);
    }
    let domain = match settings.storage_domain.trim_end_matches('/') {
        "" => DOMAIN,
        domain => domain,
    };
    let scheme = if settings.do_not_use_tls { "http" } else { "https" };
    let address = format!("{scheme}://{}.{domain}", settings.storage_account);
    match reqwest::Url::parse(&address) {
        Ok(url) if url.path() == "/" && url.username().is_empty() && url.query().is_none() => Ok(address),
        _ => Err(wrong("field \"storageDomain\" is not a domain")),
    }
}

fn credentials(
    builder: MicrosoftAzureBuilder,
    settings: &AzureSettings,
) -> Result<MicrosoftAzureBuilder, BlobError> {
    let missing = |field: &str| wrong(&format!("field {field:?} is missing"));
    let (tenant, client) = (settings.tenant_id.as_str(), settings.client_id.as_str());
    let principal = |builder: MicrosoftAzureBuilder| match (tenant.is_empty(), client.is_empty()) {
        (true, _) => Err(missing("TenantID")),
        (_, true) => Err(missing("ClientID")),
        _ => Ok(builder.with_tenant_id(tenant).with_client_id(client)),
    };
    // Workload identity gives the host with a slash at its end.
    let builder = match settings.authority_host.trim_end_matches('/') {
        "" => builder,
        host => builder.with_config(AzureConfigKey::AuthorityHost, endpoint("authorityHost", host)?),
    };
    if !settings.sas_token.is_empty() {
        let pairs = signature(settings.sas_token.expose())
            .ok_or_else(|| wrong("field \"sasToken\" is not a signature"))?;
        return Ok(builder.with_sas_authorization(pairs).with_credential_type("sas_token"));
    }
    if !settings.storage_key.is_empty() {
        let key = settings.storage_key.expose().trim();
        if BASE64_STANDARD.decode(key).is_err() {
            return Err(wrong("field \"storageKey\" is not base64"));
        }
        return Ok(builder.with_access_key(key).with_credential_type("access_key"));
    }
    if !settings.client_secret.is_empty() {
        let builder = principal(builder)?.with_client_secret(settings.client_secret.expose());
        return Ok(builder.with_credential_type("client_secret"));
    }
    if !settings.client_certificate.is_empty() {
        let what = "field \"clientCertificate\" is not supported; use a secret, a key, a signature or an identity of the machine";
        return Err(wrong(what));
    }
    let token_file = &settings.azure_federated_token_file;
    if !token_file.is_empty() {
        std::fs::metadata(token_file)
            .map_err(|e| wrong(&format!("cannot read the federated token file {token_file}")).because(e))?;
        let builder = principal(builder)?.with_federated_token_file(token_file);
        return Ok(builder.with_credential_type("workload_identity"));
    }
    let builder = if client.is_empty() { builder } else { builder.with_client_id(client) };
    let builder = match settings.identity_endpoint.as_str() {
        "" => builder,
        address => builder.with_msi_endpoint(endpoint("identityEndpoint", address)?),
    };
    Ok(builder.with_credential_type("managed_identity"))
}

/// Returns the pairs of a shared access signature, decoded; it may still have the `?` of the URL that it was part of.
fn signature(text: &str) -> Option<Vec<(String, String)>> {
    let decode = |t: &str| percent_decode_str(t).decode_utf8().ok().map(String::from);
    let pairs = text.trim().trim_start_matches('?').split('&').filter(|pair| !pair.is_empty());
    let pairs: Option<Vec<_>> = pairs
        .map(|pair| pair.split_once('=').and_then(|(name, value)| Some((decode(name)?, decode(value)?))))
        .collect();
    pairs.filter(|pairs| pairs.iter().any(|(name, _)| name == "sig"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    fn settings() -> AzureSettings {
        AzureSettings { container: "c".into(), storage_account: "acct".into(), ..AzureSettings::default() }
    }

    #[test]
    fn reads_signatures() {
        let pairs = signature("?sv=2023-11-03&sig=a%2Bb%26%3D&").unwrap();
        assert_eq!(pairs, [("sv".into(), "2023-11-03".into()), ("sig".into(), "a+b&=".into())]);
        assert_eq!(signature("sig=a+b").unwrap(), [("sig".into(), "a+b".into())]);
        assert!(signature("sv=1").is_none() && signature("canary").is_none());
    }

    #[test]
    fn finds_the_account() {
        assert_eq!(address(&settings()).unwrap(), "https://acct.blob.core.windows.net");
        let domain = |d: &str, plain| {
            address(&AzureSettings { storage_domain: d.into(), do_not_use_tls: plain, ..settings() })
        };
        assert_eq!(
            domain("blob.core.chinacloudapi.cn", false).unwrap(),
            "https://acct.blob.core.chinacloudapi.cn"
        );
        assert_eq!(domain("localhost:10000", true).unwrap(), "http://acct.localhost:10000");
        assert!(domain("x/y", false).is_err() && domain("x@y", false).is_err());
    }

    #[test]
    fn refuses_what_it_cannot_do_and_shows_no_secret() {
        let refused = |change: &dyn Fn(&mut AzureSettings), part: &str| {
            let mut changed = settings();
            change(&mut changed);
            let error = ObjectBlobs::azure(&changed, Deadlines::default()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(part) && !text.contains("canary"), "{part}: {text}");
        };
        refused(&|s| s.point_in_time = Some(rekopia_format::Time::default()), "pointInTime");
        refused(&|s| s.client_certificate = Secret::new("canary"), "clientCertificate");
        refused(&|s| s.storage_account.clear(), "AZURE_STORAGE_ACCOUNT");
        refused(&|s| s.storage_key = Secret::new("canary!"), "storageKey");
        refused(&|s| s.sas_token = Secret::new("canary"), "sasToken");
        refused(&|s| s.client_secret = Secret::new("canary"), "TenantID");
        refused(&|s| s.azure_federated_token_file = "/nonexistent/token".into(), "/nonexistent/token");
        refused(&|s| s.endpoint = "ftp://x".into(), "endpoint");
        refused(&|s| s.prefix = "a//b/".into(), "prefix");
        refused(&|s| s.prefix = "../".into(), "prefix");
    }

    #[test]
    fn every_kind_of_credential_makes_a_store() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let principal = AzureSettings { tenant_id: "t".into(), client_id: "i".into(), ..settings() };
        for settings in [
            settings(),
            AzureSettings { storage_key: Secret::new("a2V5"), ..settings() },
            AzureSettings { sas_token: Secret::new("?sv=1&sig=x"), ..settings() },
            AzureSettings { client_secret: Secret::new("s"), ..principal.clone() },
            AzureSettings { azure_federated_token_file: file.path().to_str().unwrap().into(), ..principal },
        ] {
            let blobs = ObjectBlobs::azure(&settings, Deadlines::default()).unwrap();
            assert!(!format!("{blobs:?}").contains("a2V5"));
        }
    }
}
