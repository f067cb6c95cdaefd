//! Instructions as a person reads them.

use alloc::format;
use alloc::string::String;

const TWO: [&str; 12] = ["mov", "add", "addc", "subc", "sub", "cmp", "dadd", "bit", "bic", "bis", "xor", "and"];
const ONE: [&str; 7] = ["rrc", "swpb", "rra", "sxt", "push", "call", "reti"];
const JUMP: [&str; 8] = ["jne", "jeq", "jnc", "jc", "jn", "jge", "jl", "jmp"];
const SANCUS: [&str; 10] = [
    "sm.disable",
    "sm.enable",
    "sm.verify",
    "sm.verify-caller",
    "sm.wrap",
    "sm.unwrap",
    "sm.id",
    "sm.caller-id",
    "sm.stack-guard",
    "sm.clix",
];

/// Writes the instruction at `address`, whose words are given.
#[must_use]
pub fn disassemble(address: u16, words: [u16; 3]) -> String {
    let word = words[0];
    match word >> 13 {
        0 => one_operand(address, words),
        1 => {
            let offset = (word << 6).cast_signed() >> 5;
            let target = address.wrapping_add(2).wrapping_add_signed(offset);
            format!("{:<8}0x{target:04x}", JUMP[usize::from(word >> 10 & 7)])
        }
        _ => two_operands(address, words),
    }
}

fn one_operand(address: u16, words: [u16; 3]) -> String {
    let word = words[0];
    let number = usize::from(word >> 7 & 7);
    if number == 7 {
        return match SANCUS.get(usize::from(word & 0xf)) {
            Some(name) => String::from(*name),
            None => format!(".word   0x{word:04x}"),
        };
    }
    if number == 6 {
        return String::from("reti");
    }
    let (operand, _) = source(word & 0xf, word >> 4 & 3, address.wrapping_add(2), words[1]);
    format!("{:<8}{operand}", name(ONE[number], word))
}

fn two_operands(address: u16, words: [u16; 3]) -> String {
    let word = words[0];
    if word == 0x4130 {
        return String::from("ret");
    }
    let next = address.wrapping_add(2);
    let (source, extended) = source(word >> 8 & 0xf, word >> 4 & 3, next, words[1]);
    let (place, extension) = if extended { (next.wrapping_add(2), words[2]) } else { (next, words[1]) };
    let destination = match (word & 0x80 != 0, word & 0xf) {
        (false, number) => register(number),
        (true, 0) => format!("0x{:04x}", place.wrapping_add(extension)),
        (true, 2) => format!("&0x{extension:04x}"),
        (true, number) => format!("{}({})", extension.cast_signed(), register(number)),
    };
    if word & 0xff == 0x30 && word >> 12 == 4 && word & 0xf == 0 {
        return format!("{:<8}{source}", "br");
    }
    format!("{:<8}{source}, {destination}", name(TWO[usize::from((word >> 12) - 4)], word))
}

fn name(name: &str, word: u16) -> String {
    if word & 0x40 != 0 { format!("{name}.b") } else { String::from(name) }
}

fn register(number: u16) -> String {
    match number {
        0 => String::from("pc"),
        1 => String::from("sp"),
        2 => String::from("sr"),
        _ => format!("r{number}"),
    }
}

/// A source operand, and whether it has an extension word.
fn source(number: u16, mode: u16, place: u16, extension: u16) -> (String, bool) {
    match (number, mode) {
        (3, 3) => (String::from("#-1"), false),
        (3, constant) => (format!("#{constant}"), false),
        (2, 2) => (String::from("#4"), false),
        (2, 3) => (String::from("#8"), false),
        (0, 3) => (format!("#0x{extension:04x}"), true),
        (0, 1) => (format!("0x{:04x}", place.wrapping_add(extension)), true),
        (2, 1) => (format!("&0x{extension:04x}"), true),
        (_, 1) => (format!("{}({})", extension.cast_signed(), register(number)), true),
        (_, 2) => (format!("@{}", register(number)), false),
        (_, 3) => (format!("@{}+", register(number)), false),
        _ => (register(number), false),
    }
}
