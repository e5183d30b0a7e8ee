//! Runs `doctor`: what is broken, why, and what to do.

use anyhow::Result;
use futures::StreamExt;
use serde_json::json;

use super::arguments::{Doctor, Global, Output};
use super::output::{Failure, missing_rights, print, width};
use super::repository::{self, Looked};
use super::shown::code;
use super::{exit, select};
use crate::chain::Index;
use crate::findings::{Diagnosis, Verdict, diagnose};
use crate::observe::{connect, look, read_ends};
use crate::render::{document, explain, summary, wrap};
use crate::view::View;

/// Repositories that are looked into at once.
const AT_ONCE: usize = 4;

pub(super) async fn run(global: &Global, doctor: &Doctor) -> Result<u8> {
    doctor.given().check()?;
    let api = connect(&global.access()).await;
    let api = api.map_err(|e| Failure { code: exit::USAGE, message: format!("{e:#}") })?;
    let scope = select::scope(global, api.namespace());
    let mut view = look(&api, &scope).await.map_err(Failure::from)?;
    select::check_namespace(&view, &scope)?;
    read_ends(&api, &mut view).await;
    let index = Index::new(&view);
    let all = diagnose(&index);
    let meant = match &doctor.target {
        Some(target) => select::target(&view, all, target)?,
        None => all,
    };
    let looks = !doctor.no_repository && (doctor.repository || doctor.target.is_some());
    let looking = meant.iter().filter(|_| looks).map(|one| repository::look(&api, &one.app, doctor));
    let looked: Vec<_> = futures::stream::iter(looking).buffered(AT_ONCE).collect().await;
    if doctor.output == Some(Output::Json) {
        let mut document = document(&view, &meant);
        document["repositories"] = looked.iter().flatten().map(Looked::to_json).collect();
        document["exitCode"] = json!(code(&view, &meant, true));
        print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
    } else {
        let width = width();
        print(&text(&view, &meant, &looked, doctor, width))?;
        print(&missing_rights(&view, width))?;
    }
    Ok(code(&view, &meant, true))
}

fn text(
    view: &View,
    meant: &[Diagnosis<'_>],
    looked: &[Option<Looked>],
    doctor: &Doctor,
    width: usize,
) -> String {
    let mut text = wrap(&summary(view, meant), 0, width);
    for (i, one) in meant.iter().enumerate() {
        // Asked for all, a person wants to hear of those that are not done.
        if doctor.target.is_none() && one.verdict() == Verdict::Fine {
            continue;
        }
        text.push_str(&format!("\n{}", explain(one, view.now, width)));
        if let Some(Some(looked)) = looked.get(i) {
            text.push_str(&looked.to_text(width));
        }
    }
    text
}
