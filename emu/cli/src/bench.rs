//! `bench`: how many cycles of the board a second of one core of the host brings.
//!
//! Time is processor time of the thread: who shares the core with others gets the same numbers as who has it alone.

use crate::flags::Output;
use crate::pace::HERTZ;
use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::time::Duration;
use veritee_machine::{Board, Config};
use veritee_msp430::alu::Operation::{Add, Addc, And, Bic, Bis, Cmp, Mov, Sub, Xor};
use veritee_msp430::assembler::Operand::{Absolute, Immediate, Increment, Indexed, Register};
use veritee_msp430::assembler::{Assembler, Unary};

/// Where the code of the benchmark begins.
const START: u16 = 0x5c00;
/// Text of its module.
const MODULE: u16 = 0x6000;
/// The workload whose speed is the emulator's speed.
const MIXED: &str = "ordinary";

/// Runs all workloads and prints what came of them.
pub(crate) fn bench(output: Output, seconds: u64) -> Result<()> {
    let workloads = [(MIXED, ordinary()), ("crypto", crypto())];
    let mut results = Vec::new();
    for (name, board) in workloads {
        let speed = measure(board, Duration::from_secs(seconds.max(1)));
        results.push((name, speed));
    }
    match output {
        Output::Text => {
            for (name, speed) in results {
                println!("{name:<10} {:>12.0} cycles per second, {:>7.1} times 8 MHz", speed, speed / HERTZ);
            }
        }
        Output::Json => {
            let entry = |speed: f64| json!({"cycles_per_second": speed.round(), "times_8_mhz": speed / HERTZ});
            let mut told = serde_json::Map::new();
            for (name, speed) in results {
                if name == MIXED {
                    told.insert("cycles_per_second".to_owned(), json!(speed.round()));
                    told.insert("times_8_mhz".to_owned(), json!(speed / HERTZ));
                }
                told.insert(name.to_owned(), entry(speed));
            }
            println!("{}", serde_json::Value::Object(told));
        }
    }
    Ok(())
}

/// Cycles a second.
#[expect(clippy::cast_precision_loss, reason = "a number for people")]
fn measure(mut board: Board, time: Duration) -> f64 {
    let slice = 2_000_000;
    board.run_until(board.cycle() + slice);
    let (start, first) = (processor_time(), board.cycle());
    while processor_time() - start < time {
        board.run_until(board.cycle() + slice);
        while board.take_byte(0).is_some() || board.take_byte(1).is_some() {}
    }
    (board.cycle() - first) as f64 / (processor_time() - start).as_secs_f64()
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A board that runs `code`, which calls the module at [`MODULE`].
fn board(code: &Assembler) -> Board {
    let mut module = Assembler::new(MODULE);
    module.word(0xc232);
    module.two(Add, Immediate(1), Absolute(0x1000));
    module.two(Mov, Absolute(0x1000), Register(15));
    module.two(Mov, Register(7), Register(0));
    let mut board = Board::new(Config::default());
    board.load(START, &code.bytes());
    board.load(MODULE, &module.bytes());
    board.load(0xfffe, &START.to_le_bytes());
    board.power_up();
    board
}

/// Stops the watchdog, sets up stack and serial line, enables the module.
fn prologue() -> Assembler {
    let mut code = Assembler::new(START);
    code.two(Mov, Immediate(0x5a80), Absolute(0x120));
    code.two(Mov, Immediate(0x4200), Register(1));
    code.two(Mov, Immediate(69), Absolute(0x8a));
    code.two_bytes(Mov, Immediate(1), Absolute(0x88));
    for (register, value) in [(10, 0), (11, 0x1234), (12, MODULE), (13, MODULE + 14), (14, 0x1000), (15, 0x1010)] {
        code.two(Mov, Immediate(value), Register(register));
    }
    code.sancus(1);
    code
}

/// Calls the module at its start; it comes back behind the call.
fn call_module(code: &mut Assembler) {
    let back = code.here() + 8;
    code.two(Mov, Immediate(back), Register(7));
    code.branch(MODULE);
}

/// Ordinary code: copying, arithmetic, checksums, calls with a stack frame, a byte on the serial line, a call of a module.
fn ordinary() -> Board {
    let mut code = prologue();
    let over = code.jump_forward(Assembler::ALWAYS);
    let function = code.here();
    code.one(Unary::Push, Register(10)).one(Unary::Push, Register(11));
    code.two(Mov, Indexed(4, 1), Register(10));
    code.two(Add, Absolute(0x0400), Register(9));
    code.two(Addc, Register(10), Register(9));
    code.two(Bic, Immediate(3), Register(9));
    code.two(Mov, Register(9), Absolute(0x0402));
    code.two(Mov, Increment(1), Register(11)).two(Mov, Increment(1), Register(10));
    code.ret();
    code.bind(over);
    let main = code.label();
    code.two(Mov, Immediate(0x0400), Register(4));
    code.two(Mov, Immediate(0x0600), Register(5));
    code.two(Mov, Immediate(64), Register(6));
    let copy = code.label();
    code.two(Mov, Increment(4), Indexed(0, 5));
    code.two(Add, Immediate(2), Register(5));
    code.two(Sub, Immediate(1), Register(6));
    code.jump(Assembler::NOT_EQUAL, copy);
    code.two(Mov, Immediate(32), Register(6));
    let sum = code.label();
    code.one(Unary::Call, Immediate(function)).two(Xor, Register(9), Register(8));
    code.two(And, Immediate(0x7fff), Register(8));
    code.two(Cmp, Immediate(17), Register(8));
    let skip = code.jump_forward(Assembler::EQUAL);
    code.two(Bis, Immediate(1), Register(9));
    code.bind(skip);
    code.two(Sub, Immediate(1), Register(6));
    code.jump(Assembler::NOT_EQUAL, sum);
    code.two_bytes(Mov, Register(8), Absolute(0x8c));
    call_module(&mut code);
    code.branch(main.0);
    board(&code)
}

/// Cryptography: the module's code is wrapped and verified again and again.
fn crypto() -> Board {
    let mut code = prologue();
    let main = code.label();
    for (register, value) in
        [(9, 0x0400), (10, 0x0420), (11, 0x0422), (12, 0x0440), (13, 0x0480), (14, 0x0500), (15, 0x0600)]
    {
        code.two(Mov, Immediate(value), Register(register));
    }
    code.sancus(4);
    code.jump(Assembler::ALWAYS, main);
    board(&code)
}
