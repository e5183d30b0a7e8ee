//! Runs `plan`: what restores would need, before anything moves.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::StreamExt;
use futures::future::BoxFuture;
use rekopia::{Cancel, Pace};
use rekopia_mover::{Judgement, Volume};

use super::arguments::{Global, Plan};
use super::exit;
use super::known::gather;
use super::output::{Failure, missing_rights, print, width};
use super::repository::{Given, Secrets, Values, bytes, of_restore, place};
use crate::forecast::{Forecast, Restore, forecast};
use crate::inventory::{Row, collect};
use crate::objects::{Destination, Object};
use crate::render::{Planned, Room, plan_json, plan_text};

/// Repositories that are looked into at once; while one is timed the others wait.
const AT_ONCE: usize = 4;

pub(super) async fn run(global: &Global, asked: &Plan) -> Result<u8> {
    // A tree holds all namespaces: that of the context says nothing about it.
    let has_git = asked.known.git.is_some() || asked.known.rendered.is_some();
    let sources = gather(global, &asked.known, asked.all || has_git, false).await?;
    let linked = sources.linked();
    let view = linked.view();
    let rows = meant(collect(linked.sides(true)), global, asked)?;
    if rows.is_empty() && global.namespace.is_some() && view.is_none_or(|view| view.sees(Destination::KIND)) {
        let message = "nothing in this namespace is restored; another namespace: -n NS, all: --all".into();
        return Err(Failure { code: exit::NOT_FOUND, message }.into());
    }
    let (secrets, given) = (sources.secrets(), asked.known.given());
    let pace = (asked.link.is_some() || asked.probe)
        .then_some(Pace::default().link(asked.link).probe(asked.probe).disk(false));
    let planned = look_into(restores(&rows), &secrets, &given, pace).await;
    let at_once = asked.at_once.map_or(usize::MAX, |n| n as usize).min(planned.len().max(1));
    let foreseen = pace.map(|_| foresee(&planned, at_once, asked.link));
    if asked.output.is_some() {
        let document = plan_json(&sources.said, &planned, foreseen.as_ref(), at_once);
        print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
    } else {
        let width = width();
        print(&plan_text(&sources.said, &planned, foreseen.as_ref(), at_once, width))?;
        if let Some(view) = view {
            print(&missing_rights(view, width))?;
        }
    }
    let goes = |one: &Planned| one.judged.as_ref().is_ok_and(|judged| judged.exit_code == 0);
    Ok(linked.code(planned.iter().all(goes)))
}

/// Keeps the rows that have a restore and are asked for.
fn meant<'a>(mut rows: Vec<Row<'a>>, global: &Global, asked: &Plan) -> Result<Vec<Row<'a>>, Failure> {
    let namespace = global.namespace.as_deref();
    rows.retain(|row| {
        row.destination.is_some() && !row.is_second && namespace.is_none_or(|name| row.namespace == name)
    });
    let is_called = |row: &Row<'_>, name: &str| {
        let objects = [row.destination.map(|one| &one.metadata), row.source.map(|one| &one.metadata)];
        let whole = format!("{}/{}", row.namespace, row.name);
        row.name == name || whole == name || objects.into_iter().flatten().any(|meta| meta.name == name)
    };
    for name in &asked.applications {
        if !rows.iter().any(|row| is_called(row, name)) {
            let known: Vec<&str> = rows.iter().take(10).map(|row| row.name.as_str()).collect();
            let known = if known.is_empty() {
                "there is none".into()
            } else {
                format!("there are {}", known.join(", "))
            };
            let message = format!(
                "nothing that is restored is called {name}: {known}; another namespace: -n NS, all: --all"
            );
            return Err(Failure { code: exit::NOT_FOUND, message });
        }
    }
    rows.retain(|row| {
        asked.applications.is_empty() || asked.applications.iter().any(|name| is_called(row, name))
    });
    Ok(rows)
}

/// A restore with the claims that it fills.
struct Restored<'r, 'a> {
    destination: &'a Destination,
    rows: Vec<&'r Row<'a>>,
}

/// Returns the restores of all rows: one may fill several claims.
fn restores<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<Restored<'r, 'a>> {
    let mut restores: Vec<Restored<'r, 'a>> = Vec::new();
    for row in rows {
        let Some(destination) = row.destination else { continue };
        match restores.iter_mut().find(|one| std::ptr::eq(one.destination, destination)) {
            Some(one) => one.rows.push(row),
            None => restores.push(Restored { destination, rows: vec![row] }),
        }
    }
    restores
}

/// Looks into each repository once; the answers come in the order of the restores.
async fn look_into(
    restores: Vec<Restored<'_, '_>>,
    secrets: &Secrets<'_>,
    given: &Given<'_>,
    pace: Option<Pace>,
) -> Vec<Planned> {
    let mut answers: Vec<Option<Result<Judgement, String>>> = Vec::new();
    let mut groups: BTreeMap<Values, Vec<(usize, Values, Volume)>> = BTreeMap::new();
    for (number, one) in restores.iter().enumerate() {
        let row = one.rows.first().and_then(|row| row.source);
        answers.push(match of_restore(secrets, one.destination, row, given).await {
            Ok(variables) => {
                let capacity = one.destination.capacity().or(one.rows.first().and_then(|row| row.capacity));
                let volume = Volume { capacity_bytes: bytes(capacity) };
                groups.entry(place(&variables)).or_default().push((number, variables, volume));
                None
            }
            Err(e) => Some(Err(format!("{e:#}"))),
        });
    }
    let looking = groups.into_values().map(async |group| {
        let (numbers, settings): (Vec<usize>, Vec<_>) =
            group.into_iter().map(|(number, variables, volume)| (number, (variables, volume))).unzip();
        let cancel = Cancel::new();
        // A mover's whole work: too large to lie in another future.
        let planned: BoxFuture<'_, Vec<Judgement>> = Box::pin(rekopia_mover::plan(settings, pace, &cancel));
        numbers.into_iter().zip(planned.await).collect::<Vec<_>>()
    });
    let at_once = if pace.is_some() { 1 } else { AT_ONCE };
    let all: Vec<_> = futures::stream::iter(looking).buffer_unordered(at_once).collect().await;
    for (number, judged) in all.into_iter().flatten() {
        answers[number] = Some(Ok(judged));
    }
    let unasked = || Err("it was not looked at".to_owned());
    restores.iter().zip(answers).map(|(one, judged)| planned(one, judged.unwrap_or_else(unasked))).collect()
}

fn planned(one: &Restored<'_, '_>, judged: Result<Judgement, String>) -> Planned {
    let restored = judged.as_ref().ok().and_then(|judged| judged.plan.as_ref()).map(|plan| plan.bytes);
    let names: Vec<&str> = one.rows.iter().map(|row| row.name.as_str()).collect();
    let namespace = one.destination.metadata.namespace.clone();
    Planned { namespace, name: names.join(" and "), room: room(one, restored), judged }
}

/// Returns the room that a restore takes: the mover writes into a claim of its own, unless one is named
/// (`destinationPVC`) or it is to be the last (`copyMethod: Direct`).
fn room(one: &Restored<'_, '_>, restored: Option<u64>) -> Room {
    let claims: Vec<u64> = one.rows.iter().filter_map(|row| bytes(row.capacity)).collect();
    let claim = (!claims.is_empty()).then(|| claims.iter().sum());
    let kopia = one.destination.spec.kopia.as_ref();
    let names_one = kopia.is_some_and(|kopia| kopia.raw["destinationPVC"].is_string());
    match kopia.and_then(|kopia| kopia.copy_method.as_deref()) {
        Some("Direct" | "None") => Room { claim, copy: None, snapshot: None },
        _ if names_one => Room { claim, copy: None, snapshot: restored },
        _ => {
            let copy = bytes(one.destination.capacity()).or(claims.first().copied());
            Room { claim, copy, snapshot: restored }
        }
    }
}

fn foresee(planned: &[Planned], at_once: usize, link: Option<u64>) -> Forecast {
    let restores: Vec<Restore> = planned
        .iter()
        .filter_map(|one| {
            let plan = one.plan()?;
            let alone = plan.estimate?.seconds;
            Some(Restore { opening: plan.opening_seconds, bytes: plan.fetched_bytes, alone })
        })
        .collect();
    // Without a given link, what one of them measured is what all of them share.
    let measured = planned.iter().filter_map(|one| Some(one.plan()?.estimate?.link_bytes_per_second)).max();
    let link = link.or(measured).filter(|link| *link > 0);
    forecast(&restores, at_once, link.map(|link| link as f64))
}
