//! All limits, with the relations between them.

/// Version of everything that modules and owners say to each other.
pub const PROTOCOL_VERSION: u16 = 1;

/// Length of keys, tags and derived secrets in bytes.
pub const KEY_BYTES: usize = 16;
/// Length of an authentication tag in bytes.
pub const TAG_BYTES: usize = 16;

/// Largest payload of an event on a big TEE, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Largest payload of an event on a microcontroller, in bytes.
pub const PAYLOAD_BYTES_MAX_BOARD: usize = 256;

/// Header of an event frame in bytes.
pub const FRAME_HEADER_BYTES: usize = 16;
/// Largest event frame in bytes: header, padded payload with the reply code, tag.
pub const FRAME_BYTES_MAX: usize = FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX + 2 + TAG_BYTES;

/// Largest sealed control message to or from a board, in bytes.
pub const CONTROL_BYTES_MAX_BOARD: usize = 224;
/// Largest sealed control message on a big TEE, in bytes.
pub const CONTROL_BYTES_MAX: usize = 4096;

/// Largest argument of a user entry in bytes.
pub const ENTRY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;

/// Length of a name in a port table in bytes (zero-padded UTF-8).
pub const NAME_BYTES_MAX: usize = 40;

/// Most bytes that one entry into a module may emit.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(PAYLOAD_BYTES_MAX.is_multiple_of(2) && PAYLOAD_BYTES_MAX_BOARD.is_multiple_of(2));
const _: () = assert!(CONTROL_BYTES_MAX_BOARD <= CONTROL_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX < OUTPUT_BYTES_MAX);
