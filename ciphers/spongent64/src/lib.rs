//! SPONGENT with a 176-bit state: only for emulating small processors, refused by every policy.
#![no_std]

use veritee_spongent::WrapKey;
use veritee_spongent::permutation::{Variant, WORDS, substitute, swap};

/// A key of SPONGENT-64.
pub type Key64 = WrapKey<Spongent64, 8>;

/// SPONGENT with a 176-bit state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spongent64;

impl Variant for Spongent64 {
    const ROUNDS: u32 = 90;
    const COUNTER: u8 = 0x45;
    const FEEDBACK: (u8, u8) = (0b0110_0000, 0x7f);

    fn round(words: &mut [u64; WORDS], counter: u8) {
        words[0] ^= u64::from(counter);
        words[2] ^= u64::from(counter.reverse_bits()) << 40;
        let fields = [words[0], words[1], words[2]].map(|word| {
            let word = swap(swap(word, 3, 0x0a0a_0a0a_0a0a_0a0a), 6, 0x00cc_00cc_00cc_00cc);
            swap(swap(word, 12, 0x0000_f0f0_0000_f0f0), 24, 0x0000_0000_ff00_ff00)
        });
        let plane = |shift: u32| {
            let field = |word: u64| word >> shift & 0xffff;
            field(fields[0]) | field(fields[1]) << 16 | field(fields[2]) << 32
        };
        let [a, b, c, d] = substitute([plane(0), plane(16), plane(32), plane(48)]).map(|plane| plane & 0xfff_ffff_ffff);
        *words = [a | b << 44, b >> 20 | c << 24, c >> 40 | d << 4, 0, 0, 0];
    }
}
