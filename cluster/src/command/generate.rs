//! Makes completions and the manual page.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::exit;
use super::output::print;

pub(super) fn completions(shell: Shell) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "kubectl-rekopia", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(exit::FINE)
}

pub(super) fn man() -> Result<u8> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut text)?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(exit::FINE)
}
