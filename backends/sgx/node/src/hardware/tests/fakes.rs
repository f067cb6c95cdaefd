//! A kernel, an AESM and a vDSO that do what a test wants.

use crate::hardware::aesm::{Answer, Message};
use crate::hardware::kernel::{AddPages, Create, Driver, Init, Request as _};
use crate::platform::Simulated;
use crate::platform::quote::quoting_enclave;
use rustix::mm::ProtFlags;
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// Measures what it is asked to add, as the processor would; keeps to the kernel's rules.
pub(super) struct FakeKernel {
    pub(super) digest: RefCell<Sha256>,
    pub(super) initialised: Cell<Option<[u8; 32]>>,
    /// A signal comes after so many pages.
    pub(super) pages_a_call: u64,
    /// A number and the error that it is refused with; 0 is mapping.
    pub(super) refusal: Option<(u64, i32)>,
    pub(super) mapped: RefCell<Vec<(u64, usize, ProtFlags)>>,
    /// The last call was interrupted before anything happened.
    pub(super) interrupted: Cell<bool>,
}

impl Default for FakeKernel {
    fn default() -> Self {
        Self {
            digest: RefCell::default(),
            initialised: Cell::new(None),
            pages_a_call: u64::MAX,
            refusal: None,
            mapped: RefCell::default(),
            interrupted: Cell::new(false),
        }
    }
}

impl FakeKernel {
    /// MRENCLAVE, if it was initialised with a SIGSTRUCT that says so.
    pub(super) fn measured(&self) -> Option<[u8; 32]> {
        self.initialised.get()
    }

    fn block(&self, name: &[u8; 8], fields: &[&[u8]]) {
        let mut block = name.to_vec();
        fields.iter().for_each(|field| block.extend_from_slice(field));
        block.resize(64, 0);
        self.digest.borrow_mut().update(block);
    }

    /// # Safety
    /// 1. `words` is a `struct sgx_enclave_add_pages`.
    unsafe fn add(&self, words: *mut u64) -> io::Result<()> {
        // SAFETY: the structure has six words.
        let [source, offset, length, information, flags] = std::array::from_fn(|at| unsafe { *words.add(at) });
        assert!(
            source.is_multiple_of(4096) && offset.is_multiple_of(4096) && length.is_multiple_of(4096) && length > 0
        );
        assert!(information.is_multiple_of(64));
        if self.pages_a_call == 1 && !self.interrupted.replace(!self.interrupted.get()) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // SAFETY: a SECINFO has eight words.
        let information = unsafe { *(information as *const [u64; 8]) };
        assert_eq!(information[1..], [0; 7]);
        let pages = (length / 4096).min(self.pages_a_call);
        for page in 0..pages {
            let at = offset + 4096 * page;
            self.block(b"EADD\0\0\0\0", &[&at.to_le_bytes(), &information[0].to_le_bytes()]);
            // SAFETY: the pages are as many as the structure says.
            let bytes = unsafe { *((source + 4096 * page) as *const [u8; 4096]) };
            for (chunk, place) in bytes.chunks(256).zip((at..).step_by(256)).filter(|_| flags == 1) {
                self.block(b"EEXTEND\0", &[&place.to_le_bytes()]);
                self.digest.borrow_mut().update(chunk);
            }
        }
        // SAFETY: the last word is the kernel's to write.
        unsafe { *words.add(5) = 4096 * pages };
        Ok(())
    }
}

impl Driver for FakeKernel {
    unsafe fn ask(&self, code: u64, structure: *mut libc::c_void) -> io::Result<()> {
        if let Some((_, error)) = self.refusal.filter(|(refused, _)| *refused == code) {
            return Err(io::Error::from_raw_os_error(error));
        }
        let words = structure.cast::<u64>();
        // SAFETY: every structure begins with an address.
        let source = unsafe { *words };
        match code {
            Create::CODE => {
                // SAFETY: a SECS is a page.
                let secs = unsafe { *(source as *const [u64; 512]) };
                let [size, base, frame, ..] = secs;
                assert!(
                    base.is_multiple_of(size) && secs[3..6] == [0; 3] && secs[6..8] == [4, 7] && secs[8..] == [0; 504]
                );
                let frame = u32::try_from(frame).expect("no MISCSELECT");
                self.block(b"ECREATE\0", &[&frame.to_le_bytes(), &size.to_le_bytes()]);
                Ok(())
            }
            // SAFETY: the structure is the one of the number.
            AddPages::CODE => unsafe { self.add(words) },
            Init::CODE => {
                // SAFETY: a SIGSTRUCT has so many bytes.
                let sigstruct = unsafe { *(source as *const [u8; 1808]) };
                let measured: [u8; 32] = self.digest.take().finalize().into();
                self.initialised.set((sigstruct[960..992] == measured).then_some(measured));
                Ok(())
            }
            _ => panic!("{code:#x} is no request"),
        }
    }

    unsafe fn map(&self, start: u64, length: usize, protection: ProtFlags) -> io::Result<()> {
        if let Some((0, error)) = self.refusal.filter(|_| protection.contains(ProtFlags::EXEC)) {
            return Err(io::Error::from_raw_os_error(error));
        }
        self.mapped.borrow_mut().push((start, length, protection));
        Ok(())
    }
}

pub(super) const INIT_QUOTE: u64 = 15;
const QUOTE_SIZE: u64 = 16;
const QUOTE: u64 = 17;
pub(super) const KEY_COUNT: u64 = 21;
const KEYS: u64 = 22;
/// What the service believes that a quote needs; more than it does.
const ROOM: u64 = 8192;

/// How a service behaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    Serve,
    /// Refuses a request with a code.
    Refuse(u64, u64),
    NoEcdsa,
    /// Takes connections and says nothing.
    Silent,
    /// Says more than it then sends.
    Cut,
    TooLong,
    Garbage,
    Empty,
}

/// A service behind a socket of its own. Its thread ends with it.
pub(super) struct FakeAesm {
    folder: TempDir,
    pub(super) platform: Arc<Simulated>,
}

impl FakeAesm {
    pub(super) fn start(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("aesm")).unwrap();
        let platform = Arc::new(Simulated::generate().unwrap());
        let this = Self { folder, platform: Arc::clone(&platform) };
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                if matches!(script, Script::Silent) {
                    kept.push(socket);
                } else if serve(&mut socket, script, &platform).is_none() {
                    return;
                }
            }
        });
        this
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("aesm")
    }
}

impl Drop for FakeAesm {
    fn drop(&mut self) {
        // A connection without a request ends the thread.
        _ = UnixStream::connect(self.socket());
    }
}

/// One connection; nothing when it carries no request.
fn serve(socket: &mut UnixStream, script: Script, platform: &Simulated) -> Option<()> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).ok()?;
    let mut request = vec![0; usize::try_from(u32::from_ne_bytes(length)).unwrap()];
    socket.read_exact(&mut request).unwrap();
    let request = Answer(request);
    let kind = [INIT_QUOTE, QUOTE_SIZE, QUOTE, KEY_COUNT, KEYS].into_iter().find(|kind| request.field(*kind).is_some());
    let kind = kind.expect("a request");
    let body = Answer(request.slice(kind).to_vec());
    assert!(body.number(9).is_some_and(|time| time > 0), "the service's own patience");
    let answer = match script {
        Script::Garbage => vec![0xff; 20],
        Script::Empty => Vec::new(),
        Script::Refuse(refused, code) if refused == kind => wrapped(kind, Message::default().number(1, code)),
        _ => wrapped(kind, answer(kind, &body, script, platform)),
    };
    let said = match script {
        Script::Cut => answer.len() + 1,
        Script::TooLong => 2 << 20,
        _ => answer.len(),
    };
    socket.write_all(&u32::try_from(said).unwrap().to_ne_bytes()).unwrap();
    // Who was told of too much does not wait for it.
    _ = socket.write_all(&answer);
    Some(())
}

fn wrapped(kind: u64, body: Message) -> Vec<u8> {
    Message::default().bytes(kind, &body.0).0
}

fn key(algorithm: u8) -> Vec<u8> {
    let mut key = vec![algorithm; 256];
    key[154..158].copy_from_slice(&u32::from(algorithm).to_le_bytes());
    key
}

fn answer(kind: u64, body: &Answer, script: Script, platform: &Simulated) -> Message {
    let done = Message::default().number(1, 0);
    let ours = |field| assert_eq!(body.slice(field), key(2), "the key of DCAP");
    match kind {
        KEY_COUNT => done.number(2, 2),
        KEYS => {
            assert_eq!(body.number(1), Some(512), "room for all");
            let second = if matches!(script, Script::NoEcdsa) { 3 } else { 2 };
            done.bytes(2, &[key(0), key(second)].concat())
        }
        INIT_QUOTE => {
            ours(1);
            let public = body.number(3).expect("it is required");
            assert_eq!(body.number(4), Some(32 * public));
            done.bytes(2, &quoting_enclave().target()).number(3, 32)
        }
        QUOTE_SIZE => {
            ours(1);
            done.number(2, ROOM)
        }
        _ => {
            ours(2);
            assert_eq!(body.number(4), Some(ROOM));
            let Some(mut quote) = platform.quote(body.slice(1).try_into().expect("a report")) else {
                return Message::default().number(1, 47);
            };
            quote.resize(usize::try_from(ROOM).unwrap(), 0);
            done.bytes(2, &quote)
        }
    }
}

/// An ELF file with dynamic symbols: name, address, length, and whether it is defined here. They lie at its end.
pub(super) fn vdso(symbols: &[(&str, u64, u64, bool)]) -> Vec<u8> {
    let mut names = vec![0];
    let mut table = vec![0; 24];
    for (name, address, length, defined) in symbols {
        table.extend_from_slice(&u32::try_from(names.len()).unwrap().to_le_bytes());
        table.extend_from_slice(&[0x12, 0]);
        table.extend_from_slice(&u16::from(*defined).to_le_bytes());
        table.extend([address, length].iter().flat_map(|word| word.to_le_bytes()));
        names.extend_from_slice(name.as_bytes());
        names.push(0);
    }
    let (names_at, table_at) = (0x400, 0x800);
    let sections_at = table_at + table.len();
    let total = sections_at + 3 * 64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, values: &[u16]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let words = |file: &mut Vec<u8>, values: &[usize]| {
        file.extend(values.iter().flat_map(|value| (*value as u64).to_le_bytes()));
    };
    half(&mut file, &[3, 62, 1, 0]);
    words(&mut file, &[0, 64, sections_at]);
    half(&mut file, &[0, 0, 64, 56, 1, 64, 3, 2]);
    // A readable, executable segment with everything.
    half(&mut file, &[1, 0, 5, 0]);
    words(&mut file, &[0, 0, 0, total, total, 0x1000]);
    file.resize(names_at, 0);
    file.extend_from_slice(&names);
    file.resize(table_at, 0);
    file.extend_from_slice(&table);
    file.resize(sections_at + 64, 0);
    // Sections: symbols with their strings, strings.
    for (kind, at, length, link, entry) in [(11, table_at, table.len(), 2, 24), (3, names_at, names.len(), 0, 0)] {
        half(&mut file, &[0, 0, kind, 0]);
        words(&mut file, &[2, at, at, length]);
        half(&mut file, &[link, 0, 1, 0]);
        words(&mut file, &[8, entry]);
    }
    file
}
