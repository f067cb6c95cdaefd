//! Orders to load: one request a turn.

use super::{Fault, Worker};
use crate::guest::Guest;
use crate::loading::{Loaded, Step};
use crate::message::{self, Code, Handle, HandleState, Nonsense, WRITE_BYTES_MAX, kind};
use core::ops::Range;
use veritee_host::HostError;

/// What a step came to.
enum Came {
    /// The order goes on with this step.
    Next(Step),
    /// It is loaded.
    Enabled(u8),
    /// It failed; this handle, if any, is to be freed.
    Failed(HostError, Option<u8>),
}

impl Worker<'_> {
    /// Does the next step of the first order. Orders of which the line broke begin anew.
    pub(super) fn load(&mut self) -> Result<(), Fault> {
        // It stays in the queue meanwhile: its handle is claimed by it.
        let Some((step, image)) = self.board.state().orders.front().map(|order| (order.step, order.image.clone()))
        else {
            return Ok(());
        };
        let came = match step {
            Step::Reserve => self.step_reserve(&image),
            Step::Write { handle, offset } => self.step_write(&image, handle, offset),
            Step::Enable { handle } => self.step_enable(&image, handle),
        };
        let came = match came {
            Ok(came) => came,
            Err(fault) => {
                if let Some(order) = self.board.state().orders.front_mut() {
                    order.step = Step::Reserve;
                }
                return Err(fault);
            }
        };
        match came {
            Came::Next(next) => {
                if let Some(order) = self.board.state().orders.front_mut() {
                    order.step = next;
                }
            }
            Came::Enabled(handle) => self.enabled(handle),
            Came::Failed(error, handle) => {
                if let Some(handle) = handle {
                    self.unload_handle(handle)?;
                }
                if let Some(order) = self.board.state().orders.pop_front() {
                    order.answer(Err(error));
                }
            }
        }
        Ok(())
    }

    fn step_reserve(&mut self, image: &veritee_sancus_format::ModuleImage) -> Result<Came, Fault> {
        let listed = self.ask(kind::LIST, &[])?.map_err(|_| Nonsense)?;
        let handles = message::list(&listed)?;
        let (text, secret) = sections(image);
        let in_the_way: Vec<u8> = {
            let mut state = self.board.state();
            state.handles.clone_from(&handles);
            let loaded = handles.iter().filter(|handle| handle.state != HandleState::Driver);
            let there = loaded.filter(|handle| overlap(&handle.text, &text) || overlap(&handle.secret, &secret));
            there.map(|handle| handle.handle).filter(|handle| !state.is_claimed(*handle)).collect()
        };
        // Left by an order that an earlier daemon, or a broken line, did not finish.
        for handle in in_the_way {
            self.unload_handle(handle)?;
        }
        let text_bytes = u16::try_from(image.text.len()).map_err(|_| Nonsense)?;
        let request = message::reserve(image.text_address, text_bytes, image.secret_address, image.secret_bytes);
        Ok(match self.ask(kind::RESERVE, &request)? {
            Ok(answer) => {
                let handle = message::reserved(&answer)?;
                self.board.state().handles.push(Handle { handle, state: HandleState::Reserved, text, secret });
                Came::Next(Step::Write { handle, offset: 0 })
            }
            Err(Code::NoHandleFree) => {
                let reason = format!("the board {} has no handle free: unload a module", self.board.config.name);
                Came::Failed(HostError::NoRoom { reason }, None)
            }
            Err(Code::NotFree) => {
                let reason =
                    format!("the memory of the reservation is not free on the board {}", self.board.config.name);
                Came::Failed(HostError::NoRoom { reason }, None)
            }
            Err(code) => Came::Failed(self.refused("reserve memory", code), None),
        })
    }

    fn step_write(
        &mut self, image: &veritee_sancus_format::ModuleImage, handle: u8, offset: usize,
    ) -> Result<Came, Fault> {
        let end = image.text.len().min(offset + WRITE_BYTES_MAX);
        let chunk = image.text.get(offset..end).unwrap_or_default();
        let at = u16::try_from(offset).map_err(|_| Nonsense)?;
        if let Err(code) = self.ask(kind::WRITE, &message::write(handle, at, chunk))? {
            return self.broken_off("write the module's text", code, handle);
        }
        let more = end < image.text.len();
        Ok(Came::Next(if more { Step::Write { handle, offset: end } } else { Step::Enable { handle } }))
    }

    fn step_enable(&mut self, image: &veritee_sancus_format::ModuleImage, handle: u8) -> Result<Came, Fault> {
        let request = message::enable(handle, image.vendor, image.room, image.poll);
        match self.ask(kind::ENABLE, &request)? {
            Ok(_) => Ok(Came::Enabled(handle)),
            Err(Code::Refused) => {
                let reason = "the board's hardware refuses to enable it: no slot is free, or a range is impossible";
                Ok(Came::Failed(HostError::BadImage { reason: reason.to_owned() }, Some(handle)))
            }
            Err(code) => self.broken_off("enable the module", code, handle),
        }
    }

    /// A handle that the board gave is not what it was: after a reset the order begins anew.
    fn broken_off(&mut self, action: &str, code: Code, handle: u8) -> Result<Came, Fault> {
        let boot = self.memory.boot;
        self.greet()?;
        if self.memory.boot == boot {
            return Ok(Came::Failed(self.refused(action, code), Some(handle)));
        }
        Ok(Came::Next(Step::Reserve))
    }

    fn refused(&self, action: &str, code: Code) -> HostError {
        let reason = format!("the board {} does not {action} ({code:?})", self.board.config.name);
        HostError::BrokenChannel { reason }
    }

    /// The module of the first order runs: it is a guest from now on.
    fn enabled(&self, handle: u8) {
        let mut state = self.board.state();
        let Some(order) = state.orders.pop_front() else { return };
        let Some(boot) = self.memory.boot else { return };
        let (text, secret) = sections(&order.image);
        state.handles.retain(|known| known.handle != handle);
        state.handles.push(Handle { handle, state: HandleState::Enabled, text, secret });
        let guest = match Guest::new(boot, handle, false, &order.label) {
            Ok(guest) => guest,
            Err(source) => {
                order.answer(Err(HostError::System { action: "make a doorbell".to_owned(), source }));
                return;
            }
        };
        let id = state.add(guest);
        if !order.answer(Ok(Loaded { guest: id }))
            && let Some(guest) = state.guests.get_mut(&id)
        {
            guest.ending = true;
            guest.dropped = true;
        }
    }
}

fn sections(image: &veritee_sancus_format::ModuleImage) -> (Range<u32>, Range<u32>) {
    let text = u32::from(image.text_address);
    let secret = u32::from(image.secret_address);
    let length = u32::try_from(image.text.len()).unwrap_or(u32::MAX);
    (text..text.saturating_add(length), secret..secret + u32::from(image.secret_bytes))
}

const fn overlap(one: &Range<u32>, other: &Range<u32>) -> bool {
    one.start < other.end && other.start < one.end
}
