//! The registry of platforms: one line for each.

use veritee_native_verifier::NativeOwner;
use veritee_platform::OwnerPlatform;

/// All platforms, in the order in which they are offered.
#[must_use]
pub fn registry() -> Vec<Box<dyn OwnerPlatform>> {
    vec![Box::new(NativeOwner::default())]
}

/// Words of all platforms.
#[must_use]
pub fn words() -> Vec<&'static str> {
    registry().iter().map(|platform| platform.name()).collect()
}

/// The platform of a word.
#[must_use]
pub fn platform(word: &str) -> Option<Box<dyn OwnerPlatform>> {
    registry().into_iter().find(|platform| platform.name() == word)
}
