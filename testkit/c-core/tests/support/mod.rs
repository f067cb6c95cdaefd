//! Random numbers from a seed.
#![allow(dead_code, reason = "each test file uses its part")]

/// SplitMix64 (Steele, Lea, Flood, 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let index = self.below(u64::try_from(of.len()).expect("few"));
        of[usize::try_from(index).expect("few")]
    }
}

/// The seeds of a test: `VERITEE_SEED=7` for one, `VERITEE_SEEDS=500` for many, else `usual` ones.
pub(crate) fn seeds(usual: u64) -> std::ops::Range<u64> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let many = variable("VERITEE_SEEDS").unwrap_or(usual);
    variable("VERITEE_SEED").map_or(0..many, |seed| seed..seed + 1)
}
