//! Many short verifications that cover a repository: samples, bounds, and what they remember.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rekopia::blob::{Settings, connect};
use rekopia::{
    Cancel, Coverage, EndedBy, ErrorKind, Event, Observer, SetOptions, Time, Verified, VerifyOptions,
};
use rekopia_testkit::fixture::Fixture;
use rekopia_testkit::storage::{Request, WatchedBlobs};

use crate::set::{Daily, all, options, set};
use crate::support::open_blobs;

/// Bytes that are known to be right.
#[derive(Default)]
struct Done(AtomicU64);

impl Observer for Done {
    fn event(&self, event: Event) {
        if let Event::Progress(progress) = event {
            self.0.store(progress.bytes, Ordering::Relaxed);
        }
    }
}

/// So many seconds after 1970.
fn at(seconds: i64) -> Time {
    Time::from_unix_seconds(seconds)
}

/// A month of short runs on a repository that grows reads everything, and a second month everything anew.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_days_of_four_percent_cover_every_content() {
    let mut daily = Daily::new(options());
    daily.add("old", 400);
    let mut coverage = Coverage::default();
    let mut share = Vec::new();
    for day in 0..30_i64 {
        daily.add("new", 4);
        daily.snapshot();
        let password = daily.writer.options().password.clone();
        let repository = open_blobs(Arc::new(daily.memory.clone()), &password).await.unwrap();
        let options = SetOptions::default().sample(Some(0.04)).now(at(day * 86400));
        let (report, verified) = set(&repository, &options, &mut coverage).await;
        assert_eq!(report.exit_kind(), None);
        let least = verified.needed_bytes * 4 / 100;
        let largest = 4000;
        assert!((least..least + largest).contains(&verified.read_bytes), "{verified:?}");
        assert_eq!(verified.ended_by, Some(EndedBy::Sample));
        // What is read is remembered as it is written down.
        coverage = Coverage::from_json(&coverage.to_json("ab"), "ab").unwrap();
        share.push(verified.covered_percent());
    }
    assert!(share.windows(2).all(|pair| pair[0] <= pair[1] + 1.1), "{share:?}");
    assert_eq!(share.last(), Some(&100.0), "{share:?}");
    // From now on the oldest is read first: none is left that is older than a month.
    let password = daily.writer.options().password.clone();
    let repository = open_blobs(Arc::new(daily.memory.clone()), &password).await.unwrap();
    for day in 30..60_i64 {
        let options = SetOptions::default().sample(Some(0.04)).now(at(day * 86400));
        let (_, verified) = set(&repository, &options, &mut coverage).await;
        assert!(verified.covered_since.unwrap() >= at((day - 30) * 86400), "day {day}: {verified:?}");
    }
    assert!(coverage.to_json("ab").len() < 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_end_a_run_and_what_was_read_is_kept() {
    let mut daily = Daily::new(options());
    daily.add("a", 300);
    daily.snapshot();
    let blobs = WatchedBlobs::new(Arc::new(daily.memory.clone()));
    let repository = open_blobs(blobs.clone(), &daily.writer.options().password).await.unwrap();
    let mut coverage = Coverage::default();
    let no_time = SetOptions::default().max_time(Some(Duration::ZERO));
    let (report, verified) = set(&repository, &no_time, &mut coverage).await;
    assert_eq!((report.exit_kind(), verified.ended_by, verified.read_bytes), (None, Some(EndedBy::Time), 0));

    let few = SetOptions::default().max_bytes(Some(100_000)).now(at(5));
    let (report, verified) = set(&repository, &few, &mut coverage).await;
    assert_eq!((report.exit_kind(), verified.ended_by), (None, Some(EndedBy::Bytes)));
    assert!((90_000..=100_000).contains(&verified.read_bytes), "{verified:?}");
    assert_eq!((verified.covered_bytes, verified.covered_since), (verified.read_bytes, Some(at(5))));

    // Stopped in the middle: packs come one by one, and the third never does.
    let reads = AtomicU64::new(0);
    blobs.delay_when(move |request| match request {
        Request::Read(blob, _) if blob.starts_with('p') => {
            let is_late = reads.fetch_add(1, Ordering::Relaxed) >= 3;
            if is_late { Duration::from_secs(600) } else { Duration::ZERO }
        }
        _ => Duration::ZERO,
    });
    let cancel = Cancel::new();
    let verify = VerifyOptions::default().cancel(cancel.clone()).parallel(1);
    let stopped = SetOptions::default().verify(verify).now(at(9));
    let before = verified.covered_bytes;
    blobs.forget();
    let is_data = |r: &Request| matches!(r, Request::Read(blob, _) if blob.starts_with('p'));
    let done = Arc::new(Done::default());
    let stop = async {
        let is_waiting = || blobs.requests().iter().filter(|request| is_data(request)).count() >= 4;
        while !is_waiting() || done.0.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let trees = all(&repository).await;
    let stopping = repository.verify_set(&trees, &stopped, &mut coverage, done.clone());
    let (report, ()) = tokio::join!(stopping, stop);
    let report = report.unwrap();
    let verified = report.verified.clone().unwrap();
    assert_eq!(report.exit_kind(), Some(ErrorKind::Cancelled));
    assert!(
        verified.covered_bytes > before && verified.covered_bytes < verified.needed_bytes,
        "{verified:?}"
    );

    blobs.delay_when(|_| Duration::ZERO);
    let (_, verified) = set(&repository, &SetOptions::default().now(at(11)), &mut coverage).await;
    assert_eq!((verified.covered_percent(), verified.covered_since), (100.0, Some(at(11))));
}

/// However little is read: what is damaged among it fails the run, and every later one until it is right.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_never_passes_over_damage() {
    let fixture = Fixture::load("damaged-pack-flipped");
    let settings = Settings::parse(fixture.repo().to_str().unwrap()).unwrap();
    let blobs = connect(&settings).await.unwrap();
    for (n, sample) in [1.0, 0.99, 1.0, 0.99, 1.0, 0.99, 1.0, 0.99].into_iter().enumerate() {
        let repository = open_blobs(Arc::clone(&blobs), &fixture.password).await.unwrap();
        let mut coverage = Coverage::default();
        let (mut found, mut runs) = (false, 0);
        while !found {
            let options = SetOptions::default().sample(Some(sample)).now(at(runs));
            let (report, verified) = set(&repository, &options, &mut coverage).await;
            assert!(verified.read_bytes <= verified.needed_bytes, "{verified:?}");
            found = verified.damaged_contents > 0;
            assert_eq!(report.exit_kind(), found.then_some(ErrorKind::Corrupt), "round {n}: {verified:?}");
            runs += 1;
            assert!(runs < 3, "what was not read comes first");
        }
        for little in [
            SetOptions::default().sample(Some(0.0001)),
            SetOptions::default().max_bytes(Some(0)),
            SetOptions::default().max_time(Some(Duration::ZERO)),
        ] {
            coverage = Coverage::from_json(&coverage.to_json("ab"), "ab").unwrap();
            let (report, _) = set(&repository, &little, &mut coverage).await;
            assert_eq!(report.exit_kind(), Some(ErrorKind::Corrupt), "{little:?}");
        }
    }
}

/// What is longer than the bound is passed over for what is not.
#[tokio::test(flavor = "multi_thread")]
async fn small_bounds_reach_everything_that_fits() {
    let mut daily = Daily::new(options());
    daily.add("a", 40);
    let long = vec![3; 60_000];
    daily.files.insert(
        ("a".into(), "long".into()),
        long.iter().zip(0u64..).map(|(a, n)| a ^ ((n * n) >> 5) as u8).collect(),
    );
    daily.snapshot();
    let repository =
        open_blobs(Arc::new(daily.memory.clone()), &daily.writer.options().password).await.unwrap();
    let mut coverage = Coverage::default();
    let mut last = Verified::default();
    for now in 0..60 {
        let options = SetOptions::default().max_bytes(Some(5_000)).now(at(now));
        let (report, verified) = set(&repository, &options, &mut coverage).await;
        assert!(verified.read_bytes <= 5_000 && report.warnings[0].contains("they never are"), "{report:?}");
        last = verified;
    }
    assert!(last.needed_bytes - last.covered_bytes < 61_000, "{last:?}");
    assert!(last.needed_bytes - last.covered_bytes > 50_000, "{last:?}");
}
