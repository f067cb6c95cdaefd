//! Messages of a link: a front of eight bytes, then a body.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 3 | length of the body in bytes, little-endian |
//! | 3 | 1 | kind |
//! | 4 | 4 | channel, u32 little-endian |
//!
//! Channels are numbered by the end that binds them, which is the node of the connection's source. A kind says whose
//! number it carries, so both ends may bind on one link. Verdicts come in the order of the frames of their channel and
//! direction, runs of equal ones in one message.

use crate::lane::VerdictRun;
use veritee_ids::Status;
use veritee_ids::limits::FRAME_BYTES_MAX;

/// Version of links. Only equal versions talk.
pub const LINK_VERSION: u16 = 1;
/// Front of a message in bytes.
pub(crate) const FRONT_BYTES: usize = 8;

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $body:expr;)*) => {
        /// Kinds of link messages.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(crate) enum Kind { $($(#[$meta])* $name = $code,)* }

        impl Kind {
            pub(crate) const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Longest body in bytes.
            pub(crate) const fn body_bytes_max(self) -> usize {
                match self { $(Self::$name => $body,)* }
            }
        }
    };
}

kinds! {
    /// First message of both ends: version u16, zero u16, the daemon's life (16 bytes).
    Hello = 1, 20;
    /// The source's node names a channel: owner 32, application 16, connection u16.
    Bind = 2, 50;
    /// The target's node knows the channel's route: frames may come.
    Bound = 3, 0;
    /// The target's node does not know the channel's route any more: it is bound again when the route comes back.
    Unbound = 4, 0;
    /// The source's node frees a channel.
    Free = 5, 0;
    /// A frame along the connection.
    Event = 6, FRAME_BYTES_MAX;
    /// As `Event`, and first of a new round.
    EventFirst = 7, FRAME_BYTES_MAX;
    /// A frame against the connection, from the target's node.
    Reply = 8, FRAME_BYTES_MAX;
    /// As `Reply`, and first of a new round.
    ReplyFirst = 9, FRAME_BYTES_MAX;
    /// Verdicts of frames along the connection: status u16, zero u16, count u32, value u64.
    EventVerdict = 10, 16;
    /// Verdicts of frames against the connection.
    ReplyVerdict = 11, 16;
    /// Answer with `Pong`.
    Ping = 12, 0;
    /// Answer to `Ping`.
    Pong = 13, 0;
}

/// Appends a message.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, channel: u32, body: &[u8]) {
    out.extend_from_slice(&front(kind, channel, body.len()));
    out.extend_from_slice(body);
}

/// Appends verdicts.
pub(crate) fn put_verdicts(out: &mut Vec<u8>, kind: Kind, channel: u32, run: VerdictRun) {
    let mut body = [0; 16];
    body[..2].copy_from_slice(&run.status.code().to_le_bytes());
    body[4..8].copy_from_slice(&run.count.to_le_bytes());
    body[8..].copy_from_slice(&run.value.to_le_bytes());
    put(out, kind, channel, &body);
}

/// Reads verdicts.
pub(crate) fn verdicts(body: &[u8]) -> Option<VerdictRun> {
    let body: &[u8; 16] = body.try_into().ok()?;
    let [s0, s1, 0, 0, c0, c1, c2, c3, value @ ..] = *body else { return None };
    let status = Status::try_from(u16::from_le_bytes([s0, s1])).ok()?;
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    (count > 0).then_some(VerdictRun { status, count, value: u64::from_le_bytes(value) })
}

/// The front of a message.
pub(crate) fn front(kind: Kind, channel: u32, length: usize) -> [u8; FRONT_BYTES] {
    debug_assert!(length <= kind.body_bytes_max(), "bodies are bounded by their kind");
    let word = u32::try_from(length).expect("bodies are shorter than 2^24 bytes") | ((kind as u32) << 24);
    let mut bytes = [0; FRONT_BYTES];
    bytes[..4].copy_from_slice(&word.to_le_bytes());
    bytes[4..].copy_from_slice(&channel.to_le_bytes());
    bytes
}

/// A message's kind, channel and length of body; `None` when there is no such kind or its body is too long.
pub(crate) fn parse_front(bytes: [u8; FRONT_BYTES]) -> Option<(Kind, u32, usize)> {
    let [l0, l1, l2, kind, channel @ ..] = bytes;
    let kind = Kind::from_code(kind)?;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, 0])).ok()?;
    (length <= kind.body_bytes_max()).then_some((kind, u32::from_le_bytes(channel), length))
}
