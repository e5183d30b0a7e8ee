//! Servers and connections that fail.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rekopia::{
    Error, ErrorKind, OpenOptions, Password, Reference, Report, Repository, RestoreOptions, Selection,
    Silent, SyncMode,
};
use rekopia_blob::{Deadlines, LayerOptions, Settings, connect_with};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::server::tunnel::{Break, Tunnel};
use rekopia_testkit::tree::Tree;

use super::place::{Place, expected, until};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// In place of 45 seconds.
const PATIENCE: Duration = Duration::from_secs(6);

async fn restore(settings: &Settings, target: &Path) -> Result<Report, Error> {
    let layers = LayerOptions::default().deadlines(Deadlines::default().patience(PATIENCE));
    let blobs =
        connect_with(settings, &layers).await.map_err(|e| Error::from_storage(e, "cannot connect"))?;
    let password = Password::new(Fixture::load("quickstart").password.as_str());
    let repository = Repository::open(blobs, &password, &OpenOptions::default(), Arc::new(Silent)).await?;
    let reference = Reference::parse("paperless@media:/data")?;
    let from = repository.resolve(&reference, &Selection::default()).await?;
    let options = RestoreOptions::default().sync(SyncMode::None).threads(2);
    repository.restore(&from, target, &options, Arc::new(Silent)).await
}

/// Connections that break, stop or drip at any point are made again.
#[test]
fn a_connection_may_fail_at_any_byte() {
    let Some(place) = Place::new() else { return };
    let runtime = runtime();
    runtime.block_on(async {
        let tunnel = Tunnel::start(place.sshd.port).await;
        let settings = place.settings(tunnel.port);
        let dir = tempfile::tempdir().unwrap();
        restore(&settings, &dir.path().join("clean")).await.unwrap();
        let (connections, bytes) = (tunnel.connections(), tunnel.bytes());
        assert!((1..=4).contains(&connections), "{connections}");
        // From the greeting over the signing in to the last answers.
        let mut at: Vec<u64> = vec![0, 10, 500, 1500, 2000, 2300, 2600, 3000, 3500];
        at.extend((1..=6).map(|sixth| bytes * sixth / 6));
        // The storage alone is broken at many more bytes by its own tests.
        let all = std::env::var_os("REKOPIA_FULL").is_some();
        for (number, at) in at.into_iter().enumerate().filter(|(number, _)| all || number % 4 != 1) {
            let fate = [Break::Cut(at), Break::Cut(at), Break::Stall(at), Break::Drip(at)][number % 4];
            let first = tunnel.connections();
            tunnel.break_connections(move |connection| (connection == first).then_some(fate));
            let target = dir.path().join(format!("{number}"));
            let report = restore(&settings, &target).await.unwrap_or_else(|e| panic!("{fate:?}: {e:?}"));
            assert!(report.is_complete(), "{fate:?}: {:?}", report.failures());
            assert!(expected().diff(&Tree::read(&target), &[]).is_empty(), "{fate:?}");
        }
        // A server may allow one connection only.
        let first = tunnel.connections();
        tunnel.break_connections(move |connection| (connection > first).then_some(Break::Cut(0)));
        let target = dir.path().join("alone");
        assert!(restore(&settings, &target).await.unwrap().is_complete());
        // A connection that never says anything is given up in time, whichever side asks.
        for fate in [Break::Stall(0), Break::Stall(1500), Break::Cut(0), Break::Drip(1500)] {
            tunnel.break_connections(move |_| Some(fate));
            let began = Instant::now();
            let failed = restore(&settings, &dir.path().join("never")).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Storage, "{fate:?}: {failed:?}");
            assert!(began.elapsed() < PATIENCE * 4, "{fate:?}: {:?}", began.elapsed());
        }
    });
}

/// With the real deadlines: sessions that are ended are begun again, a server that is gone is not waited for longer than
/// it should be.
#[test]
fn a_server_may_be_killed_in_the_middle() {
    let runtime = runtime();
    let Some(mut place) = Place::new() else { return };
    let tunnel = runtime.block_on(Tunnel::start(place.sshd.port));
    let known_hosts =
        place.sshd.known_hosts("ed25519").replace(&place.sshd.port.to_string(), &tunnel.port.to_string());
    place.write("known_hosts", &known_hosts);
    let url = place.url("known_hosts").replace(&place.sshd.port.to_string(), &tunnel.port.to_string());
    // Requests go one after the other, so that there always is one that waits.
    let before = ["--repo", url.as_str(), "--parallel", "1"];
    place.restores(&before, "clean");
    assert_eq!(tunnel.connections(), 1);
    let middle = tunnel.bytes() * 4 / 5;
    // Starts, and comes to a halt where most of the bytes have arrived.
    let halfway = |place: &Place, target: &str| {
        let (first, begin) = (tunnel.connections(), tunnel.bytes());
        tunnel.break_connections(move |connection| (connection == first).then_some(Break::Stall(middle)));
        let mut command = place.command(&before, target);
        command.env("REKOPIA_LOG", "error").stdout(Stdio::null()).stderr(Stdio::piped());
        let program = command.spawn().unwrap();
        until("it comes halfway", || tunnel.bytes() >= begin + middle);
        program
    };

    let program = halfway(&place, "reconnects");
    place.sshd.drop_everybody();
    place.assert_restored(&program.wait_with_output().unwrap(), "reconnects");

    let program = halfway(&place, "comes back");
    place.sshd.stop();
    std::thread::sleep(Duration::from_secs(2));
    place.sshd.start_again();
    place.assert_restored(&program.wait_with_output().unwrap(), "comes back");

    let program = halfway(&place, "gone");
    place.sshd.stop();
    let stopped = Instant::now();
    let output = place.shown(program.wait_with_output().unwrap());
    let text = String::from_utf8_lossy(&output.stderr);
    // What had arrived by then is restored, the rest is named.
    assert!(matches!(output.status.code(), Some(15 | 3)), "{text}");
    assert!(text.contains("sftp://") && text.contains("connection"), "{text}");
    assert!(stopped.elapsed() < Duration::from_secs(90), "{text}");
}
