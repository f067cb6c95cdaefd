//! What surrounds the core inside an SGX enclave: the entry, copies across the wall, evidence, the end.
//!
//! In the order data meets them: [`image!`] defines the entry in assembly; [`crossing`] judges what the host points at and
//! copies it once; [`enter`] gives each call to the core; [`leaf`] has the enclave's two instructions.
//!
//! 1. Registers and memory outside are the attacker's: pointers are checked to lie outside, bytes are copied once, then
//!    judged.
//! 2. Nothing is trusted that was not measured: pages that were added unmeasured are written before they are read.
//! 3. What leaves is what was meant to leave: registers are cleared, only written bytes are copied out.
//!
//! # Source
//! Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3D; Intel's guidance on stale data from memory-mapped
//! I/O (aligned eight-byte accesses to memory outside).
#![no_std]

mod crossing;
mod entry;
mod leaf;

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};
use crossing::{Enclave, Order, Outcome};
use leaf::{Report, TargetInfo, report, sealing_key};
use veritee_ids::{CipherId, Freshness, SealPolicy, Status};
use veritee_module::{Module, Program};
use veritee_seal::{Aead, OwnerKey, Secret, sha256};
use veritee_tee::{EVIDENCE_BYTES_MAX, KeyName, NoEntropy, NoEvidence, Root, Tee};

pub use veritee_bare::die;
pub use veritee_module;
pub use veritee_seal::StandardKey;
pub use veritee_wire;

/// Front of a call, and of an output: length (u32), then operation or zero (u32).
const CALL_HEADER_BYTES: usize = 8;

/// SGX, from inside.
#[derive(Debug)]
pub struct Sgx<K> {
    owner: OwnerKey,
    /// Who can check this enclave's reports: the platform's quoting enclave, as the host says. A wrong one makes reports
    /// that nobody can check.
    quoting: TargetInfo,
    ciphers: PhantomData<K>,
}

impl<K: Aead> Tee for Sgx<K> {
    type Key = K;
    const CONTROL_CIPHER: CipherId = CipherId::Aes128Gcm;

    fn freshness(&self) -> Freshness {
        Freshness::HardwareRng
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        if veritee_bare::fill_random(bytes) { Ok(()) } else { Err(NoEntropy) }
    }

    fn root(&self) -> Root<'_> {
        Root::Agreement(self.owner)
    }

    /// The transcript, then a report whose REPORTDATA begins with the transcript's SHA-256.
    fn evidence(&mut self, transcript: &[u8], evidence: &mut [u8; EVIDENCE_BYTES_MAX]) -> Result<usize, NoEvidence> {
        let mut data = [0; 64];
        *data.first_chunk_mut().ok_or(NoEvidence)? = sha256(transcript);
        let Report(report) = report(&self.quoting, &data);
        let (front, rest) = evidence.split_at_mut_checked(transcript.len()).ok_or(NoEvidence)?;
        front.copy_from_slice(transcript);
        rest.get_mut(..report.len()).ok_or(NoEvidence)?.copy_from_slice(&report);
        Ok(transcript.len() + report.len())
    }

    /// By EGETKEY; a fresh key is one of the present versions, with a random KEYID.
    fn sealing_key(&mut self, policy: SealPolicy, name: Option<KeyName>) -> Option<(Secret, KeyName)> {
        let name = match name {
            Some(name) => name,
            None => {
                let Report(report) = report(&self.quoting, &[0; 64]);
                let mut name = [0; 34];
                let (versions, id) = name.split_at_mut(18);
                versions
                    .iter_mut()
                    .zip(report[..16].iter().chain(&report[258..260]))
                    .for_each(|(to, from)| *to = *from);
                self.random(id).ok()?;
                name
            }
        };
        Some((sealing_key(policy, &name)?, name))
    }
}

/// The module of an image, entered by one thread at a time.
#[derive(Debug)]
pub struct Cell<M> {
    entered: AtomicBool,
    module: UnsafeCell<Option<M>>,
}

// SAFETY: the module is only touched between a successful and a released `entered`.
unsafe impl<M> Sync for Cell<M> {}

impl<M> Cell<M> {
    /// An image before its boot.
    #[expect(clippy::new_without_default, reason = "only `image!` makes one, in a constant")]
    #[must_use]
    pub const fn new() -> Self {
        Self { entered: AtomicBool::new(false), module: UnsafeCell::new(None) }
    }
}

/// Where the entry code goes on: judges the host's order, obeys it, and says what came of it.
///
/// # Safety
/// 1. `layout` is the enclave's own measured layout page, `base` its base: only the entry code calls this.
///
/// # Trust
/// `block` is the host's, an arbitrary number until it is checked.
pub unsafe fn enter<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize>(
    cell: &Cell<Module<Sgx<K>, P, ROWS, TOKENS, STATE>>, owner: [u8; 32], block: u64, base: u64, layout: *const u64,
) {
    if cell.entered.swap(true, Ordering::Acquire) {
        return;
    }
    // SAFETY: duty 1 of the caller; `entered` was free, so nobody else uses the room for calls and outputs.
    let mut enclave = unsafe { Enclave::new(base, layout) };
    if let Some(order) = enclave.order(block) {
        // SAFETY: `entered` was free, so nobody else holds a reference.
        let module = unsafe { &mut *cell.module.get() };
        let outcome = obey(&mut enclave, &order, module, owner);
        enclave.answer(block, &order, outcome);
    }
    cell.entered.store(false, Ordering::Release);
}

/// Does what the host ordered, on copies inside the enclave.
fn obey<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize>(
    enclave: &mut Enclave, order: &Order, module: &mut Option<Module<Sgx<K>, P, ROWS, TOKENS, STATE>>, owner: [u8; 32],
) -> Outcome {
    let Some((calls, outputs)) = enclave.copy_in(order) else { return Outcome::BAD_POINTERS };
    match (order.op, module.as_mut()) {
        (Order::BOOT, None) => {
            let Ok(quoting) = (&*calls).try_into() else { return Outcome::BAD_LENGTH };
            let tee = Sgx { owner: OwnerKey(owner), quoting: TargetInfo(quoting), ciphers: PhantomData };
            *module = Module::new(tee).ok();
            if module.is_some() { Outcome::done(0, 0) } else { Outcome::NO_ENTROPY }
        }
        (Order::ENTER, Some(module)) => enter_all(module, calls, outputs),
        _ => Outcome::BAD_ORDER,
    }
}

/// Enters the module with calls, one after another, until one has no room any more.
fn enter_all<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize>(
    module: &mut Module<Sgx<K>, P, ROWS, TOKENS, STATE>, mut calls: &mut [u8], outputs: &mut [u8],
) -> Outcome {
    let (mut taken, mut written) = (0, 0);
    while !calls.is_empty() {
        let Some((op, input, rest)) = next_call(calls) else { return Outcome::BAD_LENGTH.after(taken, written) };
        calls = rest;
        let place = outputs.get_mut(written..).and_then(<[u8]>::split_first_chunk_mut::<CALL_HEADER_BYTES>);
        let Some((header, output)) = place else { break };
        let length = module.enter(op, input, output);
        if taken > 0 && (length == 0 || says_no_room(output)) {
            break;
        }
        *header = u64::try_from(length).unwrap_or(0).to_le_bytes();
        // Whole words leave: what fills the last one up must not be what was here before.
        let padded = length.next_multiple_of(8).min(output.len());
        output.get_mut(length..padded).into_iter().for_each(|padding| padding.fill(0));
        written += CALL_HEADER_BYTES + padded;
        taken += 1;
    }
    Outcome::done(taken, written)
}

/// Splits the next call off: its operation, its input, and what follows.
fn next_call(calls: &mut [u8]) -> Option<(u16, &mut [u8], &mut [u8])> {
    let (header, rest) = calls.split_first_chunk_mut::<CALL_HEADER_BYTES>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    // What is no operation is the core's to refuse.
    let op = u16::try_from(u32::from_le_bytes([e, f, g, h])).unwrap_or(0);
    let padded = length.checked_next_multiple_of(8)?.min(rest.len());
    let (input, rest) = rest.split_at_mut_checked(padded)?;
    Some((op, input.get_mut(..length)?, rest))
}

/// Whether an output says that nothing happened for want of room. Its first record is the result, its first field the status.
fn says_no_room(output: &[u8]) -> bool {
    let status = output.get(veritee_wire::output::RECORD_HEADER_BYTES..).and_then(<[u8]>::first_chunk);
    status == Some(&Status::NoRoom.code().to_le_bytes())
}
