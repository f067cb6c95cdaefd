//! What one world leaves in the core while the other runs.

use crate::registers::{read, write};

/// Secure configuration while the secure world runs: lower levels are AArch64 (RW 10), the secure timer is theirs (ST 11),
/// no instruction comes from memory of the normal world (SIF 9), bits 4 and 5 are one. FIQ stays 0: there the normal
/// world's interrupts are FIQ, and the payload itself leaves for them.
///
/// # Source
/// Arm ARM D19.2, `SCR_EL3`; GICv3 IHI 0069, table 4-2 (which group is signalled as FIQ where).
pub(crate) const SCR_SECURE: u64 = 1 << 11 | 1 << 10 | 1 << 9 | 0b11 << 4;
/// While the normal world runs: accesses are non-secure (NS 0), secure interrupts come to EL3 (FIQ 2).
pub(crate) const SCR_NORMAL: u64 = 1 << 10 | 1 << 9 | 0b11 << 4 | 1 << 2 | 1;

/// General registers and where to go on, as the exception entries leave them on the stack. [`crate::vectors`] knows this layout.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Frame {
    /// x0 to x30.
    pub(crate) x: [u64; 31],
    /// ELR_EL3.
    pub(crate) elr: u64,
    /// SPSR_EL3.
    pub(crate) spsr: u64,
    /// SP_EL0: EL3 itself runs on its own.
    pub(crate) sp_el0: u64,
}

const _: () = assert!(size_of::<Frame>() == 272, "the exception entries know this size");

impl Frame {
    const ZERO: Self = Self { x: [0; 31], elr: 0, spsr: 0, sp_el0: 0 };

    /// A world's first instruction: at EL1 on its own stack pointer (EL1h, 0b0101), all interrupts masked (9:6).
    pub(crate) const fn entered_at(address: u64) -> Self {
        Self { elr: address, spsr: 0b1111 << 6 | 0b0101, ..Self::ZERO }
    }
}

/// Lists the EL1 and EL0 registers that both worlds use and the core has only once.
macro_rules! system_registers {
    ($($field:ident)*) => {
        /// Registers of EL1 and EL0 that the core has only once.
        ///
        /// Not here: the generic timers of EL1, which the normal world's run on and OP-TEE leaves alone (it has the secure
        /// one); floating point, which OP-TEE's core saves itself when it uses it.
        ///
        /// # Source
        /// Arm ARM D19.2: none of them is banked by Security state while EL3 is AArch64. What Trusted Firmware-A saves in the same place
        /// (`lib/el3_runtime/aarch64/context.S`, `el1_sysregs_context_save`), with its CNTKCTL_EL1, without its registers for AArch32 and
        /// for extensions that the machine's processor lacks; and MDSCR_EL1: one world's single-stepping ends with it.
        #[derive(Clone, Copy)]
        pub(crate) struct System {
            $($field: u64,)*
        }

        impl System {
            const ZERO: Self = Self { $($field: 0,)* };

            /// Reads what is there.
            pub(crate) fn save() -> Self {
                Self { $($field: read!($field),)* }
            }

            /// Puts it back.
            pub(crate) fn load(&self) {
                $(write!($field, self.$field);)*
            }
        }
    };
}

system_registers! {
    sctlr_el1 actlr_el1 cpacr_el1 ttbr0_el1 ttbr1_el1 tcr_el1 mair_el1 amair_el1
    esr_el1 far_el1 afsr0_el1 afsr1_el1 par_el1 vbar_el1 contextidr_el1
    tpidr_el1 tpidr_el0 tpidrro_el0 sp_el1 elr_el1 spsr_el1
    cntkctl_el1 csselr_el1 mdscr_el1
}

impl System {
    /// As after a reset: in SCTLR_EL1 only the bits that are always one (Arm ARM D19.2, `SCTLR_EL1`: 29, 28, 23, 22, 20, 11).
    pub(crate) const RESET: Self = Self { sctlr_el1: 0x30d0_0800, ..Self::ZERO };
}

/// Everything of a world.
pub(crate) struct World {
    pub(crate) frame: Frame,
    pub(crate) system: System,
}

impl World {
    pub(crate) const ZERO: Self = Self { frame: Frame::ZERO, system: System::ZERO };
}
