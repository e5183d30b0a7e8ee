//! The programs that are compared, as the shell scripts of their timed parts.

use std::path::PathBuf;

use crate::compare::{Overwrite, Scenario};

/// A program in one of its modes.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) tool: Tool,
    pub(crate) script: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rekopia,
    Kopia,
    Restic,
    Rustic,
}

/// Where the programs are.
#[derive(Debug, clap::Args)]
pub(crate) struct Tools {
    /// This program
    #[arg(long, default_value = "target/release/rekopia")]
    pub(crate) rekopia: PathBuf,
    /// The real Kopia
    #[arg(long)]
    pub(crate) kopia: Option<PathBuf>,
    /// Restic, 0.17 or newer (older ones cannot trust times)
    #[arg(long)]
    pub(crate) restic: Option<PathBuf>,
    /// Rustic
    #[arg(long)]
    pub(crate) rustic: Option<PathBuf>,
}

const OURS: &str =
    r#"exec "$REKOPIA" --repo "$REPO" --password-file "$PASSWORD_FILE" --no-progress $OPTIONS"#;
const CONNECT: &str = r#"set -e
"$KOPIA" repository connect filesystem --path="$REPO" --override-username=bench --override-hostname=host --no-check-for-updates"#;
const RESTIC: &str = r#"exec "$RESTIC" -r "$RESTIC_REPO" --no-cache -q"#;
const RUSTIC: &str = r#"exec "$RUSTIC" -r "$RUSTIC_REPO" --no-cache --no-progress --log-level warn"#;
const NO_CACHE: &str = "--content-cache-size-mb=0";

/// What runs in a scenario, ours first. Kopia connects in its timed part: what a fresh machine has to do.
pub(crate) fn programs(tools: &Tools, scenario: Scenario, overwrite: Overwrite) -> Vec<Program> {
    let mut all = ours(scenario, overwrite);
    if tools.kopia.is_some() {
        all.extend(kopia(scenario, overwrite));
    }
    if tools.restic.is_some() {
        all.extend(restic(scenario, overwrite));
    }
    if tools.rustic.is_some() {
        all.extend(rustic(scenario, overwrite));
    }
    all
}

fn ours(scenario: Scenario, overwrite: Overwrite) -> Vec<Program> {
    let overwrite = if overwrite == Overwrite::Always { "always" } else { "if-changed" };
    let restore = format!(r#"-q restore --sync none --overwrite {overwrite} bench@host:/data "$TARGET""#);
    let modes: Vec<(&'static str, String)> = match scenario {
        Scenario::Fresh | Scenario::InPlace => {
            vec![("rekopia", restore.clone()), ("rekopia 24MiB", format!("--memory 24MiB {restore}"))]
        }
        Scenario::Verify => {
            vec![("rekopia", "-q verify".into()), ("rekopia --hash", "-q verify --hash".into())]
        }
        Scenario::Snapshots => vec![("rekopia", "--json snapshots".into())],
        Scenario::Ls => vec![("rekopia", "ls bench@host:/data".into())],
    };
    let program =
        |(name, arguments)| Program { name, tool: Tool::Rekopia, script: format!("{OURS} {arguments}") };
    modes.into_iter().map(program).collect()
}

fn kopia(scenario: Scenario, overwrite: Overwrite) -> Vec<Program> {
    let restore = r#"restore bench@host:/data "$TARGET" --no-progress"#;
    let command = match scenario {
        Scenario::Fresh | Scenario::InPlace => restore,
        Scenario::Verify => "snapshot verify --verify-files-percent=100 --no-progress",
        Scenario::Snapshots => "snapshot list --all --json",
        Scenario::Ls => r#"ls "$ROOT""#,
    };
    let program = |name, cache: &str, command: &str| Program {
        name,
        tool: Tool::Kopia,
        script: format!("{CONNECT} {cache} >/dev/null\n\"$KOPIA\" {command}"),
    };
    let mut all = vec![program("kopia", "", command), program("kopia nocache", NO_CACHE, command)];
    if scenario == Scenario::InPlace && overwrite == Overwrite::IfChanged {
        all.push(program("kopia --skip-existing", "", &format!("{restore} --skip-existing")));
    }
    all
}

fn restic(scenario: Scenario, overwrite: Overwrite) -> Vec<Program> {
    let overwrite = if overwrite == Overwrite::Always { "always" } else { "if-changed" };
    let arguments = match scenario {
        Scenario::Fresh | Scenario::InPlace => {
            format!(r#"restore "latest:$SOURCE" --target "$TARGET" --overwrite {overwrite}"#)
        }
        Scenario::Verify => "check --read-data".to_owned(),
        Scenario::Snapshots => "snapshots --json".to_owned(),
        Scenario::Ls => return Vec::new(),
    };
    vec![Program { name: "restic", tool: Tool::Restic, script: format!("{RESTIC} {arguments}") }]
}

fn rustic(scenario: Scenario, overwrite: Overwrite) -> Vec<Program> {
    let restore = r#"restore --numeric-id "latest:$SOURCE" "$TARGET""#;
    let arguments = match scenario {
        Scenario::Fresh => restore.to_owned(),
        Scenario::InPlace if overwrite == Overwrite::Always => format!("{restore} --verify-existing"),
        Scenario::InPlace => restore.to_owned(),
        Scenario::Verify => "check --read-data".to_owned(),
        Scenario::Snapshots => "snapshots --json".to_owned(),
        Scenario::Ls => return Vec::new(),
    };
    vec![Program { name: "rustic", tool: Tool::Rustic, script: format!("{RUSTIC} {arguments}") }]
}

/// Makes the repositories of the others out of the source tree.
pub(crate) const BACKUP_RESTIC: &str =
    r#""$RESTIC" -r "$RESTIC_REPO" init && "$RESTIC" -r "$RESTIC_REPO" --no-cache backup "$SOURCE""#;
pub(crate) const BACKUP_RUSTIC: &str = r#""$RUSTIC" -r "$RUSTIC_REPO" --no-cache init && "$RUSTIC" -r "$RUSTIC_REPO" --no-cache --no-progress backup "$SOURCE""#;
/// Prints the root object of the first snapshot that Kopia lists.
pub(crate) const LIST_KOPIA: &str = r#"set -e
"$KOPIA" repository connect filesystem --path="$REPO" --override-username=bench --override-hostname=host --no-check-for-updates >/dev/null
"$KOPIA" snapshot list --all --json"#;
