//! The registry of platforms: one line for each.

use std::sync::Arc;
use veritee_host::Platform;

/// The platforms that this program can host.
#[must_use]
pub fn registry() -> Vec<Arc<dyn Platform>> {
    vec![]
}
