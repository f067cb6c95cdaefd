//! Names for addresses and modules, so that a person can read what happened.

use crate::elf::{Program, Symbol};
use crate::event::{Breach, Violation};
use std::collections::BTreeMap;

/// Names.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// By address.
    symbols: Vec<Symbol>,
    /// Names of modules by the start of their texts.
    modules: BTreeMap<u16, String>,
}

impl Symbols {
    /// The names in a program. A symbol `__sm_NAME_public_start` names a module.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let mut this = Self { symbols: program.symbols.clone(), ..Self::default() };
        for symbol in &program.symbols {
            let inner = symbol.name.strip_prefix("__sm_").and_then(|rest| rest.strip_suffix("_public_start"));
            if let Some(name) = inner {
                this.name_module(symbol.address, name);
            }
        }
        this
    }

    /// Names the module whose text starts at an address, for instance one that is loaded later.
    pub fn name_module(&mut self, text_start: u16, name: &str) {
        self.modules.insert(text_start, name.to_owned());
    }

    /// The name of a module; without one, the name of what its text begins with.
    #[must_use]
    pub fn module(&self, text_start: u16) -> Option<&str> {
        let first = || self.symbols.iter().find(|symbol| symbol.address == text_start).map(|symbol| &symbol.name);
        self.modules.get(&text_start).or_else(first).map(String::as_str)
    }

    /// An address, as `main+0x12` where there is a symbol in front of it.
    #[must_use]
    pub fn address(&self, address: u16) -> String {
        let before = self.symbols.partition_point(|symbol| symbol.address <= address);
        let fits = |symbol: &&Symbol| symbol.size == 0 || address - symbol.address < symbol.size;
        match self.symbols[..before].iter().rev().take(16).find(fits) {
            Some(symbol) if symbol.address == address => symbol.name.clone(),
            Some(symbol) => format!("{}+{:#x}", symbol.name, address - symbol.address),
            None => format!("{address:#06x}"),
        }
    }

    /// A violation in one line: `module thermostat: text read at 0x6104 from main+0x12`.
    #[must_use]
    pub fn violation(&self, violation: &Violation) -> String {
        let module = match (violation.module, self.module(violation.text.start)) {
            (Some(_), Some(name)) => format!("module {name}: "),
            (Some(id), None) => format!("module {id}: "),
            (None, _) => String::new(),
        };
        let what = match violation.what {
            Breach::ReadText(address) => format!("text read at {address:#06x}"),
            Breach::WriteText(address) => format!("text written at {address:#06x}"),
            Breach::ReadSecret(address) => format!("secret read at {address:#06x}"),
            Breach::WriteSecret(address) => format!("secret written at {address:#06x}"),
            Breach::Enter(address) => format!("entered at {address:#06x}, not at its start"),
            Breach::Stack(address) => format!("stack pointer {address:#06x} below the guard"),
            Breach::Command(number) => format!("forbidden access by Sancus instruction {number}"),
            Breach::Protected(address) => format!("write to protected program memory at {address:#06x}"),
        };
        format!("{module}{what} from {}", self.address(violation.pc))
    }
}
