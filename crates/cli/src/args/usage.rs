//! A command line that cannot be run: what is wrong with it in one line, and one line of advice.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ErrorKind};

use crate::text;

/// What is shown instead of running a command.
pub(crate) enum Instead {
    /// Help or the version, as it was asked for.
    Asked(clap::Error),
    /// No command was typed.
    FirstContact,
    /// The command line is wrong.
    Wrong {
        /// What is wrong.
        line: String,
        /// What to do about it.
        advice: String,
    },
}

/// Words of Kopia (and of programs like it) → what does the same here, or why nothing does.
const ELSEWHERE: &[(&str, &str)] = &[
    ("snapshot", "Here this is: rekopia snapshots"),
    ("snapshot list", "Here this is: rekopia snapshots"),
    ("snapshot ls", "Here this is: rekopia snapshots"),
    ("snapshot restore", "Here this is: rekopia restore REF TARGET"),
    ("snapshot verify", "Here this is: rekopia verify"),
    ("repository", "Here this is: rekopia status"),
    ("repository status", "Here this is: rekopia status"),
    ("repository connect", "Nothing is to be connected: name the repository with --repo URL|PATH."),
    ("list", "Here this is: rekopia ls REF"),
    ("dump", "Here this is: rekopia cat REF"),
    ("check", "Here this is: rekopia verify"),
    ("content verify", "Here this is: rekopia verify --all"),
    ("diff", "To compare a folder with a snapshot: rekopia verify REF --against DIR"),
    ("mount", "Nothing can be mounted; `rekopia ls` and `rekopia cat` look into snapshots."),
    ("blob", DOCTOR),
    ("content", DOCTOR),
    ("index", DOCTOR),
    ("manifest", DOCTOR),
    ("backup", READS),
    ("maintenance", READS),
    ("policy", READS),
    ("server", READS),
];
const READS: &str = "rekopia only reads repositories; kopia does this.";
const DOCTOR: &str = "What is wrong inside a repository, `rekopia doctor` says.";

impl Instead {
    /// A command line that is wrong.
    pub(super) fn wrong(line: impl Into<String>, advice: impl Into<String>) -> Self {
        Instead::Wrong { line: line.into(), advice: advice.into() }
    }

    /// What the parser of `command` found when it read the words that were `typed`.
    pub(super) fn of(error: clap::Error, typed: &[OsString], command: &Command) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Instead::Asked(error),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return Instead::FirstContact,
            _ => {}
        }
        let rendered = error.render().to_string();
        let line = match error.kind() {
            ErrorKind::MissingSubcommand => "a command is missing".to_owned(),
            _ => paragraph(&rendered, "error: ").unwrap_or_default(),
        };
        let usage = || paragraph(&rendered, "Usage: ").filter(|_| is_about_words(&error));
        let advice = elsewhere(&error, typed)
            .or_else(|| nearest(&error))
            .or_else(|| usage().map(|usage| format!("Usage: {usage}")))
            .unwrap_or_else(|| {
                format!("{} --help shows what can be typed.", page_of(&error, typed, command))
            });
        Instead::wrong(text::line(&line), text::line(&advice))
    }
}

/// What was probably meant.
fn nearest(error: &clap::Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| error.get(kind)).map(|meant| format!("Did you mean {meant}?"))
}

/// The paragraph that begins so, on one line.
fn paragraph(rendered: &str, begins: &str) -> Option<String> {
    let mut lines = rendered.lines().map(str::trim).skip_while(|line| !line.starts_with(begins));
    let first = lines.next()?.strip_prefix(begins)?;
    // Each tip is one of its own.
    let rest = lines.take_while(|line| !line.is_empty() && !line.starts_with("tip: "));
    Some([first].into_iter().chain(rest).collect::<Vec<_>>().join(" "))
}

/// Whether words beside the options are too few or too many: then the usage says how many there are.
fn is_about_words(error: &clap::Error) -> bool {
    match error.kind() {
        ErrorKind::MissingRequiredArgument => true,
        ErrorKind::UnknownArgument => {
            error.get(ContextKind::InvalidArg).is_some_and(|word| !word.to_string().starts_with('-'))
        }
        _ => false,
    }
}

/// What the words are called here that other programs know.
fn elsewhere(error: &clap::Error, typed: &[OsString]) -> Option<String> {
    let unknown = error.get(ContextKind::InvalidSubcommand)?.to_string();
    let words = typed.iter().map(|word| word.to_string_lossy()).skip(1).skip_while(|word| *word != unknown);
    let words: Vec<_> = words.filter(|word| !word.starts_with('-')).collect();
    let word = |at: usize| match words.get(at).map(AsRef::as_ref) {
        Some("snap") if at == 0 => "snapshot",
        Some("repo") if at == 0 => "repository",
        other => other.unwrap_or_default(),
    };
    let known =
        |words: &str| ELSEWHERE.iter().find(|(theirs, _)| *theirs == words).map(|(_, advice)| *advice);
    let is_subcommand =
        word(1).starts_with(|c: char| c.is_ascii_lowercase()) && !word(1).contains(['@', '/']);
    let advice = match known(&format!("{} {}", word(0), word(1))) {
        // All others of these change something.
        None if is_subcommand && ["snapshot", "repository"].contains(&word(0)) => Some(READS),
        found => found.or_else(|| known(word(0))),
    };
    advice.map(str::to_owned)
}

/// `rekopia restore`, or whose help it is that explains what is wrong.
fn page_of(error: &clap::Error, typed: &[OsString], command: &Command) -> String {
    let program = command.get_name();
    let about = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let option = about.split_whitespace().next().and_then(|word| word.strip_prefix("--"));
    if command.get_arguments().any(|arg| arg.get_long().is_some() && arg.get_long() == option) {
        return program.to_owned();
    }
    let named = |word: &OsString| {
        command.get_subcommands().map(Command::get_name).find(|name| word == *name && *name != "help")
    };
    typed.iter().find_map(named).map_or_else(|| program.to_owned(), |name| format!("{program} {name}"))
}
