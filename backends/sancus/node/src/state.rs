//! The state of a board's driver, shared under one lock.

use crate::guest::{Guest, Input};
use crate::loading::{Order, Step};
use crate::message::{Boot, Handle, HandleState, Hello};
use crate::ring::Ring;
use std::collections::{BTreeMap, VecDeque};

/// Names a guest for good.
pub(crate) type GuestId = u64;

/// An output of a handle that nobody has claimed (yet).
#[derive(Debug)]
pub(crate) struct Unclaimed {
    pub(crate) handle: u8,
    pub(crate) output: u32,
    pub(crate) bytes: Vec<u8>,
}

/// Everything that daemon and thread share.
#[derive(Debug)]
pub(crate) struct State {
    /// What the board said last.
    pub(crate) hello: Option<Hello>,
    /// Its handles, as listed last.
    pub(crate) handles: Vec<Handle>,
    /// Why it cannot be used now; empty while it answers.
    pub(crate) trouble: String,
    pub(crate) guests: BTreeMap<GuestId, Guest>,
    pub(crate) next_guest: GuestId,
    pub(crate) orders: VecDeque<Order>,
    pub(crate) ring: Ring,
    pub(crate) unclaimed: Vec<Unclaimed>,
    /// Every module of this node had its chance to claim what it left.
    pub(crate) settled: bool,
    pub(crate) stopping: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            hello: None,
            handles: Vec::new(),
            trouble: "it was not reached yet".to_owned(),
            guests: BTreeMap::new(),
            next_guest: 0,
            orders: VecDeque::new(),
            ring: Ring::default(),
            unclaimed: Vec::new(),
            settled: false,
            stopping: false,
        }
    }

    /// The living guest of a handle.
    pub(crate) fn claimant(&mut self, handle: u8) -> Option<(GuestId, &mut Guest)> {
        let boot = self.hello.as_ref()?.boot;
        let found =
            self.guests.iter_mut().find(|(_, guest)| guest.handle == handle && guest.boot == boot && !guest.gone);
        found.map(|(id, guest)| (*id, guest))
    }

    /// Whether a guest, or an order, has this handle.
    pub(crate) fn is_claimed(&mut self, handle: u8) -> bool {
        self.claimant(handle).is_some() || self.orders.iter().any(|order| order.handle() == Some(handle))
    }

    /// Adds a guest and gives it what its handle left before.
    pub(crate) fn add(&mut self, mut guest: Guest) -> GuestId {
        let (ours, others) =
            core::mem::take(&mut self.unclaimed).into_iter().partition(|left| left.handle == guest.handle);
        self.unclaimed = others;
        let ours: Vec<Unclaimed> = ours;
        for left in ours {
            guest.leave(u64::from(left.output), veritee_host::UNASKED, left.bytes);
        }
        let id = self.next_guest;
        self.next_guest += 1;
        self.guests.insert(id, guest);
        id
    }

    /// The board is another one than before: everybody on it is gone.
    pub(crate) fn reset(&mut self, boot: Boot) {
        for guest in self.guests.values_mut().filter(|guest| guest.boot != boot && !guest.gone) {
            guest.gone = true;
            guest.die("the board was reset");
        }
        for order in &mut self.orders {
            order.step = Step::Reserve;
        }
        self.ring = Ring::default();
        self.unclaimed.clear();
        self.sweep();
    }

    /// Forgets guests that neither the board nor the daemon has.
    pub(crate) fn sweep(&mut self) {
        self.guests.retain(|_, guest| !(guest.gone && guest.dropped));
    }

    /// Takes a guest off the board: what it left and nobody holds may go.
    pub(crate) fn gone(&mut self, id: GuestId, reason: &str) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.gone = true;
        guest.die(reason);
        let outputs: Vec<u64> = guest.outputs.iter().map(|left| left.position).collect();
        for output in outputs {
            self.release(output);
        }
        self.sweep();
    }

    /// An output at this position is not needed any more.
    pub(crate) fn release(&mut self, position: u64) {
        if let Ok(output) = u32::try_from(position) {
            self.ring.release(output);
        }
    }

    /// No more claims will come: what nobody claimed may go.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
        for left in core::mem::take(&mut self.unclaimed) {
            self.ring.release(left.output);
        }
    }

    /// A loaded module on the board that no guest claims.
    pub(crate) fn orphan(&mut self) -> Option<u8> {
        let loaded: Vec<u8> = self
            .handles
            .iter()
            .filter(|handle| handle.state != HandleState::Driver)
            .map(|handle| handle.handle)
            .collect();
        loaded.into_iter().find(|handle| !self.is_claimed(*handle))
    }

    /// The next guest behind `after`, in turn, that has a call to be entered with.
    pub(crate) fn next_caller(&mut self, after: GuestId) -> Option<GuestId> {
        let ready = |guest: &Guest| {
            guest.lives() && matches!(guest.calls.front(), Some(call) if matches!(call.input, Input::Enter { .. }))
        };
        let behind = self.guests.range(after + 1..).find(|(_, guest)| ready(guest));
        behind.or_else(|| self.guests.range(..=after).find(|(_, guest)| ready(guest))).map(|(id, _)| *id)
    }
}
