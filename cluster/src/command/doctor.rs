//! `doctor`: what is broken, why, and what to do.

use anyhow::Result;
use serde_json::json;

use super::arguments::{Doctor, Global, Output};
use super::output::{Failure, is_terminal, missing_rights, print, width};
use super::repository::{self, Looked};
use super::shown::code;
use super::{exit, select};
use crate::chain::Index;
use crate::findings::{Diagnosis, Verdict, diagnose};
use crate::observe::{connect, look, read_ends};
use crate::render::{document, explain, summary};

pub(super) async fn run(global: &Global, doctor: &Doctor) -> Result<u8> {
    let api = connect(&global.access()).await;
    let api = api.map_err(|e| Failure { code: exit::USAGE, message: format!("{e:#}") })?;
    let scope = select::scope(global, api.namespace());
    let mut view = look(&api, &scope).await.map_err(Failure::from)?;
    read_ends(&api, &mut view).await;
    let index = Index::new(&view);
    let all = diagnose(&index);
    let meant = match &doctor.target {
        Some(target) => select::target(all, target)?,
        None => all,
    };
    let looks = !doctor.no_repository && (doctor.repository || doctor.target.is_some());
    let mut looked = Vec::new();
    for one in meant.iter().filter(|_| looks) {
        looked.push(repository::look(&api, &one.app, doctor).await);
    }
    if doctor.output == Some(Output::Json) {
        let mut document = document(&view, &meant);
        document["repositories"] = looked.iter().flatten().map(Looked::to_json).collect();
        document["exitCode"] = json!(code(&meant, true));
        print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
    } else {
        let width = if is_terminal() { width() } else { 80 };
        print(&text(&meant, &looked, doctor, view.now, width))?;
        print(&missing_rights(&view))?;
    }
    Ok(code(&meant, true))
}

fn text(
    meant: &[Diagnosis<'_>],
    looked: &[Option<Looked>],
    doctor: &Doctor,
    now: jiff::Timestamp,
    width: usize,
) -> String {
    let mut text = format!("{}\n", summary(meant));
    for (i, one) in meant.iter().enumerate() {
        // Asked for all, a person wants to hear of those that are not done.
        if doctor.target.is_none() && one.verdict() == Verdict::Fine {
            continue;
        }
        text.push_str(&format!("\n{}", explain(one, now, width)));
        if let Some(Some(looked)) = looked.get(i) {
            text.push_str(&looked.to_text(width));
        }
    }
    text
}
