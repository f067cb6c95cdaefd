//! The ports of a module: who may say what, and whether it fits together.

use crate::Mistake;
use crate::layout::{Type, Types, number, one_name};
use crate::module::{Message, Port};
use crate::tokens::{Declaration, Place, Token};
use veritee_ids::PortKind;
use veritee_ids::limits::NAME_BYTES_MAX;

/// Most ports of a module.
const PORTS_MAX: usize = 64;
/// Most events that one handler emits on a port.
const EMITS_MAX: u64 = 4096;

/// Reads all ports.
pub(crate) fn read(declarations: &[Declaration], types: &Types) -> Result<Vec<Port>, Mistake> {
    let mut ports: Vec<Port> = Vec::new();
    for declaration in declarations {
        let Some(port) = port(declaration, types)? else { continue };
        if let Some(first) = ports.iter().find(|first| first.name == port.name) {
            let advice = format!(
                "two ports are called `{}`; the first one is at {}:{}",
                port.name, first.place.file, first.place.line
            );
            return Err(port.place.mistake(advice));
        }
        if ports.len() == PORTS_MAX {
            return Err(port.place.mistake(format!("a module has at most {PORTS_MAX} ports")));
        }
        ports.push(port);
    }
    for declaration in declarations {
        attach(declaration, &mut ports)?;
    }
    let silent = ports.iter().find(|port| port.kind == PortKind::Request && !port.continued);
    silent.map_or(Ok(()), |port| {
        let name = &port.name;
        let advice = format!("who goes on after the answer? write `VT_REPLY({name}, answer, refusal) {{ }}`");
        Err(port.place.mistake(advice))
    })?;
    Ok(ports)
}

/// How each kind is written.
fn form(kind: &str) -> &'static str {
    match kind {
        "output" => "VT_OUTPUT(name, Type);` or `VT_OUTPUT(name, Type, emits = 3);",
        "input" => "VT_INPUT(name, Type, event) { }",
        "late" => "VT_LATE(input) { }",
        "request" => "VT_REQUEST(name, Question, Answer);",
        "reply" => "VT_REPLY(request, answer, refusal) { }",
        "handler" => "VT_HANDLER(name, Question, question, Answer, answer) { return VT_ANSWERED; }",
        "handler_later" => "VT_HANDLER_LATER(name, Question, question, Answer, token) { }",
        _ => {
            "VT_ENTRY(public, name) { }`, `VT_ENTRY(public, name, Arguments, arguments) { }` or \
             `VT_ENTRY(public, name, Arguments, arguments, Response, response) { }"
        }
    }
}

/// The port that a declaration makes, if it makes one.
fn port(declaration: &Declaration, types: &Types) -> Result<Option<Port>, Mistake> {
    let place = &declaration.place;
    let arguments = declaration.arguments.as_slice();
    let wrong = || place.mistake(format!("write `{}`", form(&declaration.kind)));
    let message = |tokens: &[Token]| message(place, tokens, types).map(Some);
    let (kind, name, payload, reply, emits_max) = match (declaration.kind.as_str(), arguments) {
        ("output", [name, payload]) => (PortKind::Output, name, message(payload)?, None, 1),
        ("output", [name, payload, emits]) => {
            (PortKind::Output, name, message(payload)?, None, emits_of(place, emits)?)
        }
        ("input", [name, payload, _]) => (PortKind::Input, name, message(payload)?, None, 0),
        ("request", [name, payload, reply]) => (PortKind::Request, name, message(payload)?, message(reply)?, 1),
        ("handler" | "handler_later", [name, payload, _, reply, _]) => {
            (PortKind::Handler, name, message(payload)?, message(reply)?, 0)
        }
        ("entry", [public, ..]) if one_name(public).as_deref() != Some("public") => {
            return Err(place.mistake(
                "anybody whom the node knows can call an entry, without authentication: say so with `VT_ENTRY(public, …)`",
            ));
        }
        ("entry", [_, name]) => (PortKind::Entry, name, None, None, 0),
        ("entry", [_, name, payload, _]) => (PortKind::Entry, name, arguments_of(place, payload, types)?, None, 0),
        ("entry", [_, name, payload, _, reply, _]) => {
            (PortKind::Entry, name, arguments_of(place, payload, types)?, message(reply)?, 0)
        }
        ("output" | "input" | "request" | "handler" | "handler_later" | "entry", _) => return Err(wrong()),
        _ => return Ok(None),
    };
    let name = one_name(name).ok_or_else(wrong)?;
    if name.len() > NAME_BYTES_MAX {
        return Err(place.mistake(format!("names of ports have at most {NAME_BYTES_MAX} letters")));
    }
    let (payload, reply) = (Message::of(payload), Message::of(reply));
    let place = place.clone();
    Ok(Some(Port { kind, name, payload, reply, emits_max, late: false, place, continued: false }))
}

/// Adds `VT_LATE` and `VT_REPLY` to the ports that they name.
fn attach(declaration: &Declaration, ports: &mut [Port]) -> Result<(), Mistake> {
    let (late, count) = match declaration.kind.as_str() {
        "late" => (true, 1),
        "reply" => (false, 3),
        _ => return Ok(()),
    };
    let place = &declaration.place;
    let name = declaration.arguments.first().and_then(|name| one_name(name));
    let Some(name) = name.filter(|_| declaration.arguments.len() == count) else {
        return Err(place.mistake(format!("write `{}`", form(&declaration.kind))));
    };
    let wanted = |port: &&mut Port| match late {
        true => matches!(port.kind, PortKind::Input | PortKind::Handler),
        false => port.kind == PortKind::Request,
    };
    let Some(port) = ports.iter_mut().filter(wanted).find(|port| port.name == name) else {
        let what = if late { "input" } else { "request" };
        return Err(place.mistake(format!("there is no {what} `{name}` in this module")));
    };
    let flag = if late { &mut port.late } else { &mut port.continued };
    if core::mem::replace(flag, true) {
        let macro_name = declaration.kind.to_uppercase();
        return Err(place.mistake(format!("`{name}` has a VT_{macro_name} already; keep one of them")));
    }
    Ok(())
}

/// The type of a payload: one of the author's.
pub(crate) fn message(place: &Place, tokens: &[Token], types: &Types) -> Result<Type, Mistake> {
    let name = one_name(tokens).unwrap_or_default();
    match types.find(&name) {
        Some(found) if found.declared => Ok(found),
        Some(_) => Err(place.mistake(format!(
            "a port cannot carry `{name}`: both ends are compared by name and layout; wrap it in a VT_STRUCT"
        ))),
        None => Err(place.mistake(format!(
            "there is no payload type `{name}`; declare it with `VT_STRUCT({name}, {{ … }});` or VT_ENUM"
        ))),
    }
}

/// Arguments of an entry; `void` for none.
fn arguments_of(place: &Place, tokens: &[Token], types: &Types) -> Result<Option<Type>, Mistake> {
    if one_name(tokens).as_deref() == Some("void") { Ok(None) } else { message(place, tokens, types).map(Some) }
}

fn emits_of(place: &Place, tokens: &[Token]) -> Result<u16, Mistake> {
    let emits = match tokens {
        [Token::Name(name), Token::Sign('='), Token::Number(emits)] if name == "emits" => number(emits),
        _ => None,
    };
    let emits = emits.filter(|emits| (1..=EMITS_MAX).contains(emits)).and_then(|emits| u16::try_from(emits).ok());
    emits.ok_or_else(|| place.mistake(format!("one handler emits 1 to {EMITS_MAX} events on a port: `emits = 3`")))
}
