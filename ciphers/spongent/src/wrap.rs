//! SpongeWrap: authenticated encryption in one pass over key, associated data and body.
//!
//! Blocks have two bytes (an odd tail one, an empty part none). Above the data stands a frame bit, above it a padding one.
//! Frame bits separate the parts: key 1…1 0, associated data 0…0 1, body 1…1 0.

use crate::permutation::{State, Variant};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The tag does not fit: key, associated data, body or tag differ. The body was wiped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unauthentic;

/// A key of `R` bytes, absorbed. Wiped when dropped.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it is secret")]
pub struct WrapKey<V: Variant, const R: usize> {
    state: State<V>,
}

impl<V: Variant, const R: usize> WrapKey<V, R> {
    /// Absorbs a key.
    pub fn new(key: &[u8; R]) -> Self {
        let mut state = State::default();
        absorb(&mut state, key, true);
        Self { state }
    }

    /// Encrypts `body` in place and gives the tag.
    ///
    /// Equal inputs give equal outputs: a message's number belongs into `associated`.
    pub fn wrap_in_place(&self, associated: &[u8], body: &mut [u8]) -> [u8; R] {
        self.crypt(associated, body, false)
    }

    /// Decrypts `body` in place.
    ///
    /// # Errors
    /// [`Unauthentic`] when the tag differs; `body` is wiped then.
    pub fn unwrap_in_place(&self, associated: &[u8], body: &mut [u8], tag: &[u8; R]) -> Result<(), Unauthentic> {
        if self.crypt(associated, body, true).ct_eq(tag).into() {
            return Ok(());
        }
        body.zeroize();
        Err(Unauthentic)
    }

    /// The tag over a message: associated data with an empty body. Also the key derivation of Sancus.
    pub fn mac(&self, message: &[u8]) -> [u8; R] {
        self.wrap_in_place(message, &mut [])
    }

    /// En- or decrypts. Absorbs the plaintext; the tag is the output of the last body call, then of blank calls.
    fn crypt(&self, associated: &[u8], body: &mut [u8], opening: bool) -> [u8; R] {
        let mut state = self.state.clone();
        let mut output = absorb(&mut state, associated, false);
        let blocks = body.len().div_ceil(2);
        for (number, data) in (1..).zip(body.chunks_mut(2)) {
            let mut plain = [0; 2];
            for ((byte, stream), plain) in data.iter_mut().zip(output.to_le_bytes()).zip(&mut plain) {
                let crypted = *byte ^ stream;
                *plain = if opening { crypted } else { *byte };
                *byte = crypted;
            }
            output = state.duplex(block(&plain[..data.len()], number < blocks));
        }
        if body.is_empty() {
            output = state.duplex(block(&[], false));
        }
        let mut tag = [0; R];
        for (number, place) in tag.chunks_mut(2).enumerate() {
            output = if number > 0 { state.duplex(1) } else { output };
            place.copy_from_slice(&output.to_le_bytes()[..place.len()]);
        }
        tag
    }
}

/// An input integer: up to two bytes of data, the frame bit above them, a one above it.
fn block(data: &[u8], frame: bool) -> u32 {
    let number = data.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
    number | (u32::from(frame) | 2) << (8 * data.len())
}

/// Absorbs a part whose blocks carry `frame`, the last one the opposite. Gives the output of the last call.
fn absorb<V: Variant>(state: &mut State<V>, mut part: &[u8], frame: bool) -> u16 {
    while let [first, second, rest @ ..] = part
        && !rest.is_empty()
    {
        state.duplex(block(&[*first, *second], frame));
        part = rest;
    }
    state.duplex(block(part, !frame))
}
