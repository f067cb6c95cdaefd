//! Serial lines of the machine: raw, and nobody else's. A pseudo-terminal stands for the line.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use support::{IMPATIENT, until};
use veritee_fakeboard::FakeBoard;
use veritee_host::Platform as _;
use veritee_sancus_node::{BoardConfig, SancusPlatform};

fn copy(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) {
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        // Ends with either end.
        while let Ok(length @ 1..) = from.read(&mut bytes)
            && to.write_all(&bytes[..length]).is_ok()
        {}
    });
}

/// A terminal whose other end is the board.
fn line_to(board: &FakeBoard) -> (String, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // Held, so that the master does not end before the driver opens it.
    let held = File::options().read(true).write(true).open(&path).unwrap();
    let socket = UnixStream::connect(board.port().strip_prefix("unix:").unwrap()).unwrap();
    let master = File::from(master);
    copy(master.try_clone().unwrap(), socket.try_clone().unwrap());
    copy(socket, master);
    (path, held.into())
}

fn config(name: &str, port: &str) -> BoardConfig {
    BoardConfig { name: name.to_owned(), port: port.to_owned(), baud: 115_200, drivers: Vec::new() }
}

#[test]
fn every_byte_passes_a_serial_line_unchanged() {
    let board = FakeBoard::start(0);
    let (port, _held) = line_to(&board);
    let platform = SancusPlatform::with_patience(vec![config("kitchen", &port)], IMPATIENT);
    let mut module = support::echo(&platform, &[]);
    // Line ends, interrupts and flow control of terminals are among them.
    let all: Vec<u8> = (0..=255).collect();
    module.push(1, &all);
    module.hosted.flush();
    assert_eq!(module.pull(1)[0].reply, all.repeat(3));
}

#[test]
fn a_serial_line_has_one_driver_and_the_second_hears_why() {
    let board = FakeBoard::start(0);
    let (port, _held) = line_to(&board);
    let first = SancusPlatform::with_patience(vec![config("kitchen", &port)], IMPATIENT);
    until(|| first.boards(&[])[0].trouble.is_empty());
    let second = SancusPlatform::with_patience(vec![config("kitchen", &port)], IMPATIENT);
    until(|| !second.boards(&[])[0].trouble.contains("not reached yet"));
    let trouble = second.boards(&[]).remove(0).trouble;
    // A program with all rights opens it in spite of the exclusive mode, and then finds the lock.
    let told = trouble.contains("another program has it") || trouble.contains("busy");
    assert!(told && trouble.contains("end the other one"), "{trouble}");
    drop(first);
    until(|| second.boards(&[])[0].trouble.is_empty());
}

#[test]
fn a_port_that_is_not_there_is_named_with_what_to_check() {
    let platform = SancusPlatform::with_patience(vec![config("attic", "/dev/veritee-no-such-port")], IMPATIENT);
    until(|| !platform.boards(&[])[0].trouble.contains("not reached yet"));
    let trouble = platform.boards(&[]).remove(0).trouble;
    assert!(trouble.starts_with("the board attic at /dev/veritee-no-such-port cannot be used: cannot open it"));
    assert!(trouble.contains("/dev/serial/by-id"), "{trouble}");
}
