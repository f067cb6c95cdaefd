//! The probe's enclave inside this process: what a host can try from outside, and what an entry costs.

#[path = "../tests/support/images.rs"]
pub(crate) mod images;
mod poison;

use crate::entry::{self, EEXIT, ENTRY, Enter, Run};
use crate::pages::Loaded;
use crate::platform::Simulated;
use crate::platform::identity::{Identity, REPORT_BYTES};
use crate::platform::quote::quoting_enclave;
use crate::service::{Client, Emulated, Service};
use crate::signals;
use crate::software::load;
use crate::software::vdso::{self, STATE};
use proptest::prelude::*;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use veritee_host::{OutputReader, OutputRecord};
use veritee_ids::{Op, Status};
use veritee_sgx_format::SgxImage;

const BOOT: u64 = 0;
const ENTER: u64 = 1;
const UNTOUCHED: u64 = u64::MAX;
/// Outcomes.
const DONE: u64 = 0;
const BAD_POINTERS: u64 = 1;
const BAD_LENGTH: u64 = 2;
const BAD_ORDER: u64 = 3;

/// The enclave, the host's memory, and an order.
struct Host {
    loaded: Loaded,
    image: SgxImage,
    input: Vec<u64>,
    output: Vec<u64>,
    /// What it enters through.
    door: Enter,
}

impl Host {
    /// Enters with an order as it is; gives its answer, or the exception.
    fn enter(&self, order: &mut [u64; 8]) -> Result<[u64; 3], u16> {
        self.enter_at(order.as_mut_ptr()).map(|()| [order[5], order[6], order[7]])
    }

    fn enter_at(&self, order: *mut u64) -> Result<(), u16> {
        let mut run = Run::new(self.loaded.tcs);
        // SAFETY: the enclave is loaded; `run` is writable; what the order is, is the enclave's problem.
        assert_eq!(unsafe { entry::call(self.door, order, &raw mut run) }, 0);
        if run.function == EEXIT { Ok(()) } else { Err(run.vector) }
    }

    /// An order with this host's own memory.
    fn order(&mut self, op: u64, input: &[u8]) -> [u64; 8] {
        for (place, chunk) in self.input.iter_mut().zip(input.chunks(8)) {
            *place = u64::from_le_bytes(std::array::from_fn(|at| chunk.get(at).copied().unwrap_or(0)));
        }
        let (from, to) = (self.input.as_ptr() as u64, self.output.as_mut_ptr() as u64);
        [op, from, input.len() as u64, to, 8 * self.output.len() as u64, UNTOUCHED, 0, 0]
    }

    /// Bytes of the output.
    fn bytes(&self) -> Vec<u8> {
        self.output.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Gives the report over a fresh transcript: the enclave is alive and well.
    fn attest(&mut self) -> [u8; REPORT_BYTES] {
        let mut order = self.order(ENTER, &call(Op::Attest.code(), &[7; 16]));
        let [outcome, written, taken] = self.enter(&mut order).unwrap();
        assert_eq!((outcome, taken), (DONE, 1));
        let bytes = self.bytes();
        let length = usize::try_from(u32::from_le_bytes(bytes[..4].try_into().unwrap())).unwrap();
        assert!(8 + length <= usize::try_from(written).unwrap());
        let records: Vec<_> = OutputReader::new(&bytes[8..8 + length]).map(Result::unwrap).collect();
        let [OutputRecord::Result(result), OutputRecord::Reply(reply)] = records[..] else { panic!("{records:?}") };
        assert_eq!(result.status, Status::Accepted);
        reply[78..].try_into().unwrap()
    }
}

fn call(op: u16, input: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(input.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(&u32::from(op).to_le_bytes());
    bytes.extend_from_slice(input);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// Everything in one test: a process has one enclave, and signals one thread.
#[test]
fn an_enclave_and_its_host() {
    if !images::run_here() {
        return;
    }
    let image = SgxImage::read(&images::probe()).unwrap();
    let platform = Simulated::generate().unwrap();
    let identity = Identity::of(&image);
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || Service::new(Box::new(Emulated::new(identity, platform)), theirs).serve());
    let platform = Arc::new(Client::connected(ours).unwrap());
    let loaded = load(&image).unwrap();
    signals::watch(Duration::from_secs(3600)).unwrap();
    signals::emulate(Arc::clone(&platform)).unwrap();
    let (input, output) = (vec![0; 0x3000], vec![0; 0x3000]);
    let mut host = Host { loaded, image, input, output, door: vdso::software };

    orders_before_the_boot(&mut host);
    unmeasured_memory_is_the_hosts(&host);
    let mut order = host.order(BOOT, &quoting_enclave().target());
    assert_eq!(host.enter(&mut order), Ok([DONE, 0, 0]));
    assert_eq!(host.enter(&mut order), Ok([BAD_ORDER, 0, 0]), "a second boot is none");

    reports_are_of_this_enclave(&mut host, &platform);
    pointers_are_judged(&mut host);
    suspended_and_second_entries_go_nowhere(&mut host);
    poison::registers_carry_nothing_across(&mut host, &platform);
    unmeasured_memory_is_the_hosts(&host);
    host.attest();
    any_order_gets_a_code(&mut host);
    host.attest();
    passed_bytes_may_change_meanwhile(&mut host);
    host.attest();
    ordinary_calls_cause_no_traps(&mut host);
    an_entry_through_the_kernel_is_ended_too(&host);
}

fn orders_before_the_boot(host: &mut Host) {
    for length in [0, 8, 511, 513] {
        let mut order = host.order(BOOT, &vec![0; length]);
        assert_eq!(host.enter(&mut order), Ok([BAD_LENGTH, 0, 0]), "length {length}");
    }
    let mut order = host.order(ENTER, &call(Op::Attest.code(), &[0; 16]));
    assert_eq!(host.enter(&mut order), Ok([BAD_ORDER, 0, 0]));
}

/// What was not measured has arbitrary content on hardware: nothing may depend on it.
fn unmeasured_memory_is_the_hosts(host: &Host) {
    for page in host.image.contents.pages.iter().filter(|page| page.measured.is_none()) {
        let place = (host.loaded.base + page.offset) as *mut u8;
        // SAFETY: the page is mapped and writable, and nobody is inside the enclave.
        unsafe { place.write_bytes(0xa5, 4096) };
    }
}

fn reports_are_of_this_enclave(host: &mut Host, platform: &Client) {
    let report = host.attest();
    assert_eq!(report[64..96], host.image.measurement);
    assert_eq!(report[128..160], host.image.sigstruct.signer());
    let mut evidence = vec![0; 32 * 1024];
    assert!(platform.quote(&report, &mut evidence).unwrap() > 4000);
    for at in [0, 48, 64, 128, 258, 320, 383, 400, 431] {
        let mut forged = report;
        forged[at] ^= 1;
        assert_eq!(platform.quote(&forged, &mut evidence), Some(0), "byte {at}");
    }
}

fn pointers_are_judged(host: &mut Host) {
    let (base, size) = (host.loaded.base, host.loaded.size);
    let sound = host.order(ENTER, &call(Op::Attest.code(), &[7; 16]));
    let inside = [base, base + 8, base + size / 2, base + size - 8, base - 8, base + 4096];
    for address in inside {
        for (word, length) in [(1, 2), (3, 4)] {
            let mut order = sound;
            (order[word], order[length]) = (address, 16);
            assert_eq!(host.enter(&mut order), Ok([BAD_POINTERS, 0, 0]), "{address:#x} in word {word}");
        }
        // An order that is not outside gets no answer at all; the enclave is as before.
        let before = host.attest();
        assert_eq!(host.enter_at(address as *mut u64), Ok(()));
        assert_eq!(host.attest()[..64], before[..64]);
    }
    for (word, value) in
        [(1, 1), (3, 4), (1, u64::MAX - 7), (3, u64::MAX - 15), (2, u64::MAX), (4, u64::MAX), (2, 1 << 40)]
    {
        let mut order = sound;
        order[word] |= value;
        assert_eq!(host.enter(&mut order), Ok([BAD_POINTERS, 0, 0]), "word {word} with {value:#x}");
    }
    // The output's room may be short: nothing is written behind it.
    for room in [0, 8, 24, 31, 400] {
        host.output.fill(0x5a5a);
        let mut order = sound;
        order[4] = room;
        let [outcome, written, _] = host.enter(&mut order).unwrap();
        assert!(outcome == DONE && written <= room, "{room}: {outcome} {written}");
        let behind = usize::try_from(room / 8).unwrap();
        assert!(host.output[behind..].iter().all(|word| *word == 0x5a5a), "{room}");
    }
}

fn suspended_and_second_entries_go_nowhere(host: &mut Host) {
    let mut order = host.order(ENTER, &call(Op::Attest.code(), &[7; 16]));
    STATE.suspended.store(1, Ordering::SeqCst);
    assert_eq!(host.enter(&mut order), Ok([UNTOUCHED, 0, 0]), "while another entry is suspended");
    STATE.suspended.store(0, Ordering::SeqCst);
    STATE.busy.store(1, Ordering::SeqCst);
    assert_eq!(host.enter(&mut order), Err(signals::PROTECTION), "while the thread is busy");
    STATE.busy.store(0, Ordering::SeqCst);
    let mut run = Run::new(host.loaded.tcs + 4096);
    // SAFETY: as in `Host::enter_at`; there is no such thread.
    assert_eq!(unsafe { entry::call(vdso::software, order.as_mut_ptr(), &raw mut run) }, -22);
}

/// What fills the host's memory where nothing was promised to be written.
const CANARY: u64 = 0xca4a_21ca_4a21_ca4a;
/// What fills the enclave's unmeasured memory (the rooms for copies, the stack) before each entry: it must never be seen outside.
const SECRET: u64 = 0x9e5e_c2e7_d3b1_6f58;

impl Host {
    /// Fills everything that the enclave has and that was not measured with a pattern: as secrets of an earlier entry would be.
    fn hide_secrets(&self) {
        for page in self.image.contents.pages.iter().filter(|page| page.measured.is_none()) {
            let place = (self.loaded.base + page.offset) as *mut u64;
            for at in 0..512 {
                // SAFETY: the page is mapped, aligned and writable, and nobody is inside the enclave.
                unsafe { place.add(at).write(SECRET) };
            }
        }
    }
}

/// Whether a part of the pattern stands somewhere, however it is aligned. Fewer bytes would be chance.
fn shows_secrets(words: &[u64]) -> bool {
    let pattern = SECRET.to_le_bytes().repeat(2);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.windows(5).any(|found| pattern.windows(5).any(|part| part == found))
}

/// What fills up the last words of outputs, behind each other; nothing when these are not outputs.
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

/// An order as a host may make it.
#[derive(Clone, Debug)]
struct Attempt {
    calls: Vec<(u32, u32, Vec<u8>, bool)>,
    op: u64,
    /// Word of the output that the order names, and bytes of room from there.
    place: (usize, Option<u64>),
    /// Bytes that the order leaves of the calls.
    cut: Option<u64>,
    edge: u32,
}

fn attempts() -> impl Strategy<Value = Attempt> {
    let call = (0..9_u32, 0..200_u32, prop::collection::vec(any::<u8>(), 0..200), any::<bool>());
    let place = (0..64_usize, prop::option::of(0..4096_u64));
    let cut = prop::option::weighted(0.2, 0..512_u64);
    (prop::collection::vec(call, 0..6), 0..8_u64, place, cut, any::<u32>())
        .prop_map(|(calls, op, place, cut, edge)| Attempt { calls, op, place, cut, edge })
}

impl Attempt {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (op, length, body, honest) in &self.calls {
            let length = if *honest { u32::try_from(body.len()).unwrap_or(0) } else { *length };
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&op.to_le_bytes());
            bytes.extend_from_slice(body);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes
    }

    /// Orders; judges the answer, and what it left in the host's memory.
    fn make(&self, host: &mut Host) -> Result<(), TestCaseError> {
        host.hide_secrets();
        host.output.fill(CANARY);
        let mut order = host.order(if self.op == 0 { BOOT } else { ENTER + self.op / 7 }, &self.bytes());
        let (first, room) = self.place;
        order[2] = self.cut.map_or(order[2], |cut| cut.min(order[2]));
        order[3] += 8 * first as u64;
        order[4] = room.unwrap_or(order[4] - 8 * first as u64);
        match self.edge % 51 {
            0 => order[1] = host.loaded.base + u64::from(self.edge) % host.loaded.size,
            17 => order[3] = (host.loaded.base + u64::from(self.edge) % host.loaded.size) & !7,
            34 => order[1] = order[3],
            _ => {}
        }
        let (asked, input) = (order, host.input.clone());
        let [outcome, written, taken] =
            host.enter(&mut order).map_err(|vector| TestCaseError::fail(vector.to_string()))?;
        prop_assert!(outcome <= BAD_ORDER, "{outcome}");
        prop_assert!(written <= asked[4] && taken <= 6);
        prop_assert_eq!(&order[..5], &asked[..5], "the order is the host's own");
        prop_assert_eq!(&host.input, &input, "calls are the host's own");
        prop_assert!(outcome == DONE || outcome == BAD_LENGTH || (written, taken) == (0, 0));
        let end = first + usize::try_from(written).unwrap_or(usize::MAX).div_ceil(8);
        let kept = |words: &[u64]| words.iter().all(|word| *word == CANARY);
        prop_assert!(kept(&host.output[..first]) && kept(&host.output[end..]), "more than {written} bytes are written");
        let told = host.output.get(first..end).unwrap_or_default();
        prop_assert!(!shows_secrets(told) && !shows_secrets(&order[5..]), "what was inside is outside");
        // Some bytes of the pattern would be chance anywhere else; behind an output nothing is meant to be.
        let padding = padding_of(told);
        prop_assert!(
            padding.is_some_and(|padding| padding.iter().all(|byte| *byte == 0)),
            "outputs are not filled up with zeros"
        );
        Ok(())
    }
}

/// Whatever the host orders and passes as calls: an outcome, nothing but what was promised is written, and the enclave lives.
fn any_order_gets_a_code(host: &mut Host) {
    assert_eq!(padding_of(&[3, SECRET, 8, CANARY]), Some(SECRET.to_le_bytes()[3..].to_vec()));
    assert!(padding_of(&[9, SECRET]).is_none() && padding_of(&[]).is_some_and(|padding| padding.is_empty()));
    assert!(shows_secrets(&[SECRET]) && shows_secrets(&[0, SECRET << 16, 1]) && !shows_secrets(&[CANARY, 0, u64::MAX]));
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    // The same orders at every run: what fails once fails again.
    let seeded = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, seeded);
    let host = std::cell::RefCell::new(host);
    runner.run(&attempts(), |attempt| attempt.make(&mut host.borrow_mut())).unwrap();
}

/// While the enclave works, another thread of the host's rewrites what was passed: it was copied once, so nothing comes of it
/// but a refusal.
fn passed_bytes_may_change_meanwhile(host: &mut Host) {
    let sound = [call(Op::Attest.code(), &[7; 16]), call(Op::Entry.code(), &[0; 40])].concat();
    let mut order = host.order(ENTER, &sound);
    let (from, over) = (order[1] as usize, std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut word = 1_u64;
            while !over.load(Ordering::Relaxed) {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = (from as *mut u64).wrapping_add((word >> 60) as usize);
                // SAFETY: the place is in the host's input, which lives as long as this scope and is reached by addresses only.
                unsafe { place.write_volatile(word >> 32) };
            }
        });
        for _ in 0..20_000 {
            let [outcome, written, taken] = host.enter(&mut order).expect("no exception");
            assert!(outcome <= BAD_ORDER && written <= order[4] && taken <= 16, "{outcome} {written} {taken}");
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn ordinary_calls_cause_no_traps(host: &mut Host) {
    let mut order = host.order(ENTER, &[]);
    let before = signals::TRAPS.load(Ordering::Relaxed);
    let entries = ENTRY.count.load(Ordering::Relaxed);
    let best = (0..30)
        .map(|_| {
            let start = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            for _ in 0..10_000 {
                assert_eq!(host.enter(&mut order), Ok([DONE, 0, 0]));
            }
            let end = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            ((end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec) / 10_000
        })
        .min();
    println!("an entry with its exit costs {} ns", best.unwrap());
    assert_eq!(signals::TRAPS.load(Ordering::Relaxed), before, "ordinary calls cause no traps");
    assert_eq!(ENTRY.count.load(Ordering::Relaxed), entries + 300_000);
}

// What hardware leaves to when an entry is interrupted: code that only runs while the entry goes on.
core::arch::global_asm!(
    ".globl veritee_endless_start, veritee_endless_end",
    "veritee_endless_start:",
    "xor ebx, ebx",
    "2: jmp 2b",
    "veritee_endless_end:",
);

unsafe extern "C" {
    fn veritee_endless_start(_: u64, _: u64, _: u64, _: u32, _: u64, _: u64, _: *mut Run) -> i32;
    static veritee_endless_end: u8;
}

/// On hardware a signal finds the thread in the vDSO's function, with the host's own thread data.
fn an_entry_through_the_kernel_is_ended_too(host: &Host) {
    ENTRY.set_window(&(veritee_endless_start as *const () as u64..&raw const veritee_endless_end as u64));
    signals::watch(Duration::from_millis(200)).unwrap();
    let mut run = Run::new(host.loaded.tcs);
    for _ in 0..2 {
        // SAFETY: the function has the form; it touches one register, which `call` keeps.
        assert_eq!(unsafe { entry::call(veritee_endless_start, std::ptr::null_mut(), &raw mut run) }, 0);
        assert_eq!((run.function, run.vector), (entry::ERESUME, signals::TOO_LONG));
    }
}
