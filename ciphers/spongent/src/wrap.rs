//! SpongeWrap: authenticated encryption in one pass over key, associated data and body.
//!
//! Blocks have two bytes (an odd tail one, an empty part none). Above the data stands a frame bit, above it a padding one.
//! Frame bits separate the parts: key 1…1 0, associated data 0…0 1, body 1…1 0.

use crate::permutation::{State, Variant};
use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The tag does not fit: key, associated data, body or tag differ. The body was wiped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unauthentic;

/// A key of `R` bytes, absorbed. Wiped when dropped.
pub struct WrapKey<V: Variant, const R: usize> {
    state: State<V>,
}

impl<V: Variant, const R: usize> Clone for WrapKey<V, R> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone() }
    }
}

impl<V: Variant, const R: usize> fmt::Debug for WrapKey<V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrapKey(..)")
    }
}

impl<V: Variant, const R: usize> WrapKey<V, R> {
    /// Absorbs a key.
    #[must_use]
    pub fn new(key: &[u8; R]) -> Self {
        let mut state = State::default();
        absorb(&mut state, key, true);
        Self { state }
    }

    /// Encrypts `body` in place and gives the tag.
    ///
    /// Equal inputs give equal outputs: a message's number belongs into `associated`.
    #[must_use]
    pub fn wrap_in_place(&self, associated: &[u8], body: &mut [u8]) -> [u8; R] {
        let mut state = self.state.clone();
        let output = absorb(&mut state, associated, false);
        let output = crypt(&mut state, body, output, |plain, stream| {
            let cipher = plain ^ stream;
            (plain, cipher)
        });
        tag(&mut state, output)
    }

    /// Decrypts `body` in place.
    ///
    /// # Errors
    /// [`Unauthentic`] when the tag differs; `body` is wiped then.
    pub fn unwrap_in_place(
        &self,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; R],
    ) -> Result<(), Unauthentic> {
        let mut state = self.state.clone();
        let output = absorb(&mut state, associated, false);
        let output = crypt(&mut state, body, output, |cipher, stream| {
            let plain = cipher ^ stream;
            (plain, plain)
        });
        if self::tag::<V, R>(&mut state, output).ct_eq(tag).into() {
            return Ok(());
        }
        body.zeroize();
        Err(Unauthentic)
    }

    /// The tag over a message: associated data with an empty body. Also the key derivation of Sancus.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> [u8; R] {
        self.wrap_in_place(message, &mut [])
    }
}

/// An input integer: up to two bytes of data, the frame bit above them, a one above it.
fn block(data: &[u8], frame: bool) -> u32 {
    let mut bytes = [0; 4];
    for (place, byte) in bytes.iter_mut().zip(data) {
        *place = *byte;
    }
    let width = 8 * data.len();
    u32::from_le_bytes(bytes) | u32::from(frame) << width | 2 << width
}

/// Absorbs a part whose blocks carry `frame`, the last one the opposite. Gives the output of the last call.
fn absorb<V: Variant>(state: &mut State<V>, part: &[u8], frame: bool) -> u16 {
    let mut rest = part;
    while rest.len() > 2 {
        let (data, behind) = rest.split_at(2);
        state.duplex(block(data, frame));
        rest = behind;
    }
    state.duplex(block(rest, !frame))
}

/// En- or decrypts: `step` takes a word and the key stream and gives what is absorbed and what is written.
fn crypt<V: Variant>(
    state: &mut State<V>,
    body: &mut [u8],
    mut output: u16,
    step: impl Fn(u16, u16) -> (u16, u16),
) -> u16 {
    let blocks = body.len().div_ceil(2);
    for (number, data) in (1..).zip(body.chunks_mut(2)) {
        let mut word = [0; 2];
        word[..data.len()].copy_from_slice(data);
        let (plain, written) = step(u16::from_le_bytes(word), output);
        data.copy_from_slice(&written.to_le_bytes()[..data.len()]);
        let plain = plain.to_le_bytes();
        output = state.duplex(block(&plain[..data.len()], number < blocks));
    }
    if body.is_empty() { state.duplex(block(&[], false)) } else { output }
}

/// The tag: the output of the last body call, then of blank calls.
fn tag<V: Variant, const R: usize>(state: &mut State<V>, mut output: u16) -> [u8; R] {
    let mut tag = [0; R];
    for (number, place) in tag.chunks_mut(2).enumerate() {
        if number > 0 {
            output = state.duplex(1);
        }
        place.copy_from_slice(&output.to_le_bytes()[..place.len()]);
    }
    tag
}
