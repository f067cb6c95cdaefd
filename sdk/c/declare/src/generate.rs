//! What follows from the declarations: the port table, and the sources of the second compilation.

use crate::layout::{Meaning, Type};
use crate::module::{Message, Module, Port};
use std::fmt::Write as _;
use veritee_ids::PortKind;
use veritee_ids::limits::{NAME_BYTES_MAX, PROTOCOL_VERSION};
use veritee_wire::frame::{body_bytes, frame_bytes};
use veritee_wire::output::RECORD_HEADER_BYTES;
use veritee_wire::ports::{FLAG_LATE, HEADER_BYTES, MAGIC, RECORD_BYTES};

/// Longest body of a control request to a board, and of its answer.
const CONTROL_IN_BYTES: usize = 224 - 26 - 16;
const CONTROL_OUT_BYTES: usize = 224 - 36 - 16;
/// Lengths in C have 16 bits. What is longer fits no board; elsewhere nobody asks.
const ROOM_MAX: usize = 0xffff;

impl Module {
    /// The port table, as images carry it: the bytes that [`veritee_wire::ports::encode_table`] makes.
    #[must_use]
    pub fn table(&self) -> Vec<u8> {
        let state = u32::try_from(self.state_bytes).unwrap_or(u32::MAX).to_le_bytes();
        let count = u16::try_from(self.ports.len()).unwrap_or(u16::MAX);
        let numbers = [PROTOCOL_VERSION, count, self.rows, self.tokens].map(u16::to_le_bytes);
        let mut table = [&MAGIC[..], numbers.as_flattened(), &state].concat();
        table.resize(HEADER_BYTES, 0);
        for (index, port) in (1..).zip(&self.ports) {
            port.put(&mut table);
            table.resize(HEADER_BYTES + index * RECORD_BYTES, 0);
        }
        table
    }

    /// Length of the buffer for what enters, in bytes.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        let lengths = self.ports.iter().map(|port| match port.kind {
            PortKind::Request => in_memory(&port.reply, 2),
            _ => in_memory(&port.payload, 0),
        });
        lengths.max().unwrap_or(0).max(CONTROL_IN_BYTES)
    }

    /// `veritee_declared.h`: the capacities that the core is compiled for.
    #[must_use]
    pub fn header(&self) -> String {
        let of = |kinds: &[PortKind], bytes: &dyn Fn(&Port) -> usize| {
            self.ports.iter().filter(|port| kinds.contains(&port.kind)).map(bytes).max().unwrap_or(0)
        };
        let emitted = of(&[PortKind::Output, PortKind::Request], &|port| body_bytes(port.payload.bytes));
        let answered = of(&[PortKind::Handler], &|port| body_bytes(port.reply.bytes + 2));
        let responded = of(&[PortKind::Entry], &|port| port.reply.bytes);
        let reply_room = of(&[PortKind::Handler], &|port| record_bytes(port.reply.bytes + 2));
        let values = [
            ("VT_PORTS", self.ports.len()),
            ("VT_ROWS", usize::from(self.rows)),
            ("VT_TOKENS", usize::from(self.tokens)),
            ("VT_STATE_BYTES", self.state_bytes),
            ("VT_IN_BYTES", self.input_bytes()),
            ("VT_OUT_BYTES", emitted.max(answered).max(CONTROL_OUT_BYTES)),
            ("VT_REPLY_ROOM", (usize::from(self.tokens) * reply_room).min(ROOM_MAX)),
            ("VT_RESPONSE_ROOM", RECORD_HEADER_BYTES + responded),
            ("VT_EXCLUSIVE", usize::from(self.exclusive)),
        ];
        let mut text = String::from("/* Generated of the module's declarations; changes are lost. */\n");
        for (name, value) in values {
            writeln!(text, "#define {name} {value}u").expect("a string takes everything");
        }
        text
    }

    /// `veritee_ports.c`: the ports as the core sees them. Compiled with the folder of `veritee.h` among the includes.
    #[must_use]
    pub fn source(&self) -> String {
        let mut text = String::from(
            "/* Generated of the module's declarations; changes are lost. */\n\
             #include \"core/program.h\"\n#include \"veritee_declared.h\"\n\n\
             uint8_t vt_in[VT_IN_BYTES] __attribute__((aligned(2)));\n",
        );
        for (defined, name, parameter) in [
            (self.start, "start", "void"),
            (self.poll, "poll", "void"),
            (self.interrupt, "interrupt", "uint16_t number"),
        ] {
            if !defined {
                let unused = if parameter == "void" { "" } else { " (void)number; " };
                text.push_str(&format!("void vt_{name}({parameter}) {{{unused}}}\n"));
            }
        }
        if self.state.is_none() {
            text.push_str("void *const vt_state = 0;\n");
        }
        text.push_str(&means("vt_state_means", "", self.state.as_ref()));
        let mut rows = String::new();
        for (index, port) in self.ports.iter().enumerate() {
            let (declared, row) = port.source(index);
            text.push_str(&declared);
            rows.push_str(&row);
        }
        if self.ports.is_empty() {
            rows.push_str("    {0},\n");
        }
        text + "const struct vt_port vt_ports[] = {\n" + &rows + "};\n"
    }
}

impl Port {
    /// Writes the record of the port table.
    fn put(&self, table: &mut Vec<u8>) {
        let flags = if self.late { FLAG_LATE } else { 0 };
        let numbers = [self.kind.code(), flags, self.emits_max, 0].map(u16::to_le_bytes);
        table.extend_from_slice(numbers.as_flattened());
        for message in [&self.payload, &self.reply] {
            table.extend_from_slice(&u32::try_from(message.bytes).unwrap_or(u32::MAX).to_le_bytes());
        }
        table.extend_from_slice(&self.payload.hash);
        table.extend_from_slice(&self.reply.hash);
        let start = table.len() + 4;
        for (index, name) in (0..).zip([&self.name, &self.payload.name, &self.reply.name]) {
            table.resize(start + index * NAME_BYTES_MAX, 0);
            table.extend_from_slice(name.as_bytes());
        }
    }

    /// Bytes of output that one handler may leave on one connection of this port.
    fn room(&self) -> usize {
        usize::from(self.emits_max) * record_bytes(self.payload.bytes)
    }

    /// Its declarations in the generated source, and its row of the table there.
    fn source(&self, index: usize) -> (String, String) {
        let name = &self.name;
        let entered = if self.kind == PortKind::Request { &self.reply } else { &self.payload };
        let runs = self.kind != PortKind::Output;
        let mut declared = format!("const uint16_t vt_port_{name} = {index};\n");
        if runs {
            declared.push_str(&format!("void vt_run_{name}(const struct vt_call *call);\n"));
        }
        if self.late {
            declared.push_str(&format!("void vt_late_{name}(void);\n"));
        }
        let has_meaning = runs && entered.layout.as_ref().is_some_and(|layout| !layout.meanings.is_empty());
        if has_meaning {
            declared.push_str(&means(&format!("means_{name}"), "static ", entered.layout.as_ref()));
        }
        let pointer = |given: bool, prefix: &str| if given { format!("{prefix}{name}") } else { "0".to_owned() };
        let row = format!(
            "    {{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}}},\n",
            self.kind.code(),
            self.room().min(ROOM_MAX),
            self.payload.bytes,
            trailing(&self.payload),
            self.reply.bytes,
            trailing(&self.reply),
            bytes(&[self.payload.hash, self.reply.hash]),
            pointer(runs, "vt_run_"),
            pointer(self.late, "vt_late_"),
            pointer(has_meaning, "means_"),
        );
        (declared, row)
    }
}

/// Length of a message in memory behind `front` bytes, even.
fn in_memory(message: &Message, front: usize) -> usize {
    let bytes = message.layout.as_ref().map_or(0, Type::c_bytes);
    body_bytes(bytes + front)
}

fn record_bytes(payload: usize) -> usize {
    RECORD_HEADER_BYTES + frame_bytes(payload)
}

fn trailing(message: &Message) -> String {
    message.layout.as_ref().and_then(|layout| layout.trailing).map_or("VT_FIXED".to_owned(), |at| at.to_string())
}

fn bytes(hashes: &[[u8; 8]; 2]) -> String {
    let bytes: Vec<String> = hashes.as_flattened().iter().map(|byte| format!("{byte:#04x}")).collect();
    format!("{{{}}}", bytes.join(", "))
}

/// A function that says whether each number of a payload has a meaning.
fn means(name: &str, linkage: &str, layout: Option<&Type>) -> String {
    let conditions: Vec<String> = layout.iter().flat_map(|layout| &layout.meanings).map(condition).collect();
    let all = if conditions.is_empty() { "true".to_owned() } else { conditions.join("\n        && ") };
    let unused = if conditions.is_empty() { "    (void)payload;\n" } else { "" };
    format!("{linkage}bool {name}(const uint8_t *payload) {{\n{unused}    return {all};\n}}\n")
}

fn condition(meaning: &Meaning) -> String {
    let at = meaning.offset;
    let parts: Vec<String> = (0..meaning.width)
        .map(|index| match index {
            0 => format!("payload[{at}]"),
            _ => format!("(uint32_t)payload[{}] << {}", at + index, 8 * index),
        })
        .collect();
    let number = if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" | ")) };
    let dense = (0..).zip(&meaning.values).all(|(index, value)| index == *value);
    if dense {
        return format!("{number} < {}u", meaning.values.len());
    }
    let same: Vec<String> = meaning.values.iter().map(|value| format!("{number} == {value}u")).collect();
    format!("({})", same.join(" || "))
}
