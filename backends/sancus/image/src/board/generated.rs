//! The assembly of what only the plan knows: the tables of stage 0 and of the firmware, and the drivers' texts.

use super::{BoardPlan, BuiltInModule};
use crate::Linked;
use crate::script::Fixed;
use std::fmt::Display;

/// Assembly, and the sections in it that have fixed addresses.
pub(super) struct Generated {
    pub(super) assembly: String,
    pub(super) sections: Vec<Fixed>,
}

/// Memory that the firmware can give to modules: start and end.
pub(super) struct Free {
    pub(super) text: (u16, u16),
    pub(super) secret: (u16, u16),
}

impl Generated {
    /// As long as the real one, to learn how long the firmware is.
    pub(super) fn trial(plan: &BoardPlan) -> Self {
        let free = Free { text: (0, 0), secret: (0, 0) };
        let assembly = firmware(&free, 0, &vec![[0; 8]; plan.drivers.len()]) + &table(plan.vendor, &[]);
        Self { assembly, sections: Vec::new() }
    }

    pub(super) fn new(plan: &BoardPlan, drivers: &[BuiltInModule], free: &Free) -> Self {
        let modules: Vec<&Linked> = drivers.iter().flat_map(|built| [&built.device, &built.driver]).collect();
        let used = 1 + u16::try_from(modules.len()).unwrap_or(u16::MAX);
        let lines: Vec<_> = drivers.iter().map(|built| line(plan.vendor, built)).collect();
        let mut assembly = firmware(free, plan.slots.saturating_sub(used), &lines) + &table(plan.vendor, &modules);
        if let Some(listener) = drivers.iter().find(|built| built.plan.interrupt.is_some()) {
            assembly += &format!(".global vt_port2\n.set vt_port2, {:#x}\n", listener.driver.text_address);
        }
        let mut sections = Vec::new();
        for (number, module) in modules.iter().enumerate() {
            let name = format!(".module.{number}");
            let text = module.text.chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
            assembly += &format!(".section {name},\"ax\",@progbits\n{}", words(text));
            sections.push(Fixed { address: module.text_address, name });
        }
        Self { assembly, sections }
    }
}

/// `struct driver` of the firmware.
fn line(vendor: u16, built: &BuiltInModule) -> [u16; 8] {
    let driver = &built.driver;
    let (text, secret) = ((driver.text_address, driver.text_end()), (driver.secret_address, driver.secret_end()));
    [built.id, vendor, text.0, text.1, secret.0, secret.1, built.plan.room, built.plan.poll]
}

/// `board` and `board_drivers` of the firmware.
fn firmware(free: &Free, slots: u16, drivers: &[[u16; 8]]) -> String {
    let count = u16::try_from(drivers.len()).unwrap_or(u16::MAX);
    let board = [free.text.0, free.text.1, free.secret.0, free.secret.1, slots, count];
    format!(
        ".section .rodata.board,\"a\",@progbits\n.global board, board_drivers\nboard:\n{}board_drivers:\n{}",
        words(board),
        words(drivers.iter().flatten().copied()),
    )
}

/// The table of stage 0; the freshness module is its first entry.
fn table(vendor: u16, modules: &[&Linked]) -> String {
    let (first, last) = super::FRESHNESS_DEVICE;
    let mut table = format!(
        ".section .vt.table,\"a\",@progbits\n.global vt_table\nvt_table:\n.word {}\n.word {vendor}, vt_freshness, vt_freshness_end, {first:#x}, {last:#x}\n",
        modules.len() + 1,
    );
    for module in modules {
        table += &words([vendor, module.text_address, module.text_end(), module.secret_address, module.secret_end()]);
    }
    table
}

fn words<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| format!(".word {value}\n")).collect()
}
