#[path = "../tests/support/elf.rs"]
mod elf;
mod image;
