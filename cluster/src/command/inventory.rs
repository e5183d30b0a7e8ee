//! Runs `inventory`: what is configured, backed up and restored.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::StreamExt;
use rekopia::Cancel;
use rekopia_mover::{Catalogue, Judgement, catalogue};
use serde_json::json;

use super::arguments::{Form, Global, Inventory as Asked};
use super::exit;
use super::known::gather;
use super::output::{missing_rights, print, width};
use super::repository::{Given, Secrets, Values, of_backup, of_nobody, of_restore, place};
use crate::inventory::{Held, Row, collect, judge};
use crate::render::Inventory;
use crate::view::View;

/// Secrets that are asked for, and repositories that are opened, at once.
const AT_ONCE: usize = 8;

pub(super) async fn run(global: &Global, asked: &Asked) -> Result<u8> {
    let sources = gather(global, &asked.known, true, true).await?;
    let linked = sources.linked();
    let mut rows = collect(linked.sides(false));
    let namespace = global.namespace.as_deref();
    rows.retain(|row| namespace.is_none_or(|namespace| row.namespace == namespace));
    let mut catalogues = Vec::new();
    let mut said = sources.said.clone();
    if asked.no_repository {
        said.push("Repositories: not looked at (--no-repository).".into());
    } else {
        catalogues = look_into(&mut rows, &sources.secrets(), &asked.known.given()).await;
        said.push(opened(&catalogues));
    }
    let now = sources.now();
    let (marks, orphans) = judge(&rows, &catalogues, namespace, now);
    let notes = sources.git.as_ref().map(|tree| tree.notes.clone()).unwrap_or_default();
    let shown = Inventory { now, known_from: said, rows: &rows, marks: &marks, orphans: &orphans, notes };
    let code = if asked.exit_code { linked.code(shown.is_fine()) } else { exit::FINE };
    print(&text(&shown, asked, linked.view(), code)?)?;
    Ok(code)
}

fn text(shown: &Inventory<'_>, asked: &Asked, view: Option<&View>, code: u8) -> Result<String> {
    Ok(match asked.output {
        Some(Form::Json) => {
            let mut document = shown.to_json();
            let unseen = view.iter().flat_map(|view| &view.unseen);
            document["unseen"] =
                unseen.map(|unseen| json!({ "resource": unseen.resource, "why": unseen.why })).collect();
            document["exitCode"] = json!(code);
            format!("{}\n", serde_json::to_string_pretty(&document)?)
        }
        Some(Form::Markdown) => shown.to_markdown(),
        None => {
            let width = width();
            let missing = view.map(|view| missing_rights(view, width)).filter(|text| !text.is_empty());
            shown.to_text(width) + &missing.map(|text| format!("\n{text}")).unwrap_or_default()
        }
    })
}

fn opened(catalogues: &[Catalogue]) -> String {
    match catalogues {
        [] => "Repositories: none could be opened.".into(),
        [one] => format!("Repository: {}.", one.repository),
        many => {
            let names: Vec<&str> = many.iter().take(5).map(|one| one.repository.as_str()).collect();
            let more = if many.len() > names.len() { ", …" } else { "" };
            format!("Repositories: {} ({}{more}).", many.len(), names.join(", "))
        }
    }
}

/// Opens each repository once, and says of each row what is held of it.
async fn look_into(rows: &mut [Row<'_>], secrets: &Secrets<'_>, given: &Given<'_>) -> Vec<Catalogue> {
    let asking = rows.iter().map(|row| settings(row, secrets, given));
    let settings: Vec<Settings> = futures::stream::iter(asking).buffered(AT_ONCE).collect().await;
    let mut distinct: BTreeMap<Values, Values> = BTreeMap::new();
    let all = settings.iter().flat_map(|of| [&of.kept, &of.restored]).flatten().flatten().cloned();
    // What the command line names is looked at also where nothing leads to it.
    let named = of_nobody(given).await.ok().filter(|_| given.repo.is_some() || given.secret_file.is_some());
    for variables in all.chain(named) {
        distinct.entry(place(&variables)).or_insert(variables);
    }
    let opening = distinct.into_iter().map(async |(place, variables)| {
        let opened = Box::pin(catalogue(variables, &Cancel::new())).await;
        (place, opened)
    });
    let opened: Opened = futures::stream::iter(opening).buffer_unordered(AT_ONCE).collect().await;
    for (row, settings) in rows.iter_mut().zip(settings) {
        row.held = held(row, settings.kept.as_ref().or(settings.restored.as_ref()), &opened);
        let other =
            settings.restored.and_then(Result::ok).and_then(|of| opened.get(&place(&of))?.as_ref().ok());
        let other = other.map(|catalogue| catalogue.repository.clone());
        row.restored_from = other.filter(|other| matches!(&row.held, Held::Known(own, _) if own != other));
    }
    let mut catalogues: Vec<Catalogue> = opened.into_values().flatten().collect();
    // Two Secrets may lead to one repository.
    catalogues.sort_by(|a, b| a.repository.cmp(&b.repository));
    catalogues.dedup_by(|a, b| a.repository == b.repository);
    catalogues
}

/// Repositories by what leads to them.
type Opened = BTreeMap<Values, Result<Catalogue, Box<Judgement>>>;

/// The variables that lead to the repository of the backups, and to that of the restore.
struct Settings {
    kept: Option<Result<Values, String>>,
    restored: Option<Result<Values, String>>,
}

fn held(row: &Row<'_>, settings: Option<&Result<Values, String>>, opened: &Opened) -> Held {
    match settings.map(|settings| settings.as_ref().map(|variables| opened.get(&place(variables)))) {
        None => Held::Unknown("the restore that the claim names is not there".into()),
        Some(Err(why)) => Held::Unknown(why.clone()),
        Some(Ok(None)) => Held::NotAsked,
        Some(Ok(Some(Err(judged)))) => Held::Unknown(judged.sentence()),
        Some(Ok(Some(Ok(catalogue)))) => {
            let own = row.identity().and_then(|identity| catalogue.sources.get(identity));
            Held::Known(catalogue.repository.clone(), own.cloned().unwrap_or_default())
        }
    }
}

async fn settings(row: &Row<'_>, secrets: &Secrets<'_>, given: &Given<'_>) -> Settings {
    let kept = match row.source.filter(|source| !source.spec.kopia["repository"].is_null()) {
        Some(source) => Some(of_backup(secrets, source, given).await),
        None => None,
    };
    let restored = match row.destination.filter(|_| !row.is_second) {
        Some(destination) => Some(of_restore(secrets, destination, row.source, given).await),
        None => None,
    };
    let said = |one: Result<Values>| one.map_err(|e| format!("{e:#}"));
    Settings { kept: kept.map(said), restored: restored.map(said) }
}
