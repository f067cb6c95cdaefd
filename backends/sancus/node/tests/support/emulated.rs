//! An emulated board with the board profile, in a thread, whose serial line is a unix socket. It runs as fast as it can.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use tempfile::TempDir;
use veritee_machine::elf::Program;
use veritee_machine::{Board, Config, Profile, SharedCounter, Stop};

pub(crate) const NODE_KEY: [u8; 16] = *b"key of this node";
/// Cycles between two looks at the line: two milliseconds.
const SLICE: u64 = 16_000;

/// Boards of one node key are one board to everybody outside: its persistent counter outlives each of them.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A running board. Ends when it is dropped.
pub(crate) struct Emulated {
    folder: TempDir,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Emulated {
    pub(crate) fn start(elf: &[u8]) -> Self {
        let config = Config { node_key: NODE_KEY, profile: Profile::Veritee, slots: 16, ..Config::default() };
        let mut board = Board::new(config);
        board.set_freshness(SharedCounter(&COUNT));
        board.load_program(&Program::parse(elf).unwrap());
        board.power_up();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let ended = Arc::clone(&ended);
            move || Line { board, listener, peer: None }.run(&ended)
        });
        Self { folder, ended, thread: Some(thread) }
    }

    /// The port's name in a node's configuration.
    pub(crate) fn port(&self) -> String {
        format!("unix:{}", self.folder.path().join(SOCKET).display())
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking(), "the board's thread panicked");
    }
}

/// A board and what its serial line ends at.
struct Line {
    board: Board,
    listener: UnixListener,
    peer: Option<UnixStream>,
}

impl Line {
    fn run(mut self, ended: &AtomicBool) {
        while !ended.load(Ordering::Relaxed) {
            self.hear();
            let stop = self.board.run_until(self.board.cycle() + SLICE);
            self.say();
            if stop == Stop::Asleep {
                self.wait();
            }
        }
    }

    /// Takes what the peer sent, without waiting.
    fn hear(&mut self) {
        let Some(peer) = &mut self.peer else {
            if let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(true).unwrap();
                self.peer = Some(stream);
            }
            return;
        };
        let mut bytes = [0; 1024];
        match peer.read(&mut bytes) {
            Ok(0) => self.peer = None,
            Ok(length) => bytes[..length].iter().for_each(|byte| self.board.send_byte(*byte)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.peer = None,
        }
    }

    /// Passes on what the board sent. A peer that is gone misses it.
    fn say(&mut self) {
        let sent: Vec<u8> = std::iter::from_fn(|| self.board.take_byte(0)).map(|(_, _, byte)| byte).collect();
        if let Some(peer) = &mut self.peer
            && !sent.is_empty()
            && peer.write_all(&sent).is_err()
        {
            self.peer = None;
        }
        // What goes to the second line is for people.
        while self.board.take_byte(1).is_some() {}
    }

    /// Nothing happens on the board before somebody sends something.
    fn wait(&self) {
        let limit = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let mut waits = match &self.peer {
            Some(peer) => [PollFd::new(peer, PollFlags::IN)],
            None => [PollFd::new(&self.listener, PollFlags::IN)],
        };
        poll(&mut waits, Some(&limit)).unwrap();
    }
}

const SOCKET: &str = "line";
