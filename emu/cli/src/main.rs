//! `veritee-emu`: a Sancus board in software.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod bench;
mod flags;
mod freshness;
mod gdb;
mod info;
mod pace;
mod run;
mod serial;
mod trace;
mod world;

use clap::Parser;
use flags::{Arguments, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(flags) => run::run(&flags),
        Command::World { address, command } => {
            world::client(&address, &command).map(|agreed| if agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Info { firmware } => info::info(&firmware).map(|()| ExitCode::SUCCESS),
        Command::Bench { output, seconds } => bench::bench(output, seconds).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("veritee-emu: {error:#}");
            ExitCode::FAILURE
        }
    }
}
