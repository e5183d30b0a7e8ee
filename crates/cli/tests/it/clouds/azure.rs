//! Azure Blob Storage: Azurite, Microsoft's own emulator.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rekopia_testkit::server::azurite::{ACCOUNT, Azurite, SecureAzurite, key, sas};
use rekopia_testkit::server::gate::Gate;
use rekopia_testkit::server::identity::{self, ASSERTION, CLIENT, SECRET, TENANT, token_beginning};
use rekopia_testkit::server::s3::Fault;

use super::{Way, assert_only_reads, quickstart, runtime};

fn url(azurite: &Azurite, place: &str) -> String {
    format!("azblob://{place}?account={ACCOUNT}&endpoint={}", azurite.address())
}

fn by_key(azurite: &Azurite, place: &str) -> Way<'static> {
    Way::url(url(azurite, place)).with("AZURE_STORAGE_KEY", key()).hiding(key())
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let Some(azurite) = runtime.block_on(Azurite::start()) else { return };
    runtime.block_on(azurite.upload(&quickstart(), "backups", "kopia/"));
    by_key(&azurite, "backups/kopia/").restores(dir.path(), "exact");
    assert_only_reads(&azurite.front.take_requests(), &[]);
    by_key(&azurite, "backups/kopia").restores(dir.path(), "as a folder");

    // Kopia's own fields name an account as a host: the front is the way there.
    let (_, port) = azurite.front.endpoint.split_once(':').unwrap();
    let storage = format!(
        r#"{{"type":"azureBlob","config":{{"container":"backups","prefix":"kopia/","storageAccount":"{ACCOUNT}",
        "storageKey":"{}","storageDomain":"blob.localhost:{port}","doNotUseTLS":true}}}}"#,
        key()
    );
    let proxy = format!("http://{}", azurite.front.endpoint);
    for (way, name) in
        [(Way::config(dir.path(), &storage), "configuration"), (Way::token(dir.path(), &storage), "token")]
    {
        way.with("http_proxy", &proxy).hiding(key()).restores(dir.path(), name);
    }
}

/// Prefixes are put before names as they are; a long listing comes in pages.
#[test]
fn signatures_prefixes_and_pages() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let Some(azurite) = runtime.block_on(Azurite::start()) else { return };
    runtime.block_on(azurite.upload(&quickstart(), "backups", "my folder/100%-"));
    for other in
        ["my folder/", "my folder/100%-x/kopia.repository", "my folder/100%-dir/sub/x", "my folder/100"]
    {
        runtime.block_on(azurite.put("backups", other, b"other".to_vec()));
    }
    azurite.page(1);
    let place = "backups/my%20folder/100%25-";
    for (token, name) in [(sas("rl"), "without"), (format!("?{}", sas("rl")), "with a question mark")] {
        let signature = token.rsplit_once("sig=").unwrap().1.to_owned();
        let way = Way::url(url(&azurite, place)).with("AZURE_STORAGE_SAS_TOKEN", token).hiding(&signature);
        azurite.front.take_requests();
        way.restores(dir.path(), name);
        let lists = azurite.front.take_requests();
        let lists = lists.iter().filter(|(_, _, query)| query.contains("comp=list")).count();
        assert!(lists >= 5, "{lists} pages");
    }
}

#[test]
fn refusals_have_their_codes_and_advice() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let Some(azurite) = runtime.block_on(Azurite::start()) else { return };
    runtime.block_on(azurite.upload(&quickstart(), "backups", ""));
    let (azurite, dir) = (&azurite, dir.path());
    by_key(azurite, "backups/elsewhere/").is_refused(dir, 10, "");
    by_key(azurite, "no-such-container").is_refused(dir, 15, "there is no such container");
    let wrong = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5";
    Way::url(url(azurite, "backups")).with("AZURE_STORAGE_KEY", wrong).hiding(wrong).is_refused(
        dir,
        15,
        "HTTP 403 Auth",
    );
    // May read, but not list.
    let signature = sas("r");
    let sig = signature.rsplit_once("sig=").unwrap().1.to_owned();
    Way::url(url(azurite, "backups")).with("AZURE_STORAGE_SAS_TOKEN", signature).hiding(sig).is_refused(
        dir,
        15,
        "must be allowed",
    );
    Way::url(format!("{}&point-in-time=2026-01-01T00:00:00Z", url(azurite, "backups")))
        .with("AZURE_STORAGE_KEY", key())
        .hiding(key())
        .is_refused(dir, 2, "pointInTime");
    Way::url("azblob://backups").with("AZURE_STORAGE_KEY", key()).hiding(key()).is_refused(
        dir,
        2,
        "AZURE_STORAGE_ACCOUNT",
    );
    azurite.front.break_answers(|_, (_, path, _)| {
        path.starts_with("/rekopiatest/backups/p").then_some(Fault::Status(409, "BlobArchived"))
    });
    let target = dir.join("archived");
    let output = by_key(azurite, "backups").restore(&target);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("archive tier"), "{text}");
    assert_eq!(output.status.code(), Some(3), "{text}");
}

/// Service principal, workload identity, managed identity: on TLS, with an authority of one's own.
#[test]
fn identities_are_exchanged_for_tokens() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let (cert, cert_key) = identity::certificate(dir.path());
    let azurite = runtime.block_on(SecureAzurite::start(&cert, &cert_key, &quickstart(), "backups"));
    let Some(azurite) = azurite else { return };
    let service = runtime.block_on(identity::start());
    let authority = format!("http://{}/", service.endpoint);
    let token_file = dir.path().join("federated");
    std::fs::write(&token_file, ASSERTION).unwrap();
    let way = |ca: Option<&Path>| {
        let ca = ca.map(|ca| format!("&ca={}", ca.display())).unwrap_or_default();
        Way::url(format!("azblob://backups?account={ACCOUNT}&endpoint={}{ca}", azurite.address))
            .with("AZURE_AUTHORITY_HOST", &authority)
            .with("AZURE_CLIENT_ID", CLIENT)
            .hiding(SECRET)
            .hiding(ASSERTION)
            .hiding(token_beginning())
    };
    let ca = cert.as_path();
    let principal = |ca: Option<&Path>| way(ca).with("AZURE_TENANT_ID", TENANT);
    let managed = format!("http://{}/msi", service.endpoint);
    principal(Some(ca)).with("AZURE_CLIENT_SECRET", SECRET).restores(dir.path(), "service principal");
    principal(Some(ca))
        .with("AZURE_FEDERATED_TOKEN_FILE", token_file.to_str().unwrap())
        .restores(dir.path(), "workload identity");
    way(Some(ca)).with("IDENTITY_ENDPOINT", managed).restores(dir.path(), "managed identity");
    let tokens = service.take_requests();
    assert_eq!(tokens.len(), 3, "a token is asked for once: {tokens:?}");

    let wrong = principal(Some(ca)).with("AZURE_CLIENT_SECRET", "canary-wrong").hiding("canary-wrong");
    wrong.is_refused(dir.path(), 15, "signing in: HTTP 401 invalid_client");
    let stranger = principal(None).with("AZURE_CLIENT_SECRET", SECRET);
    stranger.is_refused(dir.path(), 15, "certificate is not trusted");
}

/// A token that the storage refuses is renewed once for all requests in flight; the file of a workload identity is read
/// again for it.
#[test]
fn tokens_that_are_refused_are_renewed() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let Some(azurite) = runtime.block_on(Azurite::start()) else { return };
    runtime.block_on(azurite.upload(&quickstart(), "backups", ""));
    let service = Arc::new(runtime.block_on(identity::start()));
    let token_file = dir.path().join("federated");
    for (kind, (status, code)) in [
        ("principal", (401, "InvalidAuthenticationInfo")),
        ("workload", (401, "InvalidAuthenticationInfo")),
        ("managed", (403, "AuthenticationFailed")),
        ("principal", (401, "ExpiredAuthenticationToken")),
    ] {
        for (closed, end) in [(false, "renewed"), (true, "cannot be renewed")] {
            let gate = runtime.block_on(Gate::start(&azurite.front.endpoint, Some(sas("rl"))));
            let gate = Arc::new(gate);
            std::fs::write(&token_file, ASSERTION).unwrap();
            service.break_answers(|_, _| None);
            service.take_requests();
            let (shut, count) = (Arc::downgrade(&gate), AtomicUsize::new(0));
            let giving = Arc::downgrade(&service);
            gate.front.break_answers(move |_, _| {
                if count.fetch_add(1, Ordering::SeqCst) == 3 {
                    shut.upgrade()?.expire(status, code);
                    if closed {
                        giving.upgrade()?.break_answers(|_, _| Some(Fault::Status(400, "invalid_grant")));
                    }
                }
                None
            });
            let way = Way::url(format!(
                "azblob://backups?account={ACCOUNT}&endpoint=http://{}/{ACCOUNT}",
                gate.front.endpoint
            ))
            .with("AZURE_AUTHORITY_HOST", format!("http://{}/", service.endpoint))
            .with("AZURE_CLIENT_ID", CLIENT)
            .hiding(SECRET)
            .hiding(ASSERTION)
            .hiding(token_beginning());
            let way = match kind {
                "principal" => way.with("AZURE_TENANT_ID", TENANT).with("AZURE_CLIENT_SECRET", SECRET),
                "workload" => way
                    .with("AZURE_TENANT_ID", TENANT)
                    .with("AZURE_FEDERATED_TOKEN_FILE", token_file.to_str().unwrap()),
                _ => way.with("IDENTITY_ENDPOINT", format!("http://{}/msi", service.endpoint)),
            };
            let name = format!("{kind} {code} {end}");
            if closed {
                way.is_refused(dir.path(), 15, "the credentials have expired and cannot be renewed: the ");
                continue;
            }
            way.restores(dir.path(), &name);
            assert_eq!(service.take_requests().len(), 2, "{name}");
        }
    }
}

#[test]
fn a_signature_that_has_expired_is_named() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let Some(azurite) = runtime.block_on(Azurite::start()) else { return };
    runtime.block_on(azurite.upload(&quickstart(), "backups", ""));
    let old = sas("rl").replace("2099", "2019");
    let sig = old.rsplit_once("sig=").unwrap().1.to_owned();
    let way = Way::url(url(&azurite, "backups")).with("AZURE_STORAGE_SAS_TOKEN", old).hiding(sig);
    way.is_refused(
        dir.path(),
        15,
        "the shared access signature has expired at 2019-01-01T00:00:00Z: it comes from AZURE_STORAGE_SAS_TOKEN",
    );
}
