//! What `-h` and `--help` show of each command, and what `rekopia` alone shows.
//!
//! The options and their texts are those of the command line's definition: `-h` has those that are often needed, `--help`
//! all that fit on a screen, the manual page every one with all of its text.

use clap::builder::styling::{Effects, Style};
use clap::builder::{StyledStr, Styles};
use clap::{Arg, Command};

/// What is shown to whoever types no command.
pub(crate) const FIRST_CONTACT: &str = "\
rekopia restores files from Kopia repositories. It needs no kopia, and it never
writes to a repository.

Start with:
  rekopia snapshots             list what can be restored
  rekopia restore REF TARGET    restore a snapshot, a directory or a file
  rekopia verify                read the newest snapshots and check every byte

It reads the repository that kopia is connected to, or --repo URL|PATH.
Everything else: rekopia --help
";

/// The examples of each command; the first are those of the program. Each works as it is typed where Kopia is connected
/// to the repository in `testdata/quickstart`; the tests type them.
const EXAMPLES: &[(&str, [&str; 2])] = &[
    (
        "rekopia",
        ["rekopia restore paperless@media:/data ./restored", "rekopia -r testdata/quickstart/repo snapshots"],
    ),
    ("snapshots", ["rekopia snapshots", "rekopia snapshots paperless@media:/data"]),
    ("ls", ["rekopia ls -l latest", "rekopia ls -r --as-of 2026-11-19 paperless@media:/data/media"]),
    (
        "cat",
        [
            "rekopia cat latest/config/settings.yaml",
            "rekopia cat --previous 1 latest/db.sqlite3 > db.sqlite3",
        ],
    ),
    (
        "restore",
        [
            "rekopia restore paperless@media:/data ./restored",
            "rekopia restore --as-of 2026-11-19 --dry-run latest/media ./media",
        ],
    ),
    ("verify", ["rekopia verify --all", "rekopia verify paperless@media:/data --against ./restored"]),
    ("status", ["rekopia status", "rekopia status --json"]),
    ("doctor", ["rekopia doctor", "rekopia doctor --deep"]),
    ("completions", ["rekopia completions fish > rekopia.fish", "source <(rekopia completions bash)"]),
    ("man", ["rekopia man | man -l -", "rekopia man > rekopia.1"]),
];

/// The examples of a command; of the program where the name is its own.
pub(crate) fn examples(command: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// The command line as it is parsed, of its `definition`. `is_brief`: for `-h`.
pub(super) fn shown(definition: Command, is_brief: bool) -> Command {
    let of_all = definition.get_arguments().filter(|arg| arg.is_global_set());
    // A command that has these already gets no others when it is built: no help but the program's shows them.
    let hidden: Vec<Arg> = of_all.map(|arg| arg.clone().hide(true)).collect();
    let program = definition.get_name().to_owned();
    page(definition, &program, is_brief).mut_subcommands(|sub| {
        let name = sub.get_name().to_owned();
        page(sub, &name, is_brief).args(&hidden)
    })
}

/// The whole `definition` for the manual page, which leaves out the texts of what help hides.
pub(crate) fn manual(definition: Command) -> Command {
    let all = |command: Command| command.mut_args(|arg| arg.hide_short_help(false).hide_long_help(false));
    all(definition).mut_subcommands(all)
}

/// One command of them. A long text would put every option on several lines.
fn page(command: Command, name: &str, is_brief: bool) -> Command {
    let heading = Style::new().effects(Effects::BOLD);
    // Bold alone: it can be read on any background.
    let styles = Styles::plain().header(heading).usage(heading).literal(heading);
    let after = if is_brief { after_brief(name) } else { after(name, heading) };
    command
        .mut_args(|arg| {
            let rare = is_brief && arg.is_hide_short_help_set();
            let hidden = arg.is_hide_set() || arg.is_hide_long_help_set() || rare;
            let arg = arg.hide(hidden).hide_short_help(false).hide_long_help(false);
            let has_value = arg.get_action().takes_values();
            arg.long_help(None::<&'static str>).hide_possible_values(has_value).hide_default_value(has_value)
        })
        .long_about(None::<&'static str>)
        .styles(styles)
        .after_help(after)
}

fn after_brief(name: &str) -> StyledStr {
    match name {
        "rekopia" => "All options, and examples: rekopia --help".into(),
        _ => format!("All options, and examples: rekopia {name} --help").into(),
    }
}

fn after(name: &str, heading: Style) -> StyledStr {
    let elsewhere = match name {
        "rekopia" => "Of one command: rekopia COMMAND --help. In detail: rekopia man",
        _ => "Options of all commands (repository, speed, output): rekopia --help",
    };
    let examples: String = examples(name).iter().map(|example| format!("  {example}\n")).collect();
    format!("{heading}Examples:{heading:#}\n{examples}\n{elsewhere}").into()
}
