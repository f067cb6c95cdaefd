//! A module as a trusted application.

use crate::application::Application;
use crate::parameters::Parameters;
use crate::shared::Shared;
use crate::system::{ask, random};
use core::marker::PhantomData;
use veritee_ids::limits::{FRAME_HEADER_BYTES, TAG_BYTES};
use veritee_ids::{CipherId, Freshness, Status};
use veritee_module::{Module, Program};
use veritee_seal::{Aead, Secret};
use veritee_tee::{EVIDENCE_BYTES_MAX, NoEntropy, NoEvidence, Root, Tee};
use veritee_trustzone_format::module::{CALL_HEADER_BYTES, CALLS, CALLS_TYPES, CallHeader, OUTPUT_HEADER_BYTES};
use veritee_trustzone_format::{IDENTITY_MAGIC, Identity, kind, result, service};
use veritee_wire::Layout;
use veritee_wire::layout::EntryResult;
use veritee_wire::output::{RECORD_HEADER_BYTES, RESULT_RECORD_BYTES};
use veritee_wire::ports::PortInfo;
use zeroize::Zeroize;

/// What an image says of itself, once it has a place.
#[must_use]
pub fn placed(bytes: &[u8]) -> Option<Identity> {
    Identity::decode(bytes).ok().filter(|identity| identity.magic == IDENTITY_MAGIC && identity.vendor != 0)
}

/// TrustZone, from inside.
#[derive(Debug)]
pub struct TrustZone<K> {
    key: Secret,
    freshness: Freshness,
    ciphers: PhantomData<K>,
}

impl<K: Aead> Tee for TrustZone<K> {
    type Key = K;
    const CONTROL_CIPHER: CipherId = CipherId::Aes128Gcm;

    fn freshness(&self) -> Freshness {
        self.freshness
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        random(bytes).map_err(|_| NoEntropy)
    }

    fn root(&self) -> Root<'_> {
        Root::Symmetric(&self.key)
    }

    fn evidence(&mut self, _: &[u8], _: &mut [u8; EVIDENCE_BYTES_MAX]) -> Result<usize, NoEvidence> {
        Err(NoEvidence)
    }
}

/// The module of an image.
#[expect(missing_debug_implementations, reason = "a module does not show itself")]
pub struct ModuleApplication<K: Aead, P, const ROWS: usize, const TOKENS: usize, const STATE: usize> {
    /// Reads what the finished image says of itself.
    identity: fn() -> Option<Identity>,
    /// Room for one input, and for one output: nothing is worked on where others can reach it.
    input: &'static mut [u8],
    output: &'static mut [u8],
    module: Option<Module<TrustZone<K>, P, ROWS, TOKENS, STATE>>,
    /// An instance has one session in its life.
    opened: bool,
}

impl<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize>
    ModuleApplication<K, P, ROWS, TOKENS, STATE>
{
    /// Before its session.
    #[must_use]
    pub const fn new(identity: fn() -> Option<Identity>, input: &'static mut [u8], output: &'static mut [u8]) -> Self {
        Self { identity, input, output, module: None, opened: false }
    }

    /// Begins the activation.
    fn begin(&mut self) -> Result<(), u32> {
        let identity = (self.identity)().ok_or(result::BAD_STATE)?;
        if core::mem::replace(&mut self.opened, true) {
            return Err(result::ACCESS_DENIED);
        }
        let key = module_key(identity.vendor)?;
        let tee = TrustZone { key, freshness: identity.freshness, ciphers: PhantomData };
        self.module = Some(Module::new(tee).map_err(|_| result::GENERIC)?);
        Ok(())
    }

    /// `None` for parameters that make no sense.
    fn calls(&mut self, parameters: &mut Parameters) -> Option<()> {
        let module = self.module.as_mut().filter(|_| parameters.are(CALLS_TYPES))?;
        let (calls, outputs) = (parameters.memory(0, kind::MEMORY_IN), parameters.memory(1, kind::MEMORY_OUT));
        if calls.overlaps(&outputs) {
            return None;
        }
        let batch = Batch { calls, outputs, input: self.input, output: self.output };
        let (done, written) = batch.run(|op, input, output| module.enter(op, input, output))?;
        parameters.wrote(1, written);
        let numbers = [done, written].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        parameters.set(2, kind::VALUE_OUT, numbers);
        Some(())
    }
}

impl<K: Aead, P: Program, const ROWS: usize, const TOKENS: usize, const STATE: usize> Application
    for ModuleApplication<K, P, ROWS, TOKENS, STATE>
{
    fn open(&mut self) -> u32 {
        self.begin().map_or_else(|failed| failed, |()| result::SUCCESS)
    }

    fn invoke(&mut self, command: u32, parameters: &mut Parameters) -> u32 {
        match command {
            CALLS => self.calls(parameters).map_or(result::BAD_PARAMETERS, |()| result::SUCCESS),
            _ => result::NOT_SUPPORTED,
        }
    }

    fn close(&mut self) {
        self.module = None;
        self.input.zeroize();
        self.output.zeroize();
    }
}

/// Asks the attestation service for this module's key.
fn module_key(vendor: u16) -> Result<Secret, u32> {
    let mut parameters = Parameters::new(service::KEY_TYPES);
    parameters.set(0, kind::VALUE_IN, [vendor.into(), 0]);
    ask(service::UUID, service::KEY, &mut parameters)?;
    let mut words = [1, 2].map(|index| parameters.numbers(index, kind::VALUE_OUT).map(u32::to_le_bytes));
    parameters.zeroize();
    let key = words.as_flattened().as_flattened().first_chunk().copied().map(Secret::new);
    words.as_flattened_mut().as_flattened_mut().zeroize();
    key.ok_or(result::GENERIC)
}

/// A batch of calls, with private room for one at a time.
pub(crate) struct Batch<'a> {
    pub(crate) calls: Shared,
    pub(crate) outputs: Shared,
    pub(crate) input: &'a mut [u8],
    pub(crate) output: &'a mut [u8],
}

impl Batch<'_> {
    /// Does what can be done: gives the number of calls and the bytes of output. `None` when the first call is malformed, or there
    /// is no room for any answer to it.
    pub(crate) fn run(mut self, mut enter: impl FnMut(u16, &mut [u8], &mut [u8]) -> usize) -> Option<(usize, usize)> {
        let (mut at, mut written, mut done) = (0, 0, 0);
        while at < self.calls.length() {
            let Some((length, output)) = self.one(at, written, done == 0, &mut enter) else { break };
            at += CALL_HEADER_BYTES + length;
            written += OUTPUT_HEADER_BYTES + output;
            done += 1;
        }
        (done > 0 || self.calls.length() == 0).then_some((done, written))
    }

    /// Does the call at `at`; gives the lengths of its input and output. `None` when it cannot be done now.
    fn one(
        &mut self, at: usize, written: usize, first: bool, enter: &mut impl FnMut(u16, &mut [u8], &mut [u8]) -> usize,
    ) -> Option<(usize, usize)> {
        let place = written.checked_add(OUTPUT_HEADER_BYTES)?;
        let room = self.outputs.length().checked_sub(place)?.min(self.output.len());
        if room < RESULT_RECORD_BYTES {
            return None;
        }
        let mut header = [0; CALL_HEADER_BYTES];
        self.calls.copy_in(at, &mut header)?;
        let header = CallHeader::decode(&header).ok().filter(|header| header.reserved == 0)?;
        let length = usize::try_from(header.length).ok()?;
        let input = self.input.get_mut(..length)?;
        self.calls.copy_in(at.checked_add(CALL_HEADER_BYTES)?, input)?;
        let output = self.output.get_mut(..room)?;
        let length_out = enter(header.op, input, output);
        input.fill(0);
        let output = output.get(..length_out)?;
        if !first && is_no_room(output) {
            return None;
        }
        self.outputs.copy_out(written, &u32::try_from(length_out).ok()?.to_le_bytes())?;
        self.outputs.copy_out(place, output)?;
        Some((length, length_out))
    }
}

/// Whether an output says that nothing happened for want of room.
fn is_no_room(output: &[u8]) -> bool {
    let result = output.get(RECORD_HEADER_BYTES..RESULT_RECORD_BYTES).map(EntryResult::decode);
    matches!(result, Some(Ok(EntryResult { status: Status::NoRoom, .. })))
}

/// Room for the largest output of one entry into a module with these ports and so many rows and tokens. At compile time.
///
/// The core of modules accounts the same; more than [`veritee_ids::limits::OUTPUT_BYTES_MAX`] it never wires.
#[must_use]
pub const fn output_bytes(ports: &[PortInfo], rows: usize, tokens: usize) -> usize {
    let (mut index, mut emits, mut reply) = (0, 0, 0);
    while index < ports.len() {
        let port = &ports[index];
        let several = if port.emits_max == 0 { 1 } else { port.emits_max as usize };
        emits = larger(emits, several.saturating_mul(record(port.payload_bytes_max)));
        reply = larger(reply, record(port.reply_bytes_max));
        index += 1;
    }
    let all = rows.saturating_mul(emits).saturating_add(tokens.saturating_mul(reply));
    let most = veritee_ids::limits::OUTPUT_BYTES_MAX;
    let own = larger(veritee_ids::limits::CONTROL_BYTES_MAX, reply) + EVIDENCE_BYTES_MAX + 2 * RESULT_RECORD_BYTES;
    (if all > most { most } else { all }) + own
}

/// A frame with its record, its padding and a reply's code.
const fn record(payload: u32) -> usize {
    RECORD_HEADER_BYTES + FRAME_HEADER_BYTES + TAG_BYTES + 4 + payload as usize
}

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}
