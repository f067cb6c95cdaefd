//! The wall of an enclave: a host orders what it likes, with any pointers and lengths, and changes what it passed meanwhile.
//!
//! This is the runtime as images of SGX have it, from where the entry code goes on; only the stack is this program's. ENCLU traps
//! here and is stepped over: reports and keys are zeros. At that moment, when the enclave is certainly entered, the host enters
//! once more.

use arbitrary::{Arbitrary, Unstructured};
use std::cell::Cell as Slot;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use veritee_conformance::desk::owner;
use veritee_conformance::probe::{Probe, ROWS, TOKENS};
use veritee_module::Module;
use veritee_sgx_runtime::{Cell, Sgx, StandardKey, enter};

/// Bytes of a page, of the room for calls, of the room for outputs: the enclave.
const PAGE: usize = 4096;
const CALLS_BYTES: usize = 4096;
const OUTPUTS_BYTES: usize = 8192;
const ENCLAVE_WORDS: usize = (PAGE + CALLS_BYTES + OUTPUTS_BYTES) / 8;
/// Words of the layout page, see the runtime's `crossing`.
const SIZE: usize = 1;
const CALLS: usize = 6;
const OUTPUTS: usize = 8;
/// The host's memory, in words: where its pointers lead to, and behind it as much as an acceptable range can reach.
const FRONT: usize = 1024;
const ARENA: usize = FRONT + OUTPUTS_BYTES / 8 + 16;
/// Words of an order; those of them that are the answer.
const ORDER_WORDS: usize = 8;
const ANSWER: std::ops::Range<usize> = 5..8;
const UNTOUCHED: u64 = u64::MAX;
/// The highest outcome.
const NO_ENTROPY: u64 = 4;
/// What the host's memory is filled with, and what the enclave's rooms are: as secrets of an earlier entry would be.
const CANARY: u64 = 0xca4a_21ca_4a21_ca4a;
const SECRET: u64 = 0x9e5e_c2e7_d3b1_6f58;
const STEPS_MAX: usize = 16;

/// Where a pointer of the host's leads to.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    /// Its own memory, word by word.
    Own(u16),
    /// Its own memory, beside a word.
    Beside(u16),
    /// The enclave.
    Inside(u16),
    /// Just in front of the enclave or behind it, so that a range reaches in or touches it.
    Edge(i8),
    /// The end of all addresses.
    End(u8),
}

/// A length.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Length {
    /// That of the calls, cut by some bytes.
    Right(u8),
    Any(u16),
    Huge(u64),
}

/// What the host orders.
#[derive(Arbitrary, Debug)]
struct Step<'a> {
    op: u8,
    block: Place,
    input: (Place, Length),
    output: (Place, Length),
    /// Calls: operation, whether the length is true, input.
    calls: Vec<(u8, bool, &'a [u8])>,
    /// Another thread rewrites the calls meanwhile.
    races: bool,
}

type Enclaved = Cell<Module<Sgx<StandardKey>, Probe, ROWS, TOKENS, 4>>;

thread_local! {
    /// Who enters while this thread is inside.
    static RIVAL: Slot<*mut Rival> = const { Slot::new(ptr::null_mut()) };
}

/// Runs a life of an enclave.
///
/// # Panics
/// When a promise is broken.
pub fn boundary(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut life = Life::new();
    // Most lives begin as a runner has them begin.
    if bytes.arbitrary::<u8>().is_ok_and(|start| !start.is_multiple_of(8)) {
        life.boot();
    }
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            return;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { return };
        life.step(&step);
    }
}

/// A life in which others enter while the enclave asks for reports: for each of its entries the answer, and how many others tried.
#[cfg(test)]
pub(crate) fn contended() -> Vec<([u64; 3], usize)> {
    let mut life = Life::new();
    life.boot();
    let attest = u8::try_from(veritee_ids::Op::Attest.code()).expect("a small code");
    let entries = (0..3).map(|_| {
        let (input, output) = ((Place::Own(64), Length::Right(0)), (Place::Own(256), Length::Any(4096)));
        let calls = vec![(attest, true, &[7; 16][..])];
        let met = life.met;
        life.step(&Step { op: 1, block: Place::Own(0), input, output, calls, races: false });
        (life.arena.0[ANSWER].try_into().expect("three words"), life.met - met)
    });
    entries.collect()
}

/// A page's alignment.
#[derive(Clone)]
#[repr(C, align(4096))]
struct Aligned<const WORDS: usize>([u64; WORDS]);

struct Life {
    cell: Enclaved,
    enclave: Box<Aligned<ENCLAVE_WORDS>>,
    arena: Box<Aligned<ARENA>>,
    /// Entries that others tried so far.
    met: usize,
}

/// Another thread of the host's, as far as the enclave can tell: it enters while the first is inside, with an order of its own.
struct Rival {
    cell: *const Enclaved,
    base: u64,
    layout: *const u64,
    order: Aligned<ORDER_WORDS>,
    met: usize,
}

impl Rival {
    /// Its order is sound, and would be answered.
    const ORDER: [u64; ORDER_WORDS] = [1, 0, 0, 0, 0, UNTOUCHED, CANARY, CANARY];

    /// Enters twice: who was turned away must not have opened the door for who comes next.
    ///
    /// # Safety
    /// 1. `this` and the enclave that it tells of live.
    unsafe fn enter(this: *mut Self) {
        for _ in 0..2 {
            // SAFETY: base and layout are the enclave's own (duty 1). Somebody is in it: that is what is tried here.
            unsafe {
                enter(&*(*this).cell, owner().public(), (&raw mut (*this).order) as u64, (*this).base, (*this).layout)
            };
            // SAFETY: duty 1; nobody has a reference to it.
            unsafe { (*this).met += 1 };
        }
    }
}

impl Life {
    fn new() -> Self {
        static STEPS_OVER: Once = Once::new();
        STEPS_OVER.call_once(step_over_enclu);
        let mut enclave = Box::new(Aligned([SECRET; ENCLAVE_WORDS]));
        enclave.0[SIZE] = 8 * ENCLAVE_WORDS as u64;
        (enclave.0[CALLS], enclave.0[CALLS + 1]) = (PAGE as u64, CALLS_BYTES as u64);
        (enclave.0[OUTPUTS], enclave.0[OUTPUTS + 1]) = ((PAGE + CALLS_BYTES) as u64, OUTPUTS_BYTES as u64);
        Self { cell: Cell::new(), enclave, arena: Box::new(Aligned([CANARY; ARENA])), met: 0 }
    }

    fn base(&self) -> u64 {
        self.enclave.0.as_ptr() as u64
    }

    fn boot(&mut self) {
        let own = |word| (Place::Own(word), Length::Any(0));
        let target = [0; 512];
        let (input, output) = ((Place::Own(64), Length::Any(512)), own(256));
        // The first eight bytes of a call are its header: the target is as long as the call with it.
        let calls = vec![(0, true, &target[8..])];
        self.step(&Step { op: 0, block: Place::Own(0), input, output, calls, races: false });
    }

    fn address(&self, place: Place) -> u64 {
        let own = |word: u16| self.arena.0.as_ptr() as u64 + 8 * (u64::from(word) % FRONT as u64);
        let size = 8 * ENCLAVE_WORDS as u64;
        match place {
            Place::Own(word) => own(word),
            Place::Beside(word) => own(word) | (1 + u64::from(word) % 7),
            Place::Inside(offset) => self.base() + u64::from(offset) % size,
            // Behind the enclave there may be nothing: what only touches it must be refused for another reason.
            Place::Edge(offset) if offset < 0 => self.base().wrapping_add_signed(offset.into()) | 1,
            Place::Edge(offset) => (self.base() + size - 1 - u64::from(offset.unsigned_abs())) & !7,
            Place::End(offset) => (u64::MAX - u64::from(offset)) | 1,
        }
    }

    /// Word of the host's memory that an address names.
    fn word(&self, address: u64) -> Option<usize> {
        let offset = address.checked_sub(self.arena.0.as_ptr() as u64)?;
        let word = usize::try_from(offset / 8).ok()?;
        (offset.is_multiple_of(8) && word < ARENA).then_some(word)
    }

    fn step(&mut self, step: &Step<'_>) {
        let calls = passed(&step.calls);
        if shows_secrets(&calls) {
            return;
        }
        let length = |length| match length {
            Length::Right(cut) => 8 * calls.len() as u64 - u64::from(cut).min(8 * calls.len() as u64),
            Length::Any(length) => length.into(),
            Length::Huge(length) => length,
        };
        let [block, input, output] = [step.block, step.input.0, step.output.0].map(|place| self.address(place));
        self.enclave.0[PAGE / 8..].fill(SECRET);
        self.arena.0.fill(CANARY);
        let put = |arena: &mut [u64], at: Option<usize>, words: &[u64]| {
            let Some(at) = at else { return };
            arena.iter_mut().skip(at).zip(words).for_each(|(place, word)| *place = *word);
        };
        let order = [step.op.into(), input, length(step.input.1), output, length(step.output.1), UNTOUCHED, 0, 0];
        let (block_at, input_at) = (self.word(block), self.word(input));
        put(&mut self.arena.0, input_at, &calls);
        put(&mut self.arena.0, block_at, &order);
        let racing = input_at.filter(|_| step.races).map(|at| at..at + calls.len().min(64));
        // An order is read once, too, but a host that rewrites its own addresses harms itself.
        let apart = |range: &std::ops::Range<usize>| {
            block_at.is_none_or(|at| range.end <= at || at + ORDER_WORDS <= range.start)
        };
        let racing = racing.filter(apart);
        let before = self.arena.clone();
        self.enter_contended(block, racing.clone());
        self.judge(&before.0, block_at, racing.unwrap_or_default());
    }

    /// Enters; whenever the enclave executes ENCLU, another one tries, too, and gets no answer.
    fn enter_contended(&mut self, block: u64, racing: Option<std::ops::Range<usize>>) {
        let (cell, base, layout) = (&raw const self.cell, self.base(), self.enclave.0.as_ptr());
        let mut rival = Rival { cell, base, layout, order: Aligned(Rival::ORDER), met: 0 };
        let rival = &raw mut rival;
        RIVAL.set(rival);
        self.enter(block, racing);
        RIVAL.set(ptr::null_mut());
        // SAFETY: it lives until the end of this function, and nobody enters with it any more.
        let (order, met) = unsafe { ((&raw const (*rival).order.0).read_volatile(), (*rival).met) };
        assert_eq!(order, Rival::ORDER, "an entry while another one is inside gets no answer");
        self.met += met;
    }

    fn enter(&mut self, block: u64, racing: Option<std::ops::Range<usize>>) {
        let (owner, base, layout) = (owner().public(), self.base(), self.enclave.0.as_ptr());
        let Some(racing) = racing else {
            // SAFETY: base and layout are this enclave's, and nobody else is in it.
            return unsafe { enter(&self.cell, owner, block, base, layout) };
        };
        let (first, over) = (self.arena.0.as_mut_ptr() as usize, AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for word in racing.clone() {
                        // SAFETY: the word is the host's; while this thread runs, nobody has a reference to its memory.
                        unsafe { (first as *mut u64).add(word).write_volatile(word as u64) };
                    }
                }
            });
            // SAFETY: as above.
            unsafe { enter(&self.cell, owner, block, base, layout) };
            over.store(true, Ordering::Relaxed);
        });
    }

    /// Nothing changed but what the order promises, and nothing that was inside is outside.
    fn judge(&self, before: &[u64; ARENA], block: Option<usize>, racing: std::ops::Range<usize>) {
        let after = &self.arena.0;
        let answer = block.map(|at| at + ANSWER.start..at + ANSWER.end).unwrap_or_default();
        let mut told = 0..0;
        if let Some(at) = block {
            let [outcome, written, taken] = [after[at + 5], after[at + 6], after[at + 7]];
            assert!(outcome <= NO_ENTROPY, "an order in the host's memory gets no answer, but {outcome:#x}");
            assert!(written <= before[at + 4] && written <= OUTPUTS_BYTES as u64, "{written} bytes");
            assert!(taken <= (CALLS_BYTES / 8) as u64, "{taken} calls");
            let length = usize::try_from(written).map_or(0, |written| written.div_ceil(8));
            told = self.word(before[at + 3]).filter(|_| length > 0).map(|at| at..at + length).unwrap_or_default();
            assert!(length == told.len(), "output went elsewhere");
        }
        for at in 0..ARENA {
            let promised = answer.contains(&at) || told.contains(&at) || racing.contains(&at);
            assert!(promised || after[at] == before[at], "word {at} is written");
        }
        assert!(
            !shows_secrets(&after[told.clone()]) && !shows_secrets(&after[answer.clone()]),
            "what was inside is outside"
        );
        // Where the host writes too, it is not known whose words these are.
        if !told.clone().any(|at| racing.contains(&at) || answer.contains(&at)) {
            let padding = padding_of(&after[told]).expect("what is written is outputs");
            assert!(padding.iter().all(|byte| *byte == 0), "outputs are not filled up with zeros: {padding:x?}");
        }
    }
}

/// What fills up the last words of outputs, behind each other; nothing when these are not outputs. A few bytes of the pattern would
/// be chance anywhere else; here nothing is meant to be.
fn padding_of(words: &[u64]) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (mut padding, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((header, behind)) = rest.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*header)).ok()?;
        let (body, next) = behind.split_at_checked(length.checked_next_multiple_of(8)?)?;
        padding.extend_from_slice(&body[length..]);
        rest = next;
    }
    Some(padding)
}

/// Calls as they are passed to an enclave.
fn passed(calls: &[(u8, bool, &[u8])]) -> Vec<u64> {
    let mut bytes = Vec::new();
    for (op, honest, input) in calls {
        let input = input.get(..1024).unwrap_or(input);
        let length = if *honest { input.len() } else { usize::from(*op) * 97 };
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&u32::from(*op).to_le_bytes());
        bytes.extend_from_slice(input);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        if bytes.len() > CALLS_BYTES {
            break;
        }
    }
    bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// Whether a part of the secret pattern stands somewhere, however it is aligned. Fewer bytes would be chance.
fn shows_secrets(words: &[u64]) -> bool {
    let pattern = SECRET.to_le_bytes().repeat(2);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.windows(5).any(|found| pattern.windows(5).any(|part| part == found))
}

/// Has ENCLU stepped over with the code for success. What else is illegal ends the program as before.
fn step_over_enclu() {
    extern "C" fn handle(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel passes a context that is this handler's while it runs.
        let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        let at = registers[libc::REG_RIP as usize];
        // SAFETY: the processor has just fetched an instruction here.
        if unsafe { (at as *const [u8; 3]).read_unaligned() } == [0x0f, 0x01, 0xd7] {
            let rival = RIVAL.get();
            if !rival.is_null() {
                // SAFETY: who sets it keeps it and the enclave while it is set.
                unsafe { Rival::enter(rival) };
            }
            registers[libc::REG_RAX as usize] = 0;
            registers[libc::REG_RIP as usize] = at + 3;
        } else {
            // SAFETY: the instruction is tried again without this handler, and ends the program.
            unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
        }
    }
    // SAFETY: an all-zero action is one without handler; it is filled here, and the handler has the form for SA_SIGINFO.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0, "signals can be handled");
    }
}
