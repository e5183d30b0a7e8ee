//! Google Cloud Storage, as a server in the test's own process plays it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rekopia_testkit::server::fake_gcs::{FakeGcs, ServiceAccount};
use rekopia_testkit::server::gate::Gate;
use rekopia_testkit::server::s3::Fault;

use super::{Way, assert_only_reads, quickstart, runtime};

fn url(gcs: &FakeGcs, place: &str) -> String {
    format!("gs://{place}?endpoint=http://{}", gcs.front.endpoint)
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let account = ServiceAccount::new();
    let (json, canary) = (account.json.clone(), account.canary.clone());
    let gcs = runtime.block_on(FakeGcs::start(Some(account)));
    runtime.block_on(gcs.upload(&quickstart(), "backups", "kopia/"));
    let file = dir.path().join("account.json");
    std::fs::write(&file, &json).unwrap();
    let file = file.to_str().unwrap();
    for (place, name) in [("backups/kopia/", "exact"), ("backups/kopia", "as a folder")] {
        let way = Way::url(url(&gcs, place)).with("GOOGLE_APPLICATION_CREDENTIALS", file);
        way.hiding(&canary).restores(dir.path(), name);
        assert_only_reads(&gcs.front.take_requests(), &[]);
    }

    // Kopia's fields; where an emulator is, Google's own libraries learn from the environment, and then sign nothing:
    // so the address is named here.
    let place = format!(r#""bucket":"backups","prefix":"kopia/","endpoint":"http://{}""#, gcs.front.endpoint);
    let inline = format!(r#"{{"type":"gcs","config":{{{place},"credentials":{json}}}}}"#);
    Way::config(dir.path(), &inline).hiding(&canary).restores(dir.path(), "inline");
    Way::token(dir.path(), &inline).hiding(&canary).restores(dir.path(), "token");
    let by_file = format!(r#"{{"type":"gcs","config":{{{place},"credentialsFile":"{file}"}}}}"#);
    Way::config(dir.path(), &by_file).hiding(&canary).restores(dir.path(), "by file");
}

/// Prefixes are put before names as they are; nothing is signed for an emulator.
#[test]
fn prefixes_and_emulators() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let gcs = runtime.block_on(FakeGcs::start(None));
    runtime.block_on(gcs.upload(&quickstart(), "backups", "my folder/100%-"));
    let url = format!("{}&anonymous", url(&gcs, "backups/my%20folder/100%25-"));
    Way::url(&url).restores(dir.path(), "anonymous");
    let storage = r#"{"type":"gcs","config":{"bucket":"backups","prefix":"my folder/100%-"}}"#;
    for (address, name) in
        [(gcs.front.endpoint.clone(), "host"), (format!("http://{}/", gcs.front.endpoint), "URL")]
    {
        let way = Way::config(dir.path(), storage).with("STORAGE_EMULATOR_HOST", address);
        way.restores(dir.path(), name);
    }
}

#[test]
fn refusals_have_their_codes_and_advice() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let gcs = runtime.block_on(FakeGcs::start(Some(ServiceAccount::new())));
    runtime.block_on(gcs.upload(&quickstart(), "backups", ""));
    let dir = dir.path();
    // A key that the server does not know.
    let stranger = ServiceAccount::new();
    let file = dir.join("stranger.json");
    std::fs::write(&file, &stranger.json).unwrap();
    Way::url(url(&gcs, "backups"))
        .with("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())
        .hiding(&stranger.canary)
        .is_refused(dir, 15, "must be allowed");
    Way::url(url(&gcs, "backups"))
        .with("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/gcs.json")
        .is_refused(dir, 2, "/nonexistent/gcs.json");
    Way::url(format!("{}&anonymous&point-in-time=2026-01-01T00:00:00Z", url(&gcs, "backups"))).is_refused(
        dir,
        2,
        "pointInTime",
    );

    let open = runtime.block_on(FakeGcs::start(None));
    runtime.block_on(open.upload(&quickstart(), "backups", ""));
    let anonymous = |place: &str| Way::url(format!("{}&anonymous", url(&open, place)));
    anonymous("backups/elsewhere/").is_refused(dir, 10, "");
    anonymous("no-such-bucket").is_refused(dir, 15, "there is no such container or bucket");
    open.front.break_answers(|_, (_, path, _)| {
        path.starts_with("/backups/").then_some(Fault::Status(403, "AccessDenied"))
    });
    anonymous("backups").is_refused(dir, 15, "AccessDenied");
}

/// A token that is refused is renewed; the account's file is read again for it.
#[test]
fn tokens_that_are_refused_are_renewed() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let gcs = runtime.block_on(FakeGcs::start(None));
    runtime.block_on(gcs.upload(&quickstart(), "backups", ""));
    let file = dir.path().join("account.json");
    for (name, status, code) in
        [("a", 401, "AuthenticationRequired"), ("b", 400, "ExpiredToken"), ("c", 403, "InvalidToken")]
    {
        for rotated in [true, false] {
            let (first, second) = (ServiceAccount::new(), ServiceAccount::new());
            std::fs::write(&file, &first.json).unwrap();
            let gate = Arc::new(runtime.block_on(Gate::start(&gcs.front.endpoint, None)));
            let (shut, count) = (Arc::downgrade(&gate), AtomicUsize::new(0));
            let (at, json) = (file.clone(), second.json.clone());
            gate.front.break_answers(move |_, _| {
                if count.fetch_add(1, Ordering::SeqCst) == 3 {
                    // A broken file takes the place of one that is not rotated.
                    std::fs::write(&at, if rotated { json.as_str() } else { "{" }).unwrap();
                    shut.upgrade()?.expire(status, code);
                }
                None
            });
            let way = Way::url(format!("gs://backups?endpoint=http://{}", gate.front.endpoint))
                .with("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())
                .hiding(&first.canary)
                .hiding(&second.canary);
            if rotated {
                way.restores(dir.path(), name);
            } else {
                way.is_refused(
                    dir.path(),
                    15,
                    "the credentials have expired and cannot be renewed: the account in ",
                );
            }
        }
    }
}
