//! The world around the board: pins, analogue inputs, and what the board does to it.
//!
//! A line of text is a command, a line of JSON the answer; after `watch`, a line of JSON for each thing that happens.
//!
//! | command | what it does |
//! |---|---|
//! | `set p1 0x3f`, `set p2.0 1` | sets pins of port 1 or 2 |
//! | `press p2.0`, `release p2.0` | sets a pin to 1, to 0 |
//! | `set adc0 512` | sets an analogue input (veritee profile) |
//! | `get` | the state of pins, outputs and modules |
//! | `watch` | further lines whenever an output changes, a rule is broken, or the board is reset |
//! | `reset` | the board's button |
//! | `name thermostat 0x6100` | the module whose text starts there has a name in traces |

use crate::run::Message;
use crate::trace::describe;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use veritee_machine::{Board, Event, Symbols};

/// Something from a client.
pub(crate) enum FromClient {
    /// It is there.
    Here(Box<dyn Write + Send>),
    /// It said a line.
    Line(String),
    /// It went.
    Gone,
}

/// A client that does not read for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(2);

/// The clients.
#[derive(Default)]
pub(crate) struct World {
    clients: BTreeMap<u64, (Box<dyn Write + Send>, bool)>,
    /// Where clients find it.
    pub(crate) address: Option<String>,
    leftover: Option<PathBuf>,
}

impl World {
    /// Listens on `unix:PATH` or `tcp:PORT`.
    pub(crate) fn listen(place: &str, messages: &Sender<Message>) -> Result<Self> {
        let mut world = Self::default();
        match place.split_once(':') {
            Some(("tcp", port)) => {
                let port = port.parse().with_context(|| format!("{port:?} is no port"))?;
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen for --world")?;
                world.address = Some(format!("tcp:{}", listener.local_addr()?));
                let messages = messages.clone();
                thread::spawn(move || {
                    for (id, stream) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                        let _ = stream.set_write_timeout(Some(PATIENCE));
                        let Ok(writer) = stream.try_clone() else { continue };
                        serve(id, stream, Box::new(writer), messages.clone());
                    }
                });
            }
            Some(("unix", path)) => {
                let listener = crate::serial::listen(Path::new(path)).context("cannot listen for --world")?;
                world.address = Some(place.to_owned());
                world.leftover = Some(path.into());
                let messages = messages.clone();
                thread::spawn(move || {
                    for (id, stream) in (0..).zip(listener.incoming().map_while(Result::ok)) {
                        let _ = stream.set_write_timeout(Some(PATIENCE));
                        let Ok(writer) = stream.try_clone() else { continue };
                        serve(id, stream, Box::new(writer), messages.clone());
                    }
                });
            }
            _ => bail!("--world {place:?} is neither unix:PATH nor tcp:PORT"),
        }
        Ok(world)
    }

    /// Is anybody watching?
    pub(crate) fn is_watched(&self) -> bool {
        self.clients.values().any(|(_, watches)| *watches)
    }

    /// Does what a client says.
    pub(crate) fn take(&mut self, id: u64, message: FromClient, board: &mut Board, symbols: &mut Symbols) {
        match message {
            FromClient::Here(writer) => {
                self.clients.insert(id, (writer, false));
            }
            FromClient::Gone => {
                self.clients.remove(&id);
            }
            FromClient::Line(line) => {
                let words: Vec<_> = line.split_whitespace().collect();
                if words == ["watch"] {
                    let Some((_, watches)) = self.clients.get_mut(&id) else { return };
                    *watches = true;
                }
                let answer = match command(&words, board, symbols) {
                    Ok(answer) => answer,
                    Err(error) => json!({"ok": false, "error": format!("{error:#}")}),
                };
                self.send(|client, _| client == id, &answer);
            }
        }
    }

    /// Tells watchers.
    pub(crate) fn publish(&mut self, event: &Event, symbols: &Symbols) {
        if let Some(value) = event_json(event, symbols) {
            self.send(|_, watches| watches, &value);
        }
    }

    fn send(&mut self, wants: impl Fn(u64, bool) -> bool, value: &Value) {
        let line = format!("{value}\n");
        self.clients.retain(|id, (writer, watches)| {
            !wants(*id, *watches) || writer.write_all(line.as_bytes()).and_then(|()| writer.flush()).is_ok()
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(path) = &self.leftover {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Lines of a client become messages.
fn serve(id: u64, reader: impl Read + Send + 'static, writer: Box<dyn Write + Send>, messages: Sender<Message>) {
    thread::spawn(move || {
        let say = |message| messages.send(Message::World(id, message)).is_ok();
        let mut here = say(FromClient::Here(writer));
        // A line is short; who sends more is no client.
        for line in BufReader::new(reader).take(1 << 20).lines().map_while(Result::ok) {
            here = here && say(FromClient::Line(line));
        }
        say(FromClient::Gone);
    });
}

fn command(words: &[&str], board: &mut Board, symbols: &mut Symbols) -> Result<Value> {
    match words {
        ["get" | "watch"] => return Ok(state(board, symbols)),
        ["set", place, value] => set(place, number(value)?, board)?,
        ["press", place] => set(place, 1, board)?,
        ["release", place] => set(place, 0, board)?,
        ["reset"] => board.reset(),
        ["name", name, address] => symbols.name_module(number(address)?, name),
        _ => bail!("unknown command {:?}; there are: set, press, release, get, watch, reset, name", words.join(" ")),
    }
    Ok(json!({"ok": true, "cycle": board.cycle()}))
}

fn number(text: &str) -> Result<u16> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.with_context(|| format!("{text:?} is no number from 0 to 65535"))
}

/// Sets `adc0`, `adc1`, `p1`, `p2`, `p1.0` … `p2.7`.
pub(crate) fn set(place: &str, value: u16, board: &mut Board) -> Result<()> {
    if let Some(channel) = place.strip_prefix("adc") {
        let channel = match channel {
            "0" => 0,
            "1" => 1,
            _ => bail!("there are adc0 and adc1, no {place:?}"),
        };
        ensure!(value <= 4095, "a sample is 0 to 4095, not {value}");
        ensure!(board.set_analogue(channel, value), "only boards with the veritee profile have analogue inputs");
        return Ok(());
    }
    let (port, pin) = place.split_once('.').map_or((place, None), |(port, pin)| (port, Some(pin)));
    let port = match port {
        "p1" => 1,
        "p2" => 2,
        _ => bail!("{place:?} is no input; there are p1, p2, p1.0 to p2.7, adc0, adc1"),
    };
    let before = board.pins(port);
    let pins = match pin {
        None => u8::try_from(value).ok().with_context(|| format!("eight pins are 0 to 255, not {value}"))?,
        Some(pin) => {
            let pin: u8 = pin.parse().ok().filter(|pin| *pin < 8).with_context(|| format!("{place:?} is no pin"))?;
            ensure!(value <= 1, "a pin is 0 or 1, not {value}");
            if value == 1 { before | 1 << pin } else { before & !(1 << pin) }
        }
    };
    board.schedule_pins(port, board.cycle(), pins);
    Ok(())
}

/// What `get` answers.
fn state(board: &Board, symbols: &Symbols) -> Value {
    let modules: Vec<_> = board
        .modules()
        .iter()
        .flatten()
        .map(|slot| {
            json!({
                "id": slot.id, "name": symbols.module(slot.text.start),
                "text": [slot.text.start, slot.text.end], "secret": [slot.secret.start, slot.secret.end],
            })
        })
        .collect();
    json!({
        "ok": true, "cycle": board.cycle(), "pins": [board.pins(1), board.pins(2)], "outputs": board.port_outputs(),
        "digits": board.digits(), "dead_man": board.dead_man_pins(), "adc": board.analogue(),
        "module": board.module_ids()[0], "sleeps": board.sleeps(), "modules": modules,
    })
}

/// An event for watchers.
fn event_json(event: &Event, symbols: &Symbols) -> Option<Value> {
    Some(match event {
        Event::Port { cycle, port, value } => {
            json!({"event": "port", "cycle": cycle, "port": port, "value": value})
        }
        Event::Digit { cycle, digit, value } => {
            json!({"event": "digit", "cycle": cycle, "digit": digit, "value": value})
        }
        Event::DeadMan { cycle, value } => json!({"event": "dead_man", "cycle": cycle, "value": value}),
        Event::Violation(violation) => json!({
            "event": "violation", "cycle": violation.cycle, "pc": violation.pc, "what": symbols.violation(violation),
        }),
        Event::Reset { cycle, .. } => json!({"event": "reset", "cycle": cycle, "why": describe(event, symbols).1}),
        _ => return None,
    })
}

/// The client: `world ADDRESS COMMAND…`. Gives whether the board agreed.
pub(crate) fn client(address: &str, words: &[String]) -> Result<bool> {
    match address.split_once(':') {
        Some(("unix", path)) => {
            let stream = UnixStream::connect(path).with_context(|| format!("cannot reach a board at {path}"))?;
            talk(&stream, &stream, words)
        }
        Some(("tcp", rest)) => {
            let target = if rest.contains(':') { rest.to_owned() } else { format!("127.0.0.1:{rest}") };
            let stream = TcpStream::connect(&target).with_context(|| format!("cannot reach a board at {target}"))?;
            talk(&stream, &stream, words)
        }
        _ => bail!("{address:?} is neither unix:PATH nor tcp:PORT"),
    }
}

fn talk(reader: impl Read, mut writer: impl Write, words: &[String]) -> Result<bool> {
    let line = words.join(" ");
    writeln!(writer, "{line}").context("cannot speak to the board")?;
    let mut lines = BufReader::new(reader).lines();
    let answer = lines.next().context("the board said nothing")??;
    println!("{answer}");
    let agreed = serde_json::from_str::<Value>(&answer)?["ok"] == Value::Bool(true);
    if agreed && line.trim() == "watch" {
        for line in lines {
            println!("{}", line?);
        }
    }
    Ok(agreed)
}
