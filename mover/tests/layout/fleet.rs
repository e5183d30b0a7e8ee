//! Against a server: what one mover asks for, what a second run asks for, and twenty-five at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rekopia_testkit::pod::ROOT;
use rekopia_testkit::server::s3::{ACCESS_KEY, Arrival, S3Server, SECRET_KEY};
use rekopia_testkit::tree::Tree;
use rustix::process::{Pid, Signal, kill_process};

use crate::made::{Made, large_files, small_files};
use crate::place::{Ended, FRESH, Place, change_times, owner, plain};

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

/// A restore is one process in a root without any other program, one look at the repository, few requests.
#[test]
fn a_tiny_restore_is_one_process_and_twenty_requests() {
    let made = Made::of(|root| small_files(root, 14, 2000));
    let served = serve(&made, 1);
    let Some(mut place) = Place::new(&made.repo(), ROOT, FRESH, "") else { return };
    place.env.extend(served.variables(0).map(|(name, value)| (name.to_owned(), value)));
    let log = place.restore(ROOT, 0);
    let mut tree = place.tree();
    tree.entries.remove("");
    let diff = made.as_made_by(owner(ROOT).0, owner(ROOT).1).diff(&tree, &[]);
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
    // Not even where the link leads.
    let second: Vec<String> = packs().into_iter().map(|arrival| arrival.what).collect();
    assert!(first.len() > 1 && second.is_empty(), "fetched again: {second:?}");
    assert_eq!(before, change_times(&served.data(0)), "something was changed");
    assert!(log.contains("202 files were right already"), "{log}");
}

/// Stopped while it opens the repository: in vain for half a minute, as far as the server goes.
#[test]
fn it_stops_while_the_server_does_not_answer() {
    let made = Made::of(|root| small_files(root, 3, 100));
    let served = serve(&made, 1);
    let script = served.dir.path().join("stock-entry.sh");
    std::fs::write(&script, "#!/bin/sh\nexit 7\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    served.server.delay(Duration::from_secs(30));
    for direction in ["destination", "maintenance"] {
        served.server.take_requests();
        let mut command = served.command(0);
        command.env("DIRECTION", direction).env("REKOPIA_STOCK_ENTRY", &script);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while served.server.take_requests().is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "{direction}: it ended without a request");
            std::thread::sleep(Duration::from_millis(5));
        }
        let started = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(143), "{direction}");
        // The contract says two seconds; a busy machine gets five times that, the server takes 30.
        assert!(started.elapsed() < Duration::from_secs(10), "{direction}: {:?}", started.elapsed());
        assert_eq!(std::fs::read_dir(served.data(0)).unwrap().count(), 0);
    }
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

fn forty_backups() -> Made {
    Made::after_days(40, |root| {
        small_files(root, 200, 3000);
        large_files(root, 1, 4 << 20);
    })
}

/// Runs the first movers of a server at once; each restores everything.
fn fleet(made: &Made, served: &Served, movers: usize) -> (Vec<Taken>, Vec<Arrival>) {
    served.server.take_arrivals();
    let taken = run_all((0..movers).map(|number| served.command(number)).collect(), served.dir.path());
    for (number, taken) in taken.iter().enumerate() {
        assert_eq!(taken.code, Some(0), "mover {number}: {}", taken.log);
        let diff = made.tree.diff(&Tree::read(&served.data(number)), &[]);
        assert!(diff.is_empty(), "mover {number}:\n{diff}");
    }
    (taken, served.server.take_arrivals())
}

#[test]
fn a_fleet_shares_a_server_that_refuses_what_is_too_much() {
    let made = forty_backups();
    let served = serve(&made, FLEET + 1);
    served.server.delay(ROUND_TRIP);
    served.restores(&made, FLEET);
    let alone = served.server.take_arrivals().len() * FLEET;
    served.server.allow(64);
    let (taken, arrivals) = fleet(&made, &served, FLEET);
    let refused = arrivals.iter().filter(|arrival| arrival.refused).count();
    let peak = taken.iter().map(|taken| taken.peak_kib).max().unwrap() / 1024;
    let ratio = arrivals.len() as f64 / alone as f64;
    println!(
        "{alone} requests one by one, {} together ({refused} refused), {peak} MiB at most",
        arrivals.len()
    );
    assert!(ratio <= 1.2, "{ratio:.2} times the requests of single runs, {refused} refused");
    assert!((30..=128).contains(&peak), "a mover took {peak} MiB");
}

/// Hardly anything is allowed, so that much is refused whatever the machine does.
#[test]
fn refused_requests_come_back_spread_over_three_seconds() {
    let made = forty_backups();
    let served = serve(&made, 4);
    served.server.delay(ROUND_TRIP);
    served.server.allow(2);
    let (_, arrivals) = fleet(&made, &served, 4);
    let waits = first_retries(&arrivals);
    assert!(waits.len() >= 40, "{} refusals", waits.len());
    // Each second has a share, be it a small one: chance decides how large. A round trip and a busy machine come on top.
    let within = |from: f64| waits.iter().filter(|wait| (from..from + 1.0).contains(*wait)).count();
    assert!([0.0, 1.0, 2.0].iter().all(|from| within(*from) * 20 >= waits.len()), "not spread: {waits:?}");
    let late = waits.iter().filter(|wait| **wait > 3.5).count();
    assert!(late * 10 <= waits.len(), "{late} of {} first retries after more than 3.5 s", waits.len());
}
