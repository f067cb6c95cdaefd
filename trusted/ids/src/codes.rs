//! Codes that cross the wire, each with its number.

use crate::codec::{Layout, Malformed, Reader, Writer};

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident: $repr:ident {
        $($(#[$vmeta:meta])* $variant:ident = $value:literal, $text:literal;)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr($repr)]
        pub enum $name { $($(#[$vmeta])* $variant = $value,)* }

        impl $name {
            /// All variants, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// The word for people and for JSON.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl TryFrom<$repr> for $name {
            type Error = Malformed;

            fn try_from(code: $repr) -> Result<Self, Malformed> {
                Self::ALL.iter().copied().find(|known| known.code() == code).ok_or(Malformed)
            }
        }

        impl Layout for $name {
            const BYTES: usize = size_of::<$repr>();
            fn put(&self, writer: &mut Writer<'_>) {
                self.code().put(writer);
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                Self::try_from(<$repr>::take(reader)?)
            }
        }
    )*};
}

codes! {
    /// What the host asks of a module when it enters it.
    Op: u16 {
        /// Evidence over a challenge. Open to anybody.
        Attest = 1, "attest";
        /// The owner's half of the key agreement (X25519 platforms).
        Open = 2, "open";
        /// A sealed control request of the owner.
        Control = 3, "control";
        /// An event, request or reply frame.
        Event = 4, "event";
        /// A user entry: public, unauthenticated.
        Entry = 5, "entry";
        /// A declared deadline passed without an accepted event. Unauthenticated.
        Late = 6, "late";
    }

    /// What an entry into a module came to. For an event this is the verdict.
    Status: u16 {
        /// Done; for an event: accepted, the counter has moved.
        Accepted = 0, "accepted";
        /// An event below the expected counter: it was accepted before.
        Duplicate = 1, "duplicate";
        /// An event above the expected counter; the value says which one is expected.
        Gap = 2, "gap";
        /// Not now: the module is new, frozen, waits for a reply, or does not know this epoch yet. Nothing changed.
        Busy = 3, "busy";
        /// Refused, for a reason that is not told. Nothing changed.
        Refused = 4, "refused";
        /// The output area is too small for what this entry may emit; the value says how many bytes it must have.
        NoRoom = 5, "no-room";
        /// The module halted: its keys are wiped and it answers nothing else from now on.
        Halted = 6, "halted";
        /// The host entered with something that is not of the declared shape. Nothing changed.
        Malformed = 7, "malformed";
    }

    /// Ciphers of a connection.
    CipherId: u8 {
        /// AES-128-GCM, NIST SP 800-38D.
        Aes128Gcm = 1, "aes-128-gcm";
        /// SpongeWrap over SPONGENT with a 336-bit state, 128-bit security: what Sancus has in hardware.
        Spongent128 = 2, "spongent-128";
        /// Ascon-AEAD128, NIST SP 800-232.
        Ascon128 = 3, "ascon-128";
    }

    /// A module's part in a connection.
    Role: u8 {
        /// Emits events.
        Sender = 1, "sender";
        /// Accepts events.
        Receiver = 2, "receiver";
        /// Emits requests and accepts their replies.
        Requester = 3, "requester";
        /// Accepts requests and emits their replies.
        Handler = 4, "handler";
    }

    /// What a frame carries.
    FrameKind: u16 {
        /// An event of an output.
        Event = 1, "event";
        /// A request.
        Request = 2, "request";
        /// The reply to a request, against the direction of its connection.
        Reply = 3, "reply";
    }

    /// Along the connection or against it. Part of what is authenticated.
    Direction: u16 {
        /// From the source to the target.
        Forward = 1, "forward";
        /// From the target back to the source.
        Backward = 2, "backward";
    }

    /// Kinds of ports in a port table.
    PortKind: u16 {
        /// Accepts events.
        Input = 1, "input";
        /// Emits events.
        Output = 2, "output";
        /// Emits requests.
        Request = 3, "request";
        /// Accepts requests.
        Handler = 4, "handler";
        /// A user entry, callable by every identity that the node knows, and by its timers.
        Entry = 5, "entry";
    }

    /// Where an activation's uniqueness comes from. Part of the evidence.
    Freshness: u16 {
        /// A hardware random number generator.
        HardwareRng = 1, "hardware-rng";
        /// A counter that survives power loss.
        PersistentCounter = 2, "persistent-counter";
        /// A random number generator in software.
        SoftwarePrng = 3, "software-prng";
        /// Nothing: the same activation id may come again.
        None = 4, "none";
    }

    /// Where a module stands in its life.
    Lifecycle: u16 {
        /// Answers control only.
        New = 1, "new";
        /// Runs.
        Active = 2, "active";
        /// Runs to rest: only replies, answers to held tokens and control enter.
        Freezing = 3, "freezing";
        /// At rest: its state can be saved.
        Frozen = 4, "frozen";
        /// Ended by its owner: all connections are wiped, control still answers.
        Disabled = 5, "disabled";
    }

    /// What a set-key says of the epoch before (for a row that accepts).
    PriorEpoch: u16 {
        /// There was none in this activation.
        None = 0, "none";
        /// It ends at its present counter; the answer states which.
        Abandon = 1, "abandon";
        /// It is accepted up to the closing counter that the set-key carries.
        CloseAt = 2, "close-at";
    }

    /// The first field of every key derivation and of every hash that is signed: what the result is for.
    Label: u16 {
        /// Secret of an activation (symmetric platforms).
        Activation = 1, "activation";
        /// Evidence (symmetric platforms).
        Evidence = 2, "evidence";
        /// Key of control requests.
        ControlIn = 3, "control-in";
        /// Key of control answers.
        ControlOut = 4, "control-out";
        /// Public name of a control session.
        SessionId = 5, "session-id";
        /// Key of a connection's epoch and direction.
        Connection = 6, "connection";
        /// What the owner signs to open a session.
        Open = 7, "open";
        /// What a module states of itself when it is attested.
        Transcript = 8, "transcript";
        /// A driver's proof of exclusivity.
        Granted = 9, "granted";
        /// Secret of an activation (X25519 platforms).
        Agreed = 10, "agreed";
        /// What an owner signs to delegate.
        Delegation = 11, "delegation";
        /// Key of an owner on a node (platforms whose provider derives it by this protocol).
        Vendor = 12, "vendor";
        /// Key of a module (the same platforms).
        Module = 13, "module";
    }

    /// Control requests. All but `Status` are idempotent by content.
    ControlKind: u16 {
        /// Gives a row its next epoch's key.
        SetKey = 1, "set-key";
        /// Ends a row's epoch without a next one.
        CloseEpoch = 2, "close-epoch";
        /// Frees a row.
        Remove = 3, "remove";
        /// Ends the module: all rows are wiped.
        Disable = 4, "disable";
        /// Runs the module to rest.
        Freeze = 5, "freeze";
        /// Takes a freeze back.
        Thaw = 6, "thaw";
        /// Reads a chunk of the state of a frozen module.
        Save = 7, "save";
        /// Writes a chunk of state into a new module.
        Restore = 8, "restore";
        /// Makes a new module run.
        Activate = 9, "activate";
        /// Ends the wait for a reply.
        AbortRequest = 10, "abort-request";
        /// Raises the lowest delegation serial that is accepted.
        RaiseSerial = 11, "raise-serial";
        /// Reads the module's state: the owner's only trustworthy knowledge of progress.
        Status = 12, "status";
        /// Asks a driver to prove under a connection's key that it serves an application. Only drivers can.
        Confirm = 13, "confirm";
        /// Seals the state of a frozen module, so that what `save` reads is for nobody but the module. Only where the TEE can.
        Seal = 14, "seal";
        /// Says how the state that `restore` writes is sealed.
        Unseal = 15, "unseal";
    }

    /// Who can open a sealed state, on the machine where it was sealed.
    SealPolicy: u16 {
        /// The same image only.
        Enclave = 1, "enclave";
        /// Every image of the same signer and product, but none of a lower version.
        Signer = 2, "signer";
    }

    /// What a control request came to.
    ControlResult: u16 {
        /// Done, or done before: a retry of the same request changes nothing.
        Done = 0, "done";
        /// The body does not have the form of its kind.
        Malformed = 1, "malformed";
        /// Not in this lifecycle.
        WrongLifecycle = 2, "wrong-lifecycle";
        /// The row index is beyond the table.
        NoSuchRow = 3, "no-such-row";
        /// The row belongs to another connection or role.
        RowTaken = 4, "row-taken";
        /// The epoch is not above the highest one known for this row, or not above the epoch floor.
        EpochTooLow = 5, "epoch-too-low";
        /// An earlier epoch of this row is not finished yet.
        EpochUnfinished = 6, "epoch-unfinished";
        /// The port does not exist, or its kind does not fit the role.
        NoSuchPort = 7, "no-such-port";
        /// The port has another payload type.
        WrongType = 8, "wrong-type";
        /// The port has no room for another connection, or the outputs would not fit the output area.
        NoCapacity = 9, "no-capacity";
        /// The prior-epoch field does not fit what the row knows.
        WrongPrior = 10, "wrong-prior";
        /// Another operation is in progress, or none.
        WrongOperation = 11, "wrong-operation";
        /// The module has no state to save, the chunk does not fit it, or it cannot be sealed or opened here.
        NoState = 12, "no-state";
        /// The delegation does not cover this.
        NotDelegated = 13, "not-delegated";
        /// The module cannot run this cipher.
        NoCipher = 14, "no-cipher";
    }
}
