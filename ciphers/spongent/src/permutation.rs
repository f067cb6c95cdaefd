//! The permutation of SPONGENT-128: 170 rounds of a counter, a 4-bit S-box and a bit permutation, on planes of bits.
//!
//! The state's bit `4n + r` is bit `n` of plane `r`; the S-box is a boolean circuit on planes. With 84 nibbles the bit
//! permutation sends bit `4n + r` to `n + 84·r`: the new state is simply the four planes one behind the other. What costs
//! is to take it apart into planes again.

use core::marker::PhantomData;
use zeroize::Zeroize;

/// Words of a state; the last ones may be partly or wholly unused.
pub const WORDS: usize = 6;

/// A strength: its rounds and its round counter.
pub trait Variant: Clone + Default {
    /// Rounds.
    const ROUNDS: u32;
    /// First value of the round counter.
    const COUNTER: u8;
    /// Bits of the round counter that are fed back, and its mask.
    const FEEDBACK: (u8, u8);
    /// One round with the counter's value.
    fn round(words: &mut [u64; WORDS], counter: u8);
}

/// The state: little-endian words, bit 0 first. Wiped when dropped.
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "it is secret")]
pub struct State<V: Variant> {
    words: [u64; WORDS],
    variant: PhantomData<V>,
}

impl<V: Variant> Drop for State<V> {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl<V: Variant> State<V> {
    /// Words of the state, bit 0 first; those beyond its length are zero.
    pub const fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// Adds an input integer of up to 18 bits, permutes, and gives the low 16 bits.
    pub fn duplex(&mut self, input: u32) -> u16 {
        self.words[0] ^= u64::from(input);
        self.permute();
        let [low, high, ..] = self.words[0].to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// The permutation.
    pub fn permute(&mut self) {
        let (feedback, mask) = V::FEEDBACK;
        let mut words = self.words;
        let mut counter = V::COUNTER;
        for _ in 0..V::ROUNDS {
            V::round(&mut words, counter);
            let odd = (counter & feedback).count_ones() & 1 == 1;
            counter = (counter << 1 | u8::from(odd)) & mask;
        }
        self.words = words;
        words.zeroize();
    }
}

/// SPONGENT with a 336-bit state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spongent128;

impl Variant for Spongent128 {
    const ROUNDS: u32 = 170;
    const COUNTER: u8 = 0x52;
    const FEEDBACK: (u8, u8) = (0b1000_1110, 0xff);

    #[inline]
    fn round(words: &mut [u64; WORDS], counter: u8) {
        words[0] ^= u64::from(counter);
        words[5] ^= u64::from(counter.reverse_bits()) << 8;
        let (low, high) = planes(*words);
        let ([a, b, c, d], high) = (substitute(low), substitute(high));
        let [e, f, g, h] = high.map(|plane| plane & 0xf_ffff);
        *words = [a, e | b << 20, b >> 44 | f << 20 | c << 40, c >> 24 | g << 40 | d << 60, d >> 4 | h << 60, h >> 4];
    }
}

/// The S-box e d b 0 2 1 4 f 7 a 8 5 9 c 3 6 on all nibbles of four planes, from its algebraic normal form.
#[inline]
pub const fn substitute([a, b, c, d]: [u64; 4]) -> [u64; 4] {
    let bc = b & c;
    [
        a ^ b ^ bc ^ d,
        !(a ^ bc ^ (d & (a ^ (b | c)))),
        !(b ^ c ^ (d & (a ^ bc))),
        !((a & b) ^ c ^ (d & (!(a | b) ^ (a & c)))),
    ]
}

/// Takes a state apart: the low 64 and the high 20 bits of each plane.
///
/// A bit's place in four words has eight index bits, word first: `w1 w0 i5 i4 i3 i2 i1 i0`. Planes need `i1 i0 w1 w0 i5 i4
/// i3 i2`, a rotation by two. It consists of two cycles of four, and each is three exchanges of a word bit with a bit
/// inside words, which are cheaper than exchanges inside words. The last 80 bits are done inside words.
#[inline]
const fn planes([a, b, c, d, high, top]: [u64; WORDS]) -> ([u64; 4], [u64; 4]) {
    let ((a, c), (b, d)) = (exchange(a, c, 32), exchange(b, d, 32));
    let ((a, c), (b, d)) = (exchange(a, c, 8), exchange(b, d, 8));
    let ((a, c), (b, d)) = (exchange(a, c, 2), exchange(b, d, 2));
    let ((a, b), (c, d)) = (exchange(a, b, 16), exchange(c, d, 16));
    let ((a, b), (c, d)) = (exchange(a, b, 4), exchange(c, d, 4));
    let ((a, b), (c, d)) = (exchange(a, b, 1), exchange(c, d, 1));
    let high = swap(swap(high, 3, 0x0a0a_0a0a_0a0a_0a0a), 6, 0x00cc_00cc_00cc_00cc);
    let high = swap(swap(high, 12, 0x0000_f0f0_0000_f0f0), 24, 0x0000_0000_ff00_ff00);
    let top = swap(swap(top, 3, 0x0a0a), 6, 0x00cc);
    let high = [
        high & 0xffff | (top & 0xf) << 16,
        high >> 16 & 0xffff | (top >> 4 & 0xf) << 16,
        high >> 32 & 0xffff | (top >> 8 & 0xf) << 16,
        high >> 48 | (top >> 12) << 16,
    ];
    ([a, b, c, d], high)
}

/// Exchanges the index bit that tells `x` from `y` with the one of weight `shift` inside them.
#[inline]
const fn exchange(x: u64, y: u64, shift: u32) -> (u64, u64) {
    // Ones where the index bit is zero: 2^64 - 1 over 2^shift + 1.
    let mask = u64::MAX / ((1 << shift) + 1);
    let moved = (x >> shift ^ y) & mask;
    (x ^ moved << shift, y ^ moved)
}

/// Exchanges the bits under `mask` with those `shift` places above.
#[inline]
pub const fn swap(word: u64, shift: u32, mask: u64) -> u64 {
    let moved = (word ^ word >> shift) & mask;
    word ^ moved ^ moved << shift
}
