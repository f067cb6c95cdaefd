//! A board and a host that answers at once, with a clock of their own.

use super::*;
use std::sync::{Arc, Mutex};
use veritee_msp430::alu::Operation::{And, Bic, Bis, Mov, Sub};
use veritee_msp430::assembler::Assembler;
use veritee_msp430::assembler::Operand::{Absolute, Immediate, Indexed, Register};

const START: u16 = 0x5c00;
const ENQ: u8 = 0x05;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const REQUEST: u8 = b'?';

/// Sleeps until a byte comes, says ACK, waits for a second byte and sends it back; says NAK after some 80 ms without one. This is
/// how the firmware of our boards listens.
fn firmware() -> (Assembler, u16) {
    let (status, sent, received) = (Absolute(0x81), Absolute(0x84), Absolute(0x85));
    let mut code = Assembler::new(START);
    code.two(Mov, Immediate(0x5a80), Absolute(0x120)).two(Mov, Immediate(0x4200), Register(1));
    code.two(Mov, Immediate(68), Absolute(0x82)).two_bytes(Mov, Immediate(0x11), Absolute(0x80));
    let again = code.label();
    code.two(Bis, Immediate(0x18), Register(2));
    code.two_bytes(Mov, Immediate(ACK.into()), sent);
    code.two(Mov, Immediate(0xffff), Register(5));
    let look = code.label();
    code.two_bytes(Mov, status, Register(4)).two(And, Immediate(0x10), Register(4));
    let here = code.jump_forward(Assembler::NOT_EQUAL);
    code.two(Sub, Immediate(1), Register(5)).jump(Assembler::NOT_EQUAL, look);
    code.two_bytes(Mov, Immediate(NAK.into()), sent).jump(Assembler::ALWAYS, again);
    code.bind(here);
    code.two_bytes(Mov, received, Register(4)).two_bytes(Mov, Immediate(0x30), status);
    code.two_bytes(Mov, Register(4), sent).jump(Assembler::ALWAYS, again);
    let interrupt = code.here();
    code.two_bytes(Mov, received, Register(4)).two_bytes(Mov, Immediate(0x30), status);
    code.two(Bic, Immediate(0x18), Indexed(0, 1)).reti();
    (code, interrupt)
}

/// Answers ACK with a request at once; ends the session after anything else.
struct Host {
    heard: Arc<Mutex<Vec<u8>>>,
    messages: Sender<Message>,
}

impl Write for Host {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.heard.lock().unwrap().extend(bytes);
        for byte in bytes {
            let next = if *byte == ACK { Message::Bytes(vec![REQUEST]) } else { Message::End };
            self.messages.send(next).unwrap();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a host hears who asks a board that has slept for a while.
fn asked_after(slept: Duration, speed: Option<&str>) -> Vec<u8> {
    let (code, interrupt) = firmware();
    let mut board = Board::new(Config::default());
    board.load(START, &code.bytes());
    board.load(0xffee, &interrupt.to_le_bytes());
    board.load(0xfffe, &START.to_le_bytes());
    board.power_up();
    let (sender, messages) = channel();
    let time = Arc::new(Mutex::new(Instant::now()));
    let clock = Arc::clone(&time);
    let mut session = Session {
        symbols: Symbols::new(&Program::default()),
        pace: Pace::parse(speed, board.cycle(), Box::new(move || *clock.lock().unwrap())).unwrap(),
        board,
        limit: u64::MAX,
        uart1: Serial::open("none", &sender).unwrap(),
        uart2: None,
        unpaced: false,
        world: World::default(),
        debugger: Debugger::none(),
        trace: None,
        quiet: true,
        messages,
    };
    let heard = Arc::default();
    session.uart1.connect(Box::new(Host { heard: Arc::clone(&heard), messages: sender.clone() }));
    // Until it sleeps; then once more, so that it is known to sleep.
    for _ in 0..2 {
        sender.send(Message::End).unwrap();
        session.run().unwrap();
        assert!(session.board.sleeps());
    }
    // The time passes while the session waits for somebody.
    *time.lock().unwrap() += slept;
    sender.send(Message::Bytes(vec![ENQ])).unwrap();
    assert!(session.inputs(LONG).unwrap());
    session.run().unwrap();
    assert!(session.board.cycle() >= slept.as_secs() * 4_000_000, "the board slept as long as its host");
    drop(session);
    Arc::into_inner(heard).unwrap().into_inner().unwrap()
}

#[test]
fn a_board_that_slept_waits_for_its_host_at_every_speed() {
    for speed in [None, Some("0.5"), Some("2"), Some("4"), Some("8"), Some("16"), Some("max")] {
        for slept in [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(3600)] {
            assert_eq!(asked_after(slept, speed), [ACK, REQUEST], "{speed:?} after {slept:?}");
        }
    }
}
