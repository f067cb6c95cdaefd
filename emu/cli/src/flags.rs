//! What a person may type.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A Sancus board in software.
#[derive(Parser, Debug)]
#[command(name = "veritee-emu", version, about = "A Sancus board in software")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs firmware on a board.
    Run(Box<Run>),
    /// Talks to the world of a running board: set, press, release, get, watch, reset, name.
    ///
    /// For instance `world unix:/tmp/board press p2.0`, `set adc0 512`, `set p1 0x3f`, `get`, `watch`.
    World {
        /// Where it listens: `unix:PATH` or `tcp:PORT`.
        address: String,
        /// The command.
        #[arg(required = true)]
        command: Vec<String>,
    },
    /// Shows what an ELF file would put where.
    Info {
        /// The file.
        firmware: PathBuf,
    },
    /// Measures how fast the emulator is.
    Bench {
        /// `text` or `json`.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
        /// Seconds for each workload.
        #[arg(long, default_value_t = 2)]
        seconds: u64,
    },
}

/// How a result is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    Text,
    Json,
}

/// The flags of `run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Firmware: a linked ELF file for MSP430.
    pub(crate) firmware: PathBuf,
    #[command(flatten)]
    pub(crate) board: BoardFlags,
    /// The first serial line: `tcp:PORT` or `unix:PATH` (waits for one peer after another), `pty`, `pty:LINK` (with a
    /// symbolic link to it), `-` (this terminal), `none`. Port 0 picks a free one.
    #[arg(long, value_name = "PLACE", default_value = "none")]
    pub(crate) uart1: String,
    /// Lets bytes reach the first serial line at any time, as on hardware, also while a module runs.
    #[arg(long)]
    pub(crate) uart1_unpaced: bool,
    /// The second serial line, which only sends: `stdout`, `stderr`, `none` or a file.
    #[arg(long, value_name = "PLACE", default_value = "stdout")]
    pub(crate) uart2: String,
    /// Inputs at the start, such as `p1.0=1,p2=63,adc0=512`.
    #[arg(long, value_name = "LIST")]
    pub(crate) pins: Option<String>,
    /// Where `veritee-emu world` finds the board: `unix:PATH` or `tcp:PORT`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) world: Option<String>,
    /// Writes each instruction and event to a file; slow.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Leaves instructions out of the trace.
    #[arg(long, requires = "trace")]
    pub(crate) trace_events: bool,
    /// Waits for a GNU debugger: `tcp:PORT`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) gdb: Option<String>,
    /// Does not report addresses and violations on standard error.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Ends after so many cycles.
    #[arg(long, value_name = "N")]
    pub(crate) cycles: Option<u64>,
    /// As fast as hardware: 8 MHz (the default).
    #[arg(long, conflicts_with = "speed")]
    pub(crate) realtime: bool,
    /// Times 8 MHz; or `max`: as fast as it goes, but a sleeping CPU sleeps as long as on hardware.
    #[arg(long, value_name = "FACTOR")]
    pub(crate) speed: Option<String>,
    /// Writes one line of JSON when the board runs: addresses of its lines, and the process id.
    #[arg(long, value_name = "PATH")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// What kind of board.
#[derive(Args, Debug)]
pub(crate) struct BoardFlags {
    /// Generation of the core.
    #[arg(long, value_enum, default_value_t = Core::Legacy)]
    pub(crate) core: Core,
    /// Rules of the board.
    #[arg(long, value_enum, default_value_t = ProfileName::Bare)]
    pub(crate) profile: ProfileName,
    /// Bits of keys and tags: 64 or 128.
    #[arg(long, default_value_t = 128)]
    pub(crate) security: u16,
    /// Slots for modules.
    #[arg(long, default_value_t = 8)]
    pub(crate) slots: usize,
    /// KiB of RAM.
    #[arg(long, default_value_t = 16)]
    pub(crate) ram: u16,
    /// KiB of program memory.
    #[arg(long, default_value_t = 41)]
    pub(crate) rom: u16,
    /// Resets on a violation, instead of interrupt 13. The veritee profile always does.
    #[arg(long)]
    pub(crate) reset_on_violation: bool,
    /// The safe value of the dead-man output (veritee profile).
    #[arg(long, default_value_t = 0)]
    pub(crate) dead_man_safe: u8,
    /// The freshness device (veritee profile): `random`, or the file of a persistent counter.
    #[arg(long, value_name = "FILE|random", default_value = "random")]
    pub(crate) freshness: String,
    /// File with the board's secret, 16 bytes or 32 hexadecimal digits: the node key is derived from it.
    #[arg(long, value_name = "FILE", conflicts_with = "node_key")]
    pub(crate) board_secret: Option<PathBuf>,
    /// The node key, in hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    pub(crate) node_key: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Core {
    Legacy,
    Master,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProfileName {
    Bare,
    Veritee,
}
