//! The registry of platforms: one line for each.

use veritee_native_verifier::NativeOwner;
use veritee_platform::{OwnerPlatform, ProviderPlatform};
use veritee_sancus_verifier::{SancusOwner, SancusProvider};
use veritee_sgx_verifier::SgxOwner;
use veritee_trustzone_verifier::{TrustzoneOwner, TrustzoneProvider};

/// All platforms, in the order in which they are offered.
#[must_use]
pub fn registry() -> Vec<Box<dyn OwnerPlatform>> {
    vec![
        Box::new(NativeOwner::default()),
        Box::new(SancusOwner),
        Box::new(SgxOwner::default()),
        Box::new(TrustzoneOwner::default()),
    ]
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

/// Platforms whose boards have a provider.
#[must_use]
pub fn providers() -> Vec<Box<dyn ProviderPlatform>> {
    vec![Box::new(SancusProvider), Box::new(TrustzoneProvider::default())]
}

/// The provider's side of a platform.
#[must_use]
pub fn provider(word: &str) -> Option<Box<dyn ProviderPlatform>> {
    providers().into_iter().find(|platform| platform.name() == word)
}
