extern crate std;

use crate::module::Batch;
use crate::shared::Shared;
use crate::{Parameters, output_bytes, placed};
use std::vec;
use std::vec::Vec;
use veritee_ids::{Freshness, Status};
use veritee_trustzone_format::module::{CALL_HEADER_BYTES, CALLS_TYPES, CallHeader, INPUT_BYTES_MAX};
use veritee_trustzone_format::{IDENTITY_MAGIC, Identity, kind};
use veritee_wire::layout::EntryResult;
use veritee_wire::output::{REPLY, RESULT_RECORD_BYTES};
use veritee_wire::{Layout, OutputWriter};

/// Memory of a test, claimed as if it were shared. The test does not touch it while the claim lives.
fn claim(bytes: &mut [u8]) -> Shared {
    // SAFETY: the caller's bytes outlive the claim in every test, and are not used meanwhile.
    unsafe { Shared::claim(bytes.as_mut_ptr(), bytes.len()) }
}

fn front(length: u32, op: u16) -> [u8; CALL_HEADER_BYTES] {
    CallHeader { length, op, reserved: 0 }.bytes()
}

fn call(op: u16, input: &[u8]) -> Vec<u8> {
    let mut bytes = front(u32::try_from(input.len()).unwrap(), op).to_vec();
    bytes.extend_from_slice(input);
    bytes
}

/// A module that answers with what it was given; `no-room` when that does not fit.
fn echo(op: u16, input: &mut [u8], output: &mut [u8]) -> usize {
    let mut writer = OutputWriter::new(output).unwrap();
    let status = match writer.record(REPLY, input.len()) {
        Ok(body) => {
            body.copy_from_slice(input);
            Status::Accepted
        }
        Err(_) => Status::NoRoom,
    };
    writer.finish(EntryResult { status, reserved: 0, value: op.into() })
}

/// Runs a batch against outputs of a length; gives what it came to and the outputs.
fn run(calls: &[u8], room: usize) -> (Option<(usize, usize)>, Vec<u8>) {
    let (mut calls, mut outputs) = (calls.to_vec(), vec![0xee; room]);
    let (mut input, mut output) = (vec![0; INPUT_BYTES_MAX], vec![0; 4096]);
    let batch =
        Batch { calls: claim(&mut calls), outputs: claim(&mut outputs), input: &mut input, output: &mut output };
    let came = batch.run(echo);
    assert!(input.iter().all(|byte| *byte == 0), "inputs do not stay");
    (came, outputs)
}

#[test]
fn a_batch_gives_each_calls_output_in_order() {
    let calls = [call(4, b"one"), call(5, b""), call(6, b"three")].concat();
    let (came, outputs) = run(&calls, 1000);
    let (done, written) = came.unwrap();
    assert_eq!(done, 3);
    let mut rest = &outputs[..written];
    for (op, input) in [(4_u16, &b"one"[..]), (5, b""), (6, b"three")] {
        let (length, behind) = rest.split_first_chunk::<4>().unwrap();
        let (output, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        let mut expected = [0; 100];
        let length = echo(op, &mut input.to_vec(), &mut expected);
        assert_eq!(output, &expected[..length]);
        rest = behind;
    }
    assert!(rest.is_empty() && outputs[written..].iter().all(|byte| *byte == 0xee), "nothing is written behind");
}

#[test]
fn a_batch_stops_before_what_does_not_fit_and_only_the_first_is_told_so() {
    let calls = [call(4, &[1; 50]), call(4, &[2; 50])].concat();
    let one = RESULT_RECORD_BYTES + 8 + 50 + 4;
    let (came, _) = run(&calls, 2 * one - 1);
    assert_eq!(came, Some((1, one)));
    let (came, outputs) = run(&calls, one - 1);
    assert_eq!(came.unwrap().0, 1);
    assert_eq!(outputs[12..14], Status::NoRoom.code().to_le_bytes());
    assert_eq!(run(&calls, RESULT_RECORD_BYTES + 3).0, None, "no room for any answer");
}

#[test]
fn forged_lengths_are_refused_or_end_the_batch() {
    let mut beyond = call(4, b"abc");
    beyond[0] = 4;
    assert_eq!(run(&beyond, 1000).0, None, "one byte beyond the memory");
    let long = front(u32::MAX, 4);
    assert_eq!(run(&long, 1000).0, None, "longer than any input");
    let mut reserved = front(0, 4);
    reserved[7] = 1;
    assert_eq!(run(&reserved, 1000).0, None, "bytes that are not used yet");
    let most = u32::try_from(INPUT_BYTES_MAX).unwrap();
    let filled = |length| [&front(length, 4)[..], &vec![0; INPUT_BYTES_MAX + 1]].concat();
    assert_eq!(run(&filled(most), 4096).0.map(|(done, _)| done), Some(1), "the longest input");
    assert_eq!(run(&filled(most + 1), 4096).0, None, "a longer one, although it is all there");
    for cut in 1..8 {
        assert_eq!(run(&call(4, b"")[..cut], 1000).0, None, "a part of a header");
    }
    let (came, _) = run(&[call(4, b"abc"), beyond].concat(), 1000);
    assert_eq!(came.unwrap().0, 1, "the sound one before it is done");
    assert_eq!(run(&[], 1000).0, Some((0, 0)));
}

#[test]
fn memory_is_not_reached_beyond_its_ends() {
    let mut bytes = [7; 8];
    let shared = claim(&mut bytes);
    let mut place = [0; 4];
    assert!(shared.copy_in(4, &mut place).is_some());
    assert!(shared.copy_in(5, &mut place).is_none());
    assert!(shared.copy_in(usize::MAX, &mut place).is_none());
    assert!(shared.copy_out(usize::MAX - 1, &place).is_none());
    assert!(shared.copy_out(8, &[]).is_some());
}

#[test]
fn ranges_that_share_a_byte_overlap() {
    let mut bytes = [0; 8];
    let start = bytes.as_mut_ptr();
    // SAFETY: ranges inside `bytes`, which nothing reads here.
    let part = |from: usize, length| unsafe { Shared::claim(start.add(from), length) };
    assert!(part(0, 5).overlaps(&part(4, 4)) && part(4, 4).overlaps(&part(0, 5)));
    assert!(part(0, 8).overlaps(&part(3, 1)) && part(3, 1).overlaps(&part(0, 8)));
    assert!(!part(0, 4).overlaps(&part(4, 4)) && !part(4, 4).overlaps(&part(0, 4)));
}

#[test]
fn parameters_of_other_kinds_name_nothing() {
    let mut raw = [u64::from(CALLS_TYPES), 0x1000, 64, 0, 64, 5, 6, 0x1000, 8];
    // SAFETY: as many words as parameters have; nothing is read from the memory that the first one names.
    let parameters = unsafe { &mut *raw.as_mut_ptr().cast::<Parameters>() };
    assert!(parameters.are(CALLS_TYPES) && !parameters.are(kind::types([kind::MEMORY_IN; 4])));
    assert_eq!(parameters.memory(0, kind::MEMORY_IN).length(), 64);
    assert_eq!(parameters.memory(0, kind::MEMORY_OUT).length(), 0, "it is read, not written");
    assert_eq!(parameters.memory(1, kind::MEMORY_OUT).length(), 0, "no address, no length");
    assert_eq!(parameters.memory(2, kind::VALUE_OUT).length(), 0, "a value is no memory");
    assert_eq!(parameters.memory(3, kind::NONE).length(), 0, "nothing is no memory");
    assert_eq!(parameters.memory(9, kind::MEMORY_IN).length(), 0);
    assert_eq!(parameters.numbers(2, kind::VALUE_IN), [0, 0], "a number out is not read");
    assert_eq!(parameters.numbers(0, kind::VALUE_IN), [0, 0]);
}

/// Else safe code could make memory of any address.
#[test]
fn memory_parameters_are_the_cores_to_name() {
    let mut parameters = Parameters::new(CALLS_TYPES);
    parameters.set(0, kind::MEMORY_IN, [0x1000, 64]);
    parameters.set(1, kind::VALUE_OUT, [0x1000, 64]);
    parameters.wrote(1, 64);
    assert_eq!(parameters.memory(0, kind::MEMORY_IN).length(), 0);
    assert_eq!(parameters.memory(1, kind::MEMORY_OUT).length(), 0);
    parameters.set(2, kind::VALUE_OUT, [1, 2]);
    assert_eq!(parameters.numbers(2, kind::VALUE_OUT), [1, 2]);
}

#[test]
fn an_image_without_a_place_has_no_identity() {
    let named = Identity {
        magic: IDENTITY_MAGIC,
        owner: [3; 32],
        vendor: 9,
        freshness: Freshness::SoftwarePrng,
        instance: [b'x'; veritee_ids::limits::NAME_BYTES_MAX],
    };
    let bytes = |identity: Identity| identity.bytes::<{ Identity::BYTES }>();
    assert_eq!(placed(&bytes(named)), Some(named));
    assert_eq!(placed(&bytes(Identity { vendor: 0, ..named })), None);
    assert_eq!(placed(&bytes(Identity { magic: [0; 8], ..named })), None);
    assert_eq!(placed(&[0; Identity::BYTES]), None, "as it was compiled");
}

#[test]
fn the_room_for_outputs_holds_the_largest_entry() {
    use veritee_probe::{Probe, ROWS, TOKENS};
    let ports = <Probe as veritee_module::Program>::PORTS;
    let bytes = output_bytes(ports, ROWS, TOKENS);
    let frames: usize =
        ports.iter().map(|port| usize::from(port.emits_max) * (port.payload_bytes_max as usize + 42)).max().unwrap();
    assert!(bytes > ROWS * frames + veritee_ids::limits::CONTROL_BYTES_MAX);
    assert!(bytes <= veritee_ids::limits::OUTPUT_BYTES_MAX + 8192);
}
