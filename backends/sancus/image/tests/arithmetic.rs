//! What the compiler takes from the runtime, against this machine's arithmetic.
#![allow(clippy::unwrap_used, reason = "tests")]

mod rig;

use rig::attacker::Attacker;
use rig::{root, tools};
use std::path::Path;
use veritee_machine::Profile;
use veritee_sancus_image::{Code, ModuleSource, Placement};

/// What an operation should give.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "as in C")]
fn expected(op: u16, a: u64, b: u64) -> u64 {
    let (shift, signed) = (b as u32, |value: u32| value as i32);
    let short = |value: u64| value as i16;
    match op {
        1 => u64::from((a as u16).wrapping_mul(b as u16)),
        2 => u64::from((a as u32).wrapping_mul(b as u32)),
        3 => a.wrapping_mul(b),
        4 => u64::from(a as u16 / b as u16),
        5 => u64::from(a as u16 % b as u16),
        6 => u64::from(short(a).wrapping_div(short(b)) as u16),
        7 => u64::from(short(a).wrapping_rem(short(b)) as u16),
        8 => u64::from(a as u32 / b as u32),
        9 => u64::from(a as u32 % b as u32),
        10 => u64::from(signed(a as u32).wrapping_div(signed(b as u32)) as u32),
        11 => u64::from(signed(a as u32).wrapping_rem(signed(b as u32)) as u32),
        12 => u64::from((a as u32) << (shift & 31)),
        13 => u64::from(a as u32 >> (shift & 31)),
        14 => u64::from((signed(a as u32) >> (shift & 31)) as u32),
        15 => a << (shift & 63),
        16 => a >> (shift & 63),
        17 => (a as i64 >> (shift & 63)) as u64,
        18 => a,
        19 | 20 => moved(op, a, b as usize & 0xffff),
        21 => (0..(b & 0xffff) % 9).fold(0, |value, at| value | (a & 0xff) << (8 * at)),
        _ => unreachable!("no such operation"),
    }
}

fn moved(op: u16, a: u64, b: usize) -> u64 {
    let mut bytes = a.to_le_bytes();
    let count = b % 8;
    if op == 19 {
        bytes.copy_within(0..count, 1);
    } else {
        bytes.copy_within(1..=count, 0);
    }
    u64::from_le_bytes(bytes)
}

#[test]
fn the_runtime_computes_as_c_does() {
    let file = root().join("backends/sancus/image/tests/arithmetic/arithmetic.c");
    let source = ModuleSource { code: Code::Coreless(vec![file]), ..ModuleSource::new("arithmetic", Path::new("")) };
    let place = Placement { text_address: 0x8000, text_bytes: 0x2000, secret_address: 0x2000, secret_bytes: 0x1000 };
    let module = source.compile(tools()).unwrap().place(tools(), place).unwrap();
    let mut attacker = Attacker::new(Profile::Veritee);
    attacker.enable(&module, 7);
    let edges = [1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_8000, u64::MAX];
    let mut random = 0x1234_5678_9abc_def1u64;
    let mut operands: Vec<(u64, u64)> = edges.iter().flat_map(|a| edges.iter().map(|b| (*a, *b))).collect();
    for _ in 0..60 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        operands.push((random, random.rotate_left(23) | 1));
    }
    for op in 1..=22 {
        for (a, b) in operands.iter().copied().filter(|(_, b)| b & 0xffff != 0) {
            let input = [a.to_le_bytes(), b.to_le_bytes()].concat();
            let output = attacker.enter(&module, op, &input);
            let value = u64::from_le_bytes(output.try_into().unwrap());
            if op == 22 {
                let sign = i16::from_le_bytes([value.to_le_bytes()[0], value.to_le_bytes()[1]]).cmp(&0);
                assert_eq!(sign, a.to_le_bytes().cmp(&b.to_le_bytes()), "{a:#x} {b:#x}");
            } else {
                assert_eq!(value, expected(op, a, b), "operation {op} of {a:#x} and {b:#x}");
            }
        }
    }
}
