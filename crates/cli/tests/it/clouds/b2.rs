//! Backblaze B2: a stand-in after its public documentation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rekopia_testkit::server::b2::{B2Server, KEY, KEY_ID, Key, TOKEN};
use rekopia_testkit::server::lies::Lie;
use rekopia_testkit::server::s3::Fault;

use super::{Way, assert_only_reads, quickstart, runtime};

fn way(b2: &B2Server, place: &str) -> Way<'static> {
    Way::url(format!("b2://{place}?endpoint=http://{}", b2.front.endpoint))
        .with("B2_KEY_ID", KEY_ID)
        .with("B2_KEY", KEY)
        .hiding(KEY)
        .hiding(TOKEN)
}

#[test]
fn restores_from_a_url_a_configuration_and_a_token() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let b2 = runtime.block_on(B2Server::start(Key::default()));
    b2.upload(&quickstart(), "backups", "my folder/100%-");
    b2.upload(&quickstart(), "backups", "kopia/");
    b2.upload(&quickstart(), "other", "");
    b2.page(1);
    way(&b2, "backups/my%20folder/100%25-").restores(dir.path(), "exact");
    let requests = b2.front.take_requests();
    assert!(requests.iter().filter(|(_, path, _)| path.ends_with("b2_list_file_names")).count() >= 5);
    b2.page(10_000);
    way(&b2, "backups/kopia").restores(dir.path(), "as a folder");
    b2.front.take_requests();
    way(&b2, "backups/kopia/").restores(dir.path(), "folder");
    assert_only_reads(&b2.front.take_requests(), &["b2_list_buckets"]);
    let storage = format!(
        r#"{{"type":"b2","config":{{"bucket":"backups","prefix":"kopia/","keyID":"{KEY_ID}","key":"{KEY}",
        "endpoint":"http://{}"}}}}"#,
        b2.front.endpoint
    );
    for (way, name) in
        [(Way::config(dir.path(), &storage), "configuration"), (Way::token(dir.path(), &storage), "token")]
    {
        way.hiding(KEY).hiding(TOKEN).restores(dir.path(), name);
    }
}

/// Keys of one bucket, of names in it, and keys that may not list buckets.
#[test]
fn restricted_keys_open_what_they_may() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let restricted =
        Key { bucket: Some("backups".into()), name_prefix: Some("kopia/".into()), no_list_buckets: true };
    let b2 = runtime.block_on(B2Server::start(restricted));
    b2.upload(&quickstart(), "backups", "kopia/");
    b2.upload(&quickstart(), "other", "kopia/");
    way(&b2, "backups/kopia/").restores(dir.path(), "restricted");
    let asked = b2.front.take_requests();
    assert!(!asked.iter().any(|(_, path, _)| path.ends_with("b2_list_buckets")), "{asked:?}");
    way(&b2, "other/kopia/").is_refused(dir.path(), 15, "the key opens no bucket of this name");
    way(&b2, "backups/else").is_refused(dir.path(), 15, "names that begin with \"kopia/\"");

    let blind = runtime.block_on(B2Server::start(Key { no_list_buckets: true, ..Key::default() }));
    blind.upload(&quickstart(), "backups", "");
    way(&blind, "backups").is_refused(dir.path(), 15, "must be allowed to list buckets");
}

/// A token that expires at any request is renewed, and what was asked is asked again.
#[test]
fn an_expired_token_is_renewed() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let b2 = runtime.block_on(B2Server::start(Key::default()));
    b2.upload(&quickstart(), "backups", "");
    for at in 2..8 {
        b2.front.take_requests();
        b2.front.break_answers(move |number, _| {
            (number == at).then_some(Fault::Status(401, "expired_auth_token"))
        });
        way(&b2, "backups").restores(dir.path(), &format!("after {at}"));
        let requests = b2.front.take_requests();
        let times = requests.iter().filter(|(_, path, _)| path.ends_with("b2_authorize_account")).count();
        assert_eq!(times, 2, "{requests:?}");
    }
    b2.front.break_answers(|_, (_, path, _)| {
        path.starts_with("/file/").then_some(Fault::Status(401, "expired_auth_token"))
    });
    way(&b2, "backups").is_refused(dir.path(), 15, "expired_auth_token");
}

/// A session that ends while many requests are in flight is renewed once; when that fails, the sentence says so.
#[test]
fn a_session_is_renewed_once_for_all() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    for closed in [false, true] {
        let b2 = Arc::new(runtime.block_on(B2Server::start(Key::default())));
        b2.upload(&quickstart(), "backups", "");
        let (server, count) = (Arc::downgrade(&b2), AtomicUsize::new(0));
        b2.front.break_answers(move |_, (_, path, _)| {
            if path.ends_with("b2_authorize_account") {
                let again = closed && count.load(Ordering::SeqCst) > 0;
                return again.then_some(Fault::Status(401, "unauthorized"));
            }
            if path.starts_with("/file/") && count.fetch_add(1, Ordering::SeqCst) == 2 {
                server.upgrade()?.expire_tokens();
            }
            None
        });
        if closed {
            way(&b2, "backups").is_refused(
                dir.path(),
                15,
                "the credentials have expired and cannot be renewed: b2://backups/",
            );
            continue;
        }
        way(&b2, "backups").restores(dir.path(), "renewed");
        let requests = b2.front.take_requests();
        let times = requests.iter().filter(|(_, path, _)| path.ends_with("b2_authorize_account")).count();
        assert_eq!(times, 2, "{requests:?}");
    }
}

#[test]
fn refusals_have_their_codes_and_advice() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let b2 = runtime.block_on(B2Server::start(Key::default()));
    b2.upload(&quickstart(), "backups", "");
    let dir = dir.path();
    way(&b2, "backups/elsewhere/").is_refused(dir, 10, "");
    way(&b2, "no-such-bucket").is_refused(dir, 15, "the key opens no bucket of this name");
    let wrong = "canary-wrong-key";
    let other =
        Way::url(format!("b2://backups?endpoint=http://{}", b2.front.endpoint)).with("B2_KEY_ID", KEY_ID);
    other.with("B2_KEY", wrong).hiding(wrong).is_refused(dir, 15, "check the key and its ID");
    Way::url("b2://backups").with("B2_KEY_ID", KEY_ID).is_refused(dir, 2, "B2_KEY");
    b2.front.break_answers(|_, (_, path, _)| {
        path.starts_with("/file/").then_some(Fault::Status(403, "download_cap_exceeded"))
    });
    way(&b2, "backups").is_refused(dir, 15, "cap");
}

/// A whole file has its SHA-1: one that arrives otherwise is asked for again.
#[test]
fn what_arrives_otherwise_is_asked_for_again() {
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let b2 = runtime.block_on(B2Server::start(Key::default()));
    b2.upload(&quickstart(), "backups", "");
    let seen = AtomicUsize::new(0);
    b2.front.break_answers(move |_, (_, path, _)| {
        let first = path.ends_with("kopia.repository") && seen.fetch_add(1, Ordering::SeqCst) == 0;
        first.then_some(Fault::Lie(Lie::Half(50)))
    });
    way(&b2, "backups").restores(dir.path(), "again");
    let asked = b2.front.take_requests();
    assert_eq!(
        asked.iter().filter(|(_, path, _)| path.ends_with("kopia.repository")).count(),
        2,
        "{asked:?}"
    );
}
