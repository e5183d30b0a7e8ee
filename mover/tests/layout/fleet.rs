//! Against a server: what one mover asks for, what a second run asks for, and twenty-five at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::pod::ROOT;
use rekopia_testkit::server::s3::{ACCESS_KEY, Arrival, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;

use crate::made::{Made, large_files, small_files};
use crate::place::{Ended, FRESH, Place, change_times, plain};

/// A server with the repository of every application, each under a prefix.
struct Served {
    server: S3Server,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

fn serve(made: &Made, applications: usize) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("s3")).unwrap();
    let server = runtime.block_on(S3Server::start(&dir.path().join("s3")));
    for number in 0..applications {
        server.upload(&made.repo(), "bucket", &format!("app-{number:02}/"));
        std::fs::create_dir(dir.path().join(format!("data-{number:02}"))).unwrap();
    }
    Served { server, dir, _runtime: runtime }
}

impl Served {
    fn data(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("data-{number:02}"))
    }

    fn variables(&self, number: usize) -> [(&'static str, String); 5] {
        [
            ("KOPIA_REPOSITORY", format!("s3://bucket/app-{number:02}/")),
            ("KOPIA_S3_ENDPOINT", format!("http://{}", self.server.endpoint)),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }

    fn command(&self, number: usize) -> Command {
        let mut command = plain(Path::new("/none"), &self.data(number));
        command.envs(self.variables(number));
        command
    }

    #[track_caller]
    fn restores(&self, made: &Made, number: usize) -> String {
        let ended = Ended::of(self.command(number).output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let diff = made.tree.diff(&Tree::read(&self.data(number)), &[]);
        assert!(diff.is_empty(), "{diff}");
        ended.log
    }
}

/// One process in a root without any other program, one look at the repository, few requests.
#[test]
fn a_tiny_restore_is_one_process_and_twenty_requests() {
    let made = Made::of(|root| small_files(root, 14, 2000));
    let served = serve(&made, 1);
    let Some(mut place) = Place::new(&made.repo(), ROOT, FRESH, "") else { return };
    place.env.extend(served.variables(0).map(|(name, value)| (name.to_owned(), value)));
    let log = place.restore(ROOT, 0);
    let mut tree = place.tree();
    tree.entries.remove("");
    let diff = made.as_made_by(0, 0).diff(&tree, &[]);
    assert!(diff.is_empty(), "{diff}");
    let requests = served.server.take_requests();
    assert!(requests.len() <= 20, "{} requests: {requests:#?}", requests.len());
    assert!(requests.iter().all(|(method, ..)| method == "GET"), "{requests:?}");
    let of = |name: &str| requests.iter().filter(|(_, path, _)| path.ends_with(name)).count();
    assert_eq!(
        (of("/kopia.repository"), of("/kopia.blobcfg")),
        (1, 1),
        "opened more than once: {requests:#?}"
    );
    let lists = requests.iter().filter(|(_, _, query)| query.contains("list-type")).count();
    assert_eq!(lists, 1, "{requests:#?}");
    assert!(!log.contains(SECRET_KEY));
}

#[test]
fn a_second_run_fetches_no_data_and_changes_nothing() {
    let made = Made::of(|root| {
        small_files(root, 200, 3000);
        large_files(root, 2, 5 << 20);
        std::os::unix::fs::symlink("large-0", root.join("link")).unwrap();
    });
    let served = serve(&made, 1);
    served.restores(&made, 0);
    let packs = || {
        let arrivals = served.server.take_arrivals().into_iter();
        arrivals.filter(|arrival| arrival.what.starts_with("/bucket/app-00/p")).collect::<Vec<_>>()
    };
    let first = packs();
    let before = change_times(&served.data(0));
    std::thread::sleep(Duration::from_millis(20));
    let log = served.restores(&made, 0);
    let second = packs();
    assert!(!first.is_empty() && second.is_empty(), "data was fetched once more: {second:#?}");
    assert_eq!(before, change_times(&served.data(0)), "something was changed");
    assert!(log.contains("202 files were right already"), "{log}");
}

/// What a mover of the fleet took.
struct Taken {
    code: Option<i32>,
    log: String,
    peak_kib: u64,
}

/// Runs all at once; their memory is looked at until each has ended.
fn run_all(commands: Vec<Command>, logs: &Path) -> Vec<Taken> {
    let start = |(number, mut command): (usize, Command)| {
        let log = std::fs::File::create(logs.join(format!("log-{number:02}"))).unwrap();
        command.stderr(log.try_clone().unwrap()).stdout(log).stdin(Stdio::null()).spawn().unwrap()
    };
    let mut running: Vec<_> = commands.into_iter().enumerate().map(start).collect();
    let mut taken: Vec<_> =
        running.iter().map(|_| Taken { code: None, log: String::new(), peak_kib: 0 }).collect();
    let mut left = running.len();
    let started = Instant::now();
    while left > 0 {
        left = 0;
        for (child, taken) in running.iter_mut().zip(&mut taken) {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            if let Some(kib) = peak.and_then(|text| text.trim().strip_suffix(" kB")) {
                taken.peak_kib = taken.peak_kib.max(kib.parse().unwrap());
            }
            match child.try_wait().unwrap() {
                Some(status) => taken.code = status.code(),
                None => left += 1,
            }
        }
        std::thread::sleep(Duration::from_millis(5));
        assert!(started.elapsed() < Duration::from_secs(300), "{left} movers did not end");
    }
    for (number, taken) in taken.iter_mut().enumerate() {
        taken.log = std::fs::read_to_string(logs.join(format!("log-{number:02}"))).unwrap();
    }
    taken
}

/// From each first refusal of a request to its next try, in seconds.
fn first_retries(arrivals: &[Arrival]) -> Vec<f64> {
    let mut refused: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut waits = Vec::new();
    let mut known: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
    for arrival in arrivals {
        if let Some(at) = refused.remove(arrival.what.as_str()) {
            waits.push(arrival.at.duration_since(at).as_secs_f64());
        } else if arrival.refused && known.insert(&arrival.what) {
            refused.insert(&arrival.what, arrival.at);
        }
    }
    waits
}

const FLEET: usize = 25;
const ROUND_TRIP: Duration = Duration::from_millis(30);

#[test]
fn a_fleet_shares_a_server_that_refuses_what_is_too_much() {
    let made = Made::after_days(40, |root| {
        small_files(root, 200, 3000);
        large_files(root, 1, 4 << 20);
    });
    let served = serve(&made, FLEET + 1);
    served.server.delay(ROUND_TRIP);
    served.restores(&made, FLEET);
    let alone = served.server.take_arrivals();
    let single = alone.len();
    eprintln!("{:#?}", alone.iter().map(|a| &a.what).collect::<Vec<_>>());

    served.server.allow(64);
    let taken = run_all((0..FLEET).map(|number| served.command(number)).collect(), served.dir.path());
    let arrivals = served.server.take_arrivals();
    let refused = arrivals.iter().filter(|arrival| arrival.refused).count();
    let waits = first_retries(&arrivals);
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let (ratio, peak) = (
        arrivals.len() as f64 / (single * FLEET) as f64,
        taken.iter().map(|t| t.peak_kib).max().unwrap() as f64 / 1024.0,
    );
    println!(
        "{single} requests alone, {} of {FLEET} together ({ratio:.2}), {refused} refused, {} first retries up to \
         {longest:.2} s later, peak {peak:.0} MiB",
        arrivals.len(),
        waits.len()
    );
    for (number, taken) in taken.iter().enumerate() {
        assert_eq!(taken.code, Some(0), "mover {number}: {}", taken.log);
        let diff = made.tree.diff(&Tree::read(&served.data(number)), &[]);
        assert!(diff.is_empty(), "mover {number}:\n{diff}");
    }
    assert!(refused > 0, "the server had enough for all, so nothing was tried");
    assert!(peak <= 128.0, "a mover took {peak:.0} MiB");
    assert!(ratio <= 1.2, "{ratio:.2} times the requests of single runs");
    // Spread from nothing to three seconds; a round trip and a busy machine come on top.
    let third = |from: f64| waits.iter().filter(|wait| **wait >= from && **wait < from + 1.0).count() * 8;
    assert!(longest < 4.5, "a first retry after {longest:.2} s");
    assert!([0.0, 1.0, 2.0].iter().all(|from| third(*from) >= waits.len()), "not spread: {waits:?}");
}
