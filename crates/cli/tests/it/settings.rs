//! What is typed, pasted and set in the environment.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rekopia_testkit::fixture::testdata;
use rekopia_testkit::server::region::{Says, in_region};
use rekopia_testkit::server::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use rekopia_testkit::writer::{DirectorySink, RepositoryWriter, WriterOptions};

fn repo() -> String {
    testdata().join("quickstart/repo").to_str().unwrap().to_owned()
}

fn rekopia(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekopia"));
    command.env_clear().env("HOME", "/proc/nonexistent").stdin(Stdio::null()).args(args);
    command.envs(variables.iter().copied());
    command.output().unwrap()
}

fn password() -> PathBuf {
    testdata().join("quickstart/password")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes a configuration of Kopia's that names the repository of the quick start, with its password beside it.
fn config(dir: &std::path::Path, limits: &str) -> String {
    let path = dir.join("repository.config");
    let json = format!(
        r#"{{"storage":{{"type":"filesystem","config":{{"path":{:?}{limits}}}}},"hostname":"media","username":"paperless"}}"#,
        repo()
    );
    std::fs::write(&path, json).unwrap();
    let text = std::fs::read_to_string(password()).unwrap();
    let saved = base64::prelude::BASE64_STANDARD.encode(text.trim());
    std::fs::write(dir.join("repository.config.kopia-password"), saved).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_typed_beats_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let (good_config, good, bad) = (config(dir.path(), ""), repo(), "/nonexistent/place");
    let key = password();
    let password = ["--password-file", key.to_str().unwrap()];
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&[&str], Variables, i32); 14] = [
        (&["--repo", &good], &[("KOPIA_CONFIG_PATH", bad)], 0),
        (&["--repo", &good], &[("KOPIA_CONFIG_PATH", bad), ("REKOPIA_REPOSITORY", bad)], 0),
        (&["-r", &good], &[("KOPIA_CONFIG_PATH", bad), ("REKOPIA_REPOSITORY", bad)], 0),
        (&["--config", &good_config], &[("REKOPIA_REPOSITORY", bad)], 0),
        (&["--config", &good_config], &[("KOPIA_CONFIG_PATH", bad)], 0),
        (&[], &[("REKOPIA_REPOSITORY", &good), ("KOPIA_CONFIG_PATH", bad)], 0),
        (&[], &[("REKOPIA_REPOSITORY", bad), ("KOPIA_CONFIG_PATH", &good_config)], 10),
        (&[], &[("REKOPIA_REPOSITORY", ""), ("KOPIA_CONFIG_PATH", &good_config)], 0),
        (&[], &[("KOPIA_CONFIG_PATH", &good_config)], 0),
        (&[], &[("REKOPIA_REPOSITORY", ""), ("KOPIA_CONFIG_PATH", "")], 2),
        (&["--repo", &good, "--config", &good_config], &[], 2),
        (&["-r", &good, "--config", &good_config], &[], 2),
        (&["-r", &good, "--repo", &good], &[], 2),
        (&["--repo", &good, "--token-file", &good_config], &[], 2),
    ];
    for (options, variables, code) in cases {
        let args = [options, &password, &["snapshots"]].concat();
        let output = rekopia(&args, variables);
        assert_eq!(output.status.code(), Some(code), "{options:?} {variables:?}: {}", stderr(&output));
        // `-r` has its meaning before the command only.
        let (before, after) = options.split_at(if options.contains(&"-r") { 2 } else { 0 });
        let args = [before, &["snapshots"], &password, after].concat();
        let output = rekopia(&args, variables);
        assert_eq!(output.status.code(), Some(code), "after: {options:?} {variables:?}: {}", stderr(&output));
    }
    // An empty password is none: what Kopia saved is taken.
    let saved = rekopia(&["--config", &good_config, "snapshots"], &[("KOPIA_PASSWORD", "")]);
    assert_eq!(saved.status.code(), Some(0), "{}", stderr(&saved));
}

#[test]
fn nobody_is_asked_for_the_password_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap();
    for repo in ["/nonexistent/place", empty] {
        let output = rekopia(&["--repo", repo, "snapshots"], &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(10), "{repo}: {said}");
        let says_so = said.contains("no Kopia repository at") || said.contains("no such place");
        assert!(says_so && !said.contains("password"), "{said}");
    }
    let output = rekopia(&["--repo", &repo(), "snapshots"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// Names of other programs' files begin as those of blobs do.
#[test]
fn a_folder_of_other_things_is_no_repository_that_has_lost_something() {
    let dir = tempfile::tempdir().unwrap();
    for name in
        ["passwd", "profile", "networks", "xattr.conf", "q", "nsswitch.conf", "p0123.f", "xn0_readme.f"]
    {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    std::fs::create_dir_all(dir.path().join("xml/pam.d")).unwrap();
    let output = rekopia(&["--repo", dir.path().to_str().unwrap(), "snapshots"], &[("KOPIA_PASSWORD", "x")]);
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    // A pack is one.
    std::fs::write(dir.path().join("p0123456789abcdef0123456789abcdef-s1"), "x").unwrap();
    let output = rekopia(&["--repo", dir.path().to_str().unwrap(), "snapshots"], &[("KOPIA_PASSWORD", "x")]);
    assert_eq!(output.status.code(), Some(14), "{}", stderr(&output));
}

#[test]
fn options_are_in_the_same_groups_everywhere() {
    const GROUPS: [&str; 9] = [
        "What to read:",
        "How much to read:",
        "Compare a folder:",
        "Target:",
        "Attributes:",
        "Repository:",
        "Damaged repositories:",
        "Speed and memory:",
        "Output:",
    ];
    for (command, groups) in [
        (None, &["Repository:", "Damaged repositories:", "Speed and memory:", "Output:"][..]),
        (Some("restore"), &["What to read:", "Target:", "Attributes:", "Output:"]),
        (Some("ls"), &["What to read:"]),
        (Some("cat"), &["What to read:"]),
        (Some("verify"), &["What to read:", "How much to read:", "Compare a folder:"]),
        (Some("snapshots"), &["What to read:"]),
        (Some("status"), &[]),
    ] {
        let words: Vec<&str> = command.into_iter().chain(["--help"]).collect();
        let output = rekopia(&words, &[]);
        let help = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = help.lines().filter(|line| GROUPS.contains(line)).collect();
        assert_eq!(found, groups, "{command:?}: {help}");
        let group_of = |option: &str| {
            let at = help.lines().position(|line| line.trim_start().contains(option)).unwrap();
            help.lines().take(at).filter(|line| GROUPS.contains(line)).last().unwrap()
        };
        if command.is_none() {
            assert_eq!(group_of("--repo "), "Repository:");
            assert_eq!(group_of("--json"), "Output:");
        }
        if command == Some("restore") {
            assert_eq!(group_of("--as-of"), "What to read:");
            assert_eq!(group_of("--include"), "What to read:");
            assert_eq!(group_of("--delete-extra"), "Target:");
            assert_eq!(group_of("--owner"), "Attributes:");
            assert_eq!(group_of("--report"), "Output:");
        }
    }
}

#[test]
fn the_manual_page_has_every_exit_code() {
    let page = String::from_utf8(rekopia(&["man"], &[]).stdout).unwrap();
    let (_, status) = page.split_once(".SH EXIT STATUS").unwrap();
    for row in rekopia_testkit::exit_codes::rows() {
        assert!(status.contains(&format!("\\fB{}\\fR", row.code)), "{}", row.code);
    }
}

#[test]
fn the_log_holds_no_secret_at_any_level() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = runtime.block_on(S3Server::start(dir.path()));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    let url = format!("s3://bucket?endpoint=http://{}&region=us-east-1", server.endpoint);
    let key = password();
    for level in ["trace", "debug", "hyper=trace,aws_sdk_s3=trace,aws_smithy_runtime=trace", "rekopia=trace"]
    {
        let output = rekopia(
            &["--repo", &url, "--password-file", key.to_str().unwrap(), "-vvv", "snapshots"],
            &[
                ("REKOPIA_LOG", level),
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                ("AWS_SESSION_TOKEN", "canary-token"),
            ],
        );
        let said = stderr(&output);
        for secret in [SECRET_KEY, "canary-token", "Signature="] {
            assert!(!said.contains(secret), "{level}: {said}");
        }
    }
}

#[test]
fn what_kopia_prints_is_a_token_file_and_zero_is_no_limit() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(password()).unwrap();
    let token = format!(
        r#"{{"version":"1","storage":{{"type":"filesystem","config":{{"path":{:?}}}}},"password":{:?}}}"#,
        repo(),
        text.trim()
    );
    let token = BASE64_URL_SAFE_NO_PAD.encode(token);
    let file = dir.path().join("status");
    let printed = format!(
        "Config file:         /etc/kopia/repository.config\n\n\
         To reconnect to the repository use:\n\n$ kopia repository connect from-config --token {token}\n\n\
         NOTICE: The token printed above can be trivially decoded to reveal the repository password.\n"
    );
    std::fs::write(&file, printed).unwrap();
    let file = file.to_str().unwrap();
    for more in [&[][..], &["--limit-download", "0"], &["--limit-download", "100MB"]] {
        let output = rekopia(&[&["--token-file", file][..], more, &["snapshots"]].concat(), &[]);
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", stderr(&output));
    }
    // Kopia's own limits are no obstacle.
    let limits = r#","maxDownloadSpeedBytesPerSecond":100000000,"concurrentReads":2,"readsPerSecond":500"#;
    let config = config(dir.path(), limits);
    let output = rekopia(&["--config", &config, "verify"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Starts a server with the repository of the quick start; returns it with what has to live as long.
fn serve() -> (tokio::runtime::Runtime, tempfile::TempDir, S3Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = runtime.block_on(S3Server::start(dir.path()));
    server.upload(&testdata().join("quickstart/repo"), "bucket", "");
    (runtime, dir, server)
}

/// What is pasted around a value, and what breaks it inside.
const AROUND: [(&str, &str); 5] = [("", "\n"), ("", "\r\n"), (" ", " "), ("\u{feff}", ""), ("\t", "\n\n")];
const INSIDE: [&str; 4] = ["\n", "\r", "\u{1b}", "\t"];

#[test]
fn keys_regions_and_places_are_taken_without_what_is_around_them() {
    let (_runtime, dir, server) = serve();
    let url = format!("s3://bucket?endpoint=http://{}", server.endpoint);
    let profile = dir.path().join("credentials");
    let key = password();
    let good = [
        ("REKOPIA_REPOSITORY", url.as_str()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
    ];
    let run = |variables: &[(&str, &str)]| {
        rekopia(&["--password-file", key.to_str().unwrap(), "snapshots"], variables)
    };
    for (n, (name, value)) in good.into_iter().enumerate() {
        for (before, behind) in AROUND {
            let (mut variables, pasted) = (good, format!("{before}{value}{behind}"));
            variables[n].1 = &pasted;
            let output = run(&variables);
            assert_eq!(output.status.code(), Some(0), "{name}={pasted:?}: {}", stderr(&output));
        }
        for inside in INSIDE {
            let (mut variables, broken) = (good, format!("{}{inside}{}", &value[..2], &value[2..]));
            variables[n].1 = &broken;
            let (output, said) = (run(&variables), stderr(&run(&variables)));
            assert!(matches!(output.status.code(), Some(2 | 15)), "{name}={broken:?}: {said}");
            let named = said.contains(name) || n == 0 && said.contains("holds") || said.contains("is no");
            assert!(named && !said.contains(SECRET_KEY), "{name}={broken:?}: {said}");
        }
    }
    // Quotes stay where somebody copies a value out of YAML.
    let (mut variables, quoted) = (good, format!("\"{url}\""));
    variables[0].1 = &quoted;
    assert_eq!(run(&variables).status.code(), Some(0));
    // A profile.
    let text = format!(
        "\u{feff}[default]\r\naws_access_key_id = {ACCESS_KEY} \r\naws_secret_access_key = {SECRET_KEY}\t\r\n"
    );
    std::fs::write(&profile, text.trim_start_matches('\u{feff}')).unwrap();
    let by_profile = [
        ("REKOPIA_REPOSITORY", url.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", profile.to_str().unwrap()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let output = run(&by_profile);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // A URL that was typed with a line end behind it; a target and a path never lose theirs.
    let typed = format!("{url}\n");
    let output = rekopia(&["--repo", &typed, "--password-file", key.to_str().unwrap(), "status"], &good[1..]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let path = format!("{}\n", repo());
    let output = rekopia(&["--repo", &path, "--password-file", key.to_str().unwrap(), "status"], &[]);
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let target = dir.path().join("with blank \n");
    let args = ["--repo", &repo(), "--password-file", key.to_str().unwrap(), "restore", "latest"];
    let output = rekopia(&[&args[..], &[target.to_str().unwrap()]].concat(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(target.is_dir());
}

#[test]
fn the_password_is_trimmed_first_and_then_as_it_is() {
    let key = std::fs::read_to_string(password()).unwrap();
    for (before, behind) in AROUND.into_iter().filter(|(before, _)| *before != "\u{feff}") {
        let pasted = format!("{before}{}{behind}", key.trim());
        let output = rekopia(&["--repo", &repo(), "snapshots"], &[("KOPIA_PASSWORD", &pasted)]);
        assert_eq!(output.status.code(), Some(0), "{pasted:?}: {}", stderr(&output));
    }
    // A repository whose password ends in a blank.
    let dir = tempfile::tempdir().unwrap();
    let sink = DirectorySink::create(&dir.path().join("repo")).unwrap();
    let options = WriterOptions { password: " blank ".into(), ..WriterOptions::default() };
    RepositoryWriter::create(sink, options).unwrap().flush().unwrap();
    let repo = dir.path().join("repo");
    for (password, code) in [(" blank ", 0), ("blank", 12), (" blank", 12)] {
        let output = rekopia(&["--repo", repo.to_str().unwrap(), "status"], &[("KOPIA_PASSWORD", password)]);
        assert_eq!(output.status.code(), Some(code), "{password:?}: {}", stderr(&output));
    }
}

#[test]
fn the_region_that_the_storage_names_is_taken() {
    let (runtime, _dir, server) = serve();
    let key = password();
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    for (says, region, code) in [
        (Says::Body, "", 0),
        (Says::Header, "", 0),
        (Says::Nothing, "", 15),
        (Says::Nothing, "garage", 0),
        (Says::Body, "eu-central-1", 0),
        (Says::Nothing, "eu-central-1", 15),
    ] {
        let front = runtime.block_on(in_region(&server.endpoint, "garage", says));
        let url = format!("s3://bucket?endpoint=http://{}", front.endpoint);
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            let args = ["--repo", &url, "--password-file", key.to_str().unwrap(), "-v", "verify"];
            let output = rekopia(&args, &[&keys[..], &[(name, region)]].concat());
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(code), "{says:?} {name}={region}: {said}");
            let told = said.contains("the storage is in region \"garage\"");
            assert_eq!(told, code == 0 && says != Says::Nothing, "{says:?} {name}={region}: {said}");
        }
        // The URL's own region is named first.
        let args =
            ["--repo", &format!("{url}&region=garage"), "--password-file", key.to_str().unwrap(), "status"];
        let output = rekopia(&args, &[&keys[..], &[("AWS_REGION", "nowhere")]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}
