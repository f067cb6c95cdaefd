//! Code for the common shapes of two-operand instructions: one generic function, made once for each shape.
//!
//! Instructions come packed: a step waits for one load, and nothing of them lies in memory again.

use crate::alu::{self, Operation};
use crate::cpu::{Bus, Cpu};
use crate::decode::{Instruction, Mode, Packed, kind};

/// Cycles by source mode, for a destination in a register and in memory; an immediate word costs one more.
const CYCLES: [[u32; 2]; 5] = [[1, 4], [1, 4], [3, 6], [2, 5], [2, 5]];

/// One arm for each number of a shape, one for each jump, and the rest: a single branch by the kind.
macro_rules! shapes {
    ($cpu:ident, $bus:ident, $packed:ident: $($shape:literal)*; $($jump:literal)*) => {
        match $packed.kind() {
            $($shape => $cpu.fused::<B, $shape>($bus, $packed.unpack()),)*
            $($jump => $cpu.jump::<{ $jump - kind::JUMP }>($packed.unpack()),)*
            kind::RETURN => $cpu.return_from_call($bus, $packed.unpack()),
            kind::BRANCH => $cpu.branch($packed.unpack()),
            kind::CALL => $cpu.call($bus, $packed.unpack()),
            kind::PUSH => $cpu.push_register($bus, $packed.unpack()),
            kind::ONE => $cpu.one_operand($bus, $packed),
            kind::EXTENSION => $bus.extension($cpu, $packed.unpack().word),
            kind::TWO | kind::UNKNOWN => $cpu.two_operands($bus, $packed),
        }
    };
}

impl Cpu {
    /// Chooses the code for an instruction.
    #[inline(always)]
    pub(crate) fn dispatch<B: Bus>(&mut self, bus: &mut B, packed: Packed) -> u32 {
        shapes!(self, bus, packed:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
            20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59
            60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79
            80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99
            100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119
            120 121 122 123 124 125 126 127 128 129 130 131 132 133 134 135 136 137 138 139
            140 141 142 143 144 145 146 147 148 149 150 151 152 153 154 155 156 157 158 159
            160 161 162 163 164 165 166 167 168 169 170 171 172 173 174 175 176 177 178 179
            180 181 182 183 184 185 186 187 188 189 190 191 192 193 194 195 196 197 198 199
            200 201 202 203 204 205 206 207 208 209 210 211 212 213 214 215 216 217 218 219
            220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239;
            240 241 242 243 244 245 246 247
        )
    }

    /// A two-operand instruction whose registers are not PC, SP or SR, but for a source that may be SP.
    #[inline(always)]
    fn fused<B: Bus, const SHAPE: usize>(&mut self, bus: &mut B, instruction: Instruction) -> u32 {
        let operation = const { Operation::ALL[SHAPE / 20] };
        let byte = const { SHAPE / 10 % 2 == 1 };
        let mode = const { Mode::ALL[SHAPE / 2 % 5] };
        let in_memory = const { SHAPE % 2 == 1 };
        let source = self.fused_source(bus, instruction, mode, byte);
        let mut cycles = const { CYCLES[SHAPE / 2 % 5][SHAPE % 2] };
        if let Mode::Constant = mode {
            cycles = u32::from(instruction.cycles);
        }
        let target = usize::from(instruction.destination & 15);
        if !in_memory {
            let destination = if byte { self.registers[target] & 0xff } else { self.registers[target] };
            let (result, flags) = alu::operate(operation, byte, source, destination, self.status);
            self.set_flags(flags);
            if let Mode::Increment = mode {
                self.increment(bus, instruction, byte);
            }
            if !operation.is_comparison() {
                self.registers[target] = result;
            }
            return cycles;
        }
        let address = self.registers[target].wrapping_add(instruction.destination_extension);
        let destination = match operation {
            Operation::Mov => 0,
            _ if byte => bus.read_byte(address, cycles - 2).into(),
            _ => bus.read_word(address, cycles - 2),
        };
        let (result, flags) = alu::operate(operation, byte, source, destination, self.status);
        self.set_flags(flags);
        if let Mode::Increment = mode {
            self.increment(bus, instruction, byte);
        }
        if operation.is_comparison() {
            bus.settled(address, destination, self.registers[0]);
            cycles
        } else if byte {
            cycles + bus.write_byte(address, result.to_le_bytes()[0], cycles)
        } else {
            cycles + bus.write_word(address, result, cycles)
        }
    }

    #[inline(always)]
    fn fused_source<B: Bus>(&self, bus: &mut B, instruction: Instruction, mode: Mode, byte: bool) -> u16 {
        let register = usize::from(instruction.source & 15);
        let value = self.registers[register];
        let (address, at) = match mode {
            Mode::Register => return if byte { value & 0xff } else { value },
            Mode::Constant => return instruction.source_extension,
            Mode::Indexed => (value.wrapping_add(instruction.source_extension), 2),
            Mode::Indirect | Mode::Increment => (value, 1),
        };
        if byte { bus.read_byte(address, at).into() } else { bus.read_word(address, at) }
    }
}
