//! What is wrong with a declaration, and what to do about it. All mistakes are reported at once.

use crate::declared::{Declared, Kind, Port};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Result};

/// Longest name of a port; the port table has no more room.
const NAME_BYTES_MAX: usize = 40;
/// What every module's `Io` can do beside its ports.
const IO_METHODS: [&str; 2] = ["answer", "refuse"];

/// Checks all ports.
pub(crate) fn check(declared: Declared) -> Result<Declared> {
    let mut mistakes: Vec<Error> = Vec::new();
    for (index, port) in declared.ports.iter().enumerate() {
        mistakes.extend(check_port(port, &declared.ports).err());
        if is_named(port)
            && let Some(first) =
                declared.ports[..index].iter().find(|first| is_named(first) && first.name() == port.name())
        {
            let mut mistake = Error::new(port.name().span(), "two ports have this name; rename one");
            mistake.combine(Error::new(first.name().span(), "the first one is here"));
            mistakes.push(mistake);
        }
    }
    let first = mistakes.into_iter().reduce(|mut all, mistake| {
        all.combine(mistake);
        all
    });
    first.map_or(Ok(declared), Err)
}

/// Ports that stand in the port table.
const fn is_named(port: &Port) -> bool {
    !matches!(port.kind, Kind::Reply { .. } | Kind::Late { .. })
}

fn check_port(port: &Port, all: &[Port]) -> Result<()> {
    if let Some(async_) = &port.signature.asyncness {
        return Err(Error::new(async_.span(), "ports are not async: a handler runs to completion"));
    }
    if !port.signature.generics.params.is_empty() {
        return Err(Error::new(port.signature.generics.span(), "ports cannot be generic"));
    }
    if port.name().to_string().len() > NAME_BYTES_MAX {
        return Err(Error::new(port.name().span(), "names of ports have at most 40 letters"));
    }
    match &port.kind {
        Kind::Output { .. } => {
            check_io_method(port)?;
            check_declaration(port, "#[output] fn name(payload: Type);")
        }
        Kind::Request => check_request(port, all),
        Kind::Input => check_function(port, 2, "#[input] fn name(&mut self, io: Io<'_>, payload: Type)"),
        Kind::Handler => check_handler(port),
        Kind::Entry { public } => check_entry(port, *public),
        Kind::Reply { request } => {
            let requests = |port: &&Port| matches!(port.kind, Kind::Request);
            check_target(port, request.as_ref(), all.iter().filter(requests), "request")?;
            check_function(
                port,
                2,
                "#[reply(request)] fn name(&mut self, io: Io<'_>, outcome: Result<Type, Refusal>)",
            )?;
            check_only(port, all)
        }
        Kind::Late { input } => {
            let inputs = |port: &&Port| matches!(port.kind, Kind::Input | Kind::Handler);
            check_target(port, input.as_ref(), all.iter().filter(inputs), "input")?;
            check_function(port, 1, "#[late(input)] fn name(&mut self, io: Io<'_>)")?;
            check_only(port, all)
        }
    }
}

/// Outputs and requests become functions of `Io`, which has some of its own.
fn check_io_method(port: &Port) -> Result<()> {
    match IO_METHODS.iter().find(|taken| port.name() == *taken) {
        None => Ok(()),
        Some(taken) => {
            let advice = format!("`io.{taken}` answers a request later; give this port another name");
            Err(Error::new(port.name().span(), advice))
        }
    }
}

/// One request has one `#[reply]`, one input one `#[late]`: a second one would never be called.
fn check_only(port: &Port, all: &[Port]) -> Result<()> {
    let serves = |other: &&Port| match (&port.kind, &other.kind) {
        (Kind::Reply { request: mine }, Kind::Reply { request: other }) => mine == other,
        (Kind::Late { input: mine }, Kind::Late { input: other }) => mine == other,
        _ => false,
    };
    let first = all.iter().find(serves).filter(|first| first.name() != port.name());
    let Some(first) = first else { return Ok(()) };
    let advice = format!("`{}` serves the same port already; keep one of them", first.name());
    Err(Error::new(port.name().span(), advice))
}

/// Outputs and requests are declared, not written.
fn check_declaration(port: &Port, form: &str) -> Result<()> {
    if port.has_body {
        let advice = format!("this port has no body, the framework writes it: `{form}`");
        return Err(Error::new(port.name().span(), advice));
    }
    if port.signature.inputs.len() != 1 || port.parameters().len() != 1 {
        let span = port.signature.inputs.first().map_or_else(|| port.name().span(), Spanned::span);
        return Err(Error::new(span, format!("expected one payload: `{form}`")));
    }
    if let (Kind::Output { .. }, Some(returned)) = (&port.kind, port.returns()) {
        return Err(Error::new(returned.span(), "an output returns nothing; use `#[request]` for an answer"));
    }
    Ok(())
}

fn check_request(port: &Port, all: &[Port]) -> Result<()> {
    check_io_method(port)?;
    check_declaration(port, "#[request] fn name(payload: Type) -> Answer;")?;
    if port.returns().is_none() {
        return Err(Error::new(port.name().span(), "a request has an answer: `-> Type`; use `#[output]` for none"));
    }
    let answers = |other: &Port| matches!(&other.kind, Kind::Reply { request: Some(name) } if name == port.name());
    if all.iter().any(answers) {
        return Ok(());
    }
    let name = port.name();
    Err(Error::new(name.span(), format!("who goes on after the answer? write `#[reply({name})] fn …`")))
}

fn check_function(port: &Port, parameters: usize, form: &str) -> Result<()> {
    if !port.has_body {
        return Err(Error::new(port.name().span(), format!("this port is a function with a body: `{form}`")));
    }
    match port.signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_some() => {}
        other => {
            let span = other.map_or_else(|| port.name().span(), Spanned::span);
            return Err(Error::new(span, format!("the first parameter is `&mut self`: `{form}`")));
        }
    }
    if port.parameters().len() != parameters {
        return Err(Error::new(port.name().span(), format!("expected this form: `{form}`")));
    }
    if let (Kind::Input | Kind::Reply { .. } | Kind::Late { .. }, Some(returned)) = (&port.kind, port.returns()) {
        return Err(Error::new(returned.span(), "it returns nothing; emit through `io`"));
    }
    Ok(())
}

/// A handler answers by what it returns, or later through a token.
fn check_handler(port: &Port) -> Result<()> {
    let form = "#[handler] fn name(&mut self, io: &mut Io<'_>, payload: Type) -> Answer";
    let later = "#[handler] fn name(&mut self, io: Io<'_>, payload: Type, token: Token<Answer>)";
    match (port.parameters().len(), port.returns()) {
        (3, Some(returned)) => {
            Err(Error::new(returned.span(), "a handler with a token answers through it and returns nothing"))
        }
        (3, None) => check_function(port, 3, later),
        (_, None) => {
            let advice = format!("a handler answers: `{form}`, or later: `{later}`");
            Err(Error::new(port.name().span(), advice))
        }
        (_, Some(_)) => {
            check_function(port, 2, form)?;
            check_borrows(port)
        }
    }
}

fn check_entry(port: &Port, public: bool) -> Result<()> {
    if !public {
        let advice =
            "anybody whom the node knows can call an entry, without authentication: say so with `#[entry(public)]`";
        return Err(Error::new(port.span, advice));
    }
    let form = "#[entry(public)] fn name(&mut self, io: Io<'_>, arguments: Type) -> Response";
    check_function(port, if port.parameters().len() == 1 { 1 } else { 2 }, form)?;
    port.returns().map_or(Ok(()), |_| check_borrows(port))
}

/// A value comes back, so a request, which ends the handler, cannot be emitted.
fn check_borrows(port: &Port) -> Result<()> {
    if port.borrows() {
        return Ok(());
    }
    let span = port.parameters().first().map_or_else(|| port.name().span(), |typed| typed.ty.span());
    Err(Error::new(span, "this function returns a value, so it borrows: `io: &mut Io<'_>`"))
}

fn check_target<'a>(
    port: &Port, target: Option<&syn::Ident>, mut candidates: impl Iterator<Item = &'a Port>, what: &str,
) -> Result<()> {
    match target {
        None => Err(Error::new(port.span, format!("name the {what} in brackets"))),
        Some(name) if candidates.any(|candidate| candidate.name() == name) => Ok(()),
        Some(name) => Err(Error::new(name.span(), format!("there is no {what} `{name}` in this module"))),
    }
}
