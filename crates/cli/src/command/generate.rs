//! Completions and the manual page, from the command line's own definition.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;

use crate::args::Args;
use crate::say::output;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "rekopia", &mut script);
    print(&script)
}

pub(super) fn man() -> Result<u8> {
    let mut page = Vec::new();
    let command = Args::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands() {
        let title = format!("rekopia-{}", sub.get_name());
        clap_mangen::Man::new(sub.clone()).title(title).render(&mut page)?;
    }
    print(&page)
}

fn print(bytes: &[u8]) -> Result<u8> {
    let mut out = output();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(0)
}
