//! What happens next: the attacker schedules everything, and now and then the owner does something.

use crate::World;
use crate::world::{Captured, MODULES};
use veritee_conformance::probe::{ADD, BURST, START};
use veritee_ids::{Op, RowIndex, Status};

/// One step.
pub fn step(world: &mut World) {
    match world.choices.below(100) {
        0..60 => deliver_next(world),
        60..74 => enter_entry(world),
        74..80 => replay(world),
        80..87 => tamper(world),
        87..91 => misroute(world),
        91..94 => late(world),
        94 if world.choices.below(3) == 0 => restart(world),
        _ => {
            let index = world.choices.below(world.connections.len());
            world.rekey(index);
        }
    }
}

/// Plays the honest carrier: the oldest frame that was not delivered on some connection.
fn deliver_next(world: &mut World) {
    let connection = world.choices.below(world.connections.len());
    let backward = world.choices.below(3) == 0;
    let next = world
        .captured
        .iter()
        .position(|frame| !frame.delivered && (frame.connection, frame.backward) == (connection, backward));
    let Some(index) = next else { return };
    let Captured { frame, .. } = world.captured[index].clone();
    let (module, row) = world.connections[connection].entrance(backward);
    let status = world.deliver(module, row, &frame);
    // `busy` and `gap` will be tried again; an honest carrier frees the rest.
    world.captured[index].delivered = !matches!(status, Status::Busy | Status::Gap);
}

fn enter_entry(world: &mut World) {
    let module = world.choices.below(MODULES);
    let (port, argument) = if world.choices.below(3) == 0 {
        (START, u32::try_from(world.choices.below(20)).unwrap_or(0))
    } else {
        (BURST, u32::try_from(world.choices.below(3)).unwrap_or(0))
    };
    world.enter(module, Op::Entry, port, &argument.to_le_bytes());
}

fn any_frame(world: &mut World) -> Option<Captured> {
    if world.captured.is_empty() {
        return None;
    }
    let index = world.choices.below(world.captured.len());
    Some(world.captured[index].clone())
}

/// Any frame that was ever emitted, again, where it belongs.
fn replay(world: &mut World) {
    let Some(captured) = any_frame(world) else { return };
    let (module, row) = world.connections[captured.connection].entrance(captured.backward);
    world.deliver(module, row, &captured.frame);
}

/// Any frame with a flipped bit, a cut, or a changed length.
fn tamper(world: &mut World) {
    let Some(mut captured) = any_frame(world) else { return };
    let bit = world.choices.below(captured.frame.len() * 8);
    match world.choices.below(4) {
        0 => captured.frame.truncate(bit / 8),
        1 => captured.frame.extend_from_slice(&[0; 2]),
        _ => captured.frame[bit / 8] ^= 1 << (bit % 8),
    }
    let (module, row) = world.connections[captured.connection].entrance(captured.backward);
    world.deliver(module, row, &captured.frame);
}

/// Any frame at any module and row.
fn misroute(world: &mut World) {
    let Some(captured) = any_frame(world) else { return };
    let module = world.choices.below(MODULES);
    let row = RowIndex(u16::try_from(world.choices.below(8)).unwrap_or(0));
    if (module, row) == world.connections[captured.connection].entrance(captured.backward) {
        return;
    }
    world.deliver(module, row, &captured.frame);
}

fn late(world: &mut World) {
    let module = world.choices.below(MODULES);
    world.enter(module, Op::Late, ADD, &[]);
}

/// A module's life ends; its node starts another one.
fn restart(world: &mut World) {
    let module = world.choices.below(MODULES);
    world.nodes[module] = world.fresh_node(module);
    world.summary.restarts += 1;
}
