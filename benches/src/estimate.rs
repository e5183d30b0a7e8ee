//! Compares what a dry run foresees with what the restore then takes, round after round.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::compare::{self, Scenario};
use crate::contest::Contest;
use crate::corpora::PASSWORD;
use crate::process::median;
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    compare: compare::Args,
    /// How the dry run finds out: options of `restore --dry-run`, in one string
    #[arg(long, allow_hyphen_values = true, default_value = "--probe")]
    how: String,
    /// Fail when a median is off by more than this part, where the restore takes more than ten seconds
    #[arg(long, default_value_t = 0.25)]
    within: f64,
}

const PROGRAM: &str =
    r#"exec "$REKOPIA" --repo "$REPO" --password-file "$PASSWORD_FILE" --no-progress --json $OPTIONS"#;
/// What is restored.
const WHAT: &str = r#"bench@host:/data "$TARGET""#;
/// Below this the opening of connections and files decides, and nobody waits.
const LONG: f64 = 10.0;

/// Foresees, restores, and compares both.
///
/// # Errors
/// When a run fails, or the median of the ratios is off by more than wanted.
pub(crate) fn run(args: &Args) -> Result<()> {
    let compare = &args.compare;
    let in_place = compare.scenario == Scenario::InPlace;
    ensure!(in_place || compare.scenario == Scenario::Fresh, "--scenario fresh or in-place");
    fs::create_dir_all(&compare.dir)?;
    fs::write(compare.dir.join("password"), PASSWORD)?;
    let contest = Contest::new(compare)?;
    let dir = fs::canonicalize(&compare.dir)?;
    let (mut foreseen, mut taken) = (Vec::new(), Vec::new());
    let (mut planned, mut done) = (Value::Null, Value::Null);
    for round in 0..compare.runs {
        let target = dir.join(if in_place { "place".into() } else { format!("target-{round}") });
        if in_place {
            contest.disturb(&target, round)?;
        }
        let mut environment = contest.fresh()?;
        environment.push(("TARGET".into(), target.clone().into()));
        let told =
            report(&contest, &format!("{PROGRAM} restore --dry-run {} {WHAT}", args.how), &environment)?;
        let estimate = told.0["planned"]["estimate"]["seconds"].as_f64().context("no time was told")?;
        let real = report(&contest, &format!("{PROGRAM} restore {WHAT}"), &environment)?;
        println!(
            "foreseen {estimate:.2} s ({}), taken {:.2} s",
            told.0["planned"]["estimate"]["bound"], real.1
        );
        foreseen.push(estimate);
        taken.push(real.1);
        (planned, done) = (told.0, real.0);
        if compare.remove && !in_place {
            fs::remove_dir_all(&target)?;
        }
    }
    let (told, took) = (median(foreseen.iter().copied()), median(taken.iter().copied()));
    let amount =
        |value: &Value| value.as_f64().map_or_else(String::new, |bytes| format!("{:.1}", bytes / 1e6));
    let head = [
        "what",
        "how",
        "MB foreseen",
        "MB read",
        "requests foreseen",
        "made",
        "foreseen s",
        "taken s",
        "ratio",
    ];
    let row = [
        compare::title(compare)?,
        args.how.clone(),
        amount(&planned["planned"]["bytes"]),
        amount(&done["fetchedBytes"]),
        planned["planned"]["requests"].to_string(),
        done["requests"].to_string(),
        format!("{told:.2}"),
        format!("{took:.2}"),
        format!("{:.2}", told / took),
    ];
    let rows = [head.map(str::to_owned).to_vec(), row.to_vec()];
    table::publish(&table::markdown(&rows), compare.table.as_deref())?;
    let off = (told / took - 1.0).abs();
    ensure!(took < LONG || off <= args.within, "foreseen {told:.1} s, taken {took:.1} s");
    Ok(())
}

/// Returns the report of a run, and its wall time.
fn report(
    contest: &Contest<'_>,
    script: &str,
    environment: &[(String, std::ffi::OsString)],
) -> Result<(Value, f64)> {
    let dir = &contest.args.dir;
    let run = crate::process::timed(script, environment, dir, None)?;
    let text = fs::read_to_string(dir.join("stdout"))?;
    let last = text.lines().last().context("no report")?;
    Ok((serde_json::from_str(last)?, run.seconds))
}
