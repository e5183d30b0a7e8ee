//! Runs `status`: where each application's restore stands.

use anyhow::Result;

use super::arguments::{Global, Status};
use super::output::{Failure, print};
use super::shown::{code, shown};
use super::{exit, select, watching};
use crate::chain::Index;
use crate::findings::diagnose;
use crate::observe::{connect, look, read_ends};

pub(super) async fn run(global: &Global, status: &Status) -> Result<u8> {
    let access = global.access();
    let api = connect(&access).await.map_err(|e| Failure { code: exit::USAGE, message: format!("{e:#}") })?;
    let scope = select::scope(global, api.namespace());
    if status.watch {
        return watching::run(&api, &access, &scope, status).await;
    }
    let mut view = look(&api, &scope).await.map_err(Failure::from)?;
    select::check_namespace(&view, &scope)?;
    read_ends(&api, &mut view).await;
    let index = Index::new(&view);
    let all = select::named(&view, diagnose(&index), &status.applications)?;
    print(&shown(&view, &all, &scope, status)?)?;
    Ok(code(&view, &all, status.exit_code))
}
