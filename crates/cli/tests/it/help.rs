//! Help, first contact, and command lines that are wrong: what is shown, word for word, and that it fits on a screen.
//!
//! `INSTA_UPDATE=always cargo test --workspace --test it help::` writes the files in `snapshots/` anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rekopia_testkit::fixture::testdata;
use vt100::Color;

use crate::progress::terminal::{Terminal, columns_of};

const EXE: &str = env!("CARGO_BIN_EXE_rekopia");
const COMMANDS: [&str; 9] =
    ["snapshots", "ls", "cat", "restore", "verify", "status", "doctor", "completions", "man"];

/// Options of Kopia that are understood and not shown.
const KOPIAS: [&str; 10] = [
    "--no-overwrite-files",
    "--no-overwrite-directories",
    "--no-overwrite-symlinks",
    "--skip-owners",
    "--ignore-errors",
    "--ignore-permission-errors",
    "--mode",
    "--shallow",
    "--shallow-minsize",
    "--consistent-attributes",
];

fn rekopia(arguments: &[&str]) -> Output {
    let mut command = Command::new(EXE);
    command.args(arguments).env_clear().env("HOME", "/proc/nonexistent").stdin(Stdio::null());
    command.output().unwrap()
}

fn shown(arguments: &[&str]) -> String {
    let output = rekopia(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The program and each command with such an option.
fn pages(option: &str) -> Vec<(String, String)> {
    let of_command = |command: &&str| ((*command).to_owned(), shown(&[command, option]));
    [("rekopia".to_owned(), shown(&[option]))].into_iter().chain(COMMANDS.iter().map(of_command)).collect()
}

fn examples(page: &str) -> Vec<&str> {
    let lines = page.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::trim).collect()
}

/// Every long option in a text.
fn options(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[track_caller]
fn reads(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text.trim_end()));
}

#[test]
fn help_fits_on_a_screen_and_has_two_examples() {
    let mut all = String::new();
    for (command, page) in pages("--help") {
        assert!(page.lines().count() <= 50, "{command}: {} lines\n{page}", page.lines().count());
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{command}:\n{page}");
        assert!(!page.contains('\x1b'), "{command}: no colours in a pipe");
        assert_eq!(examples(&page).len(), 2, "{command}:\n{page}");
        write!(all, "# {command}\n{page}\n").unwrap();
    }
    reads("help", &all);
    assert_eq!(shown(&["help", "restore"]), shown(&["restore", "--help"]));
    assert_eq!(shown(&["help"]), shown(&["--help"]));
}

#[test]
fn short_help_is_short() {
    let mut all = String::new();
    for ((command, brief), (_, page)) in pages("-h").into_iter().zip(pages("--help")) {
        assert!(brief.lines().count() <= page.lines().count(), "{command}:\n{brief}");
        assert!(brief.lines().count() <= 36, "{command}:\n{brief}");
        assert!(brief.lines().all(|line| line.chars().count() <= 80), "{command}:\n{brief}");
        write!(all, "# {command}\n{brief}\n").unwrap();
    }
    reads("help-short", &all);
}

/// As people type them, one after the other, in a folder of their own.
#[test]
fn the_examples_work() {
    let dir = tempfile::tempdir().unwrap();
    let quickstart = testdata().join("quickstart");
    std::os::unix::fs::symlink(testdata(), dir.path().join("testdata")).unwrap();
    let bin = Path::new(EXE).parent().unwrap().to_str().unwrap();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let mut pages = pages("--help");
    // What they compare with is restored by one of the others.
    pages.sort_by_key(|(command, _)| command != "restore");
    for (command, page) in pages {
        for example in examples(&page) {
            let output = Command::new("bash")
                .args(["-c", &format!("man() {{ cat > /dev/null; }}; set -o pipefail; {example}")])
                .current_dir(dir.path())
                .env_clear()
                .env("PATH", &path)
                .env("HOME", "/proc/nonexistent")
                .env("REKOPIA_REPOSITORY", quickstart.join("repo"))
                .env("KOPIA_PASSWORD", std::fs::read_to_string(quickstart.join("password")).unwrap())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(0), "{command}: {example}: {output:?}");
        }
    }
}

#[test]
fn the_manual_page_has_every_option() {
    let manual = shown(&["man"]).replace("\\-", "-").replace("\\fB", "");
    let entries: Vec<&str> = manual.split("\n.TP\n").skip(1).collect();
    for entry in entries {
        let text = entry.lines().nth(1).unwrap_or_default();
        assert!(text.len() > 5 && !text.starts_with('.'), "nothing is said of {entry}");
    }
    let manual = options(&manual);
    // A completion script has all that are not hidden.
    let script = shown(&["completions", "bash"]);
    let known = options(&script);
    assert!(known.len() > 50, "{known:?}");
    for option in known.iter().filter(|option| !KOPIAS.contains(option)) {
        assert!(manual.contains(option), "{option} is not in the manual page");
    }
    for (command, page) in pages("--help") {
        for option in options(&page) {
            assert!(manual.contains(&option), "{command}: {option} is not in the manual page");
            assert!(!KOPIAS.contains(&option), "{command}: {option}");
        }
    }
    let aliases = ["--write-sparse-files", "--skip-times", "--skip-permissions", "--snapshot-time", "--tags"];
    for option in KOPIAS.into_iter().chain(aliases) {
        assert!(!manual.contains(&option), "{option}: Kopia's stay hidden");
    }
    for sub in COMMANDS {
        assert!(shown(&["man"]).contains(&format!(".TH rekopia-{sub} ")), "{sub}");
    }
}

#[test]
fn options_of_all_commands_are_explained_once() {
    let (mut commands, program) = (pages("--help"), shown(&["--help"]));
    commands.remove(0);
    for option in ["--repo ", "--password-file", "--salvage ", "--json", "--parallel", "--quiet"] {
        assert!(program.contains(option), "{option}");
        for (command, page) in &commands {
            let is_explained = page.lines().any(|line| line.trim_start().starts_with(option));
            assert!(!is_explained, "{command}: {option}\n{page}");
        }
    }
    for (command, page) in &commands {
        assert!(page.trim_end().ends_with(": rekopia --help"), "{command}:\n{page}");
    }
}

#[test]
fn without_a_command_it_says_how_to_begin() {
    let output = rekopia(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
    reads("first-contact", &said);
}

/// One line that says what is wrong, one of advice; nothing is wider than a terminal.
#[test]
fn wrong_command_lines() {
    let mut all = String::new();
    for line in [
        "restroe latest t",
        "snapshot",
        "snapshot list",
        "snap list --all",
        "--json snapshot ls",
        "snapshot restore latest t",
        "snapshot verify",
        "snapshot create /home",
        "snapshot migrate",
        "repository status",
        "repo connect s3",
        "repository validate-provider",
        "mount all /mnt",
        "list latest",
        "policy show",
        "check",
        "frobnicate",
        "help restroe",
        "--josn snapshots",
        "restore latest t --ovewrite never",
        "restore latest t --no-such-thing",
        "restore latest t u",
        "restore",
        "restore latest t --overwrite",
        "restore latest t --overwrite sometimes",
        "restore latest t --overwrite newer",
        "restore latest t --delete-extra --delete-extra",
        "restore latest t --link 1Gbit/s",
        "restore latest t --owner me",
        "verify --receipt r.json",
        "verify --receipt r.json --against t --hash",
        "--memory lots snapshots",
        "--parallel 0 snapshots",
        "--repo a --token-file b snapshots",
        "--config a --config b snapshots",
        "-r a snapshots --repo b",
        "-r a --config b snapshots",
        "--json",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = rekopia(&words);
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        assert!(output.stdout.is_empty(), "{line}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].starts_with("rekopia: ") && lines[1].starts_with("  "),
            "{said}"
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 160), "{said}");
        write!(all, "$ rekopia {line}\n{said}\n").unwrap();
    }
    reads("usage", &all);
}

#[test]
fn completion_scripts_are_understood_by_their_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shown(&["completions", shell]);
        assert!(script.contains("max-delete") && script.contains("salvage-index"), "{shell}");
    }
    let script = shown(&["completions", "bash"]);
    let complete = "COMP_WORDS=(rekopia restore --max); COMP_CWORD=2; _rekopia rekopia --max restore; echo ${COMPREPLY[@]}";
    let output = Command::new("bash").args(["-c", &format!("{script}\n{complete}")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--max-delete", "{output:?}");
}

/// Dark or light: nothing has a colour of its own.
#[test]
fn help_and_errors_can_be_read_on_any_background() {
    let styled = |words: &[&str], no_color: bool| {
        let words: Vec<String> = [&[EXE], words].concat().into_iter().map(str::to_owned).collect();
        let mut terminal = Terminal::start(80, &words, |command| {
            command.env("TERM", "xterm-256color");
            if no_color {
                command.env("NO_COLOR", "1");
            }
        });
        let (_, text) = terminal.ends();
        let screen = terminal.screen.screen();
        assert!(
            screen.rows_formatted(0, columns_of(screen)).count() > 0 && text.contains("rekopia"),
            "{text}"
        );
        let cells = (0..screen.size().0.get()).flat_map(|row| (0..80).map(move |column| (row, column)));
        let mut bold = 0;
        for cell in cells.filter_map(|(row, column)| screen.cell(row, column)) {
            assert_eq!((cell.fgcolor(), cell.bgcolor()), (Color::Default, Color::Default), "{text}");
            bold += usize::from(cell.bold());
        }
        bold
    };
    assert!(styled(&["ls", "--help"], false) > 0);
    assert_eq!(styled(&["ls", "--help"], true), 0);
    assert_eq!(styled(&["restroe"], false), 0);
    assert_eq!(styled(&[], false), 0);
}
