//! Renders what restores would need, for a person and for a program.

use rekopia_mover::{Judgement, Plan};
use serde_json::{Value, json};

use super::status::size;
use super::table::{lay_out, wrap};
use crate::forecast::Forecast;
use crate::text::one_line;

/// A restore that is planned.
pub struct Planned {
    /// The namespace that the restore lives in.
    pub namespace: String,
    /// The claims that the restore fills.
    pub name: String,
    /// The room that the restore needs in the cluster.
    pub room: Room,
    /// The judgement: what the mover would do; or why that is not known.
    pub judged: Result<Judgement, String>,
}

/// Room that a restore takes in the cluster's storage, in bytes; none where a size is not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// The claim that is filled.
    pub claim: Option<u64>,
    /// The claim that the mover writes into, and from which the first one is made; none with `copyMethod: Direct`.
    pub copy: Option<u64>,
    /// The size of the snapshot between the claims, which grows to the bytes that are restored at most.
    pub snapshot: Option<u64>,
}

impl Room {
    /// Returns the sum of all sizes.
    #[must_use]
    pub fn total(&self) -> u64 {
        [self.claim, self.copy, self.snapshot].into_iter().flatten().sum()
    }
}

impl Planned {
    /// Returns what a restore would need, where one would begin.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.judged.as_ref().ok()?.plan.as_ref()
    }

    /// Returns the seconds that the restore would take alone.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let plan = self.plan()?;
        Some(plan.opening_seconds + plan.estimate?.seconds)
    }

    fn shown(&self) -> String {
        one_line(&format!("{}/{}", self.namespace, self.name), 200)
    }

    /// Whether the restore's claims and copies come to be: also where it has nothing to restore.
    fn begins(&self) -> bool {
        self.judged.as_ref().is_ok_and(|judged| judged.exit_code == 0)
    }

    fn why_not(&self) -> Option<String> {
        match &self.judged {
            Err(why) => Some(why.clone()),
            Ok(judged) if judged.plan.is_none() || judged.exit_code != 0 => Some(judged.sentence()),
            Ok(_) => None,
        }
    }
}

/// Writes lines for a terminal. `forecast` is over those with a time, in their order.
#[must_use]
pub fn plan_text(
    known_from: &[String],
    all: &[Planned],
    forecast: Option<&Forecast>,
    at_once: usize,
    width: usize,
) -> String {
    let heads = ["APPLICATION", "SNAPSHOT", "FILES", "SIZE", "FETCH", "REQUESTS", "ROOM", "TIME"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let one_namespace = all.windows(2).all(|pair| pair[0].namespace == pair[1].namespace);
    for one in in_order(all, forecast) {
        let Some(plan) = one.plan() else { continue };
        let start = one.judged.as_ref().ok().and_then(|judged| judged.snapshot.as_ref());
        let date = start.map_or_else(String::new, |choice| choice.start.chars().take(10).collect());
        rows.push(vec![
            if one_namespace { one_line(&one.name, 200) } else { one.shown() },
            date,
            plan.files.to_string(),
            size(plan.bytes),
            size(plan.fetched_bytes),
            plan.requests.to_string(),
            size(one.room.total()),
            one.seconds().map(duration).unwrap_or_default(),
        ]);
    }
    let mut text: String = known_from.iter().map(|known| wrap(known, 0, width)).collect();
    text.push('\n');
    if rows.len() > 1 {
        text.push_str(&lay_out(&rows, &[0], Some(width)));
        text.push('\n');
    }
    text.push_str(&wrap(&sentence(all, forecast, at_once), 0, width));
    for one in all {
        if let Some(why) = one.why_not() {
            text.push_str(&wrap(&format!("{}: {}", one.shown(), one_line(&why, 600)), 0, width));
        }
    }
    text
}

/// Sorts restores in the order in which they are best begun; those without a time last.
fn in_order<'a>(all: &'a [Planned], forecast: Option<&Forecast>) -> Vec<&'a Planned> {
    let (timed, others): (Vec<&Planned>, Vec<&Planned>) = all.iter().partition(|one| one.seconds().is_some());
    let ordered = forecast.map_or_else(|| timed.clone(), |f| f.order.iter().map(|i| timed[*i]).collect());
    ordered.into_iter().chain(others).collect()
}

fn sentence(all: &[Planned], forecast: Option<&Forecast>, at_once: usize) -> String {
    let plans: Vec<&Plan> = all.iter().filter_map(Planned::plan).collect();
    let sum = |of: fn(&Plan) -> u64| plans.iter().map(|plan| of(plan)).sum::<u64>();
    let room: u64 = all.iter().filter(|one| one.begins()).map(|one| one.room.total()).sum();
    let count = |n: u64, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let mut text = format!(
        "{} of {}: {}, {} to fetch in {}; {} of room in the cluster",
        count(plans.len() as u64, "restore"),
        all.len(),
        count(sum(|plan| plan.files), "file"),
        size(sum(|plan| plan.fetched_bytes)),
        count(sum(|plan| plan.requests), "request"),
        size(room),
    );
    match forecast {
        Some(forecast) if !forecast.order.is_empty() => {
            let together =
                if at_once >= plans.len() { "All at once".into() } else { format!("{at_once} at once") };
            text.push_str(&format!(
                ". {together}, the longest first, they take about {}; what the cluster needs for claims, snapshots and \
                 pods comes on top.",
                duration(forecast.seconds)
            ));
        }
        Some(_) => text.push('.'),
        None => text.push_str(". How long they take is not told without --link or --probe."),
    }
    text
}

/// Makes a document, version 1.
#[must_use]
pub fn plan_json(
    known_from: &[String],
    all: &[Planned],
    forecast: Option<&Forecast>,
    at_once: usize,
) -> Value {
    let timed: Vec<&Planned> = all.iter().filter(|one| one.seconds().is_some()).collect();
    let times = |one: &Planned| {
        let place = timed.iter().position(|timed| std::ptr::eq(*timed, one))?;
        forecast?.times.get(place).copied()
    };
    json!({
        "version": 1,
        "knownFrom": known_from,
        "atOnce": at_once,
        "totalSeconds": forecast.map(|forecast| forecast.seconds),
        "applications": in_order(all, forecast).into_iter().map(|one| application(one, times(one))).collect::<Vec<_>>(),
    })
}

fn application(one: &Planned, times: Option<(f64, f64)>) -> Value {
    let judged = one.judged.as_ref().ok();
    json!({
        "namespace": one.namespace,
        "name": one.name,
        "outcome": judged.map(|judged| &judged.outcome),
        "exitCode": judged.map(|judged| judged.exit_code),
        "message": judged.map_or_else(|| one.judged.as_ref().err(), |judged| Some(&judged.message)),
        "identity": judged.map(|judged| &judged.identity),
        "snapshot": judged.and_then(|judged| judged.snapshot.as_ref()).map(|choice| json!({
            "id": choice.id, "startTime": choice.start,
        })),
        "room": {
            "claimBytes": one.room.claim,
            "copyBytes": one.room.copy,
            "snapshotBytes": one.room.snapshot,
            "totalBytes": one.room.total(),
        },
        "plan": one.plan().map(|plan| json!({
            "files": plan.files,
            "directories": plan.directories,
            "bytes": plan.bytes,
            "requests": plan.requests,
            "fetchedBytes": plan.fetched_bytes,
            "packs": plan.packs,
            "openingSeconds": plan.opening_seconds,
            "seconds": one.seconds(),
            "linkBytesPerSecond": plan.estimate.map(|estimate| estimate.link_bytes_per_second),
            "probedBytes": plan.estimate.map(|estimate| estimate.probed_bytes),
        })),
        "startsAfterSeconds": times.map(|times| times.0),
        "endsAfterSeconds": times.map(|times| times.1),
    })
}

/// Writes seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        0.0..10.0 => format!("{seconds:.1} s"),
        10.0..120.0 => format!("{seconds:.0} s"),
        120.0..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
