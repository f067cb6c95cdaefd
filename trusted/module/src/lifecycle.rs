//! A module's life: new, active, freezing, frozen, disabled; and the state that moves in an update.

use veritee_ids::{ControlResult, Lifecycle, OperationId};
use veritee_wire::layout::StateChunk;
use zeroize::Zeroize;

const NO_OPERATION: OperationId = OperationId([0; 16]);

/// Where the module stands, and the state in transfer. `STATE` is the length of the movable state in bytes.
pub(crate) struct Life<const STATE: usize> {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) operation: OperationId,
    staging: [u8; STATE],
    /// Bytes of `staging` that were restored so far.
    restored: usize,
}

impl<const STATE: usize> Life<STATE> {
    pub(crate) const fn new() -> Self {
        Self { lifecycle: Lifecycle::New, operation: NO_OPERATION, staging: [0; STATE], restored: 0 }
    }

    /// Starts to rest. The same operation again changes nothing.
    pub(crate) fn freeze(&mut self, operation: OperationId) -> ControlResult {
        match self.lifecycle {
            Lifecycle::Active => {
                self.operation = operation;
                self.lifecycle = Lifecycle::Freezing;
                ControlResult::Done
            }
            Lifecycle::Freezing | Lifecycle::Frozen => self.named(operation),
            Lifecycle::New | Lifecycle::Disabled => ControlResult::WrongLifecycle,
        }
    }

    /// Takes a freeze back.
    pub(crate) fn thaw(&mut self, operation: OperationId) -> ControlResult {
        match self.lifecycle {
            Lifecycle::Freezing | Lifecycle::Frozen if self.operation == operation => {
                self.lifecycle = Lifecycle::Active;
                ControlResult::Done
            }
            Lifecycle::Active => self.named(operation),
            Lifecycle::Freezing | Lifecycle::Frozen => ControlResult::WrongOperation,
            Lifecycle::New | Lifecycle::Disabled => ControlResult::WrongLifecycle,
        }
    }

    /// Makes a new module run: from its initial state (operation zero), or from the state restored under `operation`.
    pub(crate) fn activate(&mut self, operation: OperationId) -> ControlResult {
        match self.lifecycle {
            Lifecycle::Active => self.named(operation),
            Lifecycle::New if self.operation != operation => ControlResult::WrongOperation,
            Lifecycle::New if operation != NO_OPERATION && self.restored != STATE => ControlResult::NoState,
            Lifecycle::New => {
                self.lifecycle = Lifecycle::Active;
                self.staging.zeroize();
                ControlResult::Done
            }
            Lifecycle::Freezing | Lifecycle::Frozen | Lifecycle::Disabled => ControlResult::WrongLifecycle,
        }
    }

    /// Takes a chunk of state into staging. True when the state is complete.
    pub(crate) fn restore(&mut self, chunk: &StateChunk, bytes: &[u8]) -> Result<bool, ControlResult> {
        if self.lifecycle != Lifecycle::New {
            return Err(ControlResult::WrongLifecycle);
        }
        if self.operation != NO_OPERATION && self.operation != chunk.operation {
            return Err(ControlResult::WrongOperation);
        }
        let offset = usize::try_from(chunk.offset).map_err(|_| ControlResult::NoState)?;
        let fits = STATE != 0
            && usize::try_from(chunk.total) == Ok(STATE)
            && usize::from(chunk.length) == bytes.len()
            && offset <= self.restored;
        let place = offset.checked_add(bytes.len()).and_then(|end| self.staging.get_mut(offset..end));
        let Some(place) = place.filter(|_| fits) else { return Err(ControlResult::NoState) };
        place.copy_from_slice(bytes);
        self.operation = chunk.operation;
        self.restored = self.restored.max(offset + bytes.len());
        Ok(self.restored == STATE)
    }

    /// The staged state, for the program to take.
    pub(crate) const fn staged(&self) -> &[u8; STATE] {
        &self.staging
    }

    /// Forgets what was restored.
    pub(crate) fn discard(&mut self) {
        self.staging.zeroize();
        self.restored = 0;
        self.operation = NO_OPERATION;
    }

    /// Lets `save` write the state, then gives the chunk at `offset` that fits into `chunk`, with its length.
    pub(crate) fn save(
        &mut self,
        (operation, offset): (OperationId, u32),
        save: impl FnOnce(&mut [u8; STATE]),
        chunk: &mut [u8],
    ) -> Result<StateChunk, ControlResult> {
        if self.lifecycle != Lifecycle::Frozen {
            return Err(ControlResult::WrongLifecycle);
        }
        if self.operation != operation {
            return Err(ControlResult::WrongOperation);
        }
        let start = usize::try_from(offset).unwrap_or(STATE);
        if STATE == 0 || start >= STATE {
            return Err(ControlResult::NoState);
        }
        save(&mut self.staging);
        let length = chunk.len().min(STATE - start);
        for (place, byte) in chunk.iter_mut().zip(self.staging.iter().skip(start)) {
            *place = *byte;
        }
        self.staging.zeroize();
        Ok(StateChunk {
            operation,
            offset,
            total: u32::try_from(STATE).unwrap_or(u32::MAX),
            length: u16::try_from(length).unwrap_or(u16::MAX),
        })
    }

    fn named(&self, operation: OperationId) -> ControlResult {
        if self.operation == operation { ControlResult::Done } else { ControlResult::WrongOperation }
    }
}
