//! A board that is none: speaks the serial line (`docs/design/0008-serial-line.md`) on a unix socket, written from the
//! document alone, with modules that echo, and with every fault that a line can have. For tests of drivers and daemons.
//!
//! `line` hears and says, damaging what the script wants damaged; `firmware` executes requests. [`FakeBoard`] is what a test
//! holds: it presses buttons, pulls plugs, resets, and reads what was executed.

mod firmware;
mod line;

pub use firmware::Executed;
pub use line::Faults;

use firmware::Firmware;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A running fake board. Ends when it is dropped.
#[derive(Debug)]
pub struct FakeBoard {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    firmware: Mutex<Firmware>,
    plug: Mutex<Plug>,
}

#[derive(Debug, Default)]
struct Plug {
    out: bool,
    ended: bool,
    stream: Option<UnixStream>,
}

impl Shared {
    pub(crate) fn firmware(&self) -> MutexGuard<'_, Firmware> {
        self.firmware.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plug(&self) -> MutexGuard<'_, Plug> {
        self.plug.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeBoard {
    /// Starts a board with so many drivers. Faults are off until [`faults`](Self::faults).
    ///
    /// # Panics
    /// When the system gives no folder, socket or thread.
    #[must_use]
    pub fn start(drivers: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shared =
            Arc::new(Shared { firmware: Mutex::new(Firmware::new(drivers)), plug: Mutex::new(Plug::default()) });
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve(&listener, &shared)
        });
        Self { folder, shared, thread: Some(thread) }
    }

    /// The port's name in a node's configuration.
    #[must_use]
    pub fn port(&self) -> String {
        format!("unix:{}", self.path().display())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// From now on the line does this to bytes. Randomness is from the seed alone.
    pub fn faults(&self, faults: Faults) {
        self.shared.firmware().faults = faults;
    }

    /// Resets the board: memory, modules and outputs are gone.
    pub fn reset(&self) {
        self.shared.firmware().reset();
    }

    /// Interrupts the module of this handle: it emits this frame, and nobody asked for it. The number of the output.
    pub fn press(&self, handle: u8, frame: &[u8]) -> u32 {
        self.shared.firmware().press(handle, frame)
    }

    /// The module of this handle halts: it returns nothing from now on.
    pub fn halt(&self, handle: u8) {
        self.shared.firmware().halt(handle);
    }

    /// Room of the ring in bytes, from now on.
    pub fn ring_bytes(&self, bytes: usize) {
        self.shared.firmware().ring_max = bytes;
    }

    /// Everything that was executed since the last reset, in order.
    #[must_use]
    pub fn executed(&self) -> Vec<Executed> {
        self.shared.firmware().executed.clone()
    }

    /// Numbers of outputs that nobody has released.
    #[must_use]
    pub fn outputs(&self) -> Vec<u32> {
        self.shared.firmware().output_numbers()
    }

    /// Handles of loaded modules, drivers not among them.
    #[must_use]
    pub fn loaded(&self) -> Vec<u8> {
        self.shared.firmware().loaded()
    }

    /// Text of a loaded module.
    #[must_use]
    pub fn text(&self, handle: u8) -> Vec<u8> {
        self.shared.firmware().text(handle)
    }

    /// Ends the connection and takes no other until [`plug`](Self::plug). The board itself goes on.
    pub fn unplug(&self) {
        let mut plug = self.shared.plug();
        plug.out = true;
        if let Some(stream) = plug.stream.take() {
            // It may have ended by itself.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Takes connections again.
    pub fn plug(&self) {
        self.shared.plug().out = false;
    }
}

impl Drop for FakeBoard {
    fn drop(&mut self) {
        self.unplug();
        self.shared.plug().ended = true;
        // Wakes the listener.
        drop(UnixStream::connect(self.path()));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(listener: &UnixListener, shared: &Shared) {
    while let Ok((stream, _)) = listener.accept() {
        {
            let mut plug = shared.plug();
            if plug.ended {
                return;
            }
            if plug.out {
                continue;
            }
            plug.stream = stream.try_clone().ok();
        }
        line::serve(stream, shared);
    }
}

const SOCKET: &str = "board";
