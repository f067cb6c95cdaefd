//! One instruction a row: words, registers before, registers and memory after, cycles.

use std::collections::BTreeMap;
use veritee_msp430::decode::{FUSED, kind};
use veritee_msp430::{Bus, Cpu, Instruction, Packed, decode, disassemble};

/// Memory without rights or devices; program memory from `0x5C00` on.
#[derive(Default)]
struct Flat {
    bytes: BTreeMap<u16, u8>,
    settled: Vec<u16>,
    writes: Vec<u32>,
}

impl Flat {
    fn word(&self, address: u16) -> u16 {
        let byte = |address| self.bytes.get(&address).copied().unwrap_or(0);
        u16::from_le_bytes([byte(address & !1), byte(address | 1)])
    }

    fn set(&mut self, address: u16, word: u16) {
        let [low, high] = word.to_le_bytes();
        self.bytes.insert(address & !1, low);
        self.bytes.insert(address | 1, high);
    }
}

impl Bus for Flat {
    fn instruction(&mut self, address: u16) -> Packed {
        decode(address, [0, 2, 4].map(|offset| self.word(address.wrapping_add(offset)))).pack()
    }
    fn read_word(&mut self, address: u16, _: u32) -> u16 {
        self.word(address)
    }
    fn read_byte(&mut self, address: u16, _: u32) -> u8 {
        self.bytes.get(&address).copied().unwrap_or(0)
    }
    fn write_word(&mut self, address: u16, value: u16, at: u32) -> u32 {
        self.set(address, value);
        self.writes.push(at);
        u32::from(address >= 0x5c00)
    }
    fn write_byte(&mut self, address: u16, value: u8, at: u32) -> u32 {
        self.bytes.insert(address, value);
        self.writes.push(at);
        u32::from(address >= 0x5c00)
    }
    fn settled(&mut self, address: u16, _: u16, _: u16) {
        self.settled.push(address);
    }
    fn stack_pointer(&mut self, _: u16, _: u32) {}
    fn status(&mut self, _: u16, new: u16, _: bool) -> u16 {
        new & 0x1bf
    }
    fn extension(&mut self, _: &mut Cpu, _: u16) -> u32 {
        7
    }
}

/// Register 16 stands for the status register's flags; 100 and up for a word of memory at that address.
struct Row {
    text: &'static str,
    words: &'static [u16],
    before: &'static [(u16, u16)],
    after: &'static [(u16, u16)],
    cycles: u32,
}

const ROWS: &[Row] = &[
    Row {
        text: "mov     r4, r5",
        words: &[0x4405],
        before: &[(4, 0xbeef)],
        after: &[(5, 0xbeef), (0, 0x6002)],
        cycles: 1,
    },
    Row {
        text: "mov.b   r4, r5",
        words: &[0x4445],
        before: &[(4, 0xbeef), (5, 0xffff)],
        after: &[(5, 0xef)],
        cycles: 1,
    },
    Row {
        text: "mov     #0x1234, r5",
        words: &[0x4035, 0x1234],
        before: &[],
        after: &[(5, 0x1234), (0, 0x6004)],
        cycles: 2,
    },
    Row { text: "mov     #-1, r5", words: &[0x4335], before: &[], after: &[(5, 0xffff)], cycles: 1 },
    Row { text: "mov.b   #-1, r5", words: &[0x4375], before: &[], after: &[(5, 0xff)], cycles: 1 },
    Row {
        text: "mov     @r4+, r5",
        words: &[0x4435],
        before: &[(4, 0x300), (0x300, 7)],
        after: &[(4, 0x302), (5, 7)],
        cycles: 2,
    },
    Row {
        text: "mov.b   @r4+, r5",
        words: &[0x4475],
        before: &[(4, 0x301), (0x300, 0x0907)],
        after: &[(4, 0x302), (5, 9)],
        cycles: 2,
    },
    Row {
        text: "mov.b   @sp+, r5",
        words: &[0x4175],
        before: &[(1, 0x300), (0x300, 0x0907)],
        after: &[(1, 0x302), (5, 7)],
        cycles: 2,
    },
    Row {
        text: "sub     @r4+, r4",
        words: &[0x8434],
        before: &[(4, 0x300), (0x300, 1)],
        after: &[(4, 0x2ff)],
        cycles: 2,
    },
    Row {
        text: "mov     2(r4), r5",
        words: &[0x4415, 2],
        before: &[(4, 0x300), (0x302, 8)],
        after: &[(5, 8)],
        cycles: 3,
    },
    Row {
        text: "mov     -2(r4), r5",
        words: &[0x4415, 0xfffe],
        before: &[(4, 0x302), (0x300, 8)],
        after: &[(5, 8)],
        cycles: 3,
    },
    Row { text: "mov     &0x0300, r5", words: &[0x4215, 0x300], before: &[(0x300, 8)], after: &[(5, 8)], cycles: 3 },
    Row { text: "mov     0x6102, r5", words: &[0x4015, 0x100], before: &[(0x6102, 8)], after: &[(5, 8)], cycles: 3 },
    Row { text: "mov     r4, &0x0300", words: &[0x4482, 0x300], before: &[(4, 5)], after: &[(0x300, 5)], cycles: 4 },
    Row { text: "mov     r4, &0x7000", words: &[0x4482, 0x7000], before: &[(4, 5)], after: &[(0x7000, 5)], cycles: 5 },
    Row {
        text: "mov     @r4, &0x0300",
        words: &[0x44a2, 0x300],
        before: &[(4, 0x310), (0x310, 5)],
        after: &[(0x300, 5)],
        cycles: 5,
    },
    Row {
        text: "mov     #0x0005, &0x0300",
        words: &[0x40b2, 5, 0x300],
        before: &[],
        after: &[(0x300, 5), (0, 0x6006)],
        cycles: 5,
    },
    Row {
        text: "mov     2(r4), 4(r5)",
        words: &[0x4495, 2, 4],
        before: &[(4, 0x300), (5, 0x310), (0x302, 5)],
        after: &[(0x314, 5)],
        cycles: 6,
    },
    Row { text: "br      #0x7000", words: &[0x4030, 0x7000], before: &[], after: &[(0, 0x7000)], cycles: 3 },
    Row {
        text: "ret",
        words: &[0x4130],
        before: &[(1, 0x300), (0x300, 0x7000)],
        after: &[(0, 0x7000), (1, 0x302)],
        cycles: 3,
    },
    Row { text: "mov     r4, pc", words: &[0x4400], before: &[(4, 0x7001)], after: &[(0, 0x7000)], cycles: 2 },
    Row {
        text: "add     r4, r5",
        words: &[0x5405],
        before: &[(4, 0x7fff), (5, 1)],
        after: &[(5, 0x8000), (16, 0x104)],
        cycles: 1,
    },
    Row {
        text: "add     r4, r5",
        words: &[0x5405],
        before: &[(4, 0xffff), (5, 1)],
        after: &[(5, 0), (16, 3)],
        cycles: 1,
    },
    Row {
        text: "add.b   r4, r5",
        words: &[0x5445],
        before: &[(4, 0x7f), (5, 1)],
        after: &[(5, 0x80), (16, 0x104)],
        cycles: 1,
    },
    Row {
        text: "addc    r4, r5",
        words: &[0x6405],
        before: &[(4, 1), (5, 1), (16, 1)],
        after: &[(5, 3), (16, 0)],
        cycles: 1,
    },
    Row {
        text: "sub     r4, r5",
        words: &[0x8405],
        before: &[(4, 1), (5, 0)],
        after: &[(5, 0xffff), (16, 4)],
        cycles: 1,
    },
    Row {
        text: "sub     r4, r5",
        words: &[0x8405],
        before: &[(4, 1), (5, 0x8000)],
        after: &[(5, 0x7fff), (16, 0x101)],
        cycles: 1,
    },
    Row { text: "subc    r4, r5", words: &[0x7405], before: &[(4, 1), (5, 5)], after: &[(5, 3), (16, 1)], cycles: 1 },
    Row { text: "cmp     r4, r5", words: &[0x9405], before: &[(4, 5), (5, 5)], after: &[(5, 5), (16, 3)], cycles: 1 },
    Row {
        text: "dadd    r4, r5",
        words: &[0xa405],
        before: &[(4, 0x1999), (5, 1)],
        after: &[(5, 0x2000), (16, 0)],
        cycles: 1,
    },
    Row {
        text: "dadd    r4, r5",
        words: &[0xa405],
        before: &[(4, 0x9999), (5, 1)],
        after: &[(5, 0), (16, 3)],
        cycles: 1,
    },
    Row {
        text: "dadd    r4, r5",
        words: &[0xa405],
        before: &[(4, 0xf), (5, 0xf), (16, 1)],
        after: &[(5, 5), (16, 0)],
        cycles: 1,
    },
    Row {
        text: "bit     r4, r5",
        words: &[0xb405],
        before: &[(4, 1), (5, 2), (16, 0x101)],
        after: &[(5, 2), (16, 2)],
        cycles: 1,
    },
    Row {
        text: "bic     r4, r5",
        words: &[0xc405],
        before: &[(4, 1), (5, 3), (16, 7)],
        after: &[(5, 2), (16, 7)],
        cycles: 1,
    },
    Row { text: "bis     r4, r5", words: &[0xd405], before: &[(4, 1), (5, 2)], after: &[(5, 3), (16, 0)], cycles: 1 },
    Row {
        text: "xor     r4, r5",
        words: &[0xe405],
        before: &[(4, 0x8001), (5, 0x8000)],
        after: &[(5, 1), (16, 0x101)],
        cycles: 1,
    },
    Row {
        text: "and     r4, r5",
        words: &[0xf405],
        before: &[(4, 0x8001), (5, 0x8000)],
        after: &[(5, 0x8000), (16, 5)],
        cycles: 1,
    },
    Row { text: "and     #0x0ff0, sr", words: &[0xf032, 0xff0], before: &[(16, 0)], after: &[(16, 2)], cycles: 2 },
    Row {
        text: "rrc     r4",
        words: &[0x1004],
        before: &[(4, 1), (16, 0x101)],
        after: &[(4, 0x8000), (16, 5)],
        cycles: 1,
    },
    Row {
        text: "rra     r4",
        words: &[0x1104],
        before: &[(4, 0x8002), (16, 0x100)],
        after: &[(4, 0xc001), (16, 4)],
        cycles: 1,
    },
    Row {
        text: "rra     @r4",
        words: &[0x1124],
        before: &[(4, 0x300), (0x300, 5)],
        after: &[(0x300, 2), (16, 1)],
        cycles: 3,
    },
    Row {
        text: "rrc     &0x0300",
        words: &[0x1012, 0x300],
        before: &[(0x300, 5)],
        after: &[(0x300, 2), (16, 1)],
        cycles: 4,
    },
    Row {
        text: "swpb    r4",
        words: &[0x1084],
        before: &[(4, 0x1234), (16, 7)],
        after: &[(4, 0x3412), (16, 7)],
        cycles: 1,
    },
    Row { text: "rra     sr", words: &[0x1102], before: &[(16, 0x107)], after: &[(16, 1)], cycles: 1 },
    Row { text: "swpb    sr", words: &[0x1082], before: &[(16, 0x101)], after: &[(16, 0x101)], cycles: 1 },
    Row { text: "rrc     #4", words: &[0x1022], before: &[(16, 0x101)], after: &[(16, 4)], cycles: 1 },
    Row {
        text: "rra     #0x0003",
        words: &[0x1130, 3],
        before: &[(16, 0x100)],
        after: &[(16, 1), (0, 0x6004)],
        cycles: 3,
    },
    Row { text: "sxt     r4", words: &[0x1184], before: &[(4, 0x1280)], after: &[(4, 0xff80), (16, 5)], cycles: 1 },
    Row {
        text: "push    r4",
        words: &[0x1204],
        before: &[(1, 0x302), (4, 9)],
        after: &[(1, 0x300), (0x300, 9)],
        cycles: 3,
    },
    Row {
        text: "push    sp",
        words: &[0x1201],
        before: &[(1, 0x302)],
        after: &[(1, 0x300), (0x300, 0x300)],
        cycles: 3,
    },
    Row {
        text: "push    @sp+",
        words: &[0x1231],
        before: &[(1, 0x302), (0x300, 4), (0x302, 5)],
        after: &[(1, 0x302), (0x300, 4)],
        cycles: 4,
    },
    Row {
        text: "push.b  #0x0012",
        words: &[0x1270, 0x12],
        before: &[(1, 0x302), (0x300, 0xaaaa)],
        after: &[(0x300, 0xaa12)],
        cycles: 4,
    },
    Row {
        text: "call    #0x7000",
        words: &[0x12b0, 0x7000],
        before: &[(1, 0x302)],
        after: &[(0, 0x7000), (1, 0x300), (0x300, 0x6004)],
        cycles: 4,
    },
    Row {
        text: "call    r4",
        words: &[0x1284],
        before: &[(1, 0x302), (4, 0x7000)],
        after: &[(0, 0x7000), (0x300, 0x6002)],
        cycles: 3,
    },
    Row {
        text: "call    &0x0310",
        words: &[0x1292, 0x310],
        before: &[(1, 0x302), (0x310, 0x7000)],
        after: &[(0, 0x7000), (0x300, 0x6004)],
        cycles: 5,
    },
    Row {
        text: "reti",
        words: &[0x1300],
        before: &[(1, 0x300), (0x300, 0xf00f), (0x302, 0x7000)],
        after: &[(0, 0x7000), (1, 0x304), (16, 7)],
        cycles: 5,
    },
    Row { text: "jeq     0x6006", words: &[0x2402], before: &[(16, 2)], after: &[(0, 0x6006)], cycles: 2 },
    Row { text: "jeq     0x6006", words: &[0x2402], before: &[(16, 0)], after: &[(0, 0x6002)], cycles: 2 },
    Row { text: "jl      0x5ffe", words: &[0x3bfe], before: &[(16, 0x100)], after: &[(0, 0x5ffe)], cycles: 2 },
    Row { text: "jge     0x5ffe", words: &[0x37fe], before: &[(16, 0x104)], after: &[(0, 0x5ffe)], cycles: 2 },
    Row { text: "jmp     0x6000", words: &[0x3fff], before: &[], after: &[(0, 0x6000)], cycles: 2 },
    Row { text: "sm.enable", words: &[0x1381], before: &[], after: &[(0, 0x6002)], cycles: 7 },
];

#[test]
fn each_instruction_does_what_the_manual_says_in_its_cycles() {
    for row in ROWS {
        let (mut cpu, mut bus) = (Cpu::default(), Flat::default());
        cpu.registers[0] = 0x6000;
        for (offset, word) in (0..).step_by(2).zip(row.words) {
            bus.set(0x6000 + offset, *word);
        }
        for (place, value) in row.before {
            match *place {
                16 => cpu.status = *value,
                number @ 0..16 => cpu.registers[usize::from(number)] = *value,
                address => bus.set(address, *value),
            }
        }
        let words = [0, 1, 2].map(|number| row.words.get(number).copied().unwrap_or(0));
        assert_eq!(disassemble(0x6000, words), row.text);
        assert_eq!(cpu.step(&mut bus), row.cycles, "cycles of {}", row.text);
        for (place, expected) in row.after {
            let seen = match *place {
                16 => cpu.status & 0x107,
                number @ 0..16 => cpu.registers[usize::from(number)],
                address => bus.word(address),
            };
            assert_eq!(seen, *expected, "place {place:#x} after {}", row.text);
        }
    }
}

#[test]
fn comparisons_and_shifts_in_memory_tell_the_bus() {
    for word in [0x9482, 0xb482, 0x1112] {
        let (mut cpu, mut bus) = (Cpu::default(), Flat::default());
        cpu.registers[0] = 0x6000;
        bus.set(0x6000, word);
        bus.set(0x6002, 0x300);
        cpu.step(&mut bus);
        assert_eq!(bus.settled, [0x300], "{word:04x}");
    }
}

/// The fused code and the general code are two implementations of the same instructions.
#[test]
fn fused_and_general_code_agree() {
    let mut seed = 1u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u16::from_le_bytes([seed.to_le_bytes()[2], seed.to_le_bytes()[3]])
    };
    for _ in 0..200_000 {
        let word = random() | 0x4000;
        let (mut cpu, mut bus) = (Cpu::default(), Flat::default());
        cpu.registers = core::array::from_fn(|_| random());
        cpu.registers[0] = 0x6000;
        cpu.registers[2] = 0;
        cpu.status = random() & 0x107;
        let words = [word, random(), random()];
        let instruction = decode(0x6000, words);
        assert_eq!(instruction.pack().unpack(), instruction);
        for address in [4, 5, 6].map(|register: usize| cpu.registers[register]) {
            bus.set(address, random());
        }
        if instruction.kind >= FUSED {
            continue;
        }
        let (mut other, mut other_bus) = (cpu.clone(), Flat { bytes: bus.bytes.clone(), ..Flat::default() });
        let cycles = cpu.execute(&mut bus, instruction.pack());
        let general = Instruction { kind: kind::TWO, ..instruction };
        assert_eq!(other.execute(&mut other_bus, general.pack()), cycles, "{}", disassemble(0x6000, words));
        assert_eq!((cpu.registers, cpu.status), (other.registers, other.status), "{}", disassemble(0x6000, words));
        assert_eq!(bus.bytes, other_bus.bytes, "{}", disassemble(0x6000, words));
        assert_eq!(bus.writes, other_bus.writes);
    }
}
