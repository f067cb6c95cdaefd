//! Newtypes: a number that names something has the type of that thing.

use core::fmt;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! bytes {
    ($(#[$meta:meta])* $name:ident[$length:literal]) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

number! {
    /// The short name of an application inside one module, given by set-key. Authenticated in every event.
    ApplicationHandle(u16)
}
number! {
    /// A connection of one application. Unique in the descriptor; authenticated in every event.
    ConnectionId(u16)
}
number! {
    /// A slot of a module's connection table. A hint from outside: never trusted, only used to find the row.
    RowIndex(u16)
}
number! {
    /// A generation of a connection's key. Starts at 1; 0 means "none yet".
    Epoch(u32)
}
number! {
    /// The number of an event in its epoch: the first one is 0. Doubles as the nonce, so it never repeats under a key.
    Counter(u64)
}
number! {
    /// A port of a module: its place in the port table.
    PortIndex(u16)
}
number! {
    /// A user entry of a module: its place among the entries of the port table.
    EntryIndex(u16)
}

impl Counter {
    /// The counter that follows, or `None` at the very end: a counter never wraps.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

bytes! {
    /// One life of a module, from its first entry to its end. Unique, not secret.
    ActivationId[16]
}
bytes! {
    /// An application's UUID, made at its first deployment.
    ApplicationId[16]
}
bytes! {
    /// What a verifier sends so that evidence cannot be old.
    Challenge[16]
}
bytes! {
    /// An update in progress: freeze, save, restore, activate and thaw name it.
    OperationId[16]
}
bytes! {
    /// A control session: public, derived from the session's secret.
    SessionId[16]
}
bytes! {
    /// FNV-1a (64 bits, little-endian) over a payload type's name and canonical layout. It finds mistakes; authors are not attackers
    /// of their own application.
    TypeHash[8]
}
