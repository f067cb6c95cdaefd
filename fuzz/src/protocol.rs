//! The control interface: whoever reaches a node's port, or is a node, can send any bytes.

use core::fmt::Debug;
use minicbor::{Decode, Encode};
use veritee_node_protocol::{Answer, Call};

/// Reads a message of either side: what is understood is understood again after it was written.
///
/// # Panics
/// When a promise is broken.
pub fn protocol(data: &[u8]) {
    again::<Call>(data);
    again::<Answer>(data);
}

fn again<T: for<'a> Decode<'a, ()> + Encode<()> + PartialEq + Debug>(data: &[u8]) {
    let Ok(message) = minicbor::decode::<T>(data) else { return };
    let bytes = minicbor::to_vec(&message).expect("writing to memory cannot fail");
    assert_eq!(minicbor::decode::<T>(&bytes).ok(), Some(message));
}
