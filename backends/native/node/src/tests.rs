#[path = "../tests/support/elf.rs"]
mod elf;
mod image;
mod ring;
mod sandbox;
