//! What the mover is told, by arguments and by its environment.

use rekopia_testkit::tree::Tree;

use crate::mount::{can_mount, in_namespace};
use crate::place::{Place, S2, S3};
use crate::table::{Case, run};

pub(crate) const CASES: &[Case] = &[
    ("T35", run(without_password)),
    ("T36", run(password_with_white_space)),
    ("T36b", run(settings_with_white_space)),
    ("T37", run(|| drop(Place::with("DATA_DIR", "/nope").ends(16, "Data directory /nope does not exist")))),
    ("T38", run(cache_not_writable)),
    ("T39", run(|| asked(&["frobnicate"], "unknown operation: frobnicate"))),
    ("T40", run(|| asked(&["maintenance"], "DIRECTION=maintenance"))),
    ("T41", run(|| asked(&[], "no operation"))),
    ("T42", run(by_direction)),
    (
        "T56",
        run(|| {
            drop(Place::with("KOPIA_MANUAL_CONFIG", "{bad").refuses(2, "Invalid JSON in KOPIA_MANUAL_CONFIG"))
        }),
    ),
    ("T57", run(other_members)),
    ("T57b", run(|| drop(Place::with("KOPIA_MANUAL_CONFIG", "\"text\"").refuses(2, "it is not an object")))),
    (
        "T58",
        run(|| drop(Place::with("KOPIA_MANUAL_CONFIG", r#"{"caching":{"maxCacheSize":1}}"#).restores(S3))),
    ),
    ("T61", run(cache_limits)),
    ("T62", run(cache_limits_are_not_skipped)),
    ("T63", run(populated_cache)),
    ("T64", run(stale_connection)),
    ("T64b", run(stale_connection_and_wrong_password)),
    ("T65", run(additional_arguments)),
    (
        "T66",
        run(|| {
            drop(
                Place::with("KOPIA_ADDITIONAL_ARGS", "--description=Steam_Game")
                    .refuses(2, "\"--description=Steam_Game\""),
            )
        }),
    ),
    ("T81", run(policy_files)),
];

fn without_password() {
    for value in [None, Some(""), Some(" \n")] {
        let mut place = Place::new();
        place.env.remove("KOPIA_PASSWORD");
        if let Some(value) = value {
            place.set("KOPIA_PASSWORD", value);
        }
        place.refuses(2, "KOPIA_PASSWORD must be defined");
    }
}

/// Settings come as people paste them: line ends, blanks, a byte order mark, quotes.
fn settings_with_white_space() {
    let names = [
        "KOPIA_REPOSITORY",
        "KOPIA_OVERRIDE_USERNAME",
        "KOPIA_OVERRIDE_HOSTNAME",
        "DATA_DIR",
        "KOPIA_CACHE_DIR",
        "KOPIA_ENABLE_FILE_DELETION",
    ];
    for (before, behind) in [("", "\n"), ("\u{feff} ", "\r\n")] {
        let mut place = Place::new();
        place.set("KOPIA_ENABLE_FILE_DELETION", "true");
        let mut pasted = 0;
        for name in names {
            if let Some(value) = place.env.get(name).cloned() {
                place.set(name, &format!("{before}{value}{behind}"));
                pasted += 1;
            }
        }
        assert!(pasted >= 5, "{pasted}");
        let ended = place.restores(S3);
        assert!(ended.log.contains("white space around DATA_DIR, "), "{}", ended.log);
    }
    let mut place = Place::new();
    let quoted = place.env.get("KOPIA_REPOSITORY").map(|value| format!("\"{value}\"")).unwrap();
    place.set("KOPIA_REPOSITORY", &quoted).restores(S3);
    for name in ["KOPIA_OVERRIDE_USERNAME", "KOPIA_REPOSITORY", "AWS_REGION"] {
        let place = Place::with(name, "a\nb");
        place.refuses(2, &format!("{name}: holds a line end"));
    }
}

fn password_with_white_space() {
    for value in ["secret\n", " secret\n", "\tsecret  "] {
        Place::with("KOPIA_PASSWORD", value).restores(S3);
    }
}

fn cache_not_writable() {
    let place = Place::with("KOPIA_CACHE_DIR", "/proc/nothing");
    place.restores(S3);
    if can_mount() {
        let place = Place::new();
        let cache = place.dir.path().join("cache").display().to_string();
        let mounts = format!("mount --bind '{cache}' '{cache}'\nmount -o remount,bind,ro '{cache}'");
        place.end(in_namespace(&place, &mounts)).with(0, "Snapshot restore completed");
        place.holds(S3);
    }
}

fn asked(arguments: &[&str], part: &str) {
    let mut place = Place::new();
    place.args = arguments.iter().map(|a| (*a).to_owned()).collect();
    place.refuses(2, part);
}

fn by_direction() {
    let mut place = Place::with("DIRECTION", "destination");
    place.args.clear();
    place.restores(S3);
}

fn other_members() {
    let text = r#"{"encryption":{"algorithm":"x"},"splitter":{"algorithm":"y"},"unknown":1}"#;
    Place::with("KOPIA_MANUAL_CONFIG", text).restores(S3);
    // Ours are read with care, and for this identity only.
    for (ours, part) in [
        (r#"{"anything":true}"#, "member \"rekopia\": anything: there is no such setting"),
        (r#"{"onMissing":"perhaps"}"#, "onMissing"),
        (r#"{"identities":{"other@ns":{"colour":"red"}}}"#, "colour"),
    ] {
        Place::with("KOPIA_MANUAL_CONFIG", &format!("{{\"rekopia\":{ours}}}")).refuses(2, part);
    }
    let scoped = r#"{"rekopia":{"identities":{"other@ns":{"onEmpty":"fail"}}}}"#;
    Place::with("KOPIA_MANUAL_CONFIG", scoped)
        .set("KOPIA_OVERRIDE_USERNAME", "fresh")
        .refuses(0, "No eligible");
    Place::with("KOPIA_MANUAL_CONFIG", scoped)
        .set("KOPIA_OVERRIDE_USERNAME", "other")
        .refuses(13, "onEmpty is fail");
}

/// Makes a cache volume as the stock mover leaves it, its connection naming another bucket.
fn stock_cache(place: &Place) -> Tree {
    let cache = place.dir.path().join("cache");
    for file in [
        "kopia.config",
        "kopia.config.kopia-password",
        "logs/cli-logs/kopia-1.log",
        "contents/p0/cached.f",
        "metadata/q0/cached.f",
        "indexes/n0.sndx",
        "own-writes/n0",
        "blob-list/x.list",
        ".last-cache-clear",
        ".cache-cleanup.lock",
    ] {
        let file = cache.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, r#"{"storage":{"type":"s3","config":{"bucket":"old"}}}"#).unwrap();
    }
    Tree::read(&cache)
}

/// The stock mover's files are as they were, and whatever else lies there stays below the limits (1 MB each).
#[track_caller]
fn assert_cache(place: &Place, before: &Tree) {
    let after = Tree::read(&place.dir.path().join("cache"));
    let (mut kept, mut ours) = (Tree::default(), 0);
    for (path, entry) in after.entries {
        if before.entries.contains_key(&path) {
            kept.entries.insert(path, entry);
        } else {
            ours += entry.size;
        }
    }
    let mut before = before.clone();
    for tree in [&mut kept, &mut before] {
        // A folder of ours would change the time of the root.
        tree.entries.get_mut("").unwrap().mtime_ns = None;
    }
    let diff = before.diff(&kept, &[]);
    assert!(diff.is_empty(), "{diff}");
    assert!(ours <= 2_000_000, "{ours} bytes in the cache");
}

fn limited() -> Place {
    let mut place = Place::with("KOPIA_METADATA_CACHE_SIZE_LIMIT_MB", "1");
    place.set("KOPIA_CONTENT_CACHE_SIZE_LIMIT_MB", "1").set("KOPIA_CACHE_CAPACITY_BYTES", "2000000");
    place
}

fn cache_limits() {
    let place = limited();
    let before = Tree::read(&place.dir.path().join("cache"));
    for _ in 0..2 {
        place.restores(S3);
        assert_cache(&place, &before);
    }
}

fn cache_limits_are_not_skipped() {
    let mut place = limited();
    let before = Tree::read(&place.dir.path().join("cache"));
    place.set("KOPIA_SKIP_CACHE_CONFIG", "true").restores(S3);
    assert_cache(&place, &before);
}

fn populated_cache() {
    let mut place = limited();
    let before = stock_cache(&place);
    place.restores(S3);
    assert_cache(&place, &before);
    place.set("KOPIA_PREVIOUS", "1").ends(0, "Snapshot restore completed");
    assert_cache(&place, &before);
}

fn stale_connection() {
    let mut place = limited();
    let before = stock_cache(&place);
    let empty = place.folder("empty");
    place.restores(S3);
    place.at(&empty).ends(10, "no-repository");
    assert_cache(&place, &before);
}

fn stale_connection_and_wrong_password() {
    let mut place = limited();
    let before = stock_cache(&place);
    place.set("KOPIA_PASSWORD", "not-this-one").refuses(12, "invalid repository password");
    assert_cache(&place, &before);
}

fn additional_arguments() {
    let joined = |arguments: &[&str]| arguments.join("|VOLSYNC_ARG_SEP|");
    let mut place = Place::with("KOPIA_ADDITIONAL_ARGS", &joined(&["--parallel=16", "--skip-existing"]));
    place.restores(S3);
    place = Place::with("KOPIA_ADDITIONAL_ARGS", &joined(&["--parallel", "16", "--skip-existing"]));
    // Applied: with it a file that looks the same is left alone, without it, it is compared and replaced.
    place.set("KOPIA_PREVIOUS", "1").restores(S2);
    let file = place.data().join("sub/f1.txt");
    let time = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, "another txt\n").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    place.ends(0, "Snapshot restore completed");
    assert_eq!(std::fs::read(&file).unwrap(), b"another txt\n");
    place.set("KOPIA_ADDITIONAL_ARGS", &joined(&["--delete-extra", "--no-progress"])).restores(S2);
}

fn policy_files() {
    let mut place = Place::new();
    let repo = place.copied();
    let folder = place.folder("kopia-config");
    std::fs::write(folder.join("global-policy.json"), r#"{"retention":{"keepDaily":1}}"#).unwrap();
    place.set("KOPIA_CONFIG_PATH", folder.to_str().unwrap());
    place.set("KOPIA_GLOBAL_POLICY_FILE", folder.join("global-policy.json").to_str().unwrap());
    let before = Tree::read(&repo);
    place.restores(S3);
    let diff = before.diff(&Tree::read(&repo), &[]);
    assert!(diff.is_empty(), "a restore wrote to the repository: {diff}");
}
