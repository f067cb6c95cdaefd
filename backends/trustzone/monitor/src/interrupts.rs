//! The interrupt controller: everything belongs to the normal world until the secure payload takes what is its own.
//!
//! # Source
//! GICv3 architecture, Arm IHI 0069: chapters 12.9 (distributor), 12.11 (redistributor), 12.2 (core interface).

use crate::registers::{device_read, device_write, synchronize, write};
use crate::world::{SCR_NORMAL, SCR_SECURE};
use monitor::memory::{GIC_DISTRIBUTOR, GIC_REDISTRIBUTOR};

/// Sets the controller up as OP-TEE's core and Linux expect to find it from firmware.
pub(crate) fn set_up() {
    distributor();
    redistributor();
    core_interface();
}

fn distributor() {
    // GICD_CTLR: ARE_S (4), ARE_NS (5): affinity routing in both worlds, the only way that QEMU and Linux' driver use;
    // it must be on before groups are enabled.
    device_write(GIC_DISTRIBUTOR, 0x30);
    // EnableGrp0 (0), EnableGrp1NS (1), EnableGrp1S (2).
    device_write(GIC_DISTRIBUTOR, 0x37);
    // GICD_TYPER 4:0: 32 * (n + 1) interrupts. GICD_IGROUPRn: all shared ones in group 1 of the normal world.
    let words = device_read(GIC_DISTRIBUTOR + 0x4) & 0x1f;
    for word in 1..=u64::from(words) {
        device_write(GIC_DISTRIBUTOR + 0x80 + 4 * word, u32::MAX);
    }
}

fn redistributor() {
    // GICR_WAKER: ProcessorSleep (1) off, then ChildrenAsleep (2) goes off: the core takes interrupts.
    device_write(GIC_REDISTRIBUTOR + 0x14, 0);
    while device_read(GIC_REDISTRIBUTOR + 0x14) & (1 << 2) != 0 {}
    // GICR_IGROUPR0 (in the SGI frame, 64 KiB on): the core's own interrupts in group 1 of the normal world.
    device_write(GIC_REDISTRIBUTOR + 0x1_0000 + 0x80, u32::MAX);
}

fn core_interface() {
    // ICC_SRE_EL3: system registers (SRE 0), no bypasses (1, 2), lower levels may use theirs (Enable 3).
    write!(S3_6_C12_C12_5, 0xf);
    synchronize();
    // ICC_SRE_EL1 is banked by SCR_EL3.NS: system registers in both worlds.
    write!(scr_el3, SCR_NORMAL);
    synchronize();
    write!(S3_0_C12_C12_5, 0x7);
    write!(scr_el3, SCR_SECURE);
    synchronize();
    write!(S3_0_C12_C12_5, 0x7);
    // ICC_PMR_EL1: no priority is masked. While it is below 0x80 the normal world's writes to it are ignored (IHI 0069, 4.8.6).
    write!(S3_0_C4_C6_0, 0xff);
    // ICC_IGRPEN1_EL3: group 1 of the normal (0) and of the secure world (1).
    write!(S3_6_C12_C12_7, 0x3);
}
