//! Addresses of QEMU's `virt` machine with `secure=on,gic-version=3`.
//!
//! # Source
//! QEMU's `hw/arm/virt.c` (`base_memmap`); all of it is in the device tree that `-machine dumpdtb` writes.

/// Secure flash bank 0, where the first core starts; `-bios` goes there.
pub const FLASH: u64 = 0;
/// Bytes of that bank.
pub const FLASH_BYTES: u64 = 64 << 20;
/// Secure RAM: the first MiB is the monitor's, the rest the secure payload's.
pub const SECURE_RAM: u64 = 0x0e00_0000;
/// Bytes of secure RAM.
pub const SECURE_RAM_BYTES: u64 = 16 << 20;
/// Where OP-TEE is linked to run (`CFG_TZDRAM_START` of its QEMU platform).
pub const PAYLOAD: u64 = 0x0e10_0000;
/// RAM of both worlds.
pub const NORMAL_RAM: u64 = 0x4000_0000;
/// The most RAM that the monitor passes on: addresses of `virt` beyond are not RAM for sure.
pub const NORMAL_RAM_BYTES: u64 = 255 << 30;
/// The PL011 that only the secure world reaches.
pub const SECURE_UART: u64 = 0x0904_0000;
/// The PL061 that only the secure world reaches: pin 0 powers off, pin 1 resets.
pub const SECURE_GPIO: u64 = 0x090b_0000;
/// The PL011 of the normal world.
pub const NORMAL_UART: u64 = 0x0900_0000;
/// Distributor of the interrupt controller.
pub const GIC_DISTRIBUTOR: u64 = 0x0800_0000;
/// Redistributor of the first core.
pub const GIC_REDISTRIBUTOR: u64 = 0x080a_0000;
