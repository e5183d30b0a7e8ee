//! `status --watch`: from watches, and through everything that ends them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rekopia_testkit::cluster::{Fault, Scenario};

use crate::cli::Cluster;

/// A bound on hanging: nothing here takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watching {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watching {
    fn start(cluster: &Cluster, arguments: &[&str]) -> Self {
        let mut child = cluster.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Watching { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds this.
    fn until(&mut self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.seen.iter().any(|line| line.contains(wanted)) {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no {wanted:?} in {:#?}", self.seen),
            }
        }
    }

    fn code(mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().unwrap();
        panic!("it goes on: {:#?}", self.seen);
    }
}

fn lines(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn it_follows_a_restore_to_its_end_and_ends_itself() {
    let scenario = Scenario::load("media");
    let cluster = Cluster::of(scenario.stage("02"));
    let mut watching = Watching::start(&cluster, &["status", "-n", "media", "--watch"]);
    watching.until("preparing");
    for (stage, wanted) in [("03", "restoring"), ("04", "populating"), ("05", "2 of 2 run on restored data")]
    {
        cluster.server.show_stage(scenario.stage(stage));
        watching.until(wanted);
    }
    let asked = cluster.server.requests();
    assert_eq!(watching.code(), Some(0));
    let lists = |kind: &str| asked.iter().filter(|r| r.contains(&format!("/{kind}?limit="))).count();
    assert_eq!(lists("persistentvolumeclaims"), 1, "{asked:#?}");
    assert_eq!(lists("events"), 1, "{asked:#?}");
}

#[test]
fn it_survives_what_ends_a_watch() {
    for fault in [
        Fault::ExpiredWatch,
        Fault::CutWatch,
        Fault::Unauthorized { times: 10 },
        Fault::ServerError { times: 10 },
        Fault::TooManyRequests { times: 5 },
    ] {
        let scenario = Scenario::load("media");
        let cluster = Cluster::of(scenario.stage("03"));
        let mut watching = Watching::start(&cluster, &["status", "-n", "media", "--watch"]);
        watching.until("restoring");
        let end = Instant::now() + PATIENCE;
        while cluster.server.open_watches() < 10 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster.server.behave(fault);
        if !matches!(fault, Fault::ExpiredWatch | Fault::CutWatch) {
            cluster.server.behave(Fault::CutWatch);
        }
        cluster.server.show_stage(scenario.stage("05"));
        watching.until("2 of 2 run on restored data");
        assert_eq!(watching.code(), Some(0), "{fault:?}");
    }
}

#[test]
fn json_is_a_document_on_each_line() {
    let cluster = Cluster::of(Scenario::load("media").stage("06"));
    let output = cluster.run(&["status", "-n", "media", "--watch", "-o", "json"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in shown.lines() {
        let document: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(document["version"], 1);
    }
    assert_eq!(output.status.code(), Some(0));
}
