//! Delegates, and delegations that are over. Modules have no clock, so nodes look. A node that does not can delay nothing by it
//! but the refusal: what a delegate may do, and the lowest serial number, are the module's to judge.

use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};
use veritee_ids::limits::PROTOCOL_VERSION;
use veritee_ids::{Label, Op};
use veritee_node_client::has_signed;
use veritee_node_protocol::{IdentityKey, Request};
use veritee_wire::Layout as _;
use veritee_wire::layout::{Delegation, Open};

#[cfg(test)]
mod tests;

/// Whether an entry opens a session in the name of a delegation that is over now.
pub(crate) fn is_over(op: Op, input: &[u8]) -> bool {
    op == Op::Open && is_over_at(input, now())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The same at a moment, in seconds since 1970. What is malformed is the module's to refuse.
fn is_over_at(input: &[u8], now: u64) -> bool {
    let Ok((open, rest)) = Open::decode_front(input) else { return false };
    open.delegated != 0 && Delegation::decode(rest).is_ok_and(|delegation| delegation.not_after < now)
}

/// In whose name a connection speaks. The delegation was judged but for its time, which goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acting {
    /// The owner.
    pub(crate) owner: IdentityKey,
    application: [u8; 16],
    not_after: u64,
}

impl Acting {
    /// Judges that `owner` delegated to `delegate`, who proved to be him. Its serial number is the modules' to judge: a node
    /// does not know which one is the lowest.
    pub(crate) fn judge(delegate: &IdentityKey, owner: IdentityKey, bytes: &[u8]) -> Result<Self, &'static str> {
        let no_delegation = "this is no delegation of that owner";
        let delegation = Delegation::decode(bytes).map_err(|_| no_delegation)?;
        let signed = bytes.split_last_chunk::<64>().map(|(signed, _)| Sha256::digest(signed)).ok_or(no_delegation)?;
        if (delegation.label, delegation.version) != (Label::Delegation, PROTOCOL_VERSION)
            || !has_signed(&owner, &signed, &delegation.signature)
        {
            return Err(no_delegation);
        }
        if delegation.delegate != *delegate {
            return Err("the delegation is somebody else's");
        }
        let acting = Self { owner, application: delegation.application.0, not_after: delegation.not_after };
        acting.lasts(now()).map(|()| acting)
    }

    fn lasts(&self, now: u64) -> Result<(), &'static str> {
        if self.not_after < now { Err("the delegation is over") } else { Ok(()) }
    }

    /// Whether a delegate may ask for this now: nothing that loads, ends, routes or lends.
    pub(crate) fn may(&self, request: &Request) -> Result<(), &'static str> {
        self.lasts(now())?;
        let application = match request {
            Request::Enter { name, .. } | Request::Direct { name, .. } => Some(name.application),
            Request::List { application } => *application,
            Request::Figures { application } | Request::EpochDead { application, .. } => Some(*application),
            _ => return Err("a delegate may not ask for this"),
        };
        if application == Some(self.application) { Ok(()) } else { Err("the delegation is for another application") }
    }
}
