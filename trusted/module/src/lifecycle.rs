//! Where a module stands in its life, and its state on the move: PROTOCOL section 6.

use crate::program::Program;
use veritee_ids::{ControlResult, Lifecycle, OperationId};
use veritee_wire::Layout;
use veritee_wire::layout::{SaveRequest, SealHead, StateChunk};
use zeroize::Zeroize;

/// What a request came to that changes nothing but the life.
pub(crate) type Done = Result<(), ControlResult>;

pub(crate) const NO_OPERATION: OperationId = OperationId([0; 16]);

/// The life of a module. `STATE` is the length of its movable state in bytes.
pub(crate) struct Life<const STATE: usize> {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) operation: OperationId,
    /// The state on its way in or out.
    pub(crate) staging: [u8; STATE],
    /// Bytes of the state that were restored, from its front.
    restored: usize,
    /// How the state is sealed that lies in the staging, or will.
    pub(crate) sealed: Option<SealHead>,
}

impl<const STATE: usize> Life<STATE> {
    pub(crate) const fn new() -> Self {
        Self { lifecycle: Lifecycle::New, operation: NO_OPERATION, staging: [0; STATE], restored: 0, sealed: None }
    }

    /// Runs the module to rest, for one operation.
    pub(crate) fn freeze(&mut self, operation: OperationId) -> Done {
        match self.lifecycle {
            Lifecycle::Active => {
                self.operation = operation;
                self.lifecycle = Lifecycle::Freezing;
                self.sealed = None;
                Ok(())
            }
            Lifecycle::Freezing | Lifecycle::Frozen => self.named(operation),
            Lifecycle::New | Lifecycle::Disabled => Err(ControlResult::WrongLifecycle),
        }
    }

    /// Takes a freeze back.
    pub(crate) fn thaw(&mut self, operation: OperationId) -> Done {
        match self.lifecycle {
            Lifecycle::New | Lifecycle::Disabled => Err(ControlResult::WrongLifecycle),
            Lifecycle::Active | Lifecycle::Freezing | Lifecycle::Frozen => {
                self.named(operation)?;
                self.lifecycle = Lifecycle::Active;
                Ok(())
            }
        }
    }

    /// Makes a new module run: in its initial state, or with the whole state of the operation that it names.
    pub(crate) fn activate(&mut self, operation: OperationId) -> Done {
        if !matches!(self.lifecycle, Lifecycle::New | Lifecycle::Active) {
            return Err(ControlResult::WrongLifecycle);
        }
        self.named(operation)?;
        if self.lifecycle == Lifecycle::New && operation != NO_OPERATION && self.restored != STATE {
            return Err(ControlResult::NoState);
        }
        self.lifecycle = Lifecycle::Active;
        self.staging.zeroize();
        Ok(())
    }

    /// Takes a chunk of state, in order or again. True once the state is whole.
    pub(crate) fn restore(&mut self, chunk: &StateChunk, bytes: &[u8]) -> Result<bool, ControlResult> {
        self.awaits(chunk.operation)?;
        // What was opened is whole, and nothing else opens under its tag.
        if self.sealed.is_some() && self.restored == STATE {
            return Ok(false);
        }
        let offset = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
        let whole = STATE != 0 && usize::try_from(chunk.total) == Ok(STATE);
        let fits = whole && usize::from(chunk.length) == bytes.len() && offset <= self.restored;
        let end = offset.saturating_add(bytes.len());
        let place = self.staging.get_mut(offset..end).filter(|_| fits).ok_or(ControlResult::NoState)?;
        place.copy_from_slice(bytes);
        self.operation = chunk.operation;
        self.restored = self.restored.max(end);
        Ok(self.restored == STATE)
    }

    /// Begins the restore of a sealed state, or goes on with it.
    pub(crate) fn unseal(&mut self, head: &SealHead) -> Done {
        self.awaits(head.operation)?;
        if self.sealed != Some(*head) {
            self.discard();
            self.operation = head.operation;
            self.sealed = Some(*head);
        }
        Ok(())
    }

    /// Forgets a half-restored state.
    pub(crate) fn discard(&mut self) {
        self.sealed = None;
        self.staging.zeroize();
        self.restored = 0;
        self.operation = NO_OPERATION;
    }

    /// Writes a chunk of the frozen module's state with its head into `answer`; gives their length.
    pub(crate) fn save(
        &mut self, wanted: &SaveRequest, program: &impl Program, answer: &mut [u8],
    ) -> Result<usize, ControlResult> {
        self.rests(wanted.operation)?;
        let (front, place) = answer.split_at_mut_checked(StateChunk::BYTES).ok_or(ControlResult::NoState)?;
        if self.sealed.is_none() {
            program.save(&mut self.staging);
        }
        let offset = usize::try_from(wanted.offset).unwrap_or(STATE);
        let mut length = 0;
        for (place, byte) in place.iter_mut().zip(self.staging.iter().skip(offset)) {
            *place = *byte;
            length += 1;
        }
        if self.sealed.is_none() {
            self.staging.zeroize();
        }
        let head = StateChunk {
            operation: wanted.operation,
            offset: wanted.offset,
            total: u32::try_from(STATE).unwrap_or(u32::MAX),
            length: u16::try_from(length).unwrap_or(u16::MAX),
        };
        if length == 0 { Err(ControlResult::NoState) } else { Ok(head.encode(front)? + length) }
    }

    /// At rest for this operation: its state can be saved.
    pub(crate) fn rests(&self, operation: OperationId) -> Done {
        if self.lifecycle == Lifecycle::Frozen { self.named(operation) } else { Err(ControlResult::WrongLifecycle) }
    }

    /// New, and in no other operation: a state can be restored.
    fn awaits(&self, operation: OperationId) -> Done {
        match self.lifecycle {
            Lifecycle::New if STATE == 0 => Err(ControlResult::NoState),
            Lifecycle::New if self.operation == NO_OPERATION => Ok(()),
            Lifecycle::New => self.named(operation),
            _ => Err(ControlResult::WrongLifecycle),
        }
    }

    fn named(&self, operation: OperationId) -> Done {
        if self.operation == operation { Ok(()) } else { Err(ControlResult::WrongOperation) }
    }
}
