//! A module as declared, checked.

use crate::layout::{Type, Types, number, one_name};
use crate::tokens::{Declaration, Place, Token};
use crate::{Mistake, ports};
use veritee_ids::PortKind;

/// Rows and tokens of a module that says nothing else.
const ROWS: u16 = 8;
const TOKENS: u16 = 2;

/// What a port carries in one direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Name of the type; empty for nothing.
    pub name: String,
    /// The type's hash; zero for nothing.
    pub hash: [u8; 8],
    /// Longest payload in bytes.
    pub bytes: usize,
    pub(crate) layout: Option<Type>,
}

impl Message {
    pub(crate) fn of(layout: Option<Type>) -> Self {
        let named = layout.as_ref();
        Self {
            name: named.map(|layout| layout.name.clone()).unwrap_or_default(),
            hash: named.map_or([0; 8], |layout| layout.hash.0),
            bytes: named.map_or(0, |layout| layout.bytes),
            layout,
        }
    }
}

/// A port as declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its kind.
    pub kind: PortKind,
    /// Its name.
    pub name: String,
    /// What it carries.
    pub payload: Message,
    /// What comes back; nothing where nothing does.
    pub reply: Message,
    /// Most events that one handler can emit here (outputs, requests).
    pub emits_max: u16,
    /// It has a `VT_LATE`.
    pub late: bool,
    pub(crate) place: Place,
    /// A request whose `VT_REPLY` was seen.
    pub(crate) continued: bool,
}

/// A module as declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Module {
    /// Its ports, in the order of the table.
    pub ports: Vec<Port>,
    /// How many connections it can have.
    pub rows: u16,
    /// How many unanswered requests it can hold.
    pub tokens: u16,
    /// It serves one application at a time.
    pub exclusive: bool,
    /// It has a `VT_POLL`.
    pub poll: bool,
    /// It has a `VT_INTERRUPT`.
    pub interrupt: bool,
    /// It has a `VT_START`.
    pub start: bool,
    /// Length of the state that an update moves, in bytes; 0 when it cannot move.
    pub state_bytes: usize,
    pub(crate) state: Option<Type>,
}

/// Checks what was declared in all sources of a module.
pub(crate) fn check(mut declarations: Vec<Declaration>) -> Result<Module, Mistake> {
    // A header that several sources include declares the same in the same place.
    let mut seen: Vec<Declaration> = Vec::new();
    declarations.retain(|declaration| {
        let new = !seen.contains(declaration);
        seen.extend(new.then(|| declaration.clone()));
        new
    });
    let mut types = Types::default();
    for declaration in declarations.iter().filter(|one| matches!(one.kind.as_str(), "struct" | "enum")) {
        types.declare(declaration)?;
    }
    let mut module = Module {
        ports: ports::read(&declarations, &types)?,
        rows: ROWS,
        tokens: TOKENS,
        exclusive: false,
        poll: false,
        interrupt: false,
        start: false,
        state_bytes: 0,
        state: None,
    };
    let mut once: Vec<&Declaration> = Vec::new();
    for declaration in &declarations {
        if matches!(declaration.kind.as_str(), "module" | "state" | "start" | "poll" | "interrupt") {
            if let Some(first) = once.iter().find(|first| first.kind == declaration.kind) {
                let macro_name = declaration.kind.to_uppercase();
                let advice = format!("VT_{macro_name} stands at {}:{} already", first.place.file, first.place.line);
                return Err(declaration.place.mistake(advice));
            }
            once.push(declaration);
            module.take(declaration, &types)?;
        }
    }
    if !module.ports.iter().any(|port| port.kind == PortKind::Handler) {
        module.tokens = 0;
    }
    Ok(module)
}

impl Module {
    /// Takes what can be declared once.
    fn take(&mut self, declaration: &Declaration, types: &Types) -> Result<(), Mistake> {
        match declaration.kind.as_str() {
            "start" => self.start = true,
            "poll" => self.poll = true,
            "interrupt" => self.interrupt = true,
            "state" => self.take_state(declaration, types)?,
            _ => {
                for argument in &declaration.arguments {
                    self.option(&declaration.place, argument)?;
                }
            }
        }
        Ok(())
    }

    fn take_state(&mut self, declaration: &Declaration, types: &Types) -> Result<(), Mistake> {
        let [kind, name] = declaration.arguments.as_slice() else {
            return Err(declaration.place.mistake("write `VT_STATE(Type, variable);`"));
        };
        let state = ports::message(&declaration.place, kind, types)?;
        let name = one_name(name).unwrap_or_default();
        let fixed = state.trailing.is_none() && state.bytes > 0 && state.bytes.is_multiple_of(2);
        if !fixed {
            let advice = format!(
                "the state `{name}` has a fixed, even length, `{}` has not: end it with `uint8_t reserved;` or with an array",
                state.name
            );
            return Err(declaration.place.mistake(advice));
        }
        self.state_bytes = state.bytes;
        self.state = Some(state);
        Ok(())
    }

    /// `rows = 8`, `tokens = 2` or `exclusive`.
    fn option(&mut self, place: &Place, tokens: &[Token]) -> Result<(), Mistake> {
        let advice = "write `VT_MODULE(rows = 8, tokens = 2, exclusive);`, with 1 to 255 rows and 1 to 255 tokens";
        match tokens {
            [Token::Name(name)] if name == "exclusive" => self.exclusive = true,
            [Token::Name(name), Token::Sign('='), Token::Number(value)] => {
                let value = number(value).and_then(|value| u16::try_from(value).ok());
                let value = value.filter(|value| (1..=255).contains(value)).ok_or_else(|| place.mistake(advice))?;
                match name.as_str() {
                    "rows" => self.rows = value,
                    "tokens" => self.tokens = value,
                    _ => return Err(place.mistake(advice)),
                }
            }
            _ => return Err(place.mistake(advice)),
        }
        Ok(())
    }
}
