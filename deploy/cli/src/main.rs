//! `veritee`: the owner's tool. Grammar here and in `grammar`, effects in `veritee-exec`, printing in `printer`.

mod application;
mod bench;
mod delegate;
mod doctor;
mod emulated;
mod evidence;
mod exit;
mod grammar;
mod image;
mod lasting;
mod machines;
mod nodes;
mod printer;
mod project;
mod provider;
mod run;
mod sealed;
mod speak;
mod variant;
mod verify;
mod world;

use clap::{CommandFactory, Parser};
use exit::Exit;
use grammar::{Arguments, Verb};
use printer::Printer;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printer = Printer::new(arguments.output, arguments.quiet);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(obey(arguments.verb, &printer)),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            printer.error(&error);
            Exit::of(&error).into()
        }
    }
}

async fn obey(verb: Verb, printer: &Printer) -> anyhow::Result<Exit> {
    match verb {
        Verb::New { name } => project::new(&name, printer)?,
        Verb::Check(application) => application::check(application.into(), printer).await?,
        Verb::Build(application) => application::build(application.into(), printer).await?,
        Verb::Plan(application) => application::plan(application.into(), printer).await?,
        Verb::Run { application, duration } => return run::run(application.into(), duration, printer).await,
        Verb::Image(verb) => image::obey(&verb, printer)?,
        Verb::Up { application, acting, watch } => application::up(acting.on(application), watch, printer).await?,
        Verb::Status { application, acting } => application::status(acting.on(application), printer).await?,
        Verb::Down(application) => application::down(application.into(), printer).await?,
        Verb::Evidence { application, module, token } => {
            return evidence::evidence(application, &module, token, printer).await;
        }
        Verb::State(verb) => sealed::obey(verb, printer).await?,
        Verb::Disable { application, acting, module } => {
            application::disable(acting.on(application), &module, printer).await?;
        }
        Verb::Delegate(verb) => return delegate::obey(verb, printer).await,
        Verb::Call { application, acting, entry, payload } => {
            speak::call(acting.on(application), &entry, &payload, printer).await?;
        }
        Verb::Output { application, acting, connection, payload, wait } => {
            speak::output(acting.on(application), &connection, &payload, wait, printer).await?;
        }
        Verb::Request { application, acting, connection, payload, wait, timeout } => {
            speak::request(acting.on(application), &connection, &payload, (wait, timeout), printer).await?;
        }
        Verb::Node(verb) => return nodes::obey(verb, printer).await,
        Verb::Provider(verb) => provider::obey(verb, printer).await?,
        Verb::Whoami => nodes::whoami(printer)?,
        Verb::Doctor => doctor::doctor(printer)?,
        Verb::Bench { platform, payload, cipher, events, connections } => {
            bench::bench(&bench::Wish { platform, payload, cipher, events, connections }, printer).await?;
        }
        Verb::Backup { folder } => nodes::backup(&folder, printer)?,
        Verb::Restore { folder } => nodes::restore(&folder, printer)?,
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "veritee", &mut std::io::stdout());
        }
        Verb::Man { folder } => clap_mangen::generate_to(Arguments::command(), folder)?,
    }
    Ok(Exit::Done)
}
