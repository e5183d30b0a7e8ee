//! Makes completions and the manual page.

use anyhow::Result;
use clap::{Arg, CommandFactory};
use clap_complete::Shell;

use super::arguments::Arguments;
use super::output::print;
use super::{exit, help};

pub(super) fn completions(shell: Shell) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "kubectl-rekopia", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(exit::FINE)
}

pub(super) fn man() -> Result<u8> {
    let mut page = Vec::new();
    let command = Arguments::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    page.extend(examples(command.get_name()).into_bytes());
    // Options of a command name some of these.
    let global: Vec<Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    for sub in command.get_subcommands() {
        let name = sub.get_name().to_owned();
        let title = format!("kubectl-rekopia-{name}");
        let sub = sub.clone().args(global.iter().map(|arg| arg.clone().hide(true)));
        let sub = sub.bin_name(format!("kubectl rekopia {name}")).display_name(&title);
        clap_mangen::Man::new(sub).title(title).render(&mut page)?;
        page.extend(examples(&name).into_bytes());
    }
    print(&String::from_utf8_lossy(&page))?;
    Ok(exit::FINE)
}

fn examples(command: &str) -> String {
    let examples: String = help::examples(command).iter().map(|example| format!("{example}\n")).collect();
    format!(".SH EXAMPLES\n.nf\n{}.fi\n", examples.replace('-', "\\-"))
}
