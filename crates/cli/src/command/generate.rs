//! Makes completions and the manual page, from the command line's own definition.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Args, help};
use crate::say::output;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "rekopia", &mut script);
    print(&script)
}

pub(super) fn man() -> Result<u8> {
    let mut page = Vec::new();
    let command = help::manual(Args::command());
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    page.extend(examples("rekopia").into_bytes());
    page.extend(exit_status().into_bytes());
    for sub in command.get_subcommands() {
        let name = sub.get_name().to_owned();
        let title = format!("rekopia-{name}");
        let sub = sub.clone().bin_name(format!("rekopia {name}")).display_name(&title);
        clap_mangen::Man::new(sub).title(title).render(&mut page)?;
        page.extend(examples(&name).into_bytes());
    }
    print(&page)
}

fn examples(command: &str) -> String {
    let examples: String = help::examples(command).iter().map(|example| format!("{example}\n")).collect();
    format!(".SH EXAMPLES\n.nf\n{}.fi\n", examples.replace('-', "\\-"))
}

/// The table that people read, too.
const EXIT_CODES: &str = include_str!("../../../../docs/exit-codes.md");

fn exit_status() -> String {
    let mut section = ".SH EXIT STATUS\n".to_owned();
    for line in EXIT_CODES.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", code, _, meaning, remedy, ""] = cells.as_slice()
            && code.parse::<u8>().is_ok()
        {
            let text =
                format!("{meaning}. {remedy}.").replace('\\', "\\e").replace('-', "\\-").replace('`', "");
            section.push_str(&format!(".TP\n\\fB{code}\\fR\n{text}\n"));
        }
    }
    section
}

fn print(bytes: &[u8]) -> Result<u8> {
    let mut out = output();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(0)
}
