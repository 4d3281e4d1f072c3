//! `solfa data`.

mod check;
mod import;
mod pack;
mod sets;

use crate::arguments::{DataArguments, DataCommand};
use crate::terminal::Outcome;

pub(crate) fn run(arguments: &DataArguments) -> anyhow::Result<Outcome> {
    match &arguments.command {
        DataCommand::Import(arguments) => import::run(arguments),
        DataCommand::Check(arguments) => check::run(arguments),
        DataCommand::Pack(arguments) => pack::run(arguments),
        DataCommand::Sets(arguments) => sets::run(arguments),
    }
}
