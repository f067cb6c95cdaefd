//! The world of an emulated board, during a throw-away run: what happens to its devices is shown, and what the descriptor says
//! happens to it is done.

use crate::printer::Printer;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};
use veritee_model::Happening;

/// A board's world.
pub(crate) struct World {
    /// What people call the board.
    pub(crate) shown: String,
    /// The emulator's socket.
    pub(crate) socket: PathBuf,
    /// What happens to it.
    pub(crate) happenings: Vec<Happening>,
}

/// What the emulator tells.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told {
    Port { port: u8, value: u16 },
    DeadMan { value: u16 },
    Violation { what: String },
    Reset { why: String },
    Digit {},
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
}

/// Plays a world until the board is gone.
pub(crate) async fn play(world: World, printer: Printer) {
    if let Err(error) = watch(&world, &printer).await {
        printer.say(&format!("  ! board {}: its world is gone ({error})", world.shown));
    }
}

async fn watch(world: &World, printer: &Printer) -> std::io::Result<()> {
    let (reader, mut writer) = UnixStream::connect(&world.socket).await?.into_split();
    writer.write_all(b"watch\n").await?;
    let mut lines = BufReader::new(reader).lines();
    let start = Instant::now();
    let mut next: Vec<(Instant, &Happening)> =
        world.happenings.iter().map(|happening| (start + happening.after.duration(), happening)).collect();
    loop {
        let due = next.iter().map(|(due, _)| *due).min().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => show(&line, world, printer),
                None => return Ok(()),
            },
            () = sleep_until(due) => {
                for (due, happening) in next.iter_mut().filter(|(due, _)| *due <= Instant::now()) {
                    writer.write_all(format!("{}\n", happening.r#do).as_bytes()).await?;
                    *due += happening.every.map_or(NEVER, |every| every.duration());
                }
            }
        }
    }
}

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 30);

fn show(line: &str, world: &World, printer: &Printer) {
    let text = match serde_json::from_str(line) {
        Ok(Told::Port { port, value }) => format!("port {port} is {value:#04x}"),
        Ok(Told::DeadMan { value }) => format!("the dead-man output is {value}"),
        Ok(Told::Violation { what }) => format!("violation: {what}"),
        Ok(Told::Reset { why }) => format!("reset: {why}"),
        Ok(Told::Digit {}) => return,
        Err(_) => match serde_json::from_str(line) {
            Ok(Answer { ok: false, error: Some(error) }) => format!("what was to happen did not: {error}"),
            _ => return,
        },
    };
    printer.say(&format!("  · board {}: {text}", world.shown));
}
