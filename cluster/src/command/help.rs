//! What `--help` shows of each command, and what is said of a command line that is wrong.

use clap::builder::styling::{Effects, Style};
use clap::builder::{StyledStr, Styles};
use clap::error::{ContextKind, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};

use super::arguments::Arguments;

/// What is shown to whoever types no command.
const FIRST_CONTACT: &str = "\
kubectl rekopia shows how the volumes of a cluster restore themselves. It only
reads.

Start with:
  kubectl rekopia status -A     where each application's restore stands
  kubectl rekopia doctor APP    what is broken, and what to do
  kubectl rekopia inventory     what is backed up, before it is needed

Everything else: kubectl rekopia --help";

/// The examples of each command; the first are those of the program.
const EXAMPLES: &[(&str, [&str; 2])] = &[
    ("kubectl-rekopia", ["kubectl rekopia status -A", "kubectl rekopia doctor -n media paperless"]),
    ("status", ["kubectl rekopia status -A", "kubectl rekopia status -n media --watch"]),
    ("doctor", ["kubectl rekopia doctor -A", "kubectl rekopia doctor -n media paperless"]),
    (
        "inventory",
        ["kubectl rekopia inventory", "kubectl rekopia inventory --git . --no-cluster --no-repository"],
    ),
    (
        "plan",
        ["kubectl rekopia plan --all --link 1Gbit/s", "kubectl rekopia plan -n media paperless --probe"],
    ),
    ("completions", ["kubectl rekopia completions fish", "source <(kubectl rekopia completions bash)"]),
    ("man", ["kubectl rekopia man | man -l -", "kubectl rekopia man > kubectl-rekopia.1"]),
];

/// What is shown instead of running a command.
pub enum Instead {
    /// Help or the version, as it was asked for.
    Asked(clap::Error),
    /// What is wrong with the command line, in one line and one of advice; or how to begin.
    Wrong(String),
}

/// Reads the command line of this process.
///
/// # Errors
/// What is to be shown instead.
pub fn read() -> Result<Arguments, Instead> {
    let matches = command().try_get_matches();
    matches.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(instead)
}

/// The examples of a command; of the program where the name is its own.
pub(super) fn examples(command: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// The command line as it is parsed: of each text the first paragraph, so that an option takes a line.
fn command() -> Command {
    let whole = Arguments::command();
    let program = whole.get_name().to_owned();
    shown(whole, &program).mut_subcommands(|sub| {
        let name = sub.get_name().to_owned();
        shown(sub, &name)
    })
}

fn shown(command: Command, name: &str) -> Command {
    let heading = Style::new().effects(Effects::BOLD);
    // Bold alone: it can be read on any background.
    let styles = Styles::plain().header(heading).usage(heading).literal(heading);
    let examples: String = examples(name).iter().map(|example| format!("\n  {example}")).collect();
    let after: StyledStr = format!("{heading}Examples:{heading:#}{examples}").into();
    command
        .mut_args(|arg| {
            let has_value = arg.get_action().takes_values();
            arg.long_help(None::<&'static str>).hide_possible_values(has_value).hide_default_value(has_value)
        })
        .long_about(None::<&'static str>)
        .styles(styles)
        .after_help(after)
}

fn instead(error: clap::Error) -> Instead {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return Instead::Asked(error),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return Instead::Wrong(FIRST_CONTACT.into()),
        _ => {}
    }
    let rendered = error.render().to_string();
    let line = paragraph(&rendered, "error: ").unwrap_or_default();
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let advice = match kinds.into_iter().find_map(|kind| error.get(kind)) {
        Some(meant) => format!("Did you mean {meant}?"),
        None => "kubectl rekopia COMMAND --help shows what can be typed.".into(),
    };
    Instead::Wrong(format!("error: {line}\n  {advice}"))
}

/// The paragraph that begins so, on one line.
fn paragraph(rendered: &str, begins: &str) -> Option<String> {
    let mut lines = rendered.lines().map(str::trim).skip_while(|line| !line.starts_with(begins));
    let first = lines.next()?.strip_prefix(begins)?;
    let rest = lines.take_while(|line| !line.is_empty());
    Some([first].into_iter().chain(rest).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_and_they_parse() {
        command().debug_assert();
        let whole = command();
        for name in whole.get_subcommands().map(Command::get_name).chain([whole.get_name()]) {
            assert_eq!(examples(name).len(), 2, "{name}");
            for example in examples(name) {
                let (_, typed) = example.split_once("kubectl rekopia ").unwrap();
                let typed = typed.split(['>', '|', ')']).next().unwrap();
                let words = ["kubectl-rekopia"].into_iter().chain(typed.split_whitespace());
                let parsed = command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
            }
        }
    }
}
