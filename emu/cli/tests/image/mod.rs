//! The image, instruction by instruction.

use veritee_msp430::alu::Operation::{Add, And, Bic, Bis, Bit, Cmp, Mov, Sub};
use veritee_msp430::assembler::Operand::{Absolute, Immediate, Increment, Indexed, Register};
use veritee_msp430::assembler::{Assembler, Label, Unary};

/// What it says when it has booted.
pub(crate) const GREETING: &str = "Sancus-enabled hardware initialization complete.\r\n";
/// The module: text and secret section, and its vendor.
pub(crate) const MODULE: u16 = 0x8000;
pub(crate) const SECRET: u16 = 0x3000;
pub(crate) const SECRET_END: u16 = 0x3040;
pub(crate) const VENDOR: u16 = 0x1234;

const START: u16 = 0x5c00;
/// The greeting: where it lies, and where it belongs.
const INITIAL: u16 = 0x9000;
const DATA: u16 = 0x0200;

// Variables.
const RING: u16 = 0x0400;
const HEAD: u16 = 0x0480;
const TAIL: u16 = 0x0482;
/// The stack pointer of the task that does not run.
const OTHER: u16 = 0x0484;
/// How often the second task came around.
const ROUNDS: u16 = 0x0486;
/// Not zero: a byte was lost, or a task's register.
const BROKEN: u16 = 0x0488;
const PAYLOAD: u16 = 0x0500;
const TAG: u16 = 0x0740;
/// Where the stacks of both tasks begin.
const STACK: u16 = 0x2000;
const SECOND_STACK: u16 = 0x1800;

// Devices.
const WATCHDOG: u16 = 0x0120;
const STATUS: u16 = 0x81;
const SENT: u16 = 0x84;
const RECEIVED: u16 = 0x85;
const CONSOLE_STATUS: u16 = 0x89;
const CONSOLE: u16 = 0x8c;
const COMPARE_CONTROL: u16 = 0x0162;

/// GIE; with CPUOFF.
const INTERRUPTS: u16 = 0x08;
const SLEEP: u16 = 0x18;
const SR: u8 = 2;
const SP: u8 = 1;
const PC: u8 = 0;

/// The module's text: its only entry runs for a while with interrupts on, counts, and gives the MAC of r14 bytes at r15 under its key.
pub(crate) fn module() -> Vec<u8> {
    let mut code = Assembler::new(MODULE);
    code.two(Bic, Immediate(INTERRUPTS), Register(SR));
    code.two(Bis, Immediate(INTERRUPTS), Register(SR));
    code.two(Mov, Immediate(20_000), Register(13));
    let again = code.label();
    code.two(Sub, Immediate(1), Register(13)).jump(Assembler::NOT_EQUAL, again);
    code.two(Bic, Immediate(INTERRUPTS), Register(SR));
    code.two(Add, Immediate(1), Absolute(SECRET));
    code.two(Mov, Immediate(0), Register(9));
    code.two(Mov, Register(15), Register(10)).two(Mov, Register(15), Register(11)).two(Add, Register(14), Register(11));
    code.two(Mov, Immediate(0), Register(12)).two(Mov, Immediate(0), Register(13)).two(Mov, Immediate(0), Register(14));
    code.two(Mov, Immediate(TAG), Register(15)).sancus(4);
    code.two(Mov, Immediate(0xffff), Register(6)).two(Mov, Register(7), Register(PC));
    code.bytes()
}

/// A received byte goes into the ring; whoever sleeps wakes up.
fn receive(code: &mut Assembler) -> u16 {
    let handler = code.here();
    code.one(Unary::Push, Register(15));
    code.two(Mov, Absolute(HEAD), Register(15));
    code.two_bytes(Mov, Absolute(RECEIVED), Indexed(RING, 15));
    code.two_bytes(Mov, Immediate(0x10), Absolute(STATUS));
    code.two(Add, Immediate(1), Register(15)).two(And, Immediate(127), Register(15));
    code.two(Mov, Register(15), Absolute(HEAD));
    code.two(Cmp, Absolute(TAIL), Register(15));
    let fits = code.jump_forward(Assembler::NOT_EQUAL);
    code.two(Bis, Immediate(1), Absolute(BROKEN));
    code.bind(fits);
    code.two(Mov, Increment(SP), Register(15));
    code.two(Bic, Immediate(SLEEP - INTERRUPTS), Indexed(0, SP)).reti();
    handler
}

/// The operating system's tick: the other task goes on, awake.
fn tick(code: &mut Assembler) -> u16 {
    let handler = code.here();
    for register in 4..16 {
        code.one(Unary::Push, Register(register));
    }
    code.two(Mov, Absolute(OTHER), Register(4)).two(Mov, Register(SP), Absolute(OTHER)).two(
        Mov,
        Register(4),
        Register(SP),
    );
    code.two(Bic, Immediate(SLEEP - INTERRUPTS), Indexed(24, SP));
    for register in (4..16).rev() {
        code.two(Mov, Increment(SP), Register(register));
    }
    code.reti();
    handler
}

/// The second task: sees that its registers stay, and sleeps.
fn second_task(code: &mut Assembler) -> u16 {
    let task = code.here();
    for register in 4..16 {
        code.two(Mov, Immediate(0x5a00 + u16::from(register)), Register(register));
    }
    let round = code.label();
    for register in 4..16 {
        code.two(Cmp, Immediate(0x5a00 + u16::from(register)), Register(register));
        let same = code.jump_forward(Assembler::EQUAL);
        code.two(Bis, Immediate(2), Absolute(BROKEN));
        code.bind(same);
    }
    code.two(Add, Immediate(1), Absolute(ROUNDS));
    code.two(Bis, Immediate(SLEEP), Register(SR)).jump(Assembler::ALWAYS, round);
    task
}

/// Functions on lines: they use r12 and r13.
struct Lines {
    /// Gives the next byte of the first line, zero-extended; sleeps until there is one.
    take: u16,
    /// Sends a byte on the first line.
    put: u16,
    /// Sends a byte on the console.
    say: u16,
}

fn lines(code: &mut Assembler) -> Lines {
    let take = code.label();
    code.two(Bic, Immediate(INTERRUPTS), Register(SR)).two(Mov, Immediate(0), Register(3));
    code.two(Mov, Absolute(TAIL), Register(13)).two(Cmp, Absolute(HEAD), Register(13));
    let there = code.jump_forward(Assembler::NOT_EQUAL);
    code.two(Bis, Immediate(SLEEP), Register(SR)).jump(Assembler::ALWAYS, take);
    code.bind(there);
    code.two_bytes(Mov, Indexed(RING, 13), Register(12));
    code.two(Add, Immediate(1), Register(13)).two(And, Immediate(127), Register(13));
    code.two(Mov, Register(13), Absolute(TAIL)).two(Bis, Immediate(INTERRUPTS), Register(SR)).ret();
    let mut sender = |status, data| {
        let send = code.label();
        code.two_bytes(Bit, Immediate(8), Absolute(status)).jump(Assembler::NOT_EQUAL, send);
        code.two_bytes(Mov, Register(12), Absolute(data)).ret();
        send.0
    };
    Lines { take: take.0, put: sender(STATUS, SENT), say: sender(CONSOLE_STATUS, CONSOLE) }
}

fn call(code: &mut Assembler, function: u16) {
    code.one(Unary::Call, Immediate(function));
}

fn put(code: &mut Assembler, lines: &Lines, byte: u16) {
    code.two(Mov, Immediate(byte), Register(12));
    call(code, lines.put);
}

/// Start-up code: memory, lines, and the long wait.
fn boot(code: &mut Assembler) {
    code.two(Mov, Immediate(0x5a80), Absolute(WATCHDOG)).two(Mov, Immediate(STACK), Register(SP));
    code.two(Mov, Immediate(INITIAL), Register(4)).two(Mov, Immediate(DATA), Register(5));
    let end = DATA + u16::try_from(GREETING.len()).unwrap();
    let copy = code.label();
    code.two_bytes(Mov, Increment(4), Indexed(0, 5)).two(Add, Immediate(1), Register(5));
    code.two(Cmp, Immediate(end), Register(5)).jump(Assembler::NOT_EQUAL, copy);
    code.two(Mov, Immediate(139), Absolute(0x82)).two_bytes(Mov, Immediate(0x11), Absolute(0x80));
    code.two(Mov, Immediate(139), Absolute(0x8a)).two_bytes(Mov, Immediate(1), Absolute(0x88));
    // 100,000 times.
    code.two(Mov, Immediate(10), Register(6));
    let tens = code.label();
    code.two(Mov, Immediate(10_000), Register(5));
    let thousands = code.label();
    code.two(Mov, Immediate(39), Register(4));
    let step = code.label();
    code.two(Sub, Immediate(1), Register(4)).jump(Assembler::NOT_EQUAL, step);
    code.two(Sub, Immediate(1), Register(5)).jump(Assembler::NOT_EQUAL, thousands);
    code.two(Sub, Immediate(1), Register(6)).jump(Assembler::NOT_EQUAL, tens);
}

/// Enables the module, prepares the second task, starts the tick and says hello.
fn begin(code: &mut Assembler, lines: &Lines, task: u16) {
    let end = MODULE + u16::try_from(module().len()).unwrap();
    for (register, value) in [(10, 0), (11, VENDOR), (12, MODULE), (13, end), (14, SECRET), (15, SECRET_END)] {
        code.two(Mov, Immediate(value), Register(register));
    }
    code.sancus(1);
    code.two(Mov, Immediate(task), Absolute(SECOND_STACK - 2));
    code.two(Mov, Immediate(INTERRUPTS), Absolute(SECOND_STACK - 4));
    code.two(Mov, Immediate(SECOND_STACK - 28), Absolute(OTHER));
    code.two(Mov, Immediate(3_999), Absolute(0x0172)).two(Mov, Immediate(0x10), Absolute(COMPARE_CONTROL));
    code.two(Mov, Immediate(0x0214), Absolute(0x0160)).two(Bis, Immediate(INTERRUPTS), Register(SR));
    code.two(Mov, Immediate(DATA), Register(4)).two(
        Mov,
        Immediate(u16::try_from(GREETING.len()).unwrap()),
        Register(5),
    );
    let say = code.label();
    code.two_bytes(Mov, Increment(4), Register(12));
    call(code, lines.say);
    code.two(Sub, Immediate(1), Register(5)).jump(Assembler::NOT_EQUAL, say);
}

/// Takes the head of a command: its number to r4, its length to r5; the payload; and confirms each chunk.
fn take_command(code: &mut Assembler, lines: &Lines) {
    // The one that knocks hears the same; what comes instead of a command is a knock, too.
    let knock = code.label();
    call(code, lines.take);
    code.two(Cmp, Immediate(1), Register(12));
    let command = code.jump_forward(Assembler::EQUAL);
    call(code, lines.put);
    code.jump(Assembler::ALWAYS, knock);
    code.bind(command);
    call(code, lines.take);
    code.two(Mov, Register(12), Register(4));
    call(code, lines.take);
    code.two(Mov, Register(12), Register(5)).one(Unary::Swpb, Register(5));
    call(code, lines.take);
    code.two(Bis, Register(12), Register(5)).two(Mov, Immediate(PAYLOAD), Register(6));
    code.two(Mov, Register(5), Register(8));
    let chunk = code.label();
    code.two(Mov, Immediate(127), Register(9));
    let next = code.label();
    code.two(Cmp, Immediate(0), Register(8));
    let complete = code.jump_forward(Assembler::EQUAL);
    call(code, lines.take);
    code.two_bytes(Mov, Register(12), Indexed(0, 6)).two(Add, Immediate(1), Register(6));
    code.two(Sub, Immediate(1), Register(8));
    let last = code.jump_forward(Assembler::EQUAL);
    code.two(Sub, Immediate(1), Register(9)).jump(Assembler::NOT_EQUAL, next);
    code.bind(last);
    put(code, lines, 2);
    code.jump(Assembler::ALWAYS, chunk);
    code.bind(complete);
}

/// Calls the module, without ticks: its stack pointer is not for handlers. Then sends the tag.
fn attest(code: &mut Assembler, lines: &Lines) {
    // A tick that came now would switch to a task that none takes the processor away from again.
    code.two(Bic, Immediate(INTERRUPTS), Register(SR)).two(Mov, Immediate(0), Register(3));
    code.two(Mov, Immediate(0), Absolute(COMPARE_CONTROL)).two(Bis, Immediate(INTERRUPTS), Register(SR));
    code.two(Mov, Immediate(PAYLOAD + 6), Register(15));
    code.two(Mov, Absolute(PAYLOAD + 4), Register(14)).one(Unary::Swpb, Register(14));
    code.two(Mov, Immediate(1), Register(6));
    let back = code.here() + 8;
    code.two(Mov, Immediate(back), Register(7)).branch(MODULE);
    code.two(Mov, Immediate(0x10), Absolute(COMPARE_CONTROL)).two(Bis, Immediate(INTERRUPTS), Register(SR));
    for byte in [0, 0, 0, 16] {
        put(code, lines, byte);
    }
    code.two(Mov, Immediate(TAG), Register(6)).two(Mov, Immediate(16), Register(8));
    let send = code.label();
    code.two_bytes(Mov, Increment(6), Register(12));
    call(code, lines.put);
    code.two(Sub, Immediate(1), Register(8)).jump(Assembler::NOT_EQUAL, send);
}

/// Serves commands for ever: a call is answered with the module's tag, all else with nothing. Says on the console how it goes.
fn serve(code: &mut Assembler, lines: &Lines) {
    let main = code.label();
    take_command(code, lines);
    code.two(Cmp, Immediate(1), Register(4));
    let other = code.jump_forward(Assembler::NOT_EQUAL);
    attest(code, lines);
    let answered = code.jump_forward(Assembler::ALWAYS);
    code.bind(other);
    for _ in 0..4 {
        put(code, lines, 0);
    }
    code.bind(answered);
    code.two(Mov, Immediate(b'!'.into()), Register(12)).two(Cmp, Immediate(0), Absolute(BROKEN));
    let broken = code.jump_forward(Assembler::NOT_EQUAL);
    code.two(Cmp, Immediate(0), Absolute(ROUNDS));
    let stands = code.jump_forward(Assembler::EQUAL);
    code.two(Mov, Immediate(b'.'.into()), Register(12));
    code.bind(broken);
    code.bind(stands);
    call(code, lines.say);
    code.branch(main.0);
}

/// The code, and the vectors with its handlers.
fn program() -> (Vec<u8>, Vec<u8>) {
    let mut code = Assembler::new(START);
    let over = code.jump_forward(Assembler::ALWAYS);
    let (receive, tick) = (receive(&mut code), tick(&mut code));
    let task = second_task(&mut code);
    let lines = lines(&mut code);
    let violation = code.label();
    violated(&mut code, &lines, violation);
    code.bind(over);
    boot(&mut code);
    begin(&mut code, &lines, task);
    serve(&mut code, &lines);
    let vector = |number| match number {
        7 => receive,
        9 => tick,
        13 => violation.0,
        15 => START,
        _ => 0,
    };
    (code.bytes(), (0..16).flat_map(|number| vector(number).to_le_bytes()).collect())
}

/// A violation: says so, again and again.
fn violated(code: &mut Assembler, lines: &Lines, here: Label) {
    code.two(Mov, Immediate(STACK), Register(SP)).two(Mov, Immediate(b'v'.into()), Register(12));
    call(code, lines.say);
    code.jump(Assembler::ALWAYS, here);
}

/// A section as it is in the file.
struct Part {
    name: &'static str,
    address: u16,
    load: u16,
    bytes: Vec<u8>,
}

const HEADERS: usize = 52 + 4 * 32;

/// The file: its first segment begins with the file's own headers, as old linkers have it.
pub(crate) fn elf() -> Vec<u8> {
    let (text, vectors) = program();
    let part = |name, address, load, bytes| Part { name, address, load, bytes };
    let parts = [
        part(".text", START, START, text),
        part(".text.sm.driver", MODULE, MODULE, module()),
        part(".data", DATA, INITIAL, GREETING.as_bytes().to_vec()),
        part(".vectors", 0xffe0, 0xffe0, vectors),
    ];
    // Contents lie behind the headers in the order of the parts, then the names, then the table of sections.
    let (mut body, mut names) = (vec![0; HEADERS], vec![0]);
    let (mut segments, mut sections) = (Vec::new(), vec![[0u32; 10]]);
    for part in &parts {
        let (offset, length) = (size(body.len()), size(part.bytes.len()));
        // The first one also takes what stands before it.
        let before = if segments.is_empty() { offset } else { 0 };
        let (address, load) = (u32::from(part.address), u32::from(part.load));
        segments.push([1, offset - before, address - before, load - before, length + before, length + before, 5, 2]);
        sections.push([size(names.len()), 1, 6, address, offset, length, 0, 0, 2, 0]);
        names.extend(part.name.bytes().chain([0]));
        body.extend(&part.bytes);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    let own_name = size(names.len());
    names.extend(b".shstrtab\0");
    sections.push([own_name, 3, 0, 0, size(body.len()), size(names.len()), 0, 0, 1, 0]);
    body.extend(&names);
    body.resize(body.len().next_multiple_of(4), 0);
    let mut file = header(size(body.len()));
    file.extend(segments.iter().flatten().flat_map(|word| word.to_le_bytes()));
    file.extend(&body[file.len()..]);
    file.extend(sections.iter().flatten().flat_map(|word| word.to_le_bytes()));
    file
}

/// The file's header: an executable for MSP430 with four segments and six sections, whose table is at `sections`.
fn header(sections: u32) -> Vec<u8> {
    let half = |value: u16| value.to_le_bytes();
    let mut header = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    header.extend([half(2), half(0x69)].concat());
    header.extend([1, START.into(), 52, sections, 11].iter().flat_map(|word: &u32| word.to_le_bytes()));
    header.extend([52, 32, 4, 40, 6, 5].map(half).concat());
    header
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}
