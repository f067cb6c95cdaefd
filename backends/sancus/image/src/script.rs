//! Linker scripts.

/// Where things are in a module, and what it may refer to.
pub(crate) struct ModuleLayout<'a> {
    pub(crate) text: u16,
    pub(crate) secret: u16,
    /// Bytes of the stack, at the low end of the secret section.
    pub(crate) stack: u16,
    /// Named addresses outside the module.
    pub(crate) outside: &'a [(String, u16)],
}

/// The script of a module: the wall first, then code and constants; the stack first, then variables, then the word of the
/// hardware.
pub(crate) fn module(layout: &ModuleLayout<'_>) -> String {
    let (text, secret, stack) = (layout.text, layout.secret, layout.stack);
    format!(
        "{}ENTRY(vt_entry)
SECTIONS {{
  . = {text:#x};
  .text : {{
    vt_text_start = .;
    KEEP(*(.vt.entry)) *(.vt.interrupt) *(.text .text.*) *(.rodata .rodata.*)
    . = ALIGN(2);
    vt_text_end = .;
  }}
  . = {secret:#x};
  .bss (NOLOAD) : {{
    vt_secret_start = .;
    . += {stack};
    vt_stack_top = .;
    KEEP(*(.vt.state)) *(.bss .bss.*)
    . = ALIGN(2);
    KEEP(*(.vt.frame))
    vt_secret_end = .;
  }}
  .data : {{ *(.data .data.*) }}
}}
",
        outside(layout.outside),
    )
}

/// The script of a module that owns a device: code only.
pub(crate) fn device(text: u16, outside_names: &[(String, u16)]) -> String {
    format!(
        "{}ENTRY(vt_entry)
SECTIONS {{
  . = {text:#x};
  .text : {{ KEEP(*(.vt.entry)) . = ALIGN(2); }}
}}
",
        outside(outside_names),
    )
}

/// A section with a fixed address.
pub(crate) struct Fixed {
    pub(crate) name: String,
    pub(crate) address: u16,
}

/// Memory of the parts of a board that are no modules.
pub(crate) struct BoardLayout<'a> {
    pub(crate) firmware_text: u16,
    pub(crate) firmware_memory: u16,
    pub(crate) firmware_stack: u16,
    pub(crate) stage0: u16,
    /// Texts of modules.
    pub(crate) sections: &'a [Fixed],
    pub(crate) outside: &'a [(String, u16)],
}

/// The script of a board's program memory, but for its drivers.
pub(crate) fn board(layout: &BoardLayout<'_>) -> String {
    let BoardLayout { firmware_text, firmware_memory, firmware_stack, stage0, sections, outside: names } = layout;
    let modules: String = sections
        .iter()
        .map(|Fixed { name, address }| format!("  . = {address:#x};\n  {name} : {{ KEEP(*({name})) }}\n"))
        .collect();
    format!(
        "{}ENTRY(vt_stage0)
SECTIONS {{
  . = {firmware_text:#x};
  .firmware : {{
    KEEP(*(.start)) *(.text .text.*) *(.rodata .rodata.*)
    . = ALIGN(2); KEEP(*(.boots)) . = ALIGN(2);
  }}
{modules}  . = {stage0:#x};
  .stage0 : {{ KEEP(*(.vt.freshness)) KEEP(*(.vt.stage0)) . = ALIGN(2); KEEP(*(.vt.table)) }}
  ASSERT(SIZEOF(.stage0) <= 0xffe0 - {stage0:#x}, \"stage 0 and its table are longer than the protected memory\")
  . = 0xffe0;
  .vectors : {{ KEEP(*(.vectors)) SHORT(vt_stage0) }}
  ASSERT(SIZEOF(.vectors) == 32, \"there are 16 vectors\")
  . = {firmware_memory:#x};
  .bss (NOLOAD) : {{
    . += {firmware_stack};
    vt_firmware_stack = .;
    *(.bss .bss.*)
    . = ALIGN(2);
  }}
  .data : {{ *(.data .data.*) }}
}}
",
        outside(names),
    )
}

fn outside(names: &[(String, u16)]) -> String {
    names.iter().map(|(name, address)| format!("{name} = {address:#x};\n")).collect()
}
