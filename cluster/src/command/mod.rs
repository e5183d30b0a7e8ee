//! Runs what a person asks for.

pub mod arguments;
mod doctor;
pub mod exit;
mod generate;
pub mod help;
mod inventory;
mod known;
mod output;
mod plan;
mod repository;
mod select;
mod shown;
mod status;
mod watching;

use anyhow::Result;
use arguments::{Arguments, Command};

pub use output::{Failure, is_closed_output};

/// Runs the command; returns the exit code.
///
/// # Errors
/// The cluster cannot be reached, or nothing there is called so.
pub async fn run(arguments: Arguments) -> Result<u8> {
    match &arguments.command {
        Command::Status(status) => status::run(&arguments.global, status).await,
        Command::Doctor(doctor) => Box::pin(doctor::run(&arguments.global, doctor)).await,
        Command::Inventory(inventory) => Box::pin(inventory::run(&arguments.global, inventory)).await,
        Command::Plan(plan) => Box::pin(plan::run(&arguments.global, plan)).await,
        Command::Completions { shell } => generate::completions(*shell),
        Command::Man => generate::man(),
    }
}
