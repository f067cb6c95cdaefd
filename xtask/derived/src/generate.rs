//! Generated files, with a freshness check.

use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use veritee_ids::codes;
use veritee_ids::{
    ActivationId, ApplicationHandle, ApplicationId, Challenge, CipherId, ConnectionId, ControlKind, ControlResult,
    Counter, Direction, Epoch, FrameKind, Freshness, Label, Lifecycle, OperationId, PortIndex, PriorEpoch, Role,
    RowIndex, SealPolicy, SessionId, Status, TypeHash,
};
use veritee_wire::Layout;

/// Writes the generated files, or only checks that they are fresh.
pub(crate) fn run(check: bool) -> Result<()> {
    let files = [
        ("docs/wire.md", wire_document()?),
        ("docs/descriptor.schema.json", veritee_model::schema()),
        ("sdk/c/veritee_wire.h", c_header()?),
    ];
    let mut stale = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(path).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            stale.push(path);
            continue;
        }
        if let Some(folder) = std::path::Path::new(path).parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    if !stale.is_empty() {
        bail!("stale: {}; run `cargo xtask generate`", stale.join(", "));
    }
    Ok(())
}

/// A layout of the table, without its type.
struct LayoutInfo {
    name: &'static str,
    doc: &'static [&'static str],
    bytes: usize,
    fields: Vec<FieldInfo>,
}

struct FieldInfo {
    name: &'static str,
    doc: String,
    type_name: &'static str,
    bytes: usize,
}

macro_rules! describe {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $fdoc:literal])* $field:ident: $type:ty,)* })*) => {
        vec![$(LayoutInfo {
            name: stringify!($name),
            doc: &[$($doc,)*],
            bytes: 0 $(+ <$type as Layout>::BYTES)*,
            fields: vec![$(FieldInfo {
                name: stringify!($field),
                doc: [$($fdoc,)*].concat(),
                type_name: stringify!($type),
                bytes: <$type as Layout>::BYTES,
            },)*],
        },)*]
    };
}

/// Every layout, in the order in which data meets them.
fn layouts() -> Vec<LayoutInfo> {
    let mut all = veritee_wire::layouts!(describe);
    all.extend(veritee_session::owner_layouts!(describe));
    all
}

/// Names whose bytes are an array.
const ARRAYS: &[&str] = &["ActivationId", "ApplicationId", "Challenge", "OperationId", "SessionId", "TypeHash"];

impl FieldInfo {
    fn c_type(&self) -> String {
        let array = self.type_name.starts_with('[') || ARRAYS.contains(&self.type_name);
        if array { format!("uint8_t[{}]", self.bytes) } else { format!("uint{}_t", 8 * self.bytes) }
    }

    /// The field in a struct. Numbers of 64 bits are two halves, which a 16-bit part can handle.
    fn c_declaration(&self) -> String {
        match self.c_type().split_once('[') {
            Some((inner, length)) => format!("{inner} {}[{length}", self.name),
            None if self.bytes == 8 => format!("vt_u64 {}", self.name),
            None => format!("{} {}", self.c_type(), self.name),
        }
    }
}

/// Codes with their numbers, by the name of their type.
fn code_tables() -> Vec<(&'static str, Vec<(u64, &'static str)>)> {
    macro_rules! tables {
        ($($name:ident)*) => {
            vec![$((
                stringify!($name),
                codes::$name::ALL.iter().map(|code| (u64::from(code.code()), code.word())).collect(),
            ),)*]
        };
    }
    tables![
        Op Status CipherId Role FrameKind Direction PortKind Freshness Lifecycle PriorEpoch Label ControlKind SealPolicy ControlResult
    ]
}

fn wire_document() -> Result<String> {
    let mut text = String::from(
        "# The wire\n\nGenerated from `trusted/ids/src/codes.rs` and `trusted/wire/src/layout.rs` by `cargo xtask generate`; do not edit.\n\n\
         All integers are little-endian; lengths are in bytes.\n\n## Layouts\n",
    );
    for layout in layouts() {
        write!(text, "\n### {} ({} bytes)\n\n", layout.name, layout.bytes)?;
        for line in layout.doc {
            writeln!(text, "{}", line.trim().replace("[`", "`").replace("`]", "`"))?;
        }
        text.push_str("\n| offset | length | field | meaning |\n|---|---|---|---|\n");
        let mut offset = 0;
        for field in &layout.fields {
            writeln!(text, "| {offset} | {} | {} | {} |", field.bytes, field.name, field.doc.trim())?;
            offset += field.bytes;
        }
    }
    text.push_str("\n## Codes\n");
    for (name, codes) in code_tables() {
        write!(text, "\n### {name}\n\n| number | word |\n|---|---|\n")?;
        for (number, word) in codes {
            writeln!(text, "| {number} | {word} |")?;
        }
    }
    Ok(text)
}

fn c_header() -> Result<String> {
    let mut text = String::from(
        "/* The wire, for modules in C. Generated by `cargo xtask generate`; do not edit.\n   \
         Little-endian; every layout has even length and no padding. */\n\
         #ifndef VERITEE_WIRE_H\n#define VERITEE_WIRE_H\n\n#include <stdint.h>\n\n\
         #pragma pack(push, 2)\n\ntypedef struct {\n    uint32_t low;\n    uint32_t high;\n} vt_u64;\n",
    );
    writeln!(text, "\n#define VT_PROTOCOL_VERSION {}u", veritee_ids::limits::PROTOCOL_VERSION)?;
    for (name, codes) in code_tables() {
        text.push('\n');
        for (number, word) in codes {
            writeln!(text, "#define VT_{}_{} {number}u", screaming(name), word.to_uppercase().replace('-', "_"))?;
        }
    }
    for layout in layouts() {
        c_layout(&mut text, &layout)?;
    }
    text.push_str("\n#pragma pack(pop)\n\n#endif\n");
    Ok(text)
}

/// A struct for C, aligned to two bytes everywhere, and offsets for assembly: a 16-bit part reads fields in place.
fn c_layout(text: &mut String, layout: &LayoutInfo) -> Result<()> {
    let name = screaming(layout.name);
    writeln!(text, "\n#define VT_{name}_BYTES {}u", layout.bytes)?;
    let mut offset = 0;
    for field in &layout.fields {
        let c_type = field.c_type();
        writeln!(text, "#define VT_{name}_{} {offset}u /* {c_type} */", field.name.to_uppercase())?;
        offset += field.bytes;
    }
    writeln!(text, "struct vt_{} {{", name.to_lowercase())?;
    for field in &layout.fields {
        writeln!(text, "    {};", field.c_declaration())?;
    }
    writeln!(text, "}};")?;
    writeln!(
        text,
        "_Static_assert(sizeof(struct vt_{}) == VT_{name}_BYTES, \"it has no padding\");",
        name.to_lowercase()
    )?;
    Ok(())
}

fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}
