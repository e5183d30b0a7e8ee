//! The program itself.

use std::process::{Command, Output};

use rekopia_testkit::cluster::{ApiServer, Logs, Scenario, Stage};
use serde_json::{Value, json};

pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn of(stage: &Stage) -> Self {
        let cluster = Cluster::empty();
        cluster.server.show_stage(stage);
        cluster
    }

    pub(crate) fn empty() -> Self {
        let server = ApiServer::start_blocking();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), server.kubeconfig()).unwrap();
        Cluster { server, folder }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rekopia"));
        command.args(arguments).env_clear().env("KUBECONFIG", self.folder.path().join("config"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_table_fits_on_a_terminal_of_eighty_columns() {
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    let output = cluster.run(&["status", "-A"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let first = shown.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    assert!(first.starts_with("2 of 7 run on restored data, 1 began empty"), "{shown}");
    assert!(first.contains("1 refused: gitea") && first.contains("1 without a restore: grafana"), "{shown}");
    for line in shown.lines().skip(1) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let line = |app: &str| shown.lines().find(|line| line.contains(&format!(" {app} "))).unwrap();
    assert!(line("immich").contains("done") && line("immich").contains("2026-11-29"), "{shown}");
    assert!(line("freshrss").contains("began empty"), "{shown}");
    assert!(
        line("vaultwarden").contains("pausing") && line("vaultwarden").contains("the right password"),
        "{shown}"
    );
    assert!(line("mealie").contains("backup-only"), "{shown}");
}

#[test]
fn one_namespace_shows_no_column_for_it() {
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    let shown = text(&cluster.run(&["status", "-n", "fleet", "-o", "wide"]).stdout);
    let head = shown.lines().skip_while(|line| !line.is_empty()).nth(1).unwrap();
    assert!(head.starts_with("APPLICATION  PHASE") && head.contains("KUSTOMIZATION"), "{shown}");
    let nothing = cluster.run(&["status", "-n", "nowhere"]);
    assert_eq!(nothing.status.code(), Some(13));
    assert_eq!(text(&nothing.stderr), "error: there is no namespace nowhere; all: -A\n");
}

#[test]
fn names_lead_to_their_claim() {
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    for name in ["gitea", "gitea-dst"] {
        let shown = text(&cluster.run(&["status", "-n", "fleet", name]).stdout);
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(shown.starts_with("0 of 1 run on restored data, 1 refused: gitea\n"), "{shown}");
    }
    let unknown = cluster.run(&["status", "-n", "fleet", "paperles"]);
    assert_eq!(unknown.status.code(), Some(13));
    assert!(text(&unknown.stderr).contains("is called paperles: there are"), "{}", text(&unknown.stderr));
    for target in
        ["pvc/gitea", "pvc/volsync-gitea-dst-dest", "rd/gitea-dst", "job/volsync-dst-vaultwarden-dst"]
    {
        let output = cluster.run(&["doctor", "-n", "fleet", "--no-repository", target]);
        assert_eq!(output.status.code(), Some(1), "{target}: {}", text(&output.stderr));
    }
    assert_eq!(cluster.run(&["doctor", "-n", "fleet", "node/gitea"]).status.code(), Some(2));
}

#[test]
fn exit_codes_say_fine_broken_or_going_on() {
    for (scenario, stage, code) in [
        ("media", "06", 0),
        ("media", "03", 3),
        ("new-application", "01", 0),
        ("wrong-password", "04", 1),
        ("snapshot-slow", "01", 3),
        ("late", "01", 3),
        ("app-fails", "01", 1),
    ] {
        let cluster = Cluster::of(Scenario::load(scenario).stage(stage));
        let asked = |arguments: &[&str]| cluster.run(arguments).status.code();
        assert_eq!(asked(&["doctor", "-n", scenario]), Some(code), "{scenario} {stage}");
        assert_eq!(asked(&["status", "-n", scenario, "--exit-code"]), Some(code), "{scenario} {stage}");
        assert_eq!(asked(&["status", "-n", scenario]), Some(0));
    }
}

#[test]
fn json_is_one_document() {
    let cluster = Cluster::of(Scenario::load("fleet").stage("01"));
    let document: Value =
        serde_json::from_slice(&cluster.run(&["doctor", "-A", "-o", "json"]).stdout).unwrap();
    assert_eq!((&document["version"], &document["exitCode"]), (&json!(1), &json!(1)));
    assert_eq!(document["summary"]["applications"], 7);
    let apps = document["applications"].as_array().unwrap();
    let gitea = apps.iter().find(|app| app["name"] == "gitea").unwrap();
    assert_eq!((&gitea["phase"], &gitea["verdict"]), (&json!("refused"), &json!("broken")));
    let finding = &gitea["findings"][0];
    assert_eq!(finding["scenario"], "no-secret");
    assert_eq!(finding["evidence"][0]["object"], "ReplicationDestination/gitea-dst");
    assert!(finding["remedy"][0]["command"].as_str().unwrap().starts_with("kubectl -n fleet "));
    for key in ["cause", "next", "title"] {
        assert!(!finding[key].as_str().unwrap().is_empty(), "{key}");
    }
}

#[test]
fn a_running_mover_has_an_eta() {
    let scenario = Scenario::load("media");
    let stage = scenario.stage("03");
    let mut logs: Logs = stage.logs.clone();
    for containers in logs.values_mut() {
        for log in containers.values_mut() {
            let said = "INFO: Selected snapshot with id: k77 (2026-11-01T02:00:00Z, a@media:/data)\n\
                        INFO: PROGRESS files=12/340 bytes=1048576/4194304 rate=100 eta=150\n";
            *log = rekopia_testkit::cluster::Log::Text(said.into());
        }
    }
    let cluster = Cluster::empty();
    cluster.server.show(&stage.objects, &logs);
    let shown = text(&cluster.run(&["status", "-n", "media", "paperless"]).stdout);
    assert!(shown.starts_with("0 of 1 run on restored data, 1 restores (3 min)\n"), "{shown}");
    assert!(shown.contains("12/340 files, 3 min"), "{shown}");
    assert!(shown.contains("2026-11-01"), "{shown}");
    let wide = text(&cluster.run(&["status", "-n", "media", "paperless", "-o", "wide"]).stdout);
    assert!(wide.contains("1.0 MiB/4.0 MiB") && wide.contains("2026-11-01 02:00"), "{wide}");
}

/// Values of Secrets that no word of the program could hold by chance.
const HIDDEN: [(&str, &str); 4] = [
    ("KOPIA_PASSWORD", "hidden-password-7c1e"),
    ("AWS_ACCESS_KEY_ID", "HIDDENKEYID7C1E"),
    ("AWS_SECRET_ACCESS_KEY", "hidden-key-7c1e"),
    ("KOPIA_MANUAL_CONFIG", "hidden-config-7c1e"),
];

#[test]
fn values_of_secrets_are_shown_by_nothing() {
    use base64::Engine;
    let stored = |value: &str| base64::engine::general_purpose::STANDARD.encode(value);
    let scenario = Scenario::load("fleet");
    let stage = scenario.stage("01");
    let cluster = Cluster::empty();
    let mut objects = stage.objects.clone();
    for object in objects.iter_mut().filter(|object| object["kind"] == "Secret") {
        for (key, value) in HIDDEN {
            object["data"][key] = stored(value).into();
        }
        // Something that answers, and is no storage.
        object["data"]["KOPIA_REPOSITORY"] = stored("s3://hidden-bucket/").into();
        object["data"]["KOPIA_S3_ENDPOINT"] = stored(&cluster.server.url()).into();
    }
    cluster.server.show(&objects, &stage.logs);
    for arguments in [
        &["doctor", "-n", "fleet", "--repository", "vaultwarden"][..],
        &["doctor", "-n", "fleet", "immich", "-o", "json"],
        &["status", "-A", "-o", "wide"],
        &["status", "-A", "-o", "json"],
    ] {
        let output =
            cluster.command(arguments).env("REKOPIA_LOG", "trace").env("RUST_LOG", "trace").output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(said.len() > 100, "{said}");
        for (key, value) in HIDDEN {
            assert!(
                !said.contains(value) && !said.contains(&stored(value)),
                "{arguments:?} shows {key}: {said}"
            );
        }
        assert!(!said.contains("test-token"), "{arguments:?} shows the token");
    }
    assert!(cluster.server.requests().iter().any(|request| request.contains("/secrets/")));
}

#[test]
fn an_outcome_cannot_steer_a_terminal() {
    let scenario = Scenario::load("wrong-password");
    let stage = scenario.stage("04");
    let mut objects = stage.objects.clone();
    let hostile =
        json!({ "outcome": "wrong\u{1b}[2J\u{9b}x", "message": "a\u{7}b\u{202e}\u{200b}", "files": -5 });
    for object in objects.iter_mut().filter(|object| object["kind"] == "Pod") {
        if let Some(ended) = object.pointer_mut("/status/containerStatuses/0/state/terminated") {
            ended["message"] = hostile.to_string().into();
        }
    }
    let cluster = Cluster::empty();
    cluster.server.show(&objects, &stage.logs);
    let shown = text(&cluster.run(&["doctor", "-n", "wrong-password"]).stdout);
    assert!(shown.contains("exit 12, wrong [2J"), "{shown}");
    let odd = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
    assert!(!shown.contains(odd), "{shown:?}");
}

#[test]
fn no_cluster_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let away = folder.path().join("away");
    let server = ApiServer::start_blocking();
    std::fs::write(&away, server.kubeconfig()).unwrap();
    drop(server);
    let run = |config: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rekopia"));
        command.args(["status", "-A"]).env_clear().env("KUBECONFIG", config).output().unwrap()
    };
    for (config, code) in [("nowhere/config", 2), (away.to_str().unwrap(), 15)] {
        let output = run(config);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
        assert!(said.starts_with("error: "), "{said}");
    }
}

#[test]
fn help_completions_and_the_manual_page_are_there() {
    let cluster = Cluster::empty();
    let manual = text(&cluster.run(&["man"]).stdout).replace("\\-", "-");
    for command in ["", "status", "doctor", "inventory", "plan", "completions", "man"] {
        let arguments: Vec<&str> = [command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let shown = text(&cluster.run(&arguments).stdout);
        assert!(shown.contains("kubectl rekopia"), "{shown}");
        assert!(
            shown.lines().count() <= 50 && shown.lines().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
        let examples = shown.lines().skip_while(|line| *line != "Examples:").skip(1);
        assert_eq!(examples.take_while(|line| line.contains("kubectl rekopia ")).count(), 2, "{shown}");
        for option in shown.split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches([',', ':']);
            assert!(manual.contains(option), "{option} is not in the manual page");
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&cluster.run(&["completions", shell]).stdout).contains("doctor"));
    }
    assert!(manual.contains(".TH kubectl"));
}

#[test]
fn a_wrong_command_line_is_answered_in_two_lines() {
    let cluster = Cluster::empty();
    for (arguments, advice) in [
        (&["statsu"][..], "Did you mean status?"),
        (&["status", "--wach"], "Did you mean --watch?"),
        (&["status", "-o", "yaml"], "kubectl rekopia COMMAND --help shows what can be typed."),
        (&["doctor", "--secret-file", "x"], "kubectl rekopia COMMAND --help shows what can be typed."),
    ] {
        let output = cluster.run(arguments);
        let said = text(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((output.status.code(), lines.len(), lines[1].trim()), (Some(2), 2, advice), "{said}");
        assert!(lines[0].starts_with("error: "), "{said}");
    }
    let alone = cluster.run(&[]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(text(&alone.stderr).contains("kubectl rekopia doctor APP"), "{alone:?}");
}
