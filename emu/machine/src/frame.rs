//! What the hardware saves when an interrupt hits a module, so that the handler learns nothing.

use crate::hardware::Horizon;
use veritee_msp430::{Bus, Cpu};
use veritee_sancus_core::Slot;

/// The newer core's bit of the saved status: a violation interrupted it.
pub(crate) const VIOLATION: u16 = 0x4000;

/// Registers that are saved, in order.
const SAVED: [usize; 12] = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4];

/// Outside modules: program counter and status on the stack, unless a violation ends this early.
pub(crate) fn push_plain(cpu: &mut Cpu, bus: &mut Horizon<'_>, handler: u16) -> u64 {
    let mut at = 0;
    for value in [cpu.registers[0], cpu.status] {
        at += 2;
        cpu.set_stack_pointer(bus, cpu.registers[1].wrapping_sub(2), at);
        bus.write_word(cpu.registers[1], value, at + 1);
        if bus.hardware.violated {
            break;
        }
    }
    cpu.status = 0;
    cpu.registers[0] = handler & !1;
    u64::from(at) + 3
}

/// The older core: pushes everything on the module's stack, whose pointer it stores through the last word of the secret
/// section. A violation on the way ends this early. Gives the cycles until the first instruction of the handler.
pub(crate) fn push(cpu: &mut Cpu, bus: &mut Horizon<'_>, slot: &Slot, handler: u16) -> u64 {
    let mut at = 2;
    let mut pushed = [cpu.registers[0], cpu.status].into_iter().chain(SAVED.map(|number| cpu.registers[number]));
    // The signal of a wrong entry lasts until the program counter has left.
    let mut complete = !bus.hardware.entered_wrongly;
    at += if complete { 0 } else { 2 };
    while let Some(value) = pushed.next().filter(|_| complete) {
        cpu.set_stack_pointer(bus, cpu.registers[1].wrapping_sub(2), at);
        bus.write_word(cpu.registers[1], value, at + 1);
        complete = !bus.hardware.violated;
        at += 2;
    }
    if complete {
        let place = bus.read_word(slot.secret.end.wrapping_sub(2), at - 1);
        bus.write_word(place, cpu.registers[1] | 1, at + 2);
        at += 3;
    }
    clear(cpu, slot, handler, 0);
    u64::from(at) + 1
}

/// The newer core: saves everything in the area whose end the last word of the secret section names, unless the module
/// had switched interrupts off.
pub(crate) fn save(
    cpu: &mut Cpu, bus: &mut Horizon<'_>, slot: &Slot, handler: u16, enabled: bool, violation: bool,
) -> u64 {
    let mut cycles = 3;
    if enabled {
        let base = bus.read_word(slot.secret.end.wrapping_sub(2), 2);
        let status = cpu.status | if violation { VIOLATION } else { 0 };
        let saved = [cpu.registers[0], cpu.registers[1] | 1, status];
        let saved = saved.into_iter().chain(SAVED.map(|number| cpu.registers[number]));
        cycles = 35;
        for (offset, value) in (0..).step_by(2).zip(saved) {
            let at = 4 + u32::from(offset);
            bus.write_word(base.wrapping_sub(offset), value, at);
            if bus.hardware.violated {
                cycles = at + 4;
                break;
            }
        }
    }
    bus.hardware.clear_guard();
    clear(cpu, slot, handler, 0x8000);
    u64::from(cycles)
}

fn clear(cpu: &mut Cpu, slot: &Slot, handler: u16, status: u16) {
    let unused = cpu.registers[3];
    cpu.registers = [0; 16];
    cpu.registers[0] = handler & !1;
    cpu.registers[3] = unused;
    cpu.registers[15] = slot.text.start;
    cpu.status = status;
}
