//! `info`: what is in an ELF file.

use anyhow::{Context, Result};
use std::path::Path;
use veritee_machine::elf::Program;

/// Prints sections, vectors, and modules.
pub(crate) fn info(path: &Path) -> Result<()> {
    let file = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let program = Program::parse(&file).with_context(|| format!("cannot load {}", path.display()))?;
    println!("sections (where they are loaded)");
    for section in &program.sections {
        let end = usize::from(section.address) + section.bytes.len();
        println!("  {:#06x}-{end:#06x}  {:>5} bytes  {}", section.address, section.bytes.len(), section.name);
    }
    let byte = |address: u16| {
        let holds = |section: &&veritee_machine::elf::Section| {
            address >= section.address && usize::from(address - section.address) < section.bytes.len()
        };
        let section = program.sections.iter().rev().find(holds)?;
        Some(section.bytes[usize::from(address - section.address)])
    };
    println!("vectors");
    for number in 0..16u16 {
        let at = 0xffe0 + 2 * number;
        if let (Some(low), Some(high)) = (byte(at), byte(at + 1)) {
            let target = u16::from_le_bytes([low, high]);
            let symbols = veritee_machine::Symbols::new(&program);
            println!("  {number:>2}  {target:#06x}  {}", symbols.address(target));
        }
    }
    let modules: Vec<_> = program
        .symbols
        .iter()
        .filter_map(|symbol| symbol.name.strip_prefix("__sm_")?.strip_suffix("_public_start"))
        .collect();
    if !modules.is_empty() {
        println!("modules");
    }
    for name in modules {
        let border = |what: &str| program.symbol(&format!("__sm_{name}_{what}")).unwrap_or(0);
        let [start, end] = ["public_start", "public_end"].map(border);
        let [secret, secret_end] = ["secret_start", "secret_end"].map(border);
        println!("  {name}: text {start:#06x}-{end:#06x}, secret {secret:#06x}-{secret_end:#06x}");
    }
    Ok(())
}
