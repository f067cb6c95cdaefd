//! Newtypes: a number that names something has the type of that thing.

use crate::codec::{Layout, Malformed, Reader, Writer};
use core::fmt;

macro_rules! names {
    ($show:expr; $($(#[$meta:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $show(&self.0, f)
            }
        }

        impl Layout for $name {
            const BYTES: usize = <$inner>::BYTES;
            fn put(&self, writer: &mut Writer<'_>) {
                self.0.put(writer);
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                reader.field().map(Self)
            }
        }
    )*};
}

names! { fmt::Display::fmt;
    /// The short name of an application inside one module, given by set-key. Authenticated in every event.
    ApplicationHandle(u16);
    /// A connection of one application. Unique in the descriptor; authenticated in every event.
    ConnectionId(u16);
    /// A slot of a module's connection table. A hint from outside: never trusted, only used to find the row.
    RowIndex(u16);
    /// A generation of a connection's key. Starts at 1; 0 means "none yet".
    Epoch(u32);
    /// The number of an event in its epoch: the first one is 0. Doubles as the nonce, so it never repeats under a key.
    Counter(u64);
    /// A port of a module: its place in the port table.
    PortIndex(u16);
}

names! { hexadecimal;
    /// One life of a module, from its first entry to its end. Unique, not secret.
    ActivationId([u8; 16]);
    /// An application's UUID, made at its first deployment.
    ApplicationId([u8; 16]);
    /// What a verifier sends so that evidence cannot be old.
    Challenge([u8; 16]);
    /// An update in progress: freeze, save, restore, activate and thaw name it.
    OperationId([u8; 16]);
    /// A control session: public, derived from the session's secret.
    SessionId([u8; 16]);
    /// FNV-1a (64 bits, little-endian) over a payload type's name and canonical layout. It finds mistakes; authors are not
    /// attackers of their own application.
    TypeHash([u8; 8]);
}

fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl Counter {
    /// The counter that follows, or `None` at the very end: a counter never wraps.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}
