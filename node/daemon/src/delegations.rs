//! Delegations that are over. Modules have no clock, so nodes look. A node that does not can delay nothing by it but the refusal:
//! what a delegate may do, and the lowest serial number, are the module's to judge.

use std::time::{SystemTime, UNIX_EPOCH};
use veritee_ids::Op;
use veritee_wire::Layout as _;
use veritee_wire::layout::{Delegation, Open};

#[cfg(test)]
mod tests;

/// Whether an entry opens a session in the name of a delegation that is over now.
pub(crate) fn is_over(op: Op, input: &[u8]) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    op == Op::Open && is_over_at(input, now)
}

/// The same at a moment, in seconds since 1970. What is malformed is the module's to refuse.
fn is_over_at(input: &[u8], now: u64) -> bool {
    let Ok((open, rest)) = Open::decode_front(input) else { return false };
    open.delegated != 0 && Delegation::decode(rest).is_ok_and(|delegation| delegation.not_after < now)
}
