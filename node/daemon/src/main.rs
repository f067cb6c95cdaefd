//! `veritee-node`: the event manager of a node.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use veritee_host::Platform;
use veritee_node::config::{Board, Log, LogFormat};
use veritee_node::{Config, platforms};
use veritee_node_client::Fingerprint;

/// The event manager of a Veritee node: loads modules, stores and forwards their events, answers their owners.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes the node's key; prints its fingerprint and the first one-time token.
    Init {
        #[command(flatten)]
        configured: Configured,
    },
    /// Prints another one-time token, for another owner.
    Token {
        #[command(flatten)]
        configured: Configured,
    },
    /// Prints the node's fingerprint.
    Fingerprint {
        #[command(flatten)]
        configured: Configured,
    },
    /// Lists the kinds of TEE that this program knows, and how it would run them on this machine.
    Platforms {
        /// Prints JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Reads the configuration and says whether it is sound.
    Check {
        #[command(flatten)]
        configured: Configured,
    },
    /// Runs the node until SIGTERM or SIGINT. Prints one JSON line when it is ready.
    Run {
        #[command(flatten)]
        configured: Configured,
        /// A graceful stop ends modules too (throw-away runs).
        #[arg(long)]
        end_modules: bool,
        /// Stops gracefully when standard input ends: the node cannot outlive who started it.
        #[arg(long)]
        until_stdin_ends: bool,
    },
    /// Runs a platform's helper process. Used by the node itself.
    #[command(hide = true, disable_help_flag = true)]
    Runner {
        /// The platform's word.
        platform: String,
        /// What the platform gave.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(clap::Args)]
struct Configured {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/veritee/node.toml")]
    config: PathBuf,
    /// Prints JSON instead of text (`init`, `token`, `fingerprint`).
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let verb = Arguments::parse().verb;
    if let Verb::Runner { platform, arguments } = &verb {
        return runner(platform, arguments);
    }
    match obey(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("veritee-node: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn runner(platform: &str, arguments: &[OsString]) -> ExitCode {
    match registry(&[]).into_iter().find(|known| known.name() == platform) {
        Some(platform) => platform.runner(arguments),
        None => {
            say(&mut std::io::stderr(), &format!("veritee-node: there is no platform {platform}"));
            ExitCode::FAILURE
        }
    }
}

/// All platforms. A program whose file was replaced (an update) starts its runners from what runs now.
fn registry(boards: &[Board]) -> Vec<Arc<dyn Platform>> {
    platforms::registry("/proc/self/exe".as_ref(), boards)
}

/// All platforms with what they say of this machine.
fn shown(json: bool) -> String {
    let found: Vec<_> = registry(&[]).iter().map(|platform| (platform.name(), platform.here())).collect();
    if json {
        let found: serde_json::Map<_, _> =
            found.into_iter().map(|(name, here)| (name.to_owned(), serde_json::json!(here))).collect();
        return serde_json::Value::Object(found).to_string();
    }
    let lines: Vec<String> = found
        .into_iter()
        .map(|(name, here)| format!("{name:<12}{}", here.unwrap_or_default()).trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn obey(verb: Verb) -> Result<()> {
    let mut out = std::io::stdout();
    match verb {
        Verb::Init { configured } => {
            let (identity, token) = veritee_node::init(&configured.load()?)?;
            let (fingerprint, token) = (Fingerprint(identity).to_string(), token.reveal());
            if configured.json {
                say(&mut out, &serde_json::json!({"fingerprint": fingerprint, "token": *token}).to_string());
            } else {
                say(&mut out, &format!("fingerprint {fingerprint}\ntoken       {}", *token));
            }
        }
        Verb::Token { configured } => {
            let config = configured.load()?;
            veritee_node::identity(&config)?;
            let token = veritee_node::new_token(&config)?.reveal();
            if configured.json {
                say(&mut out, &serde_json::json!({"token": *token}).to_string());
            } else {
                say(&mut out, &format!("token       {}", *token));
            }
        }
        Verb::Fingerprint { configured } => {
            let fingerprint = veritee_node::identity(&configured.load()?)?.fingerprint().to_string();
            if configured.json {
                say(&mut out, &serde_json::json!({"fingerprint": fingerprint}).to_string());
            } else {
                say(&mut out, &fingerprint);
            }
        }
        Verb::Platforms { json } => say(&mut out, &shown(json)),
        Verb::Check { configured } => {
            configured.load()?;
        }
        Verb::Run { configured, end_modules, until_stdin_ends } => {
            let mut config = configured.load()?;
            config.end_modules |= end_modules;
            run(config, until_stdin_ends)?;
        }
        Verb::Runner { .. } => unreachable!("dispatched before"),
    }
    Ok(())
}

impl Configured {
    fn load(&self) -> Result<Config> {
        Config::load(&self.config).context("the configuration is refused")
    }
}

fn run(config: Config, until_stdin_ends: bool) -> Result<()> {
    start_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Signals are caught before the node starts: none can fall between.
    let stop = {
        let _entered = runtime.enter();
        Signals::catch().context("cannot catch signals")?
    };
    let platforms = registry(&config.boards);
    let handle = veritee_node::start(config, platforms)?;
    let identity = Fingerprint(handle.identity()).to_string();
    let metrics = handle.metrics().map(|address| address.to_string());
    let ready = serde_json::json!({
        "ready": {"address": handle.address().to_string(), "identity": identity, "metrics": metrics}
    });
    say(&mut std::io::stdout(), &ready.to_string());
    runtime.block_on(stop.wait(until_stdin_ends));
    handle.stop();
    runtime.shutdown_background();
    Ok(())
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self, until_stdin_ends: bool) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())),
                if until_stdin_ends => {}
        }
    }
}

fn start_log(log: &Log) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&log.filter).context("log.filter is not a filter")?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|word| word.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

fn say(out: &mut impl Write, text: &str) {
    // Nobody may be listening.
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}
