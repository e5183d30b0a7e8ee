//! The programs that are compared, as the shell scripts of their timed parts.

use std::path::PathBuf;

use crate::compare::{Overwrite, Scenario};

/// Where the repositories are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Local,
    S3,
}

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) scenario: Scenario,
    pub(crate) overwrite: Overwrite,
    pub(crate) place: Place,
    /// The others once more with so many requests at once.
    pub(crate) parallel: Option<u32>,
    /// The time ends with a sync: ours does its own before.
    pub(crate) synced: bool,
}

/// A program in one of its modes.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) name: String,
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
    #[arg(long, default_value = "target/dist/rekopia")]
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
const RESTIC: &str = r#"exec "$RESTIC" -r "$RESTIC_REPO" --no-cache -q"#;
const RUSTIC: &str = r#"exec "$RUSTIC" -r "$RUSTIC_REPO" --no-cache --no-progress --log-level warn"#;
const NO_CACHE: &str = "--content-cache-size-mb=0";
const CONNECT: [&str; 2] = [
    r#""$KOPIA" repository connect filesystem --path="$REPO""#,
    r#""$KOPIA" repository connect s3 --bucket=kopia --endpoint="$HOST" --region=us-east-1 $NO_TLS ${CA:+--root-ca-pem-path="$CA"}"#,
];
const IDENTITY: &str = "--override-username=bench --override-hostname=host --no-check-for-updates";

/// Makes the repositories of the others out of the source tree.
pub(crate) const BACKUP_RESTIC: &str =
    r#""$RESTIC" -r "$RESTIC_REPO" init && "$RESTIC" -r "$RESTIC_REPO" --no-cache backup "$SOURCE""#;
pub(crate) const BACKUP_RUSTIC: &str = r#""$RUSTIC" -r "$RUSTIC_REPO" --no-cache init && "$RUSTIC" -r "$RUSTIC_REPO" --no-cache --no-progress backup "$SOURCE""#;

/// Prints Kopia's list of all snapshots, from the directory.
pub(crate) fn list_kopia() -> String {
    connected(Place::Local, "", "snapshot list --all --json")
}

/// Returns what runs in a scenario, ours first. Kopia connects in its timed part: what a fresh machine has to do.
pub(crate) fn programs(tools: &Tools, wanted: Wanted) -> Vec<Program> {
    let mut all = ours(wanted);
    if tools.kopia.is_some() {
        all.extend(kopia(wanted));
    }
    if tools.restic.is_some() {
        all.extend(restic(wanted));
    }
    if tools.rustic.is_some() {
        all.extend(rustic(wanted));
    }
    all
}

fn ours(wanted: Wanted) -> Vec<Program> {
    let overwrite = if wanted.overwrite == Overwrite::Always { "always" } else { "if-changed" };
    let sync = if wanted.synced { "end" } else { "none" };
    let restore = format!(r#"-q restore --sync {sync} --overwrite {overwrite} bench@host:/data "$TARGET""#);
    let modes: Vec<(&str, String)> = match wanted.scenario {
        Scenario::Fresh | Scenario::InPlace => {
            vec![("rekopia", restore.clone()), ("rekopia 24MiB", format!("--memory 24MiB {restore}"))]
        }
        Scenario::Verify => {
            vec![("rekopia", "-q verify".into()), ("rekopia --hash", "-q verify --hash".into())]
        }
        Scenario::Snapshots => vec![("rekopia", "--json snapshots".into())],
        Scenario::Ls => vec![("rekopia", "ls bench@host:/data".into())],
    };
    let program = |(name, arguments): (&str, String)| Program {
        name: name.into(),
        tool: Tool::Rekopia,
        script: format!("{OURS} {arguments}"),
    };
    modes.into_iter().map(program).collect()
}

fn kopia(wanted: Wanted) -> Vec<Program> {
    let restore = r#"restore bench@host:/data "$TARGET" --no-progress"#;
    let restores = matches!(wanted.scenario, Scenario::Fresh | Scenario::InPlace);
    let command = match wanted.scenario {
        Scenario::Fresh | Scenario::InPlace => restore,
        Scenario::Verify => "snapshot verify --verify-files-percent=100 --no-progress",
        Scenario::Snapshots => "snapshot list --all --json",
        Scenario::Ls => r#"ls "$ROOT""#,
    };
    let program = |name: &str, cache: &str, command: &str| Program {
        name: name.into(),
        tool: Tool::Kopia,
        script: connected(wanted.place, cache, command),
    };
    let mut all = vec![program("kopia", "", command), program("kopia nocache", NO_CACHE, command)];
    if wanted.scenario == Scenario::InPlace && wanted.overwrite == Overwrite::IfChanged {
        all.push(program("kopia --skip-existing", "", &format!("{restore} --skip-existing")));
    }
    if let (true, Some(n)) = (restores, wanted.parallel) {
        let name = format!("kopia nocache --parallel {n}");
        all.push(program(&name, NO_CACHE, &format!("{restore} --parallel={n}")));
    }
    all
}

fn connected(place: Place, cache: &str, command: &str) -> String {
    let connect = CONNECT[place as usize];
    format!("set -e\n{connect} {IDENTITY} {cache} >/dev/null\n\"$KOPIA\" {command}")
}

fn restic(wanted: Wanted) -> Vec<Program> {
    let overwrite = if wanted.overwrite == Overwrite::Always { "always" } else { "if-changed" };
    let arguments = match wanted.scenario {
        Scenario::Fresh | Scenario::InPlace => {
            format!(r#"restore "latest:$SOURCE" --target "$TARGET" --overwrite {overwrite}"#)
        }
        Scenario::Verify => "check --read-data".to_owned(),
        Scenario::Snapshots => "snapshots --json".to_owned(),
        Scenario::Ls => return Vec::new(),
    };
    let program = |name: String, options: &str| Program {
        name,
        tool: Tool::Restic,
        script: format!("{RESTIC}{options} {arguments}"),
    };
    let mut all = vec![program("restic".into(), "")];
    if let Some(n) = wanted.parallel {
        let backend = if wanted.place == Place::S3 { "s3" } else { "local" };
        all.push(program(format!("restic, {n} connections"), &format!(" -o {backend}.connections={n}")));
    }
    all
}

fn rustic(wanted: Wanted) -> Vec<Program> {
    let restore = r#"restore --numeric-id "latest:$SOURCE" "$TARGET""#;
    let arguments = match wanted.scenario {
        Scenario::Fresh => restore.to_owned(),
        Scenario::InPlace if wanted.overwrite == Overwrite::Always => format!("{restore} --verify-existing"),
        Scenario::InPlace => restore.to_owned(),
        Scenario::Verify => "check --read-data".to_owned(),
        Scenario::Snapshots => "snapshots --json".to_owned(),
        Scenario::Ls => return Vec::new(),
    };
    vec![Program { name: "rustic".into(), tool: Tool::Rustic, script: format!("{RUSTIC} {arguments}") }]
}
