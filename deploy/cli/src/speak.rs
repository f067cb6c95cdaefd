//! Verbs that speak with a running application: call, output, request.

use crate::application::Lasting;
use crate::grammar::{Application, Payload};
use crate::printer::Printer;
use anyhow::{Result, bail};
use veritee_exec::connect::Wire;
use veritee_exec::deploy::{name_of, open_desk};
use veritee_exec::direct::Caller;
use veritee_exec::{ExecError, hex};
use veritee_ids::{Op, PortKind, Status};
use veritee_model::Millis;

impl Payload {
    fn bytes(&self) -> Result<Vec<u8>> {
        match (&self.hex, &self.text) {
            (Some(text), _) => {
                let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
                let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
                let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
                bytes.ok_or_else(|| anyhow::anyhow!("{text:?} is not hexadecimal"))
            }
            (None, Some(text)) => {
                let Ok(length) = u16::try_from(text.len()) else { bail!("the text is longer than 65535 bytes") };
                Ok([&length.to_le_bytes(), text.as_bytes()].concat())
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

fn no_such(what: &'static str, name: &str, candidates: Vec<String>) -> ExecError {
    ExecError::NoSuch { what, name: name.to_owned(), candidates }
}

pub(crate) async fn call(application: Application, entry: &str, payload: &Payload, printer: &Printer) -> Result<()> {
    let payload = payload.bytes()?;
    let lasting = Lasting::open(&application, printer).await?;
    let entries = || {
        let ports = lasting.built.iter().flat_map(|(module, image)| {
            let entries = image.ports.ports.iter().filter(|port| port.kind == PortKind::Entry);
            entries.map(move |port| format!("{module}.{}", port.name))
        });
        ports.collect::<Vec<_>>()
    };
    let found = entry.split_once('.').and_then(|(module, name)| {
        let ports = &lasting.built.get(module)?.ports.ports;
        let index = ports.iter().position(|port| port.kind == PortKind::Entry && port.name == name)?;
        Some((module, u16::try_from(index).ok()?))
    });
    let (module, index) = found.ok_or_else(|| no_such("entry", entry, entries()))?;
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

/// Opens a caller's end of a direct connection. The application's lock is held only for the transaction.
async fn caller(
    application: &Application, connection: &str, requests: bool, wait: Millis, printer: &Printer,
) -> Result<Caller> {
    let lasting = Lasting::open(application, printer).await?;
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
    let mut desk = open_desk(lasting.place(printer), &lasting.state, &end.module, target).await?;
    let keys = (lasting.state.application, &lasting.owner.root);
    Ok(Caller::open(wire, &mut desk, keys, lasting.state.folder(), wait.duration()).await?)
}

pub(crate) async fn output(
    application: Application, connection: &str, payload: &Payload, wait: Millis, printer: &Printer,
) -> Result<()> {
    let payload = payload.bytes()?;
    caller(&application, connection, false, wait, printer).await?.output(&payload).await?;
    printer.result(&serde_json::json!({"verdict": "accepted"}), || "accepted".to_owned());
    Ok(())
}

pub(crate) async fn request(
    application: Application, connection: &str, payload: &Payload, (wait, timeout): (Millis, Millis), printer: &Printer,
) -> Result<()> {
    let payload = payload.bytes()?;
    let mut caller = caller(&application, connection, true, wait, printer).await?;
    match caller.request(&payload, timeout.duration()).await? {
        Ok(reply) => {
            let reply = hex(&reply);
            printer.result(&serde_json::json!({"reply": reply}), || reply.clone());
            Ok(())
        }
        Err(code) => {
            let what = format!("the handler refuses with code {code}");
            bail!(ExecError::Direct { connection: connection.to_owned(), what })
        }
    }
}
