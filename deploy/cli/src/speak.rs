//! Verbs that speak with a running application: call, output, request.

use crate::application::{Lasting, Ready};
use crate::exit::{Exit, Misuse};
use crate::grammar::{Application, Payload};
use crate::printer::Printer;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};
use veritee_exec::connect::Wire;
use veritee_exec::deploy::{look_desk, name_of};
use veritee_exec::direct::Caller;
use veritee_exec::settle::Changes;
use veritee_exec::{ExecError, hex};
use veritee_ids::{Op, PortKind, Status};
use veritee_model::{Descriptor, Millis};
use veritee_platform::Port;

impl Payload {
    fn bytes(&self) -> Result<Vec<u8>> {
        match (&self.hex, &self.text) {
            (Some(text), _) => {
                let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
                let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
                let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
                bytes.ok_or_else(|| Misuse(format!("{text:?} is not hexadecimal, two digits a byte")).into())
            }
            (None, Some(text)) => {
                let Ok(length) = u16::try_from(text.len()) else {
                    bail!(Misuse("the text is longer than 65535 bytes".to_owned()))
                };
                Ok([&length.to_le_bytes(), text.as_bytes()].concat())
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// Judges a payload before it is sent: a module would accept it, and find it malformed.
fn check_length(payload: &[u8], port: &Port, at: &str) -> Result<()> {
    let largest = usize::try_from(port.payload_bytes_max).unwrap_or(usize::MAX);
    if payload.len() <= largest {
        return Ok(());
    }
    let length = payload.len();
    let takes = if largest == 0 { "no payload".to_owned() } else { format!("at most {largest} bytes") };
    bail!(Misuse(format!("{at} takes {takes}; this one has {length} bytes")))
}

fn no_such(what: &'static str, name: &str, candidates: Vec<String>) -> ExecError {
    ExecError::NoSuch { what, name: name.to_owned(), candidates }
}

pub(crate) async fn call(application: Application, entry: &str, payload: &Payload, printer: &Printer) -> Result<()> {
    let payload = payload.bytes()?;
    let module = entry.split_once('.').map_or(entry, |(module, _)| module);
    let lasting = Lasting::of_module(&application, module, printer).await?;
    let entries = || {
        let ports = lasting.built.iter().flat_map(|(module, image)| {
            let entries = image.ports().ports.iter().filter(|port| port.kind == PortKind::Entry);
            entries.map(move |port| format!("{module}.{}", port.name))
        });
        ports.collect::<Vec<_>>()
    };
    let found = entry.split_once('.').and_then(|(module, name)| {
        let ports = &lasting.built.get(module)?.ports().ports;
        let index = ports.iter().position(|port| port.kind == PortKind::Entry && port.name == name)?;
        Some((module, u16::try_from(index).ok()?))
    });
    let (module, index) = found.ok_or_else(|| no_such("entry", entry, entries()))?;
    if let Some(port) = lasting.built.get(module).and_then(|image| image.ports().ports.get(usize::from(index))) {
        check_length(&payload, port, entry)?;
    }
    let node = lasting.target.modules.get(module).map_or("", |target| target.node.as_str());
    let input = [&index.to_le_bytes(), payload.as_slice()].concat();
    let name = name_of(&lasting.state, module);
    let entered = lasting.fleet.node(node)?.enter(&name, Op::Entry, input).await?;
    if entered.status != Status::Accepted.code() {
        let word = Status::try_from(entered.status).map_or("an unknown status", Status::word);
        bail!(ExecError::Direct { connection: entry.to_owned(), what: format!("the module answers {word}") });
    }
    let reply = hex(&entered.reply);
    printer.result(&serde_json::json!({"response": reply}), || reply.clone());
    Ok(())
}

/// What is to be said over a direct connection.
struct Message<'a> {
    connection: &'a str,
    requests: bool,
    payload: &'a [u8],
}

/// Opens a caller's end of a direct connection; waits while others are in the way.
async fn caller(application: &Application, message: &Message<'_>, wait: Millis, printer: &Printer) -> Result<Caller> {
    let named = |descriptor: &Descriptor| {
        let found =
            descriptor.connections.iter().find(|found| found.direct && found.shown_name() == message.connection);
        found.map(|found| found.to.module.clone())
    };
    let ready = Ready::prepare(application, named, printer).await?;
    let end = Instant::now() + wait.duration();
    loop {
        match open_caller(&ready, message, printer).await {
            Err(error) if Exit::of(&error) == Exit::InUse && Instant::now() < end => {
                tokio::time::sleep(CALLER_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// How often a slot that is held is tried again.
const CALLER_PAUSE: Duration = Duration::from_millis(50);

/// The application's lock is held for this transaction only.
async fn open_caller(ready: &Ready, message: &Message<'_>, printer: &Printer) -> Result<Caller> {
    let lasting = ready.lasting(Changes::Wait, printer).await?;
    let Message { connection, requests, payload } = *message;
    let fits = |wire: &&Wire| wire.from.is_none() && wire.requests == requests;
    let wires = || lasting.target.wires.iter().filter(fits);
    let wire = wires().find(|wire| wire.name == connection).ok_or_else(|| {
        let what = if requests { "direct connection to a handler" } else { "direct connection to an input" };
        no_such(what, connection, wires().map(|wire| wire.name.clone()).collect())
    })?;
    let Some(end) = wire.to.first() else { bail!(no_such("module", connection, Vec::new())) };
    let Some(target) = lasting.target.modules.get(&end.module) else {
        bail!(no_such("module", &end.module, Vec::new()));
    };
    let ports = lasting.built.get(&end.module).map(|image| &image.ports().ports);
    if let Some(port) = ports.and_then(|ports| ports.get(usize::from(end.port.0))) {
        check_length(payload, port, connection)?;
    }
    let mut desk = look_desk(lasting.place(printer), &lasting.state, &end.module, target).await?;
    let keys = (lasting.state.application, &lasting.owner.root);
    Ok(Caller::open(wire, &mut desk, keys, lasting.state.folder()).await?)
}

pub(crate) async fn output(
    application: Application, connection: &str, payload: &Payload, wait: Millis, printer: &Printer,
) -> Result<()> {
    let payload = payload.bytes()?;
    let message = Message { connection, requests: false, payload: &payload };
    caller(&application, &message, wait, printer).await?.output(&payload).await?;
    printer.result(&serde_json::json!({"verdict": "accepted"}), || "accepted".to_owned());
    Ok(())
}

pub(crate) async fn request(
    application: Application, connection: &str, payload: &Payload, (wait, timeout): (Millis, Millis), printer: &Printer,
) -> Result<()> {
    let payload = payload.bytes()?;
    let message = Message { connection, requests: true, payload: &payload };
    let mut caller = caller(&application, &message, wait, printer).await?;
    match caller.request(&payload, timeout.duration()).await? {
        Ok(reply) => {
            // The sealed body is padded; the type says how long a reply can be.
            let reply = hex(reply.get(..caller.reply_bytes_max()).unwrap_or(&reply));
            printer.result(&serde_json::json!({"reply": reply}), || reply.clone());
            Ok(())
        }
        Err(code) => {
            let what = format!("the handler refuses with code {code}");
            bail!(ExecError::Direct { connection: connection.to_owned(), what })
        }
    }
}
